"""Networks that do not belong to a head's population: made from ones that do, or another population's.

What is made keeps the architecture and is as close to trained weights as its kind allows, so that a head has something
to find.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from nfn_cli.architectures import WeightSpace

SCALED_BY = 10.0


def shuffled(point: WeightSpace, generator: torch.Generator) -> WeightSpace:
    """The entries of every tensor in random order, a new one for each network.

    Args:
        point: tensors [networks, *shape].
    """

    def shuffle(tensor: Tensor) -> Tensor:
        rows = tensor.flatten(1)
        order = torch.rand(rows.shape, dtype=torch.float64, generator=generator).argsort(1)
        return rows.gather(1, order).view(tensor.shape)

    return _mapped(point, shuffle)


def gaussian(point: WeightSpace, generator: torch.Generator) -> WeightSpace:
    """Independent normal entries of mean zero, with the variance of the tensor that they stand for.

    Args:
        point: tensors [networks, *shape].
    """

    def draw(tensor: Tensor) -> Tensor:
        spread = tensor.flatten(1).std(1, correction=0)
        noise = torch.randn(tensor.shape, dtype=tensor.dtype, generator=generator)
        return noise * spread.view(-1, *[1] * (tensor.ndim - 1))

    return _mapped(point, draw)


def scaled_layer(point: WeightSpace, generator: torch.Generator) -> WeightSpace:
    """Weight and bias of one layer, drawn for each network, times 10. Nothing makes up for it: the function changes.

    Args:
        point: tensors [networks, *shape].
    """
    layers = point.architecture.layers
    networks = len(next(iter(point.tensors.values())))
    chosen = torch.randint(len(layers), (networks,), generator=generator)
    tensors = dict(point.tensors)
    for number, layer in enumerate(layers):
        for name in (f"{layer.name}.weight", f"{layer.name}.bias"):
            factors = torch.where(chosen == number, SCALED_BY, 1.0).to(tensors[name].dtype)
            tensors[name] = tensors[name] * factors.view(-1, *[1] * (tensors[name].ndim - 1))
    return WeightSpace(point.architecture, tensors)


MADE: dict[str, Callable[[WeightSpace, torch.Generator], WeightSpace]] = {
    "shuffled entries": shuffled,
    "Gaussian weights": gaussian,
    "one layer x10": scaled_layer,
}


def _mapped(point: WeightSpace, change: Callable[[Tensor], Tensor]) -> WeightSpace:
    return WeightSpace(point.architecture, {name: change(tensor) for name, tensor in point.tensors.items()})
