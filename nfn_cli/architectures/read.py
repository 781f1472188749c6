"""From a checkpoint to a point in weight space."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path

import torch
from torch import Tensor

from nfn_cli.architectures.activations import Activation, resolve_activation
from nfn_cli.architectures.architecture import Architecture, chain
from nfn_cli.architectures.batchnorm import fold
from nfn_cli.architectures.frequencies import DEFAULT_OMEGA_0
from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.modules import BatchNorm, Norm, Weighted, gather_modules
from nfn_cli.architectures.network_weights import NetworkWeights
from nfn_cli.architectures.plan import Plan, plan_layers
from nfn_cli.architectures.reading import Reading, reading_of, some
from nfn_cli.architectures.stages import stage_tensors
from nfn_cli.architectures.stated import Facts, Stated, gather_facts, stated_entry, text_fact, truth_fact
from nfn_cli.architectures.stored import stored_architecture
from nfn_cli.architectures.ties import refuse_ties
from nfn_cli.checkpoints import Checkpoint, read_checkpoint
from nfn_cli.errors import ArchitectureError

# What `nfn zoo` calls the networks that it makes.
_CHAINS = ("small-cnn", "siren")


# Files of one population have one architecture.
_chain_once = lru_cache(maxsize=64)(chain)


@dataclass(frozen=True)
class ReadNetwork:
    """A network as read.

    Attributes:
        weights: its weights, BatchNorm folded where it stands directly behind a layer.
        activation: what is known of it.
        path: its file.
        modules: as in the file, in the order of computation.
        norms: the folded BatchNorm of each, by its layer's name.
        stages: the file's module for each stage of the architecture, by its name.
        plan: how the file's tensors were taken for layers.
        is_stated: whether it is stated that the layers are one chain.
        names: of all tensors of the network in its file.
    """

    weights: NetworkWeights
    activation: Activation
    path: Path
    modules: tuple[Weighted, ...]
    norms: Mapping[str, BatchNorm]
    stages: Mapping[str, Norm]
    plan: Plan
    is_stated: bool
    names: tuple[str, ...]

    @cached_property
    def reading(self) -> Reading:
        """What was read, in words, and what was assumed."""
        return reading_of(
            self.weights.architecture,
            self.plan,
            is_stated=self.is_stated,
            knows_activation=self.activation.source != "assumed" and len(self.modules) > 1,
            unstated_frequencies=self.assumes_frequency and self.activation.name == "sin",
        )

    @property
    def assumes_frequency(self) -> bool:
        """Whether it has sines, or perhaps has them, and not all frequencies are known."""
        unstated = None in self.activation.frequencies.of_layers(len(self.modules) - 1)
        return unstated and (self.activation.name == "sin" or self.activation.source == "assumed")

    def plain(self) -> ReadNetwork:
        """Itself, for callers that read only chains of layers with activations between them.

        Raises:
            ArchitectureError: it is more than that, or may be.
        """
        if len(self.weights.architecture.starts) > 1:
            cause = f"it may be more than one chain of layers: {self.plan.doubts[0]}"
            raise ArchitectureError(self.path, cause, "if it is one, say so in a file beside it: chain: true")
        beside = [*self.stages, *self.plan.left]
        if beside:
            cause = f"it has more than layers ({some(beside)}), which no head knows"
            raise ArchitectureError(self.path, cause, "give a network of linear or convolution layers alone")
        return self

    def stored(self) -> Architecture:
        """The architecture on the file's own tensors, BatchNorm apart, for the group to act on.

        Raises:
            ArchitectureError: a layer under weight normalisation.
        """
        return stored_architecture(self.path, self.weights.architecture, self.modules, self.norms, self.stages)


def read_network(
    path: Path | Checkpoint, stated: Stated | None = None, *, default_activation: str | None = None
) -> tuple[Checkpoint, ReadNetwork]:
    """Read a file and the network in it, as `read_checkpoint` and `read_weights` do; or that in a checkpoint.

    Raises:
        CheckpointError, ArchitectureError: as these.
    """
    stated = stated or Stated()
    checkpoint = (
        path if isinstance(path, Checkpoint) else read_checkpoint(path, entry=stated.entry or stated_entry(path))
    )
    return checkpoint, read_weights(checkpoint, stated, default_activation=default_activation)


def read_weights(
    checkpoint: Checkpoint,
    stated: Stated | None = None,
    *,
    activation: str | None = None,
    default_activation: str | None = None,
    pool: str | None = None,
) -> ReadNetwork:
    """Turn a chain's checkpoint into weight-space tensors.

    Layers are put in order, a missing bias becomes zeros, BatchNorm and weight normalisation are folded in (float64).
    Tensors come out as float64 where the file's weights are float64, else as float32. Where several networks are in the
    file, or it is not known what lies between two layers, the architecture is several chains.

    Args:
        stated: what the caller says, over what sidecars and the file say.
        activation, pool: short for those of `stated`.
        default_activation: assumed where no other is stated.

    Raises:
        ArchitectureError: no chain of known layers, tied tensors, an unknown activation; or, with `stated.strict`, one
            that is only recognised.
    """
    stated = stated or Stated()
    stated = stated.and_of(activation, pool)
    path, facts = checkpoint.path, gather_facts(checkpoint)
    is_chain = stated.chain or is_stated_chain(facts)
    own = _of_prefix(checkpoint, stated, facts)
    modules = gather_modules(path, own)
    named = stated.activation or (str(fact.value) if (fact := facts.get("activation")) else "")
    plan = plan_layers(
        path, modules, ordered=checkpoint.ordered, is_chain=is_chain, is_prelu="prelu" in named.lower().replace("_", "")
    )
    owners = {module.prefix.removesuffix(".") for module in plan.modules} | {norm.name for norm in plan.folded.values()}
    owners |= set(plan.stages)
    refuse_ties(checkpoint, {name for name in checkpoint.tensors if name.rpartition(".")[0] in owners})
    # Last: for a file that is no chain the activation does not help.
    known = resolve_activation(facts, str(path), stated, default_activation, "prelu" if plan.has_slopes else None)
    if plan.has_slopes and known.source != "found" and known.name in ("relu", "leaky_relu"):
        known = replace(known, name="prelu")
    point = NetworkWeights(_architecture(plan, known), _tensors(plan))
    network = ReadNetwork(point, known, path, plan.modules, plan.folded, plan.stages, plan, is_chain, tuple(own))
    if stated.strict and not is_chain and len(plan.layers) > 1:
        cause = f"read as {network.reading.text} by its names and shapes alone, which --strict refuses"
        raise ArchitectureError(path, cause, "say that it is a chain: --chain, or `chain: true` in a file beside it")
    if known.name == "prelu" and not plan.has_slopes:
        raise ArchitectureError(path, "its activation is prelu, but it holds no slopes", "name the right activation")
    return network


def is_stated_chain(facts: Facts) -> bool:
    """Whether a sidecar or the file says that its layers are one chain."""
    if (fact := facts.get("chain")) is not None:
        return truth_fact("chain", fact)
    return (fact := facts.get("arch")) is not None and fact.value in _CHAINS


def _of_prefix(checkpoint: Checkpoint, stated: Stated, facts: Facts) -> Mapping[str, Tensor]:
    """The tensors of the network that is meant."""
    prefix, place = stated.prefix, "--prefix"
    if prefix is None:
        fact = facts.get("prefix")
        if fact is None:
            return checkpoint.tensors
        prefix, place = text_fact("prefix", fact), fact.place
    dotted = prefix if prefix.endswith(".") else f"{prefix}."
    found = {name: tensor for name, tensor in checkpoint.tensors.items() if name.startswith(dotted)}
    if not found:
        tops = list(dict.fromkeys(name.partition(".")[0] for name in checkpoint.tensors))
        cause = f"no tensor's name begins with '{dotted}', stated by {place}"
        raise ArchitectureError(checkpoint.path, cause, f"names begin with: {', '.join(tops[:8])}")
    return found


def _architecture(plan: Plan, known: Activation) -> Architecture:
    """The architecture. Where not all frequencies of sines are known, no phases are shifted."""
    hidden = len(plan.layers) - 1
    # An activation that is assumed may be found to be a sine by the head that reads the network.
    sines = known.name == "sin" or known.source == "assumed"
    stated = known.frequencies.of_layers(hidden) if sines else ()
    omegas = [DEFAULT_OMEGA_0 if omega is None else omega for omega in stated]
    return _chain_once(
        tuple(_biased(layer, plan.folded.get(layer.name)) for layer in plan.layers),
        activation=known.name,
        omega_0=omegas[0] if omegas else known.omega_0,
        omegas=tuple(omegas),
        pool=known.pool,
        rigid=frozenset(name for name, norm in plan.folded.items() if norm.weight is None),
        starts=plan.starts,
        phased=known.name != "sin" or None not in stated,
        slope=plan.slope if known.name == "prelu" else known.slope,
    )


def _tensors(plan: Plan) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for layer, module in zip(plan.layers, plan.modules, strict=True):
        dtype = torch.float64 if module.weight.dtype == torch.float64 else torch.float32
        weight = module.weight
        bias = weight.new_zeros(weight.shape[0]) if module.bias is None else module.bias
        if layer.name in plan.folded:
            weight, bias = fold(weight, bias, plan.folded[layer.name])
        tensors[f"{layer.name}.weight"] = weight.to(dtype)
        tensors[f"{layer.name}.bias"] = bias.to(dtype)
        for stage in layer.stages:
            own = stage_tensors(stage, plan.stages[stage.name])
            tensors |= {name: tensor.to(dtype) for name, tensor in own.items()}
    return tensors


def _biased(layer: Layer, norm: BatchNorm | None) -> Layer:
    """The layer with the BatchNorm's bias for its own, as the file holds it."""
    return layer if norm is None else replace(layer, has_bias=norm.bias is not None)
