"""Networks after random elements of their symmetry group, to measure how a head's output changes."""

from __future__ import annotations

from typing import Any

import torch

from nfn_cli.architectures import NetworkWeights
from nfn_cli.symmetry import GroupElement, act, sample_element


def in_float64(point: NetworkWeights) -> NetworkWeights:
    """The same networks in float64, so that what is measured is the head: a scaled weight may leave the range of
    float32, and a transformed phase would be rounded."""
    return point.mapped(torch.Tensor.double)


def transformed(
    point: NetworkWeights, generator: torch.Generator, **options: Any
) -> tuple[GroupElement, NetworkWeights]:
    """A random element for each network of a batch, and the networks after it.

    Args:
        point: tensors float64 [networks, *shape].
        options: of `sample_element`, such as `scale_range` or `phase`.
    """
    element = sample_element(point.architecture, generator, batch=point.batch, **options)
    return element, act(element, point)
