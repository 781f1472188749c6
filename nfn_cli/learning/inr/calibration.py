"""What a fitted classifier is told after its members: how sure it may be, and which networks it knows."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.learning.batches import batches
from nfn_cli.learning.inr.temperature import fitted_temperature
from nfn_cli.learning.outsiders import gaussian, shuffled
from nfn_cli.nn import Head
from nfn_cli.zoo import LabelledInrs

# As many training networks are enough to tell where a population ends.
_MOST = 4_096


@torch.no_grad()
def calibrate(head: Head, train: LabelledInrs, held_out: LabelledInrs, seed: int) -> None:
    """Set a head's temperature and population.

    Args:
        train: what its members were fitted to.
        held_out: networks of other pictures, from which the temperature and the population's limits follow.
        seed: of the outsiders that are made of training networks, and of what is learnt from them.
    """
    model = head.model
    generator = torch.Generator().manual_seed(seed)
    some = train.select(torch.randperm(len(train), generator=generator)[:_MOST].tolist())
    logits, known = _answers(head, held_out.point)
    model.temperature.fill_(fitted_temperature(logits, held_out.labels))
    made = [make(some.point, generator) for make in (shuffled, gaussian, negative)]
    strange = torch.stack([_answers(head, point)[1] for point in made])
    model.ood_detector.fit(_answers(head, some.point)[1], known, strange, [row.run for row in some.rows], seed)


def negative(point: NetworkWeights, generator: torch.Generator) -> NetworkWeights:
    """The negatives of pictures in [-1, 1]: the last layer with the other sign."""
    last = [spec.name for spec in point.architecture.tensors[-2:]]
    return NetworkWeights(
        point.architecture, {name: -tensor if name in last else tensor for name, tensor in point.tensors.items()}
    )


def _answers(head: Head, point: NetworkWeights) -> tuple[Tensor, Tensor]:
    """Logits and summaries of many networks, on the CPU."""
    found = [head.model(head.model.encode(batch)) for batch in batches(point)]
    return torch.cat([logits.cpu() for logits, _ in found]), torch.cat([summary.cpu() for _, summary in found])
