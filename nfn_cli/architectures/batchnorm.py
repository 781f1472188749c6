"""Find the layer that each BatchNorm stands behind, and fold it into that layer.

In evaluation a BatchNorm is affine, y = γ (x − μ) / √(v + ε) + β, so behind a layer it is part of the layer's weight
and bias. Numbered containers show whether something stands between the two; elsewhere that cannot be told from tensors,
and the usual order, BatchNorm directly behind its layer, is assumed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from nfn_cli.architectures.modules import BatchNorm, Weighted
from nfn_cli.architectures.names import numbers, words
from nfn_cli.errors import ArchitectureError

_EPSILON = 1e-5  # PyTorch's default; a state dict does not hold it


def match_norms(
    path: Path, layers: Sequence[Weighted], norms: Sequence[BatchNorm], in_file: Sequence[str] | None
) -> dict[str, BatchNorm]:
    """The BatchNorm behind each layer, by the layer's name.

    Told by the file's order, where that is the module's and every BatchNorm directly follows a layer of its size, or by
    names; where both tell, they must agree.

    Args:
        layers: in the order of computation.
        in_file: the names of all modules in the order of their definition, if the file tells it.

    Raises:
        ArchitectureError: one stands behind no layer, or it cannot be told behind which.
    """
    fitting = {norm.name: _fitting(norm, layers, in_file) for norm in norms}
    by_name = {norm.name: _by_name(norm, fitting[norm.name], layers, norms) for norm in norms}
    by_file = {norm.name: _behind_in_file(norm, fitting[norm.name], in_file) for norm in norms}
    told = [matched for matched in (by_file, by_name) if None not in matched.values() and _distinct(matched)]
    if told and all(matched == told[0] for matched in told):
        return {layer: norm for norm in norms if (layer := told[0][norm.name])}
    for norm in norms:
        if not fitting[norm.name]:
            cause = f"{norm.name} ({norm.mean.shape[0]} channels) stands directly behind no layer of its size"
            raise ArchitectureError(path, cause, "nfn folds a BatchNorm into the layer directly before it")
    untold = [name for name, layer in by_name.items() if layer is None]
    shared = [name for name, layer in by_name.items() if list(by_name.values()).count(layer) > 1]
    disagreed = [name for name, layer in by_name.items() if layer != by_file[name]]
    cause = f"cannot tell behind which layer {(untold + shared + disagreed)[0]} stands"
    raise ArchitectureError(path, cause, "name it like its layer (conv2, bn2), directly behind the layer")


def fold(weight: Tensor, bias: Tensor, norm: BatchNorm) -> tuple[Tensor, Tensor]:
    """Weight [out, ...] and bias [out], float64, of the layer and the BatchNorm behind it as one layer."""
    scale = (norm.variance.double() + _EPSILON).rsqrt()
    if norm.weight is not None:
        scale = scale * norm.weight.double()
    folded = weight.double() * scale.view(-1, *[1] * (weight.ndim - 1))
    shifted = (bias.double() - norm.mean.double()) * scale
    return folded, shifted if norm.bias is None else shifted + norm.bias.double()


def _distinct(matched: dict[str, str | None]) -> bool:
    return len(set(matched.values())) == len(matched)


def _fitting(norm: BatchNorm, layers: Sequence[Weighted], in_file: Sequence[str] | None) -> list[Weighted]:
    """The layers that the BatchNorm may stand behind."""
    found = [layer for layer in layers if layer.weight.shape[0] == norm.mean.shape[0]]
    if in_file is not None:
        earlier = set(in_file[: in_file.index(norm.name)])
        found = [layer for layer in found if layer.name in earlier]
    if _numbered_with(norm, layers):
        # In nn.Sequential, a number left out is an activation, a pooling or the like.
        parent, position = _place(norm.name) or ("", 0)
        found = [layer for layer in found if _place(layer.name) == (parent, position - 1)]
    return found


def _behind_in_file(norm: BatchNorm, fitting: Sequence[Weighted], in_file: Sequence[str] | None) -> str | None:
    position = in_file.index(norm.name) if in_file is not None else 0
    before = in_file[position - 1] if in_file is not None and position else None
    return next((layer.name for layer in fitting if layer.name == before), None)


def _by_name(
    norm: BatchNorm, fitting: Sequence[Weighted], layers: Sequence[Weighted], norms: Sequence[BatchNorm]
) -> str | None:
    if _numbered_with(norm, layers):
        return fitting[0].name if fitting else None
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
    if len(fitting) == 1 and layers[0].weight.shape[1] != norm.mean.shape[0]:
        return fitting[0].name
    return None


def _counted(
    norm: BatchNorm, fitting: Sequence[Weighted], layers: Sequence[Weighted], norms: Sequence[BatchNorm]
) -> str | None:
    """The k-th layer for the k-th numbered norm, where layers are named by several words (conv1, conv2, fc1)."""
    beside = [layer for layer in layers if _parent(layer.name) == _parent(norm.name)]
    if not numbers(norm.name) or len({words(layer.name) for layer in beside}) < 2:
        return None
    family = sorted(numbers(other.name) for other in norms if words(other.name) == words(norm.name))
    place = family.index(numbers(norm.name))
    return next(
        (layer.name for layer in beside[place : place + 1] if layer.name in {own.name for own in fitting}), None
    )


def _numbered_with(norm: BatchNorm, layers: Sequence[Weighted]) -> bool:
    """Whether the BatchNorm and a layer are members of one numbered container."""
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
