"""From the logit of an ensemble to an accuracy with its interval: what is set once a head's members are fitted."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

KNOTS = 5
_LARGEST_CURVE = 20.0


class Calibration(nn.Module):
    """A strictly increasing curve for the logits, and the half-width of the interval along the predicted accuracy.

    With p the sigmoid of the logit z, the curve is a·ln p - b·ln(1 - p) + c for positive a and b: beta calibration
    (Kull, Silva Filho and Flach 2017, eq. 5). It never changes the order of networks. A fresh one leaves logits as they
    are, and its interval is everything.

    Attributes:
        curve: ln a, ln b and c [3].
        knots: predicted accuracies, ascending [5].
        radii: half-widths there [5]; linear between them, constant beyond.
    """

    curve: Tensor
    knots: Tensor
    radii: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("curve", torch.zeros(3))
        # Not linspace: a head is first made on the meta device, where that takes torch half a second to import.
        self.register_buffer("knots", torch.zeros(KNOTS))
        self.register_buffer("radii", torch.ones(KNOTS))

    def is_sound(self) -> bool:
        """Whether curve and half-widths are such as a fit gives."""
        return bool(
            (self.curve.abs() <= _LARGEST_CURVE).all() and (self.knots.diff() >= 0).all() and (self.radii >= 0).all()
        )

    def accuracy(self, logits: Tensor) -> Tensor:
        """Predicted accuracies of logits of any shape, float64 on the CPU."""
        return curved(self.curve.cpu().double(), logits.cpu().double()).sigmoid()

    def radius(self, accuracy: Tensor) -> Tensor:
        """Half-widths of the intervals around predicted accuracies of any shape, float64 on the CPU."""
        return along(self.knots.cpu().double(), self.radii.cpu().double(), accuracy)


def curved(curve: Tensor, logits: Tensor) -> Tensor:
    """Calibrated logits; `curve` [3] as in `Calibration`.

    >>> bool(torch.allclose(curved(torch.zeros(3), torch.tensor([-2.0, 3.0])), torch.tensor([-2.0, 3.0])))
    True
    """
    return curve[0].exp() * F.logsigmoid(logits) - curve[1].exp() * F.logsigmoid(-logits) + curve[2]


def along(knots: Tensor, values: Tensor, points: Tensor) -> Tensor:
    """Values at points, linear between the knots [n], n ≥ 2, and constant beyond.

    >>> along(torch.tensor([0.0, 1.0]), torch.tensor([2.0, 4.0]), torch.tensor([-1.0, 0.25, 3.0])).tolist()
    [2.0, 2.5, 4.0]
    """
    right = torch.searchsorted(knots, points.contiguous()).clamp(1, len(knots) - 1)
    low, high = knots[right - 1], knots[right]
    share = ((points - low) / (high - low).clamp_min(torch.finfo(knots.dtype).tiny)).clamp(0, 1)
    return values[right - 1] + share * (values[right] - values[right - 1])
