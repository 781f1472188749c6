"""What a fitted head is told after its members: how far off it may be, and which networks it knows."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.learning.batches import batches
from nfn_cli.learning.conformal import crossed_residuals, local_radii
from nfn_cli.learning.outsiders import taught_outsiders
from nfn_cli.learning.recalibration import fitted_curve
from nfn_cli.nn import Ensemble, Head
from nfn_cli.zoo import LabelledNetworks


@torch.no_grad()
def calibrate(
    head: Head,
    train: LabelledNetworks,
    calibration: LabelledNetworks,
    left_out: Sequence[Sequence[int]],
    seed: int,
) -> None:
    """Set a head's population, curve and interval.

    Args:
        train: what its members were fitted to.
        calibration: networks of other runs.
        left_out: positions of the training networks that each member was not fitted to.
        seed: of the outsiders that are made of training networks, and of what is learnt from them.
    """
    model, scale = head.model, head.model.calibration
    _, invariants = _logits_and_invariants(model, train.point)
    logits, held_out = _logits_and_invariants(model, calibration.point)
    made = [_logits_and_invariants(model, point)[1] for point in taught_outsiders(train.point, seed)]
    model.ood_detector.fit(invariants, held_out, torch.stack(made), train.runs, seed)

    absent = [(number, train.select(chosen)) for number, chosen in enumerate(left_out) if chosen]
    unseen = torch.cat([logits.new_zeros(0), *(_logits(model, [number], own)[:, 0] for number, own in absent)])
    known = torch.cat([calibration.accuracies[:0], *(own.accuracies for _, own in absent)])
    scale.curve.copy_(fitted_curve(unseen.cpu(), known))

    predicted, crossed = scale.accuracy(logits), scale.accuracy(unseen)
    members = scale.accuracy(_logits(model, range(head.config.members), calibration))
    residuals = crossed_residuals(
        (calibration.accuracies - predicted).abs(),
        (calibration.accuracies[:, None] - members).abs(),
        (known - crossed).abs(),
    )
    knots, radii = local_radii(torch.cat([predicted, crossed]), residuals, head.config.details.level)
    scale.knots.copy_(knots)
    scale.radii.copy_(radii)


def _logits(model: Ensemble, members: Sequence[int], networks: LabelledNetworks) -> Tensor:
    """Logits of single members [networks, members]."""
    fields = (model.encode(batch) for batch in batches(networks.point))
    return torch.cat([torch.stack([model.members[number](own) for number in members], dim=1) for own in fields])


def _logits_and_invariants(model: Ensemble, point: NetworkWeights) -> tuple[Tensor, Tensor]:
    pairs: Sequence[tuple[Tensor, Tensor]] = [model(model.encode(batch)) for batch in batches(point)]
    return torch.cat([logits for logits, _ in pairs]), torch.cat([invariants for _, invariants in pairs])
