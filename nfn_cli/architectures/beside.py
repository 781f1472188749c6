"""Tensors outside a chain that may be indexed by its neurons, which then stay in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.modules import Beside, Norm


@dataclass(frozen=True)
class Taken:
    """A width of hidden layers that another tensor has as well.

    Attributes:
        width: how many neurons.
        module: what holds the other tensor; empty for the network itself.
        reason: what is said of it.
    """

    width: int
    module: str
    reason: str


def taken_widths(layers: Sequence[Layer], beside: Sequence[Beside], homeless: Sequence[Norm]) -> list[Taken]:
    """The widths of hidden layers that other tensors have as well.

    A vector as long as a hidden layer is wide may be added to its neurons; a matrix may read or feed them. One that
    maps the network's inputs to random features is recognised by its sizes: [inputs, n] or [n, inputs], where the first
    layer reads 2 n numbers, or 2 n and the inputs. A single number is taken where its module stands between two layers.

    Args:
        layers: in the order of computation.
        homeless: norms for which it is not known behind which layer they stand.
    """
    taken: list[Taken] = []
    flattened = {after.in_features: layer for layer, after in pairwise(layers) if after.spatial > 1}
    for module in beside:
        sizes = [size for size in module.tensor.shape if size > 1]
        if len(sizes) == 2 and any(layers[0].in_features in (2 * n, 2 * n + k) for k, n in (sizes, sizes[::-1])):
            continue
        shape = "x".join(map(str, module.tensor.shape))
        widths: dict[int, Layer] = {layer.out_features: layer for layer in reversed(layers[:-1])}
        for width, layer in widths.items():
            flattens = len(sizes) > 1 and layer.kind == "conv" and width > 1
            single = width == 1 and not sizes and module.tensor.ndim > 0
            if single or any(size == width or (flattens and size % width == 0) for size in sizes):
                reason = f"{module.name} ({shape}) may belong to the {width} neurons of {layer.name}"
                taken.append(Taken(width, module.module, reason))
        for size in sizes:
            if size in flattened:
                reason = f"{module.name} ({shape}) may belong to the flattened neurons of {flattened[size].name}"
                taken.append(Taken(flattened[size].out_features, module.module, reason))
        before = None if sizes else _between(module, layers)
        if before is not None:
            reason = f"{module.name} stands behind the neurons of {before.name} and may be added to them"
            taken.append(Taken(before.out_features, module.module, reason))
    for norm in homeless:
        reason = f"no file says behind which layer {norm.name} ({norm.size}) stands"
        held = {norm.size} | ({flattened[norm.size].out_features} if norm.size in flattened else set())
        taken += [Taken(width, norm.name.rpartition(".")[0], reason) for width in held]
    return taken


def _between(module: Beside, layers: Sequence[Layer]) -> Layer | None:
    """The layer before the member of a numbered container that holds a tensor; None if no layer stands behind it."""
    container, _, own = module.module.rpartition(".")
    if not own.isdecimal() or not module.tensor.is_floating_point():
        return None
    numbered = {}
    for layer in layers:
        parent, _, number = layer.name.rpartition(".")
        if parent == container and number.isdecimal():
            numbered[layer.name] = len(number), number
    mine = len(own), own
    before = [layer for layer in layers if numbered.get(layer.name, mine) < mine]
    behind = any(number > mine for number in numbered.values())
    return before[-1] if before and behind else None
