"""The null: scores of pairs of networks that were trained apart, with one recipe on the same data in the same order.

It ships with the tool as `null.json`, which `python benchmarks/kinship null` writes. Every network is in one pair only,
so that the pairs of a family are independent.

>>> sorted(families())
['cnn', 'lm', 'mlp', 'resnet']
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

_FILE = Path(__file__).with_name("null.json")
_LEAST = 0.3  # no threshold is lower
_ABOVE = 1.5  # times the highest score of a null


@dataclass(frozen=True)
class Null:
    """Networks of one family that were trained apart.

    Attributes:
        family: mlp, cnn, resnet or lm.
        recipes: of what networks.
        models: how many; half as many pairs.
        scores: of the pairs, the lowest first.
    """

    family: str
    recipes: tuple[str, ...]
    models: int
    scores: tuple[float, ...]

    def rate(self, score: float) -> float:
        """An upper bound for the chance that networks which were trained apart score so high: (k + 1) / (n + 1), where
        k of n pairs do."""
        return (sum(own >= score for own in self.scores) + 1) / (len(self.scores) + 1)

    @property
    def threshold(self) -> float:
        """From this score on two networks are called derived: half as much again as the highest score of the null, for
        recipes that it has not seen."""
        return max(_LEAST, _ABOVE * self.scores[-1])


@cache
def families() -> Mapping[str, Null]:
    """The null of each family."""
    stored = json.loads(_FILE.read_text(encoding="utf-8"))
    return {
        name: Null(name, tuple(own["recipes"]), own["models"], tuple(sorted(own["scores"])))
        for name, own in stored.items()
    }


def plain() -> float:
    """From this score on two networks of a kind without a null are called derived: half-way from the highest threshold
    to 1."""
    return (1 + max(null.threshold for null in families().values())) / 2


def family_of(source: AnySource) -> str | None:
    """Which family's null a network is held against; None where there is none for its kind.

    Chains of linear layers are `mlp`, chains with convolutions `cnn`, other networks with convolutions `resnet`, those
    with an embedding and no convolution `lm`.
    """
    if isinstance(source, Source):
        kinds = {layer.kind for layer in source.stored.layers}
        return "cnn" if "conv" in kinds else "mlp" if kinds == {"linear"} else None
    shapes = [tensor.shape for tensor in source.architecture.tensors]
    if any(len(shape) == 4 for shape in shapes):
        return "resnet"
    names = source.network.names
    return "lm" if any("embed" in name or "wte" in name for name in names) else None
