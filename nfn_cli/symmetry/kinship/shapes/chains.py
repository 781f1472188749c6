"""The common part of two chains whose hidden layers have other widths.

A neuron of the narrower layer is found in the wider one by what feeds it alone: the rows of its layer, on those inputs
that both networks have, from the first layer to the last. What reads it is not looked at, so that it remains evidence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, Side, Stated
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind, group_kind
from nfn_cli.symmetry.kinship.cosines import cosines
from nfn_cli.symmetry.kinship.shapes.cut_tensors import Cut, CutTensors
from nfn_cli.symmetry.kinship.shapes.neurons import above_chance, matched, mixed
from nfn_cli.symmetry.kinship.shapes.part import CommonPart, Unmatched
from nfn_cli.symmetry.transform import Source, read_source


@dataclass(frozen=True)
class Partners:
    """Neurons of a layer that both networks have.

    Attributes:
        ours, theirs: their places in A, in A's order, and in B, int64.
        factors: a neuron of B over its partner, float64.
        alike: the mean cosine of what feeds, or reads, two partners, above chance (see `above_chance`).
    """

    ours: Tensor
    theirs: Tensor
    factors: Tensor
    alike: float


def common_part_of_chains(reference: Source, source: Source) -> CommonPart | Unmatched:
    """Cut two chains to the hidden neurons that they have in common.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    ours, theirs = reference.network.weights.architecture, source.network.weights.architecture
    cause = difference(ours, theirs)
    if cause is not None:
        return Unmatched(cause)
    partners: list[Partners] = []
    for place in range(len(ours.layers)):
        if group_behind(ours, place) is not None:
            partners.append(
                found_partners(reference, source, place, place, partners[-1:] if joined(ours, place) else [])
            )
    kept = [[own.ours for own in partners], [own.theirs.sort().values for own in partners]]
    narrower = [
        f"{len(own.ours)} of {max(one.size, two.size)} in {one.name}"
        for own, one, two in zip(partners, ours.groups, theirs.groups, strict=True)
        if one.size != two.size
    ]
    names = tuple((one.name, two.name) for one, two in zip(ours.layers, theirs.layers, strict=True))
    assumed = (
        f"neurons of a narrower layer are those of the wider one with the most similar inputs ({', '.join(narrower)})"
    )
    return of_parts(reference, source, cut(reference, kept[0]), cut(source, kept[1]), names, assumed)


def difference(ours: Architecture, theirs: Architecture) -> str | None:
    """Why two chains are not of one kind but for their hidden widths; None where they are."""
    if len(ours.layers) != len(theirs.layers) or ours.starts != theirs.starts:
        return "the networks have other numbers of layers"
    if (cause := common_facts(ours, theirs)) is not None:
        return cause
    for place, (one, two) in enumerate(zip(ours.layers, theirs.layers, strict=True)):
        if outline(ours, place) != outline(theirs, place):
            return f"{one.name} ({one.describe()}) and {two.name} ({two.describe()}) differ in more than hidden widths"
    for one_group, two_group in zip(ours.groups, theirs.groups, strict=True):
        if one_group.in_place and one_group.size != two_group.size:
            return f"the neurons of {one_group.name} stand in groups that the file does not show"
    return None


def common_facts(ours: Architecture, theirs: Architecture) -> str | None:
    """The first of the facts of a whole chain in which two differ, in words."""
    for name in ("activation", "slope", "omegas", "omega_0", "pool"):
        if getattr(ours, name) != getattr(theirs, name):
            return (
                f"the networks differ in their {name.replace('omegas', 'frequencies').replace('omega_0', 'frequency')}"
            )
    return None


def outline(architecture: Architecture, place: int) -> tuple[object, ...]:
    """All of a layer but its hidden widths."""
    layer = architecture.layers[place]
    stages = tuple((own.kind, own.place, own.has_bias, own.size == 1) for own in layer.stages)
    reads = None if joined(architecture, place) else layer.in_features
    gives = None if group_behind(architecture, place) is not None else layer.out_features
    return layer.kind, layer.kernel, layer.spatial, stages, reads, gives


def joined(architecture: Architecture, place: int) -> bool:
    """Whether a layer reads the neurons of the layer before it."""
    return place not in architecture.starts


def group_behind(architecture: Architecture, place: int) -> int | None:
    """The group of a layer's neurons; None for the last of a chain."""
    if place + 1 == len(architecture.layers) or place + 1 in architecture.starts:
        return None
    return sum(other + 1 not in architecture.starts for other in range(place))


def found_partners(reference: Source, source: Source, place: int, other: int, before: list[Partners]) -> Partners:
    """Partners of a layer's neurons by what feeds them.

    Args:
        place, other: of the layer in A and in B.
        before: the partners among the neurons that it reads; none for a layer that reads inputs.
    """
    rows = []
    for own, at, read in (
        (reference, place, [(one.ours, None) for one in before]),
        (source, other, [(one.theirs, one.factors) for one in before]),
    ):
        weight = blocks_of(own, at) if before else blocks_of(own, at).flatten(1)[:, :, None]
        for kept, factors in read:
            weight = weight.index_select(1, kept)
            weight = weight if factors is None else weight * factors[:, None]
        layer, tensors = own.network.weights.architecture.layers[at], own.network.weights.tensors
        bias = tensors[f"{layer.name}.bias"].double()[:, None]
        # Half-turns of a sine's phase are added to its bias.
        has_bias = own.network.weights.architecture.activation != "sin"
        rows.append(torch.cat([weight.flatten(1), bias], 1) if has_bias else weight.flatten(1))
    ours, theirs = rows
    group = group_behind(reference.network.weights.architecture, place)
    assert group is not None
    is_signed = group_kind(reference.network.weights.architecture, group).is_signed
    alike = cosines(ours, theirs, signed=is_signed)
    a, b = matched(alike)
    held = _scaled_rows(reference, source, place, other, (ours, theirs))
    factors = (
        torch.ones(len(a), dtype=torch.float64)
        if held is None
        else (ratios(held[0][a], held[1][b], group_kind(reference.network.weights.architecture, group)))
    )
    chance = cosines(ours, mixed(theirs), signed=is_signed)
    return Partners(a, b, factors, above_chance(alike[a, b], chance))


def blocks_of(source: Source, place: int) -> Tensor:
    """A layer's weight as [neurons that it feeds, neurons that it reads, weights of such a pair], float64."""
    layer = source.network.weights.architecture.layers[place]
    weight = source.network.weights.tensors[f"{layer.name}.weight"].double()
    return weight.flatten(1).unflatten(1, (layer.in_features // layer.spatial, -1))


def ratios(ours: Tensor, theirs: Tensor, kind: DiagonalKind) -> Tensor:
    """What B's rows are, as multiples of A's: by size and sign, as far as the activation lets them differ."""
    found = torch.ones(len(ours), dtype=torch.float64)
    if kind.is_scaled:
        sizes = [torch.linalg.vector_norm(own, dim=1) for own in (ours, theirs)]
        ratio = sizes[1] / sizes[0]
        found = torch.where(torch.isfinite(ratio) & (ratio > 0), ratio, found)
    if kind.is_signed:
        found = torch.where((ours * theirs).sum(1) < 0, -found, found)
    return found


def _scaled_rows(
    reference: Source, source: Source, place: int, other: int, rows: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor] | None:
    """The rows that hold a neuron's scale: of the layer's weight, or of the gains of a norm behind it."""
    name = reference.network.weights.architecture.layers[place].name
    scaled = scaled_names(reference, place)
    if not scaled:
        return None
    if f"{name}.weight" in scaled:
        return rows
    ours = reference.network.weights.tensors[scaled[0]].double()[:, None]
    return ours, source.network.weights.tensors[scaled_names(source, other)[0]].double()[:, None]


def scaled_names(source: Source, place: int) -> list[str]:
    """Names of the tensors that are multiplied with a layer's neurons."""
    architecture = source.network.weights.architecture
    group = group_behind(architecture, place)
    roles = ((spec.name, spec.roles[0]) for spec in architecture.tensors)
    return [name for name, role in roles if role.group == group and role.side is Side.OUT]


def cut(source: Source, kept: list[Tensor]) -> dict[str, Cut]:
    """The tensors of a chain's file on some of the neurons of each group; those beside its layers stay whole."""
    cuts = {}
    for spec in source.stored.tensors:
        axes = {}
        for axis, role in enumerate(spec.roles):
            if role.group is not None:
                blocks = kept[role.group][:, None] * role.repeat + torch.arange(role.repeat)
                axes[axis] = blocks.flatten()
        cuts[spec.name] = Cut(spec.name, axes)
    return cuts | {name: Cut(name, {}) for name in source.network.names if name not in cuts}


def of_parts(
    reference: Source,
    source: Source,
    ours: Mapping[str, Cut],
    theirs: Mapping[str, Cut],
    names: tuple[tuple[str | None, str | None], ...],
    assumed: str,
    ordered: tuple[str, ...] = (),
) -> CommonPart | Unmatched:
    """Read the parts of two chains as chains."""
    try:
        one, two = read_part(reference, ours), read_part(source, theirs)
    except ArchitectureError as error:
        return Unmatched(f"the common part is no network that can be read ({error.cause})")
    original = {name: own.name for name, own in ours.items()}
    return CommonPart(one, two, names, assumed, original, ordered)


def read_part(source: Source, cuts: Mapping[str, Cut]) -> Source:
    """A part of a chain's file, read as the whole was.

    Raises:
        ArchitectureError: it cannot be.
    """
    architecture, whole = source.network.weights.architecture, source.checkpoint
    activation = architecture.activation
    if activation == "leaky_relu" and architecture.slope is not None:
        activation = f"leaky_relu({architecture.slope!r})"
    omegas = architecture.omegas or (architecture.omega_0,)
    omegas = omegas if activation == "sin" and not source.network.assumes_frequency else ()
    tensors = CutTensors(whole.tensors, cuts)
    checkpoint = Checkpoint(
        whole.path, "memory", tensors, {}, ordered=True, entry=whole.entry, files=whole.files, stripped=whole.stripped
    )
    part = read_source(checkpoint, Stated(activation, architecture.pool, omegas, chain=len(architecture.starts) == 1))
    found = part.network.weights.architecture
    if not {layer.name for layer in found.layers} <= {layer.name for layer in architecture.layers}:
        raise ArchitectureError(whole.path, "it would be read otherwise than the whole", "")
    return part
