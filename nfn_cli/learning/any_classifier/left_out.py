"""What models say of networks whose run, task, family or trainer they were not fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor

# The way that leaves out runs of known populations: ordinary cross-validation.
BY_RUN = "run"


@dataclass(frozen=True)
class LeftOut:
    """Answers on n networks, each of a model that was fitted without the population that the network belongs to.

    Attributes:
        way: what was left out: "run" for runs alone, or such as "task", "family" or "trainer".
        population: of each network: what was left out with it, such as the task `mnist/pair`. By run, the population
            that its run belongs to, which the model knew.
        runs: the training run of each, under the same name in every way. Names are unique over all zoos.
        predicted: accuracies in [0, 1] [n].
        spread: deviation of the members' logits [n].
        distance: from what the model was fitted to [n]; 1 is its limit.
        classes: how many each network tells apart [n].
        truth: accuracies as they were measured [n].
        label_noise: standard deviation of each measured accuracy, √(p(1 - p)/test images) [n]. It is reported, and not
            taken off the errors: coverage means that of accuracies as they are measured.
    """

    way: str
    population: tuple[str, ...]
    runs: tuple[str, ...]
    predicted: Tensor
    spread: Tensor
    distance: Tensor
    classes: Tensor
    truth: Tensor
    label_noise: Tensor

    def __post_init__(self) -> None:
        for own in fields(self):
            values = getattr(self, own.name)
            if own.name != "way" and len(values) != len(self.truth):
                raise ValueError(f"{own.name} has {len(values)} entries, not {len(self.truth)}")
            if isinstance(values, Tensor) and not values.isfinite().all():
                raise ValueError(f"{own.name} is not finite everywhere")

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def residuals(self) -> Tensor:
        """Absolute errors, float64 [n]."""
        return (self.truth.double() - self.predicted.double()).abs()

    def select(self, positions: Sequence[int]) -> LeftOut:
        """The networks at these positions."""
        chosen = torch.tensor(positions, dtype=torch.int64)
        return LeftOut(
            self.way,
            tuple(self.population[position] for position in positions),
            tuple(self.runs[position] for position in positions),
            *(
                getattr(self, own)[chosen]
                for own in ("predicted", "spread", "distance", "classes", "truth", "label_noise")
            ),
        )

    def without_runs(self, absent: Iterable[str]) -> LeftOut:
        """The networks of other runs than these."""
        gone = set(absent)
        return self.select([position for position, run in enumerate(self.runs) if run not in gone])

    def of_runs(self, present: Iterable[str]) -> LeftOut:
        """The networks of these runs."""
        kept = set(present)
        return self.select([position for position, run in enumerate(self.runs) if run in kept])
