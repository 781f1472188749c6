"""Sums over slices: by products of matrices what they are number by number, and no work twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nfn_cli.architectures.labels import Solutions, Use
from nfn_cli.symmetry.labelled import matrix_sums, slice_sums
from nfn_cli.symmetry.labelled.settled_scales import Settled
from nfn_cli.symmetry.labelled.slice_sums import moments

KINDS = ("squares", "sizes", "cubes")


def view_of(shape: tuple[int, ...], dtype: torch.dtype) -> tuple[torch.Tensor, Use]:
    """Numbers, and a use whose axes are not in the order of their strides."""
    numbers = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    stride = numbers.stride()
    return numbers, Use((shape[1], shape[0], *shape[2:]), (stride[1], stride[0], *stride[2:]), 0, ())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize(
    ("axes", "targets"),
    [
        (((0, 1), (2,)), ((0,), (2, 3))),
        (((0,), (1,), (3,)), ((0, 1), (3,))),
        (((0,),), ((), (1,), (2,))),
        (((0, 2), (3,)), ((1,), (3,))),
        (((0,), (3,)), ((0, 3), (1,))),
    ],
)
def test_sums_are_those_of_the_numbers(
    axes: tuple[tuple[int, ...], ...],
    targets: tuple[tuple[int, ...], ...],
    dtype: torch.dtype,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(matrix_sums, "CHUNK", 40)  # several boxes, the last of them smaller
    numbers, use = view_of((7, 3, 2, 5), dtype)
    draw = np.random.default_rng(0)
    factors = [draw.standard_normal([n if axis in own else 1 for axis, n in enumerate(use.shape)]) for own in axes]
    x = numbers.double().numpy().swapaxes(0, 1) * np.prod(np.broadcast_arrays(*factors), axis=0)
    found = moments(numbers, use, factors, targets, KINDS)
    assert set(found) == set(targets)
    for target, sums in found.items():
        others = tuple(axis for axis in range(4) if axis not in target)
        for kind, power in (("squares", x**2), ("sizes", np.abs(x) ** 3), ("cubes", x**3)):
            np.testing.assert_allclose(getattr(sums, kind), power.sum(others, keepdims=True), rtol=1e-11, atol=1e-12)


def test_factors_whose_third_powers_are_no_numbers() -> None:
    numbers, use = view_of((7, 3, 2, 5), torch.float64)
    factors = [np.full((1, 7, 1, 1), 2.0**380), np.full((3, 1, 1, 1), 2.0**-380)]
    found = moments(numbers, use, factors, ((0,),), KINDS)[0,]
    plain = moments(numbers, use, [], ((0,),), KINDS)[0,]
    np.testing.assert_allclose(found.sizes, plain.sizes, rtol=1e-12)


def test_what_was_not_asked_for_is_zero() -> None:
    numbers, use = view_of((7, 3, 2, 5), torch.float32)
    found = moments(numbers, use, [], ((1,),), ("squares",))[1,]
    assert found.squares.all()
    assert found.cubes.shape == found.sizes.shape == found.squares.shape
    assert not found.cubes.any()
    assert not found.sizes.any()


def test_matrices_are_summed_by_products(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(
        slice_sums, "matrix_sums", lambda *given: asked.append(given) or matrix_sums.matrix_sums(*given)
    )
    numbers, use = view_of((7, 3, 2, 5), torch.float32)
    moments(numbers, use, [], ((0,), (1,)), KINDS)
    assert len(asked) == 1


def test_sums_go_on_from_what_is_settled() -> None:
    every = np.arange(3, dtype=np.int32)
    settled = Settled(Solutions(3, 3, every, every, np.ones(3)), mod2=False)
    terms = ((1, np.array([0, 1], np.int32)), (1, np.array([1, 2], np.int32)))
    single = ((2, every),)
    for value, place in ((5.0, 0), (7.0, 2), (11.0, 1)):
        sums = settled.sums(single, 3)
        assert sums.open[place]
        settled.settle(sums, np.array([place]), np.array([2 * value]), np.ones(1))
        before = settled.sums(terms, 2)
    assert not before.open.any()
    np.testing.assert_allclose(before.constants, [16.0, 18.0])
    fresh = tuple((factor, variables.copy()) for factor, variables in terms)
    np.testing.assert_allclose(settled.sums(fresh, 2).constants, before.constants)
    assert settled.sums(terms, 2) is settled.sums(terms, 2)
