"""The kinds of heads that classify implicit neural representations, by the name in `config.yaml`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nfn_cli.architectures import Architecture
from nfn_cli.nn.inr.coordinate_probe import CoordinateProbe, CoordinateProbeSizes
from nfn_cli.nn.sine.monomial_inr import MonomialInr, MonomialInrSizes

InrSizes = CoordinateProbeSizes | MonomialInrSizes
InrMember = CoordinateProbe | MonomialInr


@dataclass(frozen=True)
class InrKind:
    """A kind of head.

    Attributes:
        title: for people, with its source.
        sizes: the class of its sizes.
        make: a member from an architecture that the head reads, sizes, and the number of classes.
        epochs: passes over the training networks that a member is fitted with, where nothing else is said.
        rank: of two heads that read a network, the one of the lower rank is asked.
    """

    title: str
    sizes: type[InrSizes]
    make: Callable[[Architecture, Any, int], InrMember]
    epochs: int
    rank: int


INR_KINDS = {
    "coordinate-probe": InrKind(
        "Coordinate-Probe (values at learned places, and a convolutional network)",
        CoordinateProbeSizes,
        CoordinateProbe,
        epochs=10,
        rank=0,
    ),
    "monomial-inr": InrKind(
        "Monomial-NFN (arXiv 2409.11697, the sign group) with phases",
        MonomialInrSizes,
        MonomialInr,
        epochs=10,
        rank=1,
    ),
}


def inr_kind_of(sizes: InrSizes) -> str:
    """The name of the kind that has sizes of this class."""
    return next(name for name, kind in INR_KINDS.items() if type(sizes) is kind.sizes)


def inr_sizes(kind: str, *, side: int, channels: int | None, mirror: bool = False, messages: bool = False) -> InrSizes:
    """Sizes of a kind from what a command lets one choose; the others are the usual ones."""
    chosen: dict[str, Any] = {} if channels is None else {"channels": channels}
    if kind == "coordinate-probe":
        return CoordinateProbeSizes(side=side, mirror=mirror, **chosen)
    return MonomialInrSizes(messages=messages, **chosen)
