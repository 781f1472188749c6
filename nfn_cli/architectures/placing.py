"""Find where each norm of a chain stands: behind which layer, before or behind the activation, or at the inputs.

The numbers of a container show it, and also whether something stands between a layer and its norm. Other names do not
show that; the usual order, the norm directly behind its layer, is then assumed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Literal

from nfn_cli.architectures.modules import BatchNorm, Norm, Weighted
from nfn_cli.architectures.names import numbers, rank, tokens, words
from nfn_cli.errors import ArchitectureError

Place = Literal["inputs", "before", "behind"]


@dataclass(frozen=True)
class PlacedNorm:
    """A norm, its layer, and its place: at the layer's `inputs`, or `before` or `behind` the layer's activation.

    Attributes:
        is_named: whether only names or the order of the file say so, which do not show what stands between.
    """

    norm: Norm
    layer: str
    place: Place
    is_named: bool = False


def place_norms(
    path: Path, layers: Sequence[Weighted], norms: Sequence[Norm], in_file: Sequence[str] | None, *, whole: bool
) -> tuple[list[PlacedNorm], list[Norm]]:
    """Where the norms stand, and the norms whose place is not known.

    Args:
        layers: in the order of computation.
        in_file: the names of all modules in the order of their definition, if the file keeps it.
        whole: the layers are one chain, so that every BatchNorm has to be placed and folded.

    Raises:
        ArchitectureError: with `whole`, the place of a BatchNorm is not known.
    """
    placed: list[PlacedNorm] = []
    left: list[Norm] = []
    unnumbered: list[Norm] = []
    for norm in norms:
        if _numbered_with(norm, layers):
            found = _by_number(norm, layers, norms)
            if found is None and whole and isinstance(norm, BatchNorm):
                raise _homeless(path, norm)
        elif _reads_inputs(norm, layers, norms, in_file):
            found = PlacedNorm(norm, layers[0].name, "inputs")
        else:
            unnumbered.append(norm)
            continue
        placed, left = ([*placed, found], left) if found is not None else (placed, [*left, norm])
    batch = [norm for norm in unnumbered if isinstance(norm, BatchNorm)]
    homes: dict[str, str | None] = {}
    try:
        homes |= {norm.name: layer for layer, norm in match_norms(path, layers, batch, in_file).items()}
    except ArchitectureError:
        if whole:
            raise
        homes |= dict.fromkeys((norm.name for norm in batch), None)
    others = [norm for norm in unnumbered if not isinstance(norm, BatchNorm)]
    found_others = {norm.name: _home(norm, layers, others, in_file) for norm in others}
    homes |= {
        name: layer if list(found_others.values()).count(layer) == 1 else None for name, layer in found_others.items()
    }
    taken = {layer for layer in homes.values() if layer} | {own.layer for own in placed if own.place != "inputs"}
    bare = [layer for layer in layers[:-1] if layer.name not in taken]
    counts = any(layer is not None and numbers(name) == numbers(layer) != () for name, layer in homes.items())
    for norm in unnumbered:
        home = next((layer for layer in layers if layer.name == homes[norm.name]), None)
        if home is not None and _is_sure(norm, home, layers, bare, in_file, counts=counts):
            placed.append(PlacedNorm(norm, home.name, "before", is_named=True))
            continue
        if home is not None and whole and isinstance(norm, BatchNorm):
            raise _unplaced(path, norm.name)
        left.append(norm)
    return placed, left


def _is_sure(
    norm: Norm,
    home: Weighted,
    layers: Sequence[Weighted],
    bare: Sequence[Weighted],
    in_file: Sequence[str] | None,
    *,
    counts: bool,
) -> bool:
    """Whether no other place is likely for a norm that is not a member of a numbered container.

    If another hidden layer of its size has no norm (`bare`), it may stand behind that one, or behind both; if a layer
    reads as many flattened neurons, it may stand behind the flatten. Then it has to be named like its layer, or to be
    numbered and stand directly behind it in the file, where norms are numbered like layers (`counts`). If the layer is
    square and as wide as the network's inputs, a norm other than a BatchNorm may also stand before it; then the order
    of the file has to show its place.
    """
    directly = in_file is not None and in_file.index(norm.name) == in_file.index(home.name) + 1
    named = _is_named_in(_own(home.name), norm.name) or "" != _parent(norm.name) == _parent(home.name)
    numbered = numbers(norm.name) != () and counts and directly
    second = numbers(norm.name) == numbers(home.name) and numbers(norm.name)[-1:] > (1,)
    outputs, inputs = home.weight.shape[:2]
    flat = any(own.weight.shape[1] == norm.size != other.weight.shape[0] for other, own in pairwise(layers))
    if (flat or any(layer.weight.shape[0] == norm.size for layer in bare)) and not (named or numbered or second):
        return False
    either = outputs == inputs == layers[0].weight.shape[1] and not isinstance(norm, BatchNorm)
    return directly or not either


def _by_number(norm: Norm, layers: Sequence[Weighted], norms: Sequence[Norm]) -> PlacedNorm | None:
    """The place of a norm that is a member of a numbered container of layers."""
    # In nn.Sequential, a number left out is an activation, a pooling or the like.
    parent, number = _place(norm.name) or ("", 0)
    members = {other[1]: layer for layer in layers if (other := _place(layer.name)) and other[0] == parent}
    earlier, later = (sorted(own for own in members if (own < number) is side) for side in (True, False))
    if earlier:
        layer = members[earlier[-1]]
        if layer.weight.shape[0] == norm.size:
            own = {other[1] for found in norms if (other := _place(found.name)) and other[0] == parent}
            directly = all(between in own for between in range(earlier[-1] + 1, number))
            return PlacedNorm(norm, layer.name, "before" if directly else "behind")
    if not later:
        return None
    layer = members[later[0]]
    order = [own.name for own in layers]
    before = layers[order.index(layer.name) - 1] if order.index(layer.name) and not earlier else None
    if before is not None and before.weight.shape[0] == norm.size:
        return PlacedNorm(norm, before.name, "behind")
    return PlacedNorm(norm, layer.name, "inputs") if layer.weight.shape[1] == norm.size else None


def _reads_inputs(norm: Norm, layers: Sequence[Weighted], norms: Sequence[Norm], in_file: Sequence[str] | None) -> bool:
    """Whether a norm that no number places stands before the first layer: by the file's order, or by its name."""
    if norm.size != layers[0].weight.shape[1] or norm.size == 1:
        return False
    if _by_name(norm, _fitting(norm, layers, None), layers, norms) is not None:
        return False
    if any(rank(token) < 0 for token in tokens(norm.name)):
        return True
    if numbers(norm.name)[-1:] == (0,):
        return not any(numbers(layer.name)[-1:] == (0,) for layer in layers)
    # What is defined first may still be used further on.
    elsewhere = any(layer.weight.shape[0] == norm.size for layer in layers)
    first = in_file is not None and in_file.index(norm.name) < min(in_file.index(layer.name) for layer in layers)
    return first and not elsewhere


def _home(norm: Norm, layers: Sequence[Weighted], norms: Sequence[Norm], in_file: Sequence[str] | None) -> str | None:
    """The layer before a norm other than a BatchNorm; None where it is not known."""
    fitting = _fitting(norm, layers, in_file)
    by_name = _by_name(norm, fitting, layers, norms)
    # Norms that are all defined after the layers only stand behind the last layer by chance.
    adjacent = in_file is not None and all(
        _behind_in_file(other, _fitting(other, layers, in_file), in_file) is not None for other in norms
    )
    if in_file is None or len(fitting) < 2 or not adjacent:
        return by_name
    by_file = _behind_in_file(norm, fitting, in_file)
    return by_name if by_file in (None, by_name) else None


def match_norms(
    path: Path, layers: Sequence[Weighted], norms: Sequence[Norm], in_file: Sequence[str] | None
) -> dict[str, Norm]:
    """The norm behind each layer, by the layer's name.

    Found by the file's order, if that is the module's and every BatchNorm directly follows a layer of its size, or by
    names; if both give an answer, they have to agree.

    Args:
        layers: in the order of computation.
        in_file: the names of all modules in the order of their definition, if the file keeps it.

    Raises:
        ArchitectureError: one stands behind no layer, or it is not known behind which.
    """
    fitting = {norm.name: _fitting(norm, layers, in_file) for norm in norms}
    by_name = {norm.name: _by_name(norm, fitting[norm.name], layers, norms) for norm in norms}
    by_file = {norm.name: _behind_in_file(norm, fitting[norm.name], in_file) for norm in norms}
    known = [matched for matched in (by_file, by_name) if None not in matched.values() and _distinct(matched)]
    if known and all(matched == known[0] for matched in known):
        return {layer: norm for norm in norms if (layer := known[0][norm.name])}
    for norm in norms:
        if not fitting[norm.name]:
            raise _homeless(path, norm)
    unknown = [name for name, layer in by_name.items() if layer is None]
    shared = [name for name, layer in by_name.items() if list(by_name.values()).count(layer) > 1]
    disagreed = [name for name, layer in by_name.items() if layer != by_file[name]]
    raise _unplaced(path, (unknown + shared + disagreed)[0])


def _unplaced(path: Path, norm: str) -> ArchitectureError:
    cause = f"cannot tell behind which layer {norm} stands"
    return ArchitectureError(path, cause, "name it like its layer (conv2, bn2), directly behind the layer")


def _homeless(path: Path, norm: Norm) -> ArchitectureError:
    cause = f"{norm.name} ({norm.size} channels) stands directly behind no layer of its size"
    return ArchitectureError(path, cause, "nfn folds a BatchNorm into the layer directly before it")


def _distinct(matched: dict[str, str | None]) -> bool:
    return len(set(matched.values())) == len(matched)


def _fitting(norm: Norm, layers: Sequence[Weighted], in_file: Sequence[str] | None) -> list[Weighted]:
    """The layers that the norm may stand behind."""
    found = [layer for layer in layers if layer.weight.shape[0] == norm.size]
    if in_file is not None:
        earlier = set(in_file[: in_file.index(norm.name)])
        found = [layer for layer in found if layer.name in earlier]
    return found


def _behind_in_file(norm: Norm, fitting: Sequence[Weighted], in_file: Sequence[str] | None) -> str | None:
    position = in_file.index(norm.name) if in_file is not None else 0
    before = in_file[position - 1] if in_file is not None and position else None
    return next((layer.name for layer in fitting if layer.name == before), None)


def _by_name(norm: Norm, fitting: Sequence[Weighted], layers: Sequence[Weighted], norms: Sequence[Norm]) -> str | None:
    named = [layer.name for layer in fitting if _is_named_in(_own(layer.name), norm.name)]
    if len(named) == 1:  # conv1_bn, bn_conv1
        return named[0]
    siblings = [layer for layer in fitting if _parent(layer.name) == _parent(norm.name)]
    alike = [layer.name for layer in fitting if numbers(layer.name) == numbers(norm.name) != ()]
    alike = [name for name in alike if _parent(name) == _parent(norm.name)] or alike
    counted = _counted(norm, fitting, layers, norms)
    if alike and counted:  # conv1, fc1, fc2: is bn2 the second, or that of fc2?
        return counted if counted in alike else None
    if alike or counted:
        return counted or (alike[0] if len(alike) == 1 else None)
    if len(siblings) == 1 and _parent(norm.name):
        return siblings[0].name
    # One that normalises the network's inputs may chance to have the size of a layer.
    if len(fitting) == 1 and layers[0].weight.shape[1] != norm.size:
        return fitting[0].name
    return None


def _counted(norm: Norm, fitting: Sequence[Weighted], layers: Sequence[Weighted], norms: Sequence[Norm]) -> str | None:
    """The k-th layer for the k-th numbered norm, where layers are named by several words (conv1, conv2, fc1)."""
    beside = [layer for layer in layers if _parent(layer.name) == _parent(norm.name)]
    if not numbers(norm.name) or len({words(layer.name) for layer in beside}) < 2:
        return None
    family = sorted(numbers(other.name) for other in norms if words(other.name) == words(norm.name))
    place = family.index(numbers(norm.name))
    return next(
        (layer.name for layer in beside[place : place + 1] if layer.name in {own.name for own in fitting}), None
    )


def _numbered_with(norm: Norm, layers: Sequence[Weighted]) -> bool:
    """Whether the norm and a layer are members of one numbered container."""
    place = _place(norm.name)
    return place is not None and place[0] in {other[0] for layer in layers if (other := _place(layer.name))}


def _place(name: str) -> tuple[str, int] | None:
    own = _own(name)
    return (_parent(name), int(own)) if own.isdecimal() and len(own) < 19 else None  # int() refuses endless digits


def _is_named_in(own: str, name: str) -> bool:
    return not own.isdecimal() and re.search(rf"(?<![a-z0-9]){re.escape(own)}(?![a-z0-9])", name, re.I) is not None


def _parent(name: str) -> str:
    return name.rpartition(".")[0]


def _own(name: str) -> str:
    return name.rpartition(".")[2]
