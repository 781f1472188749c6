"""One network of Monomial-NFN for any architecture: from fields of a network to the logit of its accuracy.

Equivariant layers take entries to entries (arXiv 2409.11697, section 5, on labels): each entry keeps its own numbers,
neurons carry averages of entries to entries (see `stations`), and what the whole network shares reaches even entries
through a small network. Parameters belong to kinds of fields and to ports, so they suit any width and depth. An
invariant layer averages what signs cannot change; a readout gives the logit.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from nfn_cli.nn.labelled_nfn.graph import Graph, Meeting, Vocabulary
from nfn_cli.nn.labelled_nfn.network_fields import CLASSES, FACTS, NUMBERS

_REACH = 5.0  # a number further out than so many spreads counts as if it were there
_TINY = 1e-4


class LabelledMember(nn.Module):
    """Maps a batch of networks to one logit each.

    Args:
        vocabulary: the kinds of fields and the ports that it has parameters for.
        channels: of every entry.
        neurons: channels of a station.
        layers: equivariant ones.
        hidden: units of the readout.
        dropout: of the readout.
    """

    def __init__(
        self, vocabulary: Vocabulary, channels: int, neurons: int, layers: int, hidden: int, dropout: float
    ) -> None:
        super().__init__()
        kinds = len(vocabulary.kinds)
        self.odd = [kind.endswith(" odd") for kind in vocabulary.kinds]
        for name, shape in (("own", (kinds, NUMBERS)), ("raw", (kinds, 2 * NUMBERS)), ("facts", (FACTS,))):
            self.register_buffer(f"{name}_mean", torch.zeros(shape))
            self.register_buffer(f"{name}_scale", torch.ones(shape))
        widths = [NUMBERS] + [channels] * layers
        self.layers = nn.ModuleList(EquivariantLayer(vocabulary, before, channels, neurons) for before in widths[:-1])
        self.first = nn.Linear(kinds * (2 * NUMBERS + 1) + FACTS, hidden)
        self.affine = PerKind(self.odd, channels, channels, is_free=True)
        self.last = nn.Linear(2 * channels * kinds, hidden)
        self.readout = nn.Sequential(nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, 1))
        self.dropout = nn.Dropout(dropout)

    own_mean: Tensor
    own_scale: Tensor
    raw_mean: Tensor
    raw_scale: Tensor
    facts_mean: Tensor
    facts_scale: Tensor

    @torch.no_grad()
    def fit_normalisation(self, graph: Graph) -> None:
        """Set the standardising constants by training networks. Odd numbers keep their zero."""
        for number, (own, is_odd) in enumerate(zip(graph.values.split(graph.counts), self.odd, strict=True)):
            if len(own):
                values = own.double()
                mean = torch.zeros_like(values[0]) if is_odd else values.mean(0)
                self.own_mean[number] = mean
                self.own_scale[number] = _over((values - mean).square().mean(0).sqrt())
        raw, there = _raw(self._standard(graph), graph, self.odd).double(), graph.present.double()[:, :, None]
        count = there.sum(0).clamp_min(1)
        mean = (raw * there).sum(0) / count
        self.raw_mean.copy_(mean)
        self.raw_scale.copy_(_over(((raw - mean).square() * there).sum(0).div(count).sqrt()))
        facts = graph.facts.double()
        self.facts_mean.copy_(facts.mean(0))
        self.facts_scale.copy_(_over(facts.std(0, correction=0)))

    def forward(self, graph: Graph) -> Tensor:
        """Logits [networks]."""
        values = self._standard(graph)
        first = self.first(self.dropout(self.summary(graph, values)))
        for layer in self.layers:
            values = layer(values, graph)
        entries = torch.relu(self.affine(_unsigned(values, graph.counts, self.odd), graph.counts))
        means = _means_by_field(entries, graph)
        last = torch.cat([_means_by_kind(means, graph).flatten(1), _largest_by_kind(means, graph).flatten(1)], 1)
        # A head that knows nothing else says chance.
        chance = -graph.facts[:, CLASSES].expm1().clamp_min(1.0).log()
        found: Tensor = chance + self.readout(first + self.last(self.dropout(last)))[:, 0]
        return found

    def summary(self, graph: Graph, values: Tensor | None = None) -> Tensor:
        """What no layer has a part in [networks, n]: means and spreads over the fields of each kind, standardised;
        which kinds there are; facts."""
        raw = _raw(self._standard(graph) if values is None else values, graph, self.odd)
        raw = _drawn_in((raw - self.raw_mean) * self.raw_scale) * graph.present[:, :, None]
        facts = _drawn_in((graph.facts - self.facts_mean) * self.facts_scale)
        return torch.cat([raw.flatten(1), graph.present, facts], 1)

    def _standard(self, graph: Graph) -> Tensor:
        counts = torch.tensor(graph.counts, device=graph.values.device)
        kind = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
        return _drawn_in((graph.values - self.own_mean[kind]) * self.own_scale[kind])


class EquivariantLayer(nn.Module):
    """An equivariant linear layer through stations, and a nonlinearity: a tanh of odd entries, a GELU of even ones.

    Between, at the stations, stands the same nonlinearity: they are fields of the neurons themselves.

    Args:
        inputs, channels: of an entry that comes in, and that goes out.
        neurons: channels of a station.
    """

    def __init__(self, vocabulary: Vocabulary, inputs: int, channels: int, neurons: int) -> None:
        super().__init__()
        self.odd = [kind.endswith(" odd") for kind in vocabulary.kinds]
        self.channels = channels
        self.own = PerKind(self.odd, inputs, channels)
        self.sizes = PerKind(self.odd, inputs, channels)
        self.sorts = list(vocabulary.ports)
        self.arriving = nn.ModuleList(
            nn.Linear(len(ports) * inputs, neurons, bias=not sort.endswith("odd"))
            for sort, ports in vocabulary.ports.items()
        )
        self.leaving = nn.ModuleList(
            nn.Linear(neurons, len(ports) * channels, bias=False) for ports in vocabulary.ports.values()
        )
        kinds = len(self.odd)
        self.context = nn.Sequential(
            nn.Linear(kinds * (inputs + 1), neurons), nn.GELU(), nn.Linear(neurons, kinds * channels)
        )

    def forward(self, values: Tensor, graph: Graph) -> Tensor:
        """Map entries [entries, inputs] to [entries, channels]."""
        found: Tensor = self.own(values, graph.counts)
        for sort, arriving, leaving in zip(self.sorts, self.arriving, self.leaving, strict=True):
            meeting = graph.meetings[sort]
            if meeting.units:
                at = arriving(_gathered(values, meeting))
                at = torch.tanh(at) if sort.endswith("odd") else nn.functional.gelu(at)
                sent = leaving(at).view(meeting.units * meeting.ports, self.channels)
                found = found.index_add(0, meeting.entries, sent.index_select(0, meeting.slots))
        if len(graph.even):
            # An even entry also hears how large its odd one is.
            paired = torch.zeros_like(values).index_copy(0, graph.even, values.index_select(0, graph.odd).abs())
            found = found + self.sizes(paired, graph.counts)
        means = _means_by_kind(_means_by_field(_unsigned(values, graph.counts, self.odd), graph), graph)
        whole = self.context(torch.cat([means.flatten(1), graph.present], 1)).view(-1, self.channels)
        place = graph.network * len(graph.counts)
        parts = [
            torch.tanh(own) if self.odd[number] else nn.functional.gelu(own + whole.index_select(0, at + number))
            for number, (own, at) in enumerate(zip(found.split(graph.counts), place.split(graph.counts), strict=True))
        ]
        return torch.cat(parts)


class PerKind(nn.Module):
    """A linear map of the entries of each kind; without constants where entries are odd.

    Args:
        is_free: constants everywhere, of entries that nothing multiplies.
    """

    def __init__(self, odd: Sequence[bool], inputs: int, outputs: int, *, is_free: bool = False) -> None:
        super().__init__()
        bound = inputs**-0.5
        self.weight = nn.Parameter(torch.empty(len(odd), inputs, outputs).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.zeros(len(odd), outputs))
        self.without = [is_odd and not is_free for is_odd in odd]

    def forward(self, values: Tensor, counts: Sequence[int]) -> Tensor:
        """Map entries [entries, inputs], so many of each kind, those of one kind together."""
        return torch.cat(
            [
                own @ self.weight[number] if self.without[number] else own @ self.weight[number] + self.bias[number]
                for number, own in enumerate(values.split(list(counts)))
            ]
        )


def _over(spread: Tensor) -> Tensor:
    """1 / spread; 0 where there is none."""
    return torch.where(spread > _TINY, 1 / spread.clamp_min(_TINY), 0.0)


def _drawn_in(values: Tensor) -> Tensor:
    """Large values drawn in smoothly; odd."""
    return _REACH * torch.tanh(values / _REACH)


def _gathered(values: Tensor, meeting: Meeting) -> Tensor:
    """Averages of entries [entries, inputs] at stations [units, ports · inputs]."""
    own = values.index_select(0, meeting.entries) * meeting.shares[:, None]
    slots = values.new_zeros(meeting.units * meeting.ports, values.shape[1]).index_add(0, meeting.slots, own)
    return slots.view(meeting.units, -1)


def _unsigned(values: Tensor, counts: Sequence[int], odd: Sequence[bool]) -> Tensor:
    parts = values.split(list(counts))
    return torch.cat([own.abs() if is_odd else own for own, is_odd in zip(parts, odd, strict=True)])


def _raw(values: Tensor, graph: Graph, odd: Sequence[bool]) -> Tensor:
    """Means of entries and of their squares, averaged over the fields of each kind [networks, kinds, 2 · inputs]."""
    both = torch.cat([_unsigned(values, graph.counts, odd), values.square()], 1)
    return _means_by_kind(_means_by_field(both, graph), graph)


def _means_by_field(values: Tensor, graph: Graph) -> Tensor:
    """Means over the entries of each field [fields, inputs]."""
    summed = values.new_zeros(len(graph.sizes), values.shape[1]).index_add(0, graph.field, values)
    return summed / graph.sizes[:, None]


def _means_by_kind(means: Tensor, graph: Graph) -> Tensor:
    """Averages over the fields of each kind [networks, kinds, inputs]."""
    slots = graph.networks * len(graph.counts)
    count = torch.bincount(graph.places, minlength=slots).clamp_min(1)
    summed = means.new_zeros(slots, means.shape[1]).index_add(0, graph.places, means)
    return (summed / count[:, None]).view(graph.networks, -1, means.shape[1])


def _largest_by_kind(means: Tensor, graph: Graph) -> Tensor:
    """The largest of the fields of each kind, none of which is negative [networks, kinds, inputs]."""
    places = graph.places[:, None].expand_as(means)
    found = means.new_zeros(graph.networks * len(graph.counts), means.shape[1])
    return found.scatter_reduce(0, places, means, "amax").view(graph.networks, -1, means.shape[1])
