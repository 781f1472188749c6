"""The doubly balanced form of a matrix of weights."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.nn.any_classifier.balanced_form import balanced


@pytest.mark.parametrize("shape", [(5, 7), (4, 3, 3, 3), (1, 6), (6, 1, 5, 5), (2, 3, 4)])
def test_scales_of_rows_and_columns_cancel(shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(0)
    weight = torch.randn(shape, generator=generator).double()
    rows = 10 ** torch.empty(shape[0]).double().uniform_(-4, 4, generator=generator)
    columns = 10 ** torch.empty(shape[1]).double().uniform_(-4, 4, generator=generator)
    rest = [1] * (len(shape) - 2)
    scaled = weight * rows.view(-1, 1, *rest) * columns.view(1, -1, *rest)
    torch.testing.assert_close(balanced(scaled), balanced(weight), rtol=1e-7, atol=1e-7)


def test_rows_and_columns_have_mean_square_one() -> None:
    squares = balanced(torch.randn(6, 9, 3, 3, generator=torch.Generator().manual_seed(1))).square().flatten(2).sum(2)
    torch.testing.assert_close(squares.mean(1) / 9, torch.ones(6).double(), rtol=1e-6, atol=0)
    torch.testing.assert_close(squares.mean(0) / 9, torch.ones(9).double(), rtol=1e-6, atol=0)


def test_signs_and_orders_act_on_it_as_on_the_matrix() -> None:
    generator = torch.Generator().manual_seed(2)
    weight = torch.randn(5, 4, generator=generator)
    order, signs = torch.tensor([3, 0, 4, 1, 2]), torch.tensor([1.0, -1.0, 1.0, -1.0, -1.0])
    moved = weight[order] * signs[:, None]
    torch.testing.assert_close(balanced(moved), balanced(weight)[order] * signs[:, None].double())


def test_rows_and_columns_of_zeros_stay_zeros() -> None:
    weight = torch.randn(5, 4, generator=torch.Generator().manual_seed(3))
    weight[2], weight[:, 1] = 0, 0
    form = balanced(weight)
    assert not form[2].any() and not form[:, 1].any()
    kept = [0, 1, 3, 4]
    torch.testing.assert_close(form[kept][:, [0, 2, 3]], balanced(weight[kept][:, [0, 2, 3]]))
    assert not balanced(torch.zeros(2, 3)).any()
