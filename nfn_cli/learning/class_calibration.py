"""Calibrate a head that classifies: its temperature, and which networks are out of distribution."""

from __future__ import annotations

import torch

from nfn_cli.architectures import NetworkWeights
from nfn_cli.learning.ood_calibration import fit_detector, logits_and_invariants
from nfn_cli.learning.out_of_distribution import gaussian, shuffled
from nfn_cli.learning.temperature import fitted_temperature
from nfn_cli.nn import Head
from nfn_cli.zoo import LabelledNetworks

# So many training networks are enough to find the limits of a distribution.
_MOST = 4_096


@torch.no_grad()
def calibrate(head: Head, train: LabelledNetworks, held_out: LabelledNetworks, seed: int) -> None:
    """Set a head's temperature and detector.

    Args:
        train: what its members were fitted to.
        held_out: networks of other pictures, from which the temperature and the detector's limits follow.
        seed: of what is made of training networks that the detector learns to distinguish, and of its training.
    """
    generator = torch.Generator().manual_seed(seed)
    some = train.select(torch.randperm(len(train), generator=generator)[:_MOST].tolist())
    logits, known = logits_and_invariants(head.model, held_out.point)
    head.model.temperature.fill_(fitted_temperature(logits.cpu(), held_out.targets))
    fit_detector(head.model, some, known, (shuffled, gaussian, negative), generator, seed)


def negative(point: NetworkWeights, generator: torch.Generator) -> NetworkWeights:
    """The negatives of pictures in [-1, 1]: the last layer with the other sign."""
    last = [point.architecture.weights[-1].name, point.architecture.biases[-1].name]
    return NetworkWeights(point.architecture, {**point.tensors, **{name: -point.tensors[name] for name in last}})
