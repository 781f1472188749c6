"""The kinship score: how alike the neurons of two networks are in what is each one's own.

B lies next to A, as near as alignment brings it. Every neuron is a row of numbers in each tensor that feeds or reads
it. Rows are whitened (see `whitening`), and the neurons of a block are matched once more, by the cosines in all tensors
together. The score of a tensor is the mean cosine of matched neurons, less what the same matching finds in random rows,
over 1 less that: 1 for copies, about 0 for chance. The score of the network is the mean over its tensors, each weighted
by its rank: by how many numbers speak.

Networks that were trained apart on one task score above 0, so the score is held against a null of such networks.

Where coordinates are compared as they are, nothing is matched: a tensor's score is the mean cosine of neurons that
stand in one place.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.symmetry.alignment.assignment import assign
from nfn_cli.symmetry.alignment.watch import UNWATCHED, Watch
from nfn_cli.symmetry.kinship.cosines import cosines
from nfn_cli.symmetry.kinship.neuron_rows import BlockRows, block_rows
from nfn_cli.symmetry.kinship.pairing import Pair
from nfn_cli.symmetry.kinship.whitening import whitened

_SEED = 0  # of the random rows


@dataclass(frozen=True)
class Score:
    """How alike two networks are.

    Attributes:
        total: of the network; None where it has no neurons that could be compared.
        tensors: of each tensor of A, by A's name.
    """

    total: float | None
    tensors: Mapping[str, float]


def kinship_score(
    pair: Pair, watch: Watch = UNWATCHED, *, matching: bool = True, without: Collection[str] = ()
) -> Score:
    """The score of two networks that lie next to each other.

    Args:
        matching: whether the neurons of a block are matched once more.
        without: tensors that say nothing, because B was brought near to A by them.

    Raises:
        UsageError: SciPy is needed and missing.
    """
    generator = torch.Generator().manual_seed(_SEED)
    watch.on_stage("comparing neurons", len(pair.architecture.blocks))
    found: dict[str, list[tuple[float, float]]] = {}
    for block in block_rows(pair, without):
        for tensor, own, weight in _block_scores(block, generator if matching else None):
            found.setdefault(pair.names.get(tensor, tensor), []).append((own, weight))
        watch.on_step()
    weighed = {name: _mean(parts) for name, parts in found.items()}
    everything = [part for parts in found.values() for part in parts]
    return Score(_mean(everything), {name: own for name, own in weighed.items() if own is not None})


def _block_scores(block: BlockRows, generator: torch.Generator | None) -> list[tuple[str, float, float]]:
    """Each tensor's name, score and weight.

    Args:
        generator: of the random rows; None where nothing is matched.
    """
    real, chance, ranks = [], [], []
    for rows in block.rows:
        ours, own = whitened(rows.moved)
        theirs, other = whitened(rows.reference)
        ranks.append(min(own, other))
        real.append(cosines(theirs, ours, signed=rows.signed and generator is not None))
        if generator is not None:
            random = torch.randn(theirs.shape, generator=generator, dtype=torch.float64).to(theirs.dtype)
            chance.append(cosines(whitened(random)[0], ours, signed=rows.signed))
    if generator is None:
        found, by_chance = [float(table.diagonal().double().mean()) for table in real], [0.0] * len(real)
    else:
        found, by_chance = _matched(real, ranks, block.n), _matched(chance, ranks, block.n)
    return [
        (rows.tensor, (own - least) / (1 - least), rank)
        for rows, own, least, rank in zip(block.rows, found, by_chance, ranks, strict=True)
        if rank > 0 and least < 1
    ]


def _matched(tables: list[Tensor], ranks: list[float], n: int) -> list[float]:
    """The mean cosine of matched units in each tensor."""
    total = sum((rank * table for rank, table in zip(ranks, tables, strict=True)), torch.zeros_like(tables[0]))
    found = [0.0] * len(tables)
    parents = len(total) // n
    for parent in range(parents):
        own = slice(parent * n, (parent + 1) * n)
        cost = -total[own, own].double()
        order = assign(cost, torch.zeros_like(cost, dtype=torch.bool))
        for place, table in enumerate(tables):
            found[place] += float(table[own, own].gather(1, order[:, None]).double().mean()) / parents
    return found


def _mean(parts: list[tuple[float, float]]) -> float | None:
    weight = sum(own for _, own in parts)
    return sum(score * own for score, own in parts) / weight if weight > 0 else None
