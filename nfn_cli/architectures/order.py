"""Put layers into the order of computation: the file's, else the one that names and shapes leave."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path

from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.modules import Outline
from nfn_cli.architectures.names import precedes, shared_tokens, tokens
from nfn_cli.errors import ArchitectureError

_MOST_LAYERS = 500  # whose names are compared in pairs
_MOST_STEPS = 5_000  # of a search; names that tell the order need one a layer
_SHOWN = 12
_NUMBERED = re.compile(r"[^\d.](\d{1,18})$")


def ordered_layers(
    path: Path, outlines: Sequence[Outline], *, in_file_order: bool, stated: bool = False
) -> tuple[tuple[Layer, int], ...]:
    """Order the layers and find the flatten between convolutions and linear layers.

    The file's order is taken where it is the module's and its shapes chain; where they do not, something else than a
    chain was defined in that order, unless it is `stated` that the layers are a chain. Otherwise layers are ordered by
    the numbers in their names (`conv2` before `conv10`), layers named alike (`conv*`, `fc*`, `encoder.*`) stay
    together, and shapes decide between the orders that are left; where several chain, conventional names do (`encoder`
    before `decoder`). An order is never guessed: words that mean nothing are not sorted by their letters.

    Args:
        outlines: of the layers, in the file's order.

    Returns:
        The layers, each with its place in the file.

    Raises:
        ArchitectureError: no order chains, or several do; the message shows the sequence that was tried.
    """
    found = _ordered(tuple(outlines), in_file_order, stated)
    if isinstance(found, _Refusal):
        raise ArchitectureError(path, found.cause, found.remedy)
    return found


@dataclass(frozen=True)
class _Refusal:
    cause: str
    remedy: str


@lru_cache(maxsize=64)  # files of one population have the same layers
def _ordered(
    outlines: tuple[Outline, ...], in_file_order: bool, stated: bool
) -> tuple[tuple[Layer, int], ...] | _Refusal:
    places = {outline: place for place, outline in enumerate(outlines)}

    def placed(layers: Sequence[Layer], order: Sequence[Outline]) -> tuple[tuple[Layer, int], ...]:
        return tuple((layer, places[outline]) for layer, outline in zip(layers, order, strict=True))

    if in_file_order:
        if isinstance(layers := chained(outlines), list):
            return placed(layers, outlines)
        if not stated:
            cause = f"the layers do not form a chain in the file's order ({_sequence(outlines)}): {layers}"
            other = isinstance(_ordered(outlines, in_file_order, True), tuple)
            remedy = "; if their names tell the right order, pass --chain" if other else ""
            return _Refusal(cause, f"nfn reads chains, without branches{remedy}")
    remedy = "number the layers, or save with torch.save, which keeps their order"
    if len(outlines) > _MOST_LAYERS:
        return _Refusal(f"{len(outlines)} layers, whose order the file does not tell", remedy)
    # Beside a tail, a head is no longer what comes last.
    mixed = {"head", "tail"} <= {part for own in outlines for part in tokens(own.name)}
    for by_convention in (False,) if mixed else (True, False):
        found = _orders(outlines, by_convention=by_convention, by_shape=True)
        if len(found) > 1 or (found and _interleaves(found[0])):
            return _Refusal(f"the names do not tell the order of the layers ({_sequence(found[0])})", remedy)
        if found and isinstance(layers := chained(found[0]), list):
            return placed(layers, found[0])
    named = _orders(outlines, by_convention=False, by_shape=False)
    if len(named) == 1 and isinstance(layers := chained(named[0]), list):
        return placed(layers, named[0])
    tried = outlines if in_file_order else _orders(outlines, by_convention=True, by_shape=False)[0]
    cause = f"the layers do not form a chain ({_sequence(tried)}): {chained(tried)}"
    return _Refusal(cause, "nfn reads chains, without branches")


def alone(outline: Outline) -> Layer:
    """A layer that reads inputs of the network, or nobody knows what."""
    layer = _behind(None, outline)
    assert isinstance(layer, Layer)
    return layer


def chained(outlines: Sequence[Outline]) -> list[Layer] | str:
    """The layers if each reads what the one before gives; else what does not fit."""
    layers: list[Layer] = []
    for outline in outlines:
        layer = _behind(layers[-1] if layers else None, outline)
        if isinstance(layer, str):
            return layer
        layers.append(layer)
    return layers


def _behind(before: Layer | None, outline: Outline) -> Layer | str:
    """The outline as the layer behind `before`, or why it does not fit there."""
    outputs, inputs, *kernel = outline.shape
    spatial = 1
    if before:
        flattens = not kernel and before.kernel and inputs % before.out_features == 0
        spatial = inputs // before.out_features if flattens else 1
        if inputs != before.out_features * spatial:
            return f"{outline.name} reads {inputs}, but {before.name} gives {before.out_features}"
        if kernel and before.kernel and len(kernel) != len(before.kernel):
            return f"{outline.name} is {len(kernel)}-dimensional, {before.name} is {len(before.kernel)}-dimensional"
    return Layer(
        name=outline.name,
        kind="conv" if kernel else "linear",
        in_features=inputs,
        out_features=outputs,
        kernel=tuple(kernel),
        spatial=spatial,
        has_bias=outline.has_bias,
    )


def _orders(outlines: Sequence[Outline], *, by_convention: bool, by_shape: bool) -> list[list[Outline]]:
    """The orders that the names allow, two at most, found depth first.

    With `by_shape`, only those that chain and have no convolution behind a linear layer: a search through shapes would
    otherwise find a place for a depthwise convolution, which seems to read one channel.
    """
    names = [tokens(outline.name) for outline in outlines]
    count = len(names)
    # Bit i of required[j]: outline i must come before outline j.
    required = [
        sum(1 << i for i in range(count) if precedes(names[i], names[j], by_convention=by_convention))
        for j in range(count)
    ]
    found: list[list[Outline]] = []
    steps = 0
    # Each branch: the outlines placed so far, the last of them as a layer, and a bit for each that remains.
    branches: list[tuple[tuple[int, ...], Layer | None, int]] = [((), None, (1 << count) - 1)]
    while branches and len(found) < 2:
        if steps > _MOST_STEPS:  # too many to look at: no order can be said to be the only one
            return [list(outlines)] * 2
        steps += 1
        placed, before, remaining = branches.pop()
        if not remaining:
            found.append([outlines[i] for i in placed])
            continue
        left = [i for i in range(count) if remaining >> i & 1]
        if placed:
            # What is named most like the last one comes next, so that blocks stay whole.
            likeness = {i: shared_tokens(names[placed[-1]], names[i]) for i in left}
            most = max(likeness.values())
            left = [i for i in left if likeness[i] == most]
        for i in reversed(left):
            layer = _behind(before, outlines[i]) if by_shape else None
            misplaced = isinstance(layer, Layer) and layer.kernel and before and not before.kernel
            if not (required[i] & remaining or isinstance(layer, str) or misplaced):
                branches.append(((*placed, i), layer if isinstance(layer, Layer) else None, remaining & ~(1 << i)))
    return found


def _interleaves(order: Sequence[Outline]) -> bool:
    """Whether conv1, down1, conv2, down2 is as good as the found conv1, conv2, down1, down2."""
    numbered = {i: int(found[1]) for i, outline in enumerate(order) if (found := _NUMBERED.search(outline.name))}
    by_number = sorted(numbered, key=lambda i: numbered[i])
    other = list(order)
    for place, i in zip(numbered, by_number, strict=True):
        other[place] = order[i]
    names = [tokens(outline.name) for outline in other]
    if by_number == list(numbered) or any(
        precedes(later, earlier, by_convention=True) for earlier, later in pairwise(names)
    ):
        return False
    layers = chained(other)
    return isinstance(layers, list) and not any(
        layer.kernel and not before.kernel for before, layer in pairwise(layers)
    )


def _sequence(outlines: Sequence[Outline]) -> str:
    shown = [outline.describe() for outline in outlines[:_SHOWN]]
    return ", ".join(shown + [f"... {len(outlines) - _SHOWN} more"] * (len(outlines) > _SHOWN))
