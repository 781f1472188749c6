"""The facts of one network: its layers, the groups that act on its neurons, and dead and duplicate neurons.

Source of the groups and their names: arXiv 2409.11697, section 4. Nothing here changes a weight.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from nfn_cli.architectures import (
    FUNCTIONS,
    Architecture,
    Layer,
    NetworkWeights,
    ReadNetwork,
    Stage,
    Stated,
    read_network,
)
from nfn_cli.architectures.modules import BatchNorm, Weighted
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.precision import coarsest
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind, depends_on_pooling, group_kind, phase_step
from nfn_cli.symmetry.links import Links
from nfn_cli.symmetry.normal_form import NormalForm, NormalFormSettings, normal_form

# Stands for an activation that is not known: it allows permutations only, and every activation allows those.
_STAND_IN = "gelu"
_DIAGONALS = {
    DiagonalKind.POSITIVE: "Δ_{}^{{>0}}",
    DiagonalKind.SIGN: "Δ_{}^{{±1}}",
    DiagonalKind.NONZERO: "Δ_{}",
    DiagonalKind.TRIVIAL: "1",
}
_SYMBOLS = {
    DiagonalKind.POSITIVE: "G_{}^{{>0}}",
    DiagonalKind.SIGN: "G_{}^{{±1}}",
    DiagonalKind.NONZERO: "G_{}",
    DiagonalKind.TRIVIAL: "P_{}",
}


@dataclass(frozen=True)
class GroupFacts:
    """One neuron group, and the group of the literature that acts on it.

    Attributes:
        size: neurons n, so n! permutations, if they may be permuted.
        permuted: whether they may.
        kind: positive, sign, nonzero or trivial: the diagonals.
        symbol: G_n^{>0}, G_n^{±1}, G_n or P_n; without permutations Δ in place of G, or 1.
        scalings, signs, phases: how many of each act: none or one a neuron. Phases are those of a sine with a bias.
        imbalance_median, imbalance_largest: of |log10(norm of what feeds a neuron / norm of what reads it)| over the
            neurons that are not dead; None where there is none.
        dead: positions of neurons without incoming or without outgoing weights.
        duplicates: sets of positions whose neurons compute the same up to a factor that the group allows.
    """

    size: int
    kind: str
    symbol: str
    scalings: int
    signs: int
    phases: int
    imbalance_median: float | None
    imbalance_largest: float | None
    dead: tuple[int, ...]
    duplicates: tuple[tuple[int, ...], ...]
    permuted: bool = True


@dataclass(frozen=True)
class LayerFacts:
    """One layer as the file has it.

    Attributes:
        kind: linear or conv.
        inputs, outputs, kernel: sizes of the weight [outputs, inputs, *kernel].
        flatten: positions that each neuron before the layer owns on its second axis; 1 where nothing is flattened.
        bias: whether the layer has one of its own in the file.
        batchnorm: name of the BatchNorm directly behind it.
        stages: what else stands at its inputs and behind it, such as `layer norm 1`.
        weight_norm: whether the file has the weight under weight normalisation.
        dtype: of weight and bias, such as float32.
        parameters: numbers in weight and bias and those of its BatchNorm.
        group: the neurons that it feeds; None for the last layer of a chain.
    """

    name: str
    kind: Literal["linear", "conv"]
    inputs: int
    outputs: int
    kernel: tuple[int, ...]
    flatten: int
    bias: bool
    batchnorm: str | None
    weight_norm: bool
    dtype: str
    parameters: int
    group: GroupFacts | None
    stages: tuple[str, ...] = ()

    def describe(self) -> str:
        """Such as `conv 6->16 5x5`."""
        return Layer(self.name, self.kind, self.inputs, self.outputs, self.kernel).describe()


@dataclass(frozen=True)
class Inspection:
    """One checkpoint.

    Attributes:
        format: safetensors, torch, torch-legacy or sharded.
        dtypes: of all its floating-point tensors.
        parameters: of all layers.
        activation: None where it is not known; the groups are then those of permutations only.
        activation_source: option, sidecar, metadata or unknown.
        omega_0: frequency of a sine; None for other activations, where it is not known, and where layers differ in it.
        omegas: one a layer but the last, where they differ.
        pool: max, avg or none; None where it is not known.
        orbit_dimension: the dimension of the orbit of the network without its dead neurons: one for each of the other
            neurons that may be scaled.
        read_as: the layers in the order in which they were read, chains apart.
        assumed: what was taken for granted in this.
        left: tensors beside the layers.
        hints: what to state so that nfn can say more, one line each.
        architecture: as read; its activation is a stand-in where that is unknown.
    """

    path: str
    format: str
    dtypes: tuple[str, ...]
    parameters: int
    activation: str | None
    activation_source: str
    omega_0: float | None
    pool: str | None
    orbit_dimension: int
    layers: tuple[LayerFacts, ...]
    hints: tuple[str, ...]
    read_as: str
    assumed: str | None
    left: tuple[str, ...]
    omegas: tuple[float, ...]
    architecture: Architecture = field(repr=False)

    @property
    def groups(self) -> tuple[GroupFacts, ...]:
        """The neuron groups, in order."""
        return tuple(layer.group for layer in self.layers if layer.group is not None)


def read_leniently(path: Path | Checkpoint, stated: Stated | None = None) -> tuple[Checkpoint, ReadNetwork]:
    """Read a network whose activation may be unknown; its source is then `assumed`.

    Raises:
        CheckpointError, ArchitectureError: the file cannot be read, holds no chain of known layers, or an activation is
            given but not known here.
    """
    return read_network(path, stated, default_activation=_STAND_IN)


def inspect_network(checkpoint: Checkpoint, network: ReadNetwork) -> Inspection:
    """Gather the facts of a network that `read_leniently` has read from a checkpoint."""
    point = network.weights
    architecture = point.architecture
    known = network.activation.source != "assumed"
    unpooled = depends_on_pooling(architecture)
    # Under a max-pooling all that is claimed holds, whichever pooling there is.
    point = replace(point, architecture=replace(architecture, pool="max")) if unpooled else point
    floating = [tensor.dtype for tensor in checkpoint.tensors.values() if tensor.is_floating_point()]
    groups, dimension = _groups(point, coarsest(floating), known)
    named = {group.name: facts for group, facts in zip(architecture.groups, groups, strict=True)}
    layers = tuple(
        _layer(layer, module, network, named.get(layer.name))
        for layer, module in zip(architecture.layers, network.modules, strict=True)
    )
    is_phased = bool(architecture.biased_groups)
    sines = known and architecture.activation == "sin"
    return Inspection(
        path=str(checkpoint.path),
        format=checkpoint.format,
        dtypes=tuple(sorted({_named(dtype) for dtype in floating})),
        parameters=sum(layer.parameters for layer in layers),
        activation=architecture.activation if known else None,
        activation_source=network.activation.source if known else "unknown",
        omega_0=architecture.omega_0 if sines and is_phased and not architecture.omegas else None,
        omegas=architecture.omegas if sines else (),
        read_as=network.reading.network,
        assumed=network.reading.assumed,
        left=network.reading.left,
        pool=architecture.pool,
        orbit_dimension=dimension,
        layers=layers,
        hints=tuple(_hints(checkpoint, network, known, unpooled)),
        architecture=architecture,
    )


def _layer(layer: Layer, module: Weighted, network: ReadNetwork, group: GroupFacts | None) -> LayerFacts:
    own = [module.weight] if module.bias is None else [module.weight, module.bias]
    norm = network.norms.get(layer.name)
    norms = [*([norm] if norm else []), *(network.stages[stage.name] for stage in layer.stages)]
    affine = [part for own_norm in norms for part in (own_norm.weight, own_norm.bias) if part is not None]
    return LayerFacts(
        name=layer.name,
        kind=layer.kind,
        inputs=layer.in_features,
        outputs=layer.out_features,
        kernel=layer.kernel,
        flatten=layer.spatial,
        bias=module.bias is not None,
        batchnorm=None if norm is None else norm.name,
        weight_norm=module.merged,
        dtype=", ".join(sorted({_named(tensor.dtype) for tensor in own})),
        parameters=sum(tensor.numel() for tensor in own + affine),
        group=group,
        stages=tuple(_described(stage, network) for stage in layer.stages),
    )


def _described(stage: Stage, network: ReadNetwork) -> str:
    kind = "BatchNorm" if isinstance(network.stages[stage.name], BatchNorm) else stage.kind.value.replace("_", " ")
    where = {"inputs": " at its inputs", "before": "", "behind": " behind the activation"}[stage.place]
    return f"{kind} {stage.name}{where}"


def _groups(point: NetworkWeights, precision: torch.dtype, known: bool) -> tuple[list[GroupFacts], int]:
    """The facts of every neuron group, and the dimension of the orbit."""
    architecture = point.architecture
    links = _links(point, known)
    form = normal_form(point, NormalFormSettings(), precision=precision)
    level = [torch.zeros(group.size, dtype=torch.float64) for group in architecture.groups]
    found, dimension = [], 0
    for position, group in enumerate(architecture.groups):
        kind = group_kind(architecture, position)
        alive = links.alive(position)
        fed, read = (squares[alive] for squares in links.squared_norms(position, level))
        # Squares of norms, so half of the logarithm. Where a neuron lives on constants alone, no norm is left of it.
        imbalance = ((fed.log10() - read.log10()) / 2).abs()
        imbalance = imbalance[imbalance.isfinite()]
        dimension += int(alive.sum()) if kind.is_scaled else 0
        facts = GroupFacts(
            size=group.size,
            kind=kind.value,
            symbol=(_DIAGONALS if group.in_place else _SYMBOLS)[kind].format(group.size),
            scalings=group.size if kind.is_scaled else 0,
            signs=group.size if kind.is_signed else 0,
            phases=group.size if known and phase_step(architecture, position) else 0,
            imbalance_median=imbalance.quantile(0.5).item() if len(imbalance) else None,
            imbalance_largest=imbalance.max().item() if len(imbalance) else None,
            dead=tuple((~alive).nonzero()[:, 0].tolist()),
            duplicates=_duplicates(form, position, links.fed[position]),
            permuted=not group.in_place,
        )
        found.append(facts)
    return found, dimension


def _links(point: NetworkWeights, known: bool) -> Links:
    """The links; a neuron without incoming weights silences others only if its output is then zero."""
    links = Links.of(point)
    zero = torch.zeros(1, dtype=torch.float64)
    if known and not bool(FUNCTIONS[point.architecture.activation](zero).any()):
        return links
    fed = tuple(torch.stack([link.fed() > 0 for link in into]).any(0) for into in links.into)
    return replace(links, fed=fed)


def _duplicates(form: NormalForm, group: int, fed: Tensor) -> tuple[tuple[int, ...], ...]:
    """Sets of positions in the file; neurons without incoming weights are dead, not duplicates of one another."""
    sets = [form.element.permutations[group][positions] for positions in form.duplicates[group]]
    sets = [positions.sort().values for positions in sets if bool(fed[positions].any())]
    return tuple(sorted(tuple(positions.tolist()) for positions in sets))


def _hints(checkpoint: Checkpoint, network: ReadNetwork, known: bool, unpooled: bool) -> list[str]:
    hints = []
    if not known:
        stem = checkpoint.path.stem
        hints.append(
            "no file says the activation, so only permutations are shown; give it by --activation, or in a file "
            f"{stem}.yaml beside it (activation: relu)"
        )
    if unpooled:
        hints.append(
            "no file says the pooling; max-pooling would forbid sign flips, so none are shown; "
            "say which it is: --pool max, avg or none"
        )
    merged = [module.name for module in network.modules if module.merged]
    if merged:
        hints.append(
            f"{merged[0]} is stored under weight normalisation; remove it (remove_weight_norm) before "
            "`nfn canonicalize` or `nfn apply`"
        )
    return hints


def _named(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")
