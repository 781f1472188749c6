"""What two networks of different shapes have in common, as two networks of one architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource


@dataclass(frozen=True)
class CommonPart:
    """Two networks of one architecture, cut out of A and B. Neither computes what the whole network computes.

    Attributes:
        reference, source: of A and of B: checkpoints in memory whose tensors are cut as they are read.
        layers: each layer's name in A and in B, in order; None where the other network has no such layer.
        assumed: what was taken for granted, in words.
        original: the name in A's file of each tensor of `reference`.
        ordered: names in A of layers whose neurons stand in one order in both parts because they were matched here.
            That they agree there shows nothing.
    """

    reference: AnySource
    source: AnySource
    layers: tuple[tuple[str | None, str | None], ...]
    assumed: str
    original: Mapping[str, str] = field(default_factory=dict)
    ordered: tuple[str, ...] = ()


@dataclass(frozen=True)
class Unmatched:
    """No common part was found.

    Attributes:
        cause: why, in words.
    """

    cause: str
