"""Networks that are pictures, as if they gave -1 for black and 1 for white, which is how heads read them."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures.network_weights import NetworkWeights

Range = tuple[float, float]

DEFAULT_RANGE: Range = (-1.0, 1.0)


def to_plain_range(point: NetworkWeights, value_range: Range | None) -> NetworkWeights:
    """The networks that give (2v − l − h) / (h − l) where these give v: an affine map of the last layer, no other.

    >>> from nfn_cli.architectures import Layer, chain
    >>> layer = chain([Layer("0", "linear", 2, 1, ())], activation="sin")
    >>> point = NetworkWeights(layer, {"0.weight": torch.ones(1, 2), "0.bias": torch.zeros(1)})
    >>> {name: tensor.tolist() for name, tensor in to_plain_range(point, (0.0, 1.0)).tensors.items()}
    {'0.weight': [[2.0, 2.0]], '0.bias': [-1.0]}

    Args:
        point: tensors [*shape] or [batch, *shape].
        value_range: what the networks give for black (l) and for white (h), if they are pictures; None is taken for -1
            and 1.

    Returns:
        Tensors of the same dtypes, computed in float64; `point` itself where nothing is to be done.
    """
    low, high = _shown(point, value_range)
    return _mapped(point, 2 / (high - low), -(high + low) / (high - low))


def from_plain_range(point: NetworkWeights, value_range: Range | None) -> NetworkWeights:
    """The inverse of `to_plain_range`."""
    low, high = _shown(point, value_range)
    return _mapped(point, (high - low) / 2, (high + low) / 2)


def _shown(point: NetworkWeights, value_range: Range | None) -> Range:
    return value_range if value_range is not None and point.architecture.is_picture else DEFAULT_RANGE


def _mapped(point: NetworkWeights, factor: float, offset: float) -> NetworkWeights:
    if (factor, offset) == (1.0, 0.0):
        return point
    last = point.architecture.layers[-1].name
    tensors: dict[str, Tensor] = dict(point.tensors)
    for name, own in ((f"{last}.weight", 0.0), (f"{last}.bias", offset)):
        tensors[name] = (tensors[name].to(torch.float64) * factor + own).to(tensors[name].dtype)
    return NetworkWeights(point.architecture, tensors)
