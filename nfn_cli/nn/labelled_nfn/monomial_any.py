"""Monomial-NFN for any architecture, a head: members on the weights alone, and how far what they know reaches.

It reads `LabelledNetworks`. Its layers are derived from the labels and scale equations of every network; parameters
belong to kinds of tensors, so that they are shared between layers, widths and architectures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture
from nfn_cli.errors import shown
from nfn_cli.nn.any_classifier.any_classifier import Answers
from nfn_cli.nn.any_classifier.reach import Reach
from nfn_cli.nn.kinds import Kind
from nfn_cli.nn.labelled_nfn.graph import Batcher, Graph, Vocabulary
from nfn_cli.nn.labelled_nfn.member import LabelledMember
from nfn_cli.nn.labelled_nfn.network_fields import FACTS, NUMBERS, LabelledNetworks, NetworkShape
from nfn_cli.nn.sizes import require_sizes
from nfn_cli.nn.tasks.accuracy import AccuracyDetails

_TOGETHER = 16  # networks
_MOST_LINES = 4_096
UNKNOWN = 1e6
"""The distance, at least, of a network with tensors of a kind that no training network had: its interval is all."""


@dataclass(frozen=True)
class MonomialAnySizes:
    """Sizes of a head: members; channels of an entry and of a neuron; equivariant layers; hidden units of the readout,
    and its dropout; and the kinds of fields and the ports that it has parameters for (see `Vocabulary`)."""

    members: int = 3
    channels: int = 8
    neurons: int = 24
    layers: int = 2
    hidden: int = 64
    dropout: float = 0.3
    vocabulary: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require_sizes(self, members=64, channels=256, neurons=1024, layers=8, hidden=4096)
        lines = self.vocabulary
        if (
            not isinstance(lines, list | tuple)
            or len(lines) > _MOST_LINES
            or any(type(own) is not str for own in lines)
        ):
            raise ValueError(f"vocabulary is {shown(lines)}, no list of kinds and ports")
        object.__setattr__(self, "vocabulary", tuple(lines))


class MonomialAny(nn.Module):
    """The head's module.

    Args:
        sizes: of its members.
    """

    def __init__(self, sizes: MonomialAnySizes) -> None:
        super().__init__()
        self.vocabulary = Vocabulary.from_lines(sizes.vocabulary)
        self.batch = Batcher(self.vocabulary)
        self.members = nn.ModuleList(
            LabelledMember(self.vocabulary, sizes.channels, sizes.neurons, sizes.layers, sizes.hidden, sizes.dropout)
            for _ in range(sizes.members)
        )
        self.reach = Reach(len(self.vocabulary.kinds) * (2 * NUMBERS + 1) + FACTS)

    def forward(self, networks: LabelledNetworks) -> Answers:
        """What it says of networks, which may be on its device or on the CPU."""
        found: list[tuple[Tensor, Tensor, Tensor]] = []
        for start in range(0, len(networks), _TOGETHER):
            graph = self.graph(networks.select(range(start, min(start + _TOGETHER, len(networks)))))
            logits = torch.stack([member(graph) for member in self.members])
            far = self.reach.distance(self.summary(graph))
            strange = [bool(self.unknown(own.shape)) for own in networks.networks[start : start + _TOGETHER]]
            far = torch.where(torch.tensor(strange, device=far.device), far.clamp_min(UNKNOWN), far)
            found.append((logits.mean(0), logits.std(0, correction=0), far))
        return Answers(*(torch.cat(column) for column in zip(*found, strict=True)))

    def graph(self, networks: LabelledNetworks) -> Graph:
        """A batch on its device."""
        return self.batch(networks.to(self.reach.mean.device).networks)

    def summary(self, graph: Graph) -> Tensor:
        """In which distances between networks are measured [networks, n]; all members have the same."""
        first: LabelledMember = self.members[0]  # type: ignore[assignment]
        return first.summary(graph)

    def unknown(self, shape: NetworkShape) -> list[str]:
        """Kinds of fields of an architecture that none of the networks had that it was fitted to."""
        return self.vocabulary.unknown(shape)


def sizes_for(sizes: MonomialAnySizes, shapes: Sequence[NetworkShape]) -> MonomialAnySizes:
    """The same with parameters for all that occurs in some architectures."""
    return replace(sizes, vocabulary=Vocabulary.of(shapes).lines)


def _make(architecture: Architecture, sizes: MonomialAnySizes, details: AccuracyDetails) -> nn.Module:
    return MonomialAny(sizes)


KIND = Kind(MonomialAnySizes, _make)
