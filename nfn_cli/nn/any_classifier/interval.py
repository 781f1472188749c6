"""How wide the interval around a predicted accuracy is, for a head that reads networks of many populations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

TERMS = 6
# What the floor supposes of a test set, and of the level, until it is set: z of 90 %.
TEST_IMAGES = 10_000.0
_Z = 1.6448536
_LEAST_LOGIT_PROBABILITY = 1e-9


class AnyInterval(nn.Module):
    """The half-width of an interval, which grows with the members' disagreement and with the distance from what a head
    was fitted to.

    With p the predicted accuracy, v = 4u(1 - u) for its place u between chance and 1, σ how far the members disagree in
    accuracy, and δ the distance, the scale is

        s = a₀ + a₁·v + a₂·σ + (a₃ + a₄·v + a₅·σ)·ln(1 + δ),  no aᵢ < 0,

    and the half-width is s·factor·(1 + (stretch - 1)·t(δ))·max(1, δ). Here t rises from 0 to 1 between two distances,
    and the last factor holds beyond the limit δ = 1: nothing was seen there, and the half-width grows in proportion, by
    choice and not by a fit. So it never falls as δ or σ grow.

    It is at most 1, everything, and at least z·√(p(1 - p)/m + z²/4m²): a label that was counted on m test images errs
    by that much itself (the root of Wilson's interval, 1927, which does not vanish at p = 1).

    A fresh one is everything.

    Attributes:
        terms: a₀ to a₅ [6].
        factors: factor and stretch [2]; the stretch is at least 1.
        ramp: the distances between which t rises [2], ascending.
        label: z of the level, and m [2].
    """

    terms: Tensor
    factors: Tensor
    ramp: Tensor
    label: Tensor

    def __init__(self) -> None:
        super().__init__()
        # A head is first made on the meta device: no call here that looks at values.
        self.register_buffer("terms", torch.ones(TERMS))
        self.register_buffer("factors", torch.ones(2))
        self.register_buffer("ramp", torch.zeros(2))
        self.register_buffer("label", torch.tensor([_Z, TEST_IMAGES]))

    def is_sound(self) -> bool:
        """Whether its numbers are such as a fit gives."""
        numbers = (self.terms, self.factors, self.ramp, self.label)
        return bool(
            all(own.isfinite().all() and (own >= 0).all() for own in numbers)
            and self.factors[1] >= 1
            and self.ramp[1] >= self.ramp[0]
            and (self.label > 0).all()
        )

    @torch.no_grad()
    def radius(self, accuracy: Tensor, spread: Tensor, distance: Tensor, classes: Tensor) -> Tensor:
        """Half-widths of the intervals around predicted accuracies, float64 [n] on the CPU.

        Args:
            accuracy: predicted, in [0, 1] [n].
            spread: deviation of the members' logits [n], at least 0.
            distance: from what the head was fitted to [n], at least 0; 1 is its limit.
            classes: how many each network tells apart [n], at least 2.

        A value that is not finite gives an interval of everything.
        """
        terms, factors, ramp, label = (own.cpu().double() for own in (self.terms, self.factors, self.ramp, self.label))
        accuracy, spread, distance = (own.cpu().double() for own in (accuracy, spread, distance))
        scale = scale_terms(accuracy, spread, distance, classes) @ terms
        radius = scale * factors[0] * (1 + (factors[1] - 1) * risen(ramp, distance)) * distance.clamp_min(1)
        radius = torch.maximum(radius, label_radius(accuracy, label[0], label[1]))
        known = accuracy.isfinite() & spread.isfinite() & distance.isfinite()
        return radius.clamp_max(1).where(known, torch.ones_like(radius))


def scale_terms(accuracy: Tensor, spread: Tensor, distance: Tensor, classes: Tensor) -> Tensor:
    """What the scale is a sum of, float64 [n, 6] on the CPU; arguments as in `AnyInterval.radius`."""
    accuracy, spread, distance, classes = (own.cpu().double() for own in (accuracy, spread, distance, classes))
    chance = 1 / classes
    place = ((accuracy - chance) / (1 - chance)).clamp(0, 1)
    logit = accuracy.logit(_LEAST_LOGIT_PROBABILITY)
    own = torch.stack(
        [
            torch.ones_like(accuracy),
            4 * place * (1 - place),
            ((logit + spread).sigmoid() - (logit - spread).sigmoid()) / 2,
        ],
        dim=-1,
    )
    return torch.cat([own, own * distance.log1p()[..., None]], dim=-1)


def risen(ramp: Tensor, distance: Tensor) -> Tensor:
    """How far a distance is from the first end of a ramp [2] to the second, in [0, 1].

    >>> risen(torch.tensor([0.25, 0.75]), torch.tensor([0.1, 0.5, 9.0])).tolist()
    [0.0, 0.5, 1.0]
    """
    width = (ramp[1] - ramp[0]).clamp_min(torch.finfo(ramp.dtype).tiny)
    return ((distance - ramp[0]) / width).clamp(0, 1)


def label_radius(accuracy: Tensor, z: Tensor | float, images: Tensor | float) -> Tensor:
    """Half-width of the interval of a share that is counted on some images.

    >>> round(label_radius(torch.tensor([0.5]), 2.0, 10_000).item(), 4)
    0.01
    """
    return z * (accuracy * (1 - accuracy) / images + (z / (2 * images)) ** 2).sqrt()
