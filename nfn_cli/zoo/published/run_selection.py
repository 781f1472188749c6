"""Which networks of a published zoo to take."""

from __future__ import annotations

import os
import random
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from nfn_cli.architectures import canonical_activation
from nfn_cli.errors import DataError


@dataclass(frozen=True)
class Selection:
    """All networks, unless it says otherwise.

    Attributes:
        activation: of the networks; needed where a zoo has several, since one head reads one.
        epochs: after which they were saved; empty for all.
        last: of every run its last checkpoint alone.
        count: this many runs at most, drawn at random by `seed`: published zoos are ordered by hyperparameters.
    """

    activation: str | None = None
    epochs: tuple[int, ...] = ()
    last: bool = False
    count: int | None = None
    seed: int = 0

    def one_activation(self, folder: str | os.PathLike[str], found: Mapping[str, int]) -> str:
        """The activation to take from a zoo.

        Args:
            found: the zoo's activations, each with the number of its runs.

        Raises:
            DataError: the zoo lacks the one that was chosen, or has several and none was chosen.
            ArchitectureError: no activation of the chosen name is known.
        """
        has = ", ".join(f"{name}: {runs:,} runs" for name, runs in sorted(found.items()))
        if self.activation is not None:
            chosen = canonical_activation(self.activation, "--activation")
            if chosen not in found:
                raise DataError(folder, f"no network has the activation {chosen} ({has})", "choose another")
            return chosen
        if len(found) > 1:
            remedy = f"choose one, such as --activation {min(found)}"
            raise DataError(folder, f"holds networks of several activations ({has})", remedy)
        return next(iter(found))

    def drawn(self, runs: Collection[str]) -> set[str]:
        """The runs to take, by name."""
        if self.count is None or self.count >= len(runs):
            return set(runs)
        return set(random.Random(f"nfn import {self.seed}").sample(sorted(runs), self.count))

    def taken(self, epochs: Collection[int]) -> list[int]:
        """The epochs to take, ascending, of those that a run has."""
        if self.last:
            return [max(epochs)] if epochs else []
        return sorted(set(epochs).intersection(self.epochs) if self.epochs else epochs)

    def record(self) -> dict[str, object]:
        """Plain values for `zoo.yaml`."""
        which: object = "last" if self.last else list(self.epochs) or "all"
        return {"epochs": which, "count": self.count, "seed": self.seed}
