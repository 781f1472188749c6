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
from nfn_cli.symmetry.diagonal_kinds import group_kind
from nfn_cli.symmetry.kinship.shapes.cut_tensors import Cut, CutTensors
from nfn_cli.symmetry.kinship.shapes.neurons import cosines, matched
from nfn_cli.symmetry.kinship.shapes.part import CommonPart, Unmatched
from nfn_cli.symmetry.transform import Source, read_source


@dataclass(frozen=True)
class Partners:
    """Neurons of a layer that both networks have.

    Attributes:
        ours, theirs: their places in A, in A's order, and in B, int64.
        factors: a neuron of B over its partner, from what feeds them, float64.
    """

    ours: Tensor
    theirs: Tensor
    factors: Tensor


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
    for name in ("activation", "slope", "omegas", "omega_0", "pool"):
        if getattr(ours, name) != getattr(theirs, name):
            return (
                f"the networks differ in their {name.replace('omegas', 'frequencies').replace('omega_0', 'frequency')}"
            )
    for place, (one, two) in enumerate(zip(ours.layers, theirs.layers, strict=True)):
        if outline(ours, place) != outline(theirs, place):
            return f"{one.name} ({one.describe()}) and {two.name} ({two.describe()}) differ in more than hidden widths"
    for one_group, two_group in zip(ours.groups, theirs.groups, strict=True):
        if one_group.in_place and one_group.size != two_group.size:
            return f"the neurons of {one_group.name} stand in groups that the file does not show"
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
    sides = []
    for own, at, taken in (
        (reference, place, [one.ours for one in before]),
        (source, other, [one.theirs for one in before]),
    ):
        layer, tensors = own.network.weights.architecture.layers[at], own.network.weights.tensors
        rows = (
            tensors[f"{layer.name}.weight"].double().flatten(2)
            if layer.kernel
            else (tensors[f"{layer.name}.weight"].double()[:, :, None])
        )
        if taken:
            rows = rows.unflatten(1, (-1, layer.spatial)).flatten(2).index_select(1, taken[0])
        sides.append((rows, tensors[f"{layer.name}.bias"].double()))
    (ours, our_bias), (theirs, their_bias) = sides
    if before:
        theirs = theirs * before[0].factors[None, :, None]
    architecture = reference.network.weights.architecture
    with_bias = architecture.activation != "sin"  # half-turns of its phase are added to that
    a = torch.cat([ours.flatten(1), *([our_bias[:, None]] if with_bias else [])], 1)
    b = torch.cat([theirs.flatten(1), *([their_bias[:, None]] if with_bias else [])], 1)
    group = group_behind(architecture, place)
    assert group is not None
    kind = group_kind(architecture, group)
    alike = cosines(a, b)
    rows_a, rows_b = matched(alike.abs() if kind.is_signed else alike)
    factors = _factors(reference, source, group, (a, b), rows_a, rows_b)
    return Partners(rows_a, rows_b, factors)


def _factors(
    reference: Source, source: Source, group: int, rows: tuple[Tensor, Tensor], ours: Tensor, theirs: Tensor
) -> Tensor:
    """A neuron of B over its partner, by the tensor that holds a neuron's scale."""
    architecture = reference.network.weights.architecture
    kind = group_kind(architecture, group)
    first = architecture.groups[group].name
    scaled = [
        spec.name for spec in architecture.tensors if spec.roles[0].group == group and spec.roles[0].side is Side.OUT
    ]
    if f"{first}.weight" in scaled:
        a, b = rows[0][ours], rows[1][theirs]
    elif scaled:
        names = {spec.name: place for place, spec in enumerate(architecture.tensors)}
        others = source.network.weights.architecture.tensors
        a = reference.network.weights.tensors[scaled[0]].double()[ours, None]
        b = source.network.weights.tensors[others[names[scaled[0]]].name].double()[theirs, None]
    else:
        return torch.ones(len(ours), dtype=torch.float64)
    found = torch.ones(len(ours), dtype=torch.float64)
    if kind.is_scaled:
        sizes = [torch.linalg.vector_norm(own, dim=1) for own in (a, b)]
        ratio = sizes[1] / sizes[0]
        found = torch.where(torch.isfinite(ratio) & (ratio > 0), ratio, found)
    if kind.is_signed:
        found = torch.where((a * b).sum(1) < 0, -found, found)
    return found


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
