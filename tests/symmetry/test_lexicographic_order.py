"""The order of rows: entry by entry, equal ones told, rounding without a say."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.symmetry.lexicographic_order import lexicographic_order

TOLERANCE = 1e-9


@pytest.mark.parametrize(
    ("rows", "order", "tied"),
    [
        ([[3.0, 0.0], [1.0, 9.0], [2.0, 5.0]], [1, 2, 0], []),
        ([[1.0, 2.0], [1.0 + 1e-12, 1.0], [0.0, 7.0]], [2, 1, 0], []),
        ([[1.0, 2.0], [0.5, 0.0], [1.0, 2.0 - 1e-12]], [1, 0, 2], [[1, 2]]),
        ([[-0.0, 1.0], [0.0, 0.5]], [1, 0], []),
        ([[4.0]], [0], []),
    ],
    ids=["first entries differ", "second entries decide", "equal rows", "zeros are equal", "one row"],
)
def test_rows_ascend_and_equal_ones_are_told(rows: list[list[float]], order: list[int], tied: list[list[int]]) -> None:
    found, sets = lexicographic_order(torch.tensor(rows, dtype=torch.float64), TOLERANCE)
    assert found.tolist() == order
    assert [places.tolist() for places in sets] == tied


def test_no_rows_have_an_order_too() -> None:
    found, sets = lexicographic_order(torch.empty(0, 3, dtype=torch.float64), TOLERANCE)
    assert found.tolist() == [] and sets == []
