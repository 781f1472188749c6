"""A network as a head for any classifier takes it: its weights in order of depth, and how it is run, where it is known.

Nothing is traced or exported: many files are read so. What a module takes and gives is seen from one forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures.network_weights import NetworkWeights
from nfn_cli.architectures.stated import Stated, gather_facts, stated_entry
from nfn_cli.checkpoints import Checkpoint, read_checkpoint
from nfn_cli.errors import ArchitectureError

if TYPE_CHECKING:
    from nfn_cli.architectures.read import ReadNetwork
    from nfn_cli.architectures.traced import Fitting, NetworkTracer

# What is assumed of a network that its names alone show to be one.
ONE_CHAIN = "one chain of layers"
# Stands in for an activation that is not known.
_UNKNOWN = "identity"
_MODULE = "give its module: --model FILE.py:FACTORY"


@dataclass(frozen=True)
class ReadClassifier:
    """A classifier of any architecture.

    Attributes:
        tensors: all floating-point tensors of the network, float32 or float64, each once; by the names and in the order
            of the module where there is one, else by those of the layers.
        module: with these weights, in evaluation mode, from float32 pictures [batch, *picture] to logits
            [batch, classes]; None where it is not known how the network is run.
        picture: channels, height and width of one input of the module; None without a module.
        chain: the network [*shape] where it was read as one chain of layers.
        reading: what it was read as, for people.
        assumed: what was assumed, each in a few words.
    """

    tensors: Mapping[str, Tensor]
    module: nn.Module | None
    picture: tuple[int, int, int] | None
    chain: NetworkWeights | None
    reading: str
    assumed: tuple[str, ...] = ()


def read_classifier(
    path: Path | Checkpoint, stated: Stated | None = None, tracer: NetworkTracer | None = None
) -> ReadClassifier:
    """Read a classifier of pictures: by the user's module; by the configuration beside it; by the names and shapes of a
    known family; as one chain of layers. The first of these that fits decides.

    Args:
        stated: what the caller says, over what sidecars and the file say. One that is stated to be a chain is read as
            one.
        tracer: has the user's module, and the shape of one input; kept for files that are read by the same module.

    Raises:
        CheckpointError: the file cannot be read.
        ArchitectureError: it is no classifier of pictures, several networks, or it is not known what it is.
        UsageError: the user's module cannot be made, or takes no pictures.
    """
    from nfn_cli.architectures.traced import NetworkTracer

    stated, tracer = stated or Stated(), tracer or NetworkTracer()
    checkpoint = (
        path if isinstance(path, Checkpoint) else read_checkpoint(path, entry=stated.entry or stated_entry(path))
    )
    if tracer.model is not None:
        return _by_model(checkpoint, stated, tracer)
    return (
        _by_chain(checkpoint, stated, tracer)
        if _is_chain(checkpoint, stated)
        else _by_family(checkpoint, stated, tracer)
    )


def _is_chain(checkpoint: Checkpoint, stated: Stated) -> bool:
    """Whether it is stated that the network, or the one of several that is meant, is a chain."""
    from nfn_cli.architectures.read import is_stated_chain

    facts = gather_facts(checkpoint)
    return stated.chain or stated.prefix is not None or facts.get("prefix") is not None or is_stated_chain(facts)


def _by_family(checkpoint: Checkpoint, stated: Stated, tracer: NetworkTracer) -> ReadClassifier:
    from nfn_cli.architectures.config_file import UnreadableConfigError, config_beside
    from nfn_cli.architectures.traced import with_model

    config: Mapping[str, Any] | None = None
    refusal: UnreadableConfigError | ArchitectureError | None = None
    found: Fitting | None = None
    unknown: str | None = None
    try:
        config = None if checkpoint.format == "memory" else config_beside(checkpoint.path)
    except UnreadableConfigError as error:  # it may be nothing of the network's
        refusal = error
    if config is not None:
        found = tracer.fitting(checkpoint, config)
        unknown = tracer.unknown
    if found is None and refusal is None:
        config = None
        try:
            found = tracer.fitting(checkpoint, None)
        except ArchitectureError as error:
            refusal = error if unknown is None else ArchitectureError(checkpoint.path, unknown, _MODULE)
    if found is not None:
        return _by_reference(checkpoint, stated, found, tracer, has_config=config is not None)
    try:
        return _by_chain(checkpoint, stated, tracer)
    except ArchitectureError as error:
        if refusal is not None:
            raise refusal from None
        if unknown is not None:
            raise ArchitectureError(checkpoint.path, unknown, _MODULE) from error
        raise with_model(error) from error


def _by_model(checkpoint: Checkpoint, stated: Stated, tracer: NetworkTracer) -> ReadClassifier:
    from nfn_cli.architectures.classifier_module import classifying_copy
    from nfn_cli.architectures.traced import require_model_alone

    require_model_alone(stated)
    use = tracer.picture_use()
    names = tracer.names_in_model(checkpoint)
    module = classifying_copy(checkpoint, tracer.user().module, names, use)
    return ReadClassifier(
        tensors=_tensors_of(checkpoint, module, names),
        module=module,
        picture=use.picture,
        chain=None,
        reading=f"the module of {tracer.model}",
        assumed=use.assumed,
    )


def _by_reference(
    checkpoint: Checkpoint, stated: Stated, found: Fitting, tracer: NetworkTracer, *, has_config: bool
) -> ReadClassifier:
    from nfn_cli.architectures.classifier_module import classifying_reference

    reference = found.reference
    if stated.strict and not has_config:
        cause = f"{reference.text} is recognised by names and shapes alone, which --strict refuses"
        raise ArchitectureError(checkpoint.path, cause, f"{_MODULE}, or put its config.json beside it")
    module, use = classifying_reference(checkpoint, reference, found.names, tracer.shape)
    by_names = () if has_config else (f"{reference.family}, by its names and shapes",)
    return ReadClassifier(
        tensors=_tensors_of(checkpoint, module, found.names),
        module=None if use.is_double else module,
        picture=None if use.is_double else use.picture,
        chain=None,
        reading=f"{reference.text} (config.json)" if has_config else reference.text,
        assumed=(*by_names, *reference.assumptions, *(() if use.is_double else use.assumed)),
    )


def _by_chain(checkpoint: Checkpoint, stated: Stated, tracer: NetworkTracer) -> ReadClassifier:
    from nfn_cli.architectures.classifier_chain import assumed_picture, chain_module, chain_tensors, require_classifier
    from nfn_cli.architectures.read import read_weights

    network = read_weights(checkpoint, stated, default_activation=_UNKNOWN)
    require_classifier(network, tracer.shape)
    module = chain_module(network, tracer.shape)
    picture = assumed_picture(network, tracer.shape)
    return ReadClassifier(
        tensors=chain_tensors(network),
        module=module,
        picture=None if module is None else module.picture,
        chain=network.weights,
        reading=network.reading.text,
        assumed=(*_assumed_of(network), *(() if picture is None else (picture,))),
    )


def _assumed_of(network: ReadNetwork) -> tuple[str, ...]:
    return () if network.is_stated or len(network.weights.architecture.layers) < 2 else (ONE_CHAIN,)


def _tensors_of(checkpoint: Checkpoint, module: nn.Module, names: Mapping[str, str]) -> dict[str, Tensor]:
    """The file's numbers of a module's tensors, in its order; of tied ones the first."""
    from nfn_cli.architectures.tracing.naming import names_of

    found = {}
    for held in names_of(module).held:
        name = next((own for own in held.stored if own in names), None)
        if name is not None and held.dtype.is_floating_point:
            tensor = checkpoint.tensors[names[name]]
            found[name] = tensor.to(torch.promote_types(tensor.dtype, torch.float32))
    return found
