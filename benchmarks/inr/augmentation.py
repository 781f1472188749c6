"""What a network looks like in other coordinates and elsewhere on its orbit: augmentation in weight space, exact."""

from __future__ import annotations

import torch

from nfn_cli.architectures import NetworkWeights
from nfn_cli.nn import CoordinateProbe
from nfn_cli.symmetry import act, sample_element


class Augmentation:
    """Gives every network of a batch other coordinates, as Coordinate-Probe's random grids do, and moves it by a random
    element of its group: permutations, signs and phases. Draws from torch's global generator.

    Args:
        probe: whose grids are meant.
    """

    def __init__(self, probe: CoordinateProbe) -> None:
        # Where a random grid puts the origin and the two unit vectors tells all of it.
        self._grids, self._frame = probe._augmented, torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])

    def __call__(self, point: NetworkWeights) -> NetworkWeights:
        """Tensors [batch, *shape] to others of the same shapes and dtypes."""
        point = self.in_other_coordinates(point)
        count = len(next(iter(point.tensors.values())))
        element = sample_element(point.architecture, torch.default_generator, batch=(count,), phase=True)
        return act(element, point)

    def in_other_coordinates(self, point: NetworkWeights) -> NetworkWeights:
        """x ↦ f(A x + m) for f: the first layer's W becomes W A, and its b becomes b + W m."""
        weight, bias = (point.tensors[spec.name] for spec in point.architecture.tensors[:2])
        origin, rows, columns = self._grids(self._frame, len(weight)).to(weight.dtype).unbind(1)
        turned = weight @ torch.stack([rows - origin, columns - origin], dim=2)
        shifted = bias + (weight @ origin[:, :, None]).squeeze(2)
        first, second = (spec.name for spec in point.architecture.tensors[:2])
        return NetworkWeights(point.architecture, {**point.tensors, first: turned, second: shifted})
