"""Calibrate a head that predicts accuracies: its curve, its interval, and which networks are out of distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from nfn_cli.learning.batches import batches
from nfn_cli.learning.beta_calibration import fitted_curve
from nfn_cli.learning.conformal import crossed_residuals, local_radii
from nfn_cli.learning.ood_calibration import fit_detector, logits_and_invariants
from nfn_cli.learning.out_of_distribution import TAUGHT
from nfn_cli.nn import Head
from nfn_cli.zoo import LabelledNetworks


@torch.no_grad()
def calibrate(
    head: Head,
    train: LabelledNetworks,
    calibration: LabelledNetworks,
    left_out: Sequence[Sequence[int]],
    seed: int,
) -> None:
    """Set a head's detector, curve and interval.

    Args:
        train: what its members were fitted to.
        calibration: networks of other runs.
        left_out: positions of the training networks that each member was not fitted to.
        seed: of what is made of training networks that the detector learns to distinguish, and of its training.
    """
    model, scale = head.model, head.model.calibration
    logits, held_out = logits_and_invariants(model, calibration.point)
    fit_detector(model, train, held_out, TAUGHT, torch.Generator().manual_seed(seed), seed)

    absent = [(number, train.select(chosen)) for number, chosen in enumerate(left_out) if chosen]
    unseen = torch.cat([logits.new_zeros(0), *(_logits(model, [number], own)[:, 0] for number, own in absent)])
    known = torch.cat([calibration.targets[:0], *(own.targets for _, own in absent)])
    scale.curve.copy_(fitted_curve(unseen.cpu(), known))

    predicted, crossed = scale.accuracy(logits), scale.accuracy(unseen)
    members = scale.accuracy(_logits(model, range(head.config.members), calibration))
    residuals = crossed_residuals(
        (calibration.targets - predicted).abs(),
        (calibration.targets[:, None] - members).abs(),
        (known - crossed).abs(),
    )
    knots, radii = local_radii(torch.cat([predicted, crossed]), residuals, head.config.details.level)
    scale.knots.copy_(knots)
    scale.radii.copy_(radii)


def _logits(model: Any, members: Sequence[int], networks: LabelledNetworks) -> Tensor:
    """Logits of single members [networks, members]."""
    fields = (model.encode(batch) for batch in batches(networks.point))
    return torch.cat([torch.stack([model.members[number](own) for number in members], dim=1) for own in fields])
