"""Quantiles of rows are those of torch, whoever sorts."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nfn_cli.nn.quantiles import row_quantiles

LEVELS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)


def matrices(count: int, dtype: torch.dtype) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(count)
    random = torch.randn(5, count, generator=generator, dtype=dtype)
    return {
        "random": random,
        "tied": random.round(),
        "constant": torch.full_like(random, -0.3),
        "huge": random * 1e30,
        "a transposed view": torch.randn(count, 5, generator=generator, dtype=dtype).T,
    }


@pytest.mark.parametrize("count", [1, 2, 3, 10, 16, 144, 2304])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("gradients", [False, True])
def test_quantiles_are_those_of_torch(count: int, dtype: torch.dtype, gradients: bool) -> None:
    levels = torch.tensor(LEVELS, dtype=torch.float64)
    for name, rows in matrices(count, dtype).items():
        given = rows.clone()
        found = row_quantiles(rows.requires_grad_(gradients), LEVELS)
        expected = torch.quantile(rows.double(), levels, dim=1).T
        assert found.dtype == dtype
        assert (found - expected).abs().max() <= 2 * torch.finfo(dtype).eps * rows.abs().max(), name
        assert torch.equal(rows, given), name


def test_gradients_pass() -> None:
    rows = torch.randn(3, 20, dtype=torch.float64, requires_grad=True)
    with torch.inference_mode():
        row_quantiles(rows, LEVELS)  # what is kept for later calls is not made for this mode alone
    assert torch.autograd.gradcheck(lambda values: row_quantiles(values, LEVELS), [rows])


def test_short_numbers_are_sorted_too() -> None:
    rows = torch.randn(3, 20).bfloat16()
    found = row_quantiles(rows, (0.0, 1.0))
    assert torch.equal(found, torch.stack([rows.amin(1), rows.amax(1)], dim=1))
