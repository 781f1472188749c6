"""Matrices between arrays of coordinates: exact on one orbit, near under noise."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.symmetry.labelled.gauges.procrustes import matrix_between, numbers_between, rotation_between


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_rotation_is_found() -> None:
    a, rotation = draw(6, 40), torch.linalg.qr(draw(6, 6, seed=1))[0]
    b = rotation.T @ a
    torch.testing.assert_close(rotation_between(a @ b.T, levelled=False), rotation)


def test_a_rotation_that_fixes_the_ones_is_found_and_fixes_them() -> None:
    ones = torch.ones(6, 1, dtype=torch.float64)
    basis = torch.linalg.qr(torch.cat([ones, draw(6, 5)], 1))[0]
    rotation = basis @ torch.block_diag(torch.ones(1, 1, dtype=torch.float64), torch.linalg.qr(draw(5, 5))[0]) @ basis.T
    a = draw(6, 40)
    torch.testing.assert_close(rotation_between(a @ (rotation.T @ a).T, levelled=True), rotation)
    other = rotation_between(a @ draw(6, 40, seed=2).T, levelled=True)
    torch.testing.assert_close(other @ ones, ones)
    torch.testing.assert_close(other @ other.T, torch.eye(6, dtype=torch.float64))


def test_an_invertible_matrix_is_found() -> None:
    made, read, matrix = draw(4, 30), draw(4, 20, seed=1), draw(4, 4, seed=2)
    inverse = torch.linalg.inv(matrix)
    found = matrix_between(inverse @ made, matrix.T @ read, made, read)
    assert found is not None
    torch.testing.assert_close(found, matrix)


def test_noise_shrinks_nothing() -> None:
    made, read = draw(4, 3000), draw(4, 3000, seed=1)
    noisy = made + draw(4, 3000, seed=2), read + draw(4, 3000, seed=3)
    found = matrix_between(*noisy, made, read)
    assert found is not None
    torch.testing.assert_close(found, torch.eye(4, dtype=torch.float64), atol=0.1, rtol=0)


def test_a_space_that_is_not_filled_is_left_alone() -> None:
    flat = draw(4, 1) @ draw(1, 30, seed=1)
    assert matrix_between(flat, draw(4, 30), flat, draw(4, 30)) is None


def test_complex_numbers_of_pairs_are_found() -> None:
    queries, keys = (torch.complex(draw(3, 20, seed=own), draw(3, 20, seed=own + 1)) for own in (0, 2))
    numbers = torch.polar(torch.tensor([0.3, 1.0, 4.0]).double(), torch.tensor([2.0, -1.0, 0.5]).double())[:, None]
    ours = queries / numbers, keys * numbers.conj()
    torch.testing.assert_close(numbers_between(ours, (queries, keys)), numbers[:, 0])
