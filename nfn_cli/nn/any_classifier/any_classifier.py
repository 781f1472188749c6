"""Any-Classifier: an invariant head for classifiers of every architecture.

It reads `NetworkStatistics`, so it is invariant under every network's own group. Some members look at the answers to
probe pictures, and are asked where it is known how a network is run; the others are asked about the rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture
from nfn_cli.nn.any_classifier.any_member import HEADS, AnyMember
from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics
from nfn_cli.nn.any_classifier.reach import Reach
from nfn_cli.nn.any_classifier.summary import summary
from nfn_cli.nn.kinds import Kind
from nfn_cli.nn.sizes import require_sizes
from nfn_cli.nn.tasks.accuracy import AccuracyDetails


@dataclass(frozen=True)
class AnyClassifierSizes:
    """Sizes of a head: members that look at answers, and as many that do not; channels of a layer's token, a multiple
    of 4; hidden units of the readout, and its dropout."""

    members: int = 3
    width: int = 48
    hidden: int = 192
    dropout: float = 0.2

    def __post_init__(self) -> None:
        require_sizes(self, members=64, width=1024, hidden=4096)
        if self.width % HEADS:
            raise ValueError(f"width is {self.width}, not a multiple of {HEADS}")


@dataclass(frozen=True)
class Answers:
    """What a head says of networks, [networks] each, on the device of its module.

    Attributes:
        logits: of the accuracy, the mean over members, before calibration.
        spread: standard deviation of the members' logits.
        distance: from the networks that it was fitted to, in units of its limit.
    """

    logits: Tensor
    spread: Tensor
    distance: Tensor


class AnyClassifier(nn.Module):
    """The head's module.

    Args:
        sizes: of its members.
    """

    def __init__(self, sizes: AnyClassifierSizes) -> None:
        super().__init__()

        def members(*, answers: bool) -> nn.ModuleList:
            return nn.ModuleList(
                AnyMember(sizes.width, sizes.hidden, sizes.dropout, answers=answers) for _ in range(sizes.members)
            )

        self.asked, self.unasked = members(answers=True), members(answers=False)
        self.asked_reach, self.unasked_reach = Reach(), Reach()

    def forward(self, statistics: NetworkStatistics) -> Answers:
        """What it says of networks, whose statistics may be on its device or on the CPU."""
        runs, device = statistics.runs, self.asked_reach.mean.device
        parts = []
        for answers, members, reach in (
            (True, self.asked, self.asked_reach),
            (False, self.unasked, self.unasked_reach),
        ):
            positions = (runs == answers).nonzero()[:, 0]
            if len(positions):
                own = statistics.select(positions).to(device)
                logits = torch.stack([member(member_inputs(own)) for member in members])
                far = reach.distance(summary(own))
                parts.append((positions, logits.mean(0), logits.std(0, correction=0), far))
        order = torch.cat([part[0] for part in parts]).argsort().to(device)
        columns = (torch.cat([part[number] for part in parts])[order] for number in (1, 2, 3))
        return Answers(*columns)


def member_inputs(statistics: NetworkStatistics) -> Sequence[Tensor]:
    """What a member takes."""
    return statistics.layers, statistics.depth, statistics.whole, statistics.answers


def _make(architecture: Architecture, sizes: AnyClassifierSizes, details: AccuracyDetails) -> nn.Module:
    return AnyClassifier(sizes)


KIND = Kind(AnyClassifierSizes, _make)
