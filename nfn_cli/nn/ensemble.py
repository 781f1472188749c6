"""An ensemble: members whose logits are averaged, and the detector of networks unlike those it was fitted to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from nfn_cli.architectures import NetworkWeights
from nfn_cli.nn.ood_detector import OODDetector


class Member(Protocol):
    """An invariant network."""

    summary_features: int

    def encode(self, point: NetworkWeights, device: str | torch.device = "cpu") -> list[Tensor]:
        """What it takes of a batch of networks [batch, *shape] on the CPU: tensors [batch, ...]."""

    def logits_and_summary(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [batch, ...], and the invariants that the detector looks at, [batch, summary_features]."""


@runtime_checkable
class SharingMember(Member, Protocol):
    """A member that does some of its work once for all."""

    def of_all(self, members: Sequence[Any], inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [members, batch, ...] of all members, of which it is the first, and its own summary [batch, n]."""


class Ensemble(nn.Module):
    """An ensemble.

    Args:
        members: at least one, all of which read alike; the first one's summary is what the detector looks at.
    """

    def __init__(self, members: Iterable[Any]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.ood_detector = OODDetector(self._member(0).summary_features)

    def encode(self, point: NetworkWeights) -> list[Tensor]:
        """What the members take of a batch of networks [batch, *shape] on the CPU: tensors [batch, ...]."""
        return self._member(0).encode(point, device=self.ood_detector.limit.device)

    def forward(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Of what `encode` gives: logits [batch, ...], averaged over members, and the first's summary [batch, n]."""
        first = self._member(0)
        if isinstance(first, SharingMember):
            logits, summary = first.of_all(list(self.members), inputs)
            return logits.mean(0), summary
        found = [self._member(number).logits_and_summary(inputs) for number in range(len(self.members))]
        return torch.stack([logits for logits, _ in found]).mean(0), found[0][1]

    def _member(self, number: int) -> Member:
        return self.members[number]  # type: ignore[return-value]
