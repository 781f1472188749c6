"""Layers in order: which are new, gone, replaced or copied, and where it is not clear."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.symmetry.kinship.shapes.ordered_layers import Ordered, ordered_layers
from nfn_cli.symmetry.kinship.shapes.part import Unmatched


@pytest.mark.parametrize(
    ("similarity", "pairs"),
    [
        ([[0.9, 0.0], [0.0, 0.1], [0.1, 0.8]], [(0, 0), (1, None), (2, 1)]),
        ([[0.9, 0.0, 0.2], [0.1, 0.2, 0.8]], [(0, 0), (None, 1), (1, 2)]),
        # As many unlike layers on both sides were replaced; at an end other numbers were not.
        ([[0.9, 0, 0, 0], [0, 0, 0, 0.1], [0, 0, 0.9, 0]], [(0, 0), (1, 1), (2, 2), (None, 3)]),
        ([[0.0, 0.9, 0.0], [0.1, 0.0, 0.9]], [(None, 0), (0, 1), (1, 2)]),
        ([[0.7]], [(0, 0)]),
    ],
)
def test_pairs(similarity: list[list[float]], pairs: list[tuple[int | None, int | None]]) -> None:
    found = ordered_layers(torch.tensor(similarity))
    assert isinstance(found, Ordered)
    assert list(found.pairs) == pairs
    assert found.twins == ()


def test_of_two_copies_the_more_similar_one_is_taken() -> None:
    found = ordered_layers(torch.tensor([[0.95, 0.1, 0.1, 0.0], [0.1, 0.93, 0.95, 0.1], [0.0, 0.1, 0.1, 0.95]]))
    assert isinstance(found, Ordered)
    assert found.pairs == ((0, 0), (None, 1), (1, 2), (2, 3))
    assert found.twins == ((1, 1),)


def test_a_stack_that_was_repeated() -> None:
    """Layers 0 1 2 3 became 0 1 2 1 2 3: each copy is one layer's, so any of them will do."""
    own = torch.eye(4) * 0.8 + 0.1
    found = ordered_layers(own[:, [0, 1, 2, 1, 2, 3]])
    assert isinstance(found, Ordered)
    assert [one for one, two in found.pairs if one is not None and two is not None] == [0, 1, 2, 3]
    assert found.twins


@pytest.mark.parametrize(
    ("similarity", "cause"),
    [
        ([[0.1, 0.2, 0.1], [0.0, 0.1, 0.2]], "no layer of the one is like a layer of the other"),
        ([[0.4, 0.0, 0.0], [0.0, 0.1, 0.0]], "too few layers of the one"),
        ([[0.9, 0.9, 0.9], [0.9, 0.9, 0.9]], "other pairs are as likely"),
        ([[0.9, 0.0, 0.0], [0.0, 0.0, 0.32]], "it may have none"),
    ],
)
def test_unclear(similarity: list[list[float]], cause: str) -> None:
    found = ordered_layers(torch.tensor(similarity))
    assert isinstance(found, Unmatched)
    assert cause in found.cause
