"""Networks in memory: a state dict, or a module, which also shows its activation and the order of its layers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from nfn_cli.architectures.activations import canonical_activation
from nfn_cli.architectures.read import ReadNetwork, read_weights
from nfn_cli.architectures.stated import Stated
from nfn_cli.checkpoints import Checkpoint, checkpoint_of, require_state_dict
from nfn_cli.errors import ArchitectureError, UsageError

if TYPE_CHECKING:
    # State dicts need none of these.
    from nfn_cli.architectures.tracing.plain_chain import PlainChain
    from nfn_cli.architectures.tracing.user_module import UserModule

STATE_DICT = "state dict"
_FORMS = "give paths, a state dict (tensors by name), or a torch.nn.Module"


@dataclass(frozen=True)
class InMemory:
    """A network that is no file's.

    Attributes:
        checkpoint: its tensors; of a chain in the order of computation.
        stated: what is known of it: what the caller says, and of a module that is a chain what its graph shows.
        user: the module, in evaluation mode, sharing its tensors; None for a state dict.
        chain: how the module is a chain; None for other modules and state dicts.
        refusal: why the module is none.
    """

    checkpoint: Checkpoint
    stated: Stated
    user: UserModule | None = None
    chain: PlainChain | None = None
    refusal: str | None = None


def require_network(value: object, name: str = STATE_DICT) -> None:
    """Check that a value is a module or a state dict, without looking at numbers.

    Raises:
        UsageError: it is neither; of a dict with the first entry that is no tensor.
    """
    if isinstance(value, Mapping):
        require_state_dict(value, name)
    elif not isinstance(value, nn.Module):
        raise UsageError("network", f"a value of type {type(value).__name__} is none", _FORMS)


def in_memory(
    value: Mapping[str, Tensor] | nn.Module,
    stated: Stated | None = None,
    *,
    inputs: Any = None,
    name: str | None = None,
) -> InMemory:
    """Look at a network in memory; a module is traced by `torch.export`, and not changed.

    Args:
        stated: what the caller says of the network.
        inputs: of one forward pass of a module: a tensor, a tuple of arguments, a dict of keyword arguments, or a tuple
            and a dict; without them, inputs that fit its first layer.
        name: what errors call it; by default a module's class.

    Raises:
        UsageError: it is no network, the inputs have another form, or the module has another activation than is given.
        CheckpointError: its tensors are no weights, or not finite.
        ArchitectureError: the module cannot be traced.
    """
    stated = stated or Stated()
    name = name or (type(value).__name__ if isinstance(value, nn.Module) else STATE_DICT)
    require_network(value, name)
    if not isinstance(value, nn.Module):
        if inputs is not None:
            raise UsageError("inputs", "a state dict takes none", "leave them out, or give the module")
        return InMemory(checkpoint_of(value, name), stated)
    user = evaluated(value, inputs, name)
    checkpoint = checkpoint_of(user.module.state_dict(keep_vars=True), name)
    from nfn_cli.architectures.tracing.export import export_user_module
    from nfn_cli.architectures.tracing.plain_chain import NoChainError, plain_chain

    try:
        chain = plain_chain(export_user_module(user))
    except NoChainError as error:
        return InMemory(checkpoint, stated, user, refusal=str(error))
    except ArchitectureError as error:
        remedy = "give inputs that its forward pass takes (inputs=...), or its state dict with activation=..."
        raise ArchitectureError(name, error.cause, remedy) from error
    checkpoint = replace(checkpoint, tensors=in_order(checkpoint, chain))
    found = InMemory(checkpoint, _stated_by(chain, stated, name), user, chain)
    refusal = _misread(found)
    return found if refusal is None else InMemory(checkpoint, stated, user, refusal=refusal)


def read_chain(network: InMemory, *, default_activation: str | None = None) -> ReadNetwork:
    """Read a network in memory as a chain.

    Args:
        default_activation: of a state dict; assumed where none is given.

    Raises:
        ArchitectureError: it is none.
    """
    if network.refusal is not None:
        cause = f"no plain chain of layers: {network.refusal}"
        raise ArchitectureError(network.checkpoint.path, cause, "give a chain of linear or convolution layers")
    return read_weights(network.checkpoint, network.stated, default_activation=default_activation)


def evaluated(module: nn.Module, inputs: Any, name: str) -> UserModule:
    """A copy of a module in evaluation mode that shares its tensors, not traced.

    Args:
        inputs, name: as of `in_memory`.

    Raises:
        UsageError: the inputs have another form, or it cannot be copied.
    """
    from nfn_cli.architectures.tracing.inputs import example_of
    from nfn_cli.architectures.tracing.user_module import UserModule, unwrapped, without_caches

    module = unwrapped(module)
    try:
        example = None if inputs is None else example_of(inputs)
    except ValueError as error:
        cause, _, remedy = str(error).partition("; ")
        raise UsageError("inputs", cause, remedy) from error
    shared = {id(tensor): tensor for tensor in (*module.parameters(), *module.buffers())}
    try:
        own = copy.deepcopy(module, dict(shared)).eval()
        without_caches(own)
    except Exception as error:  # the module's methods are the user's code
        cause = f"it cannot be copied ({type(error).__name__}: {error})"
        raise UsageError(name, cause, "give its state dict, with activation=...") from error
    return UserModule(name, own, example)


def in_order(checkpoint: Checkpoint, chain: PlainChain) -> dict[str, Tensor]:
    """The tensors of a module's checkpoint in the order of computation."""
    order = [part for layer in chain.layers for part in (layer, chain.norms.get(layer)) if part is not None]
    places = {f"{name}.": place for place, name in enumerate(order)}

    def place(name: str) -> int:
        full = checkpoint.stripped + name
        return places.get(full.rpartition(".")[0] + ".", len(order))

    return {name: checkpoint.tensors[name] for name in sorted(checkpoint.tensors, key=place)}


def _stated_by(chain: PlainChain, stated: Stated, name: str) -> Stated:
    """What a module's graph shows. The caller may state the same, but nothing else.

    Raises:
        UsageError: the caller states something else.
    """
    activation = chain.activation
    if activation is not None and stated.activation is not None:
        said, has = (canonical_activation(one, "activation") for one in (stated.activation, activation))
        if said != has:
            raise UsageError("activation", f"{stated.activation} is given, but {name} has {activation}", "leave it out")
    if stated.pool is not None and stated.pool != chain.pool:
        raise UsageError("pool", f"{stated.pool} is given, but {name} has {chain.pool}", "leave it out")
    if stated.omega_0 and chain.omegas and set(stated.omega_0) != set(chain.omegas):
        raise UsageError("omega_0", f"{stated.omega_0} is given, but {name} has {chain.omegas}", "leave it out")
    same = len(set(chain.omegas)) == 1
    omegas = chain.omegas[:1] if same else chain.omegas
    return replace(
        stated, activation=activation or stated.activation or "identity", pool=chain.pool, omega_0=omegas, chain=True
    )


def _misread(found: InMemory) -> str | None:
    """Why the module's tensors, read as a chain, are another than its graph; None where they are the same."""
    assert found.chain is not None
    stripped = found.checkpoint.stripped
    try:
        network = read_weights(found.checkpoint, found.stated)
    except ArchitectureError as error:
        return error.cause
    layers = tuple((stripped + module.prefix).removesuffix(".") for module in network.modules)
    norms = {stripped + layer: stripped + norm.name for layer, norm in network.norms.items()}
    if layers != found.chain.layers or norms != found.chain.norms or network.stages or len(network.plan.starts) > 1:
        slopes = found.chain.activation == "prelu" and layers == found.chain.layers
        return None if slopes else "its tensors are read in another order than its graph has"
    return None
