"""The action on one tensor, of every kind of view, against entry after entry by hand; whatever the size of chunks."""

from __future__ import annotations

import importlib
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from labelled_networks import absent, numbers, whole
from torch import Tensor

from nfn_cli.architectures.labels import NONE, LabelledTensor, Role, Stored, Use
from nfn_cli.symmetry.labelled import Element, TensorAction, act_on_tensor

ACTION = importlib.import_module("nfn_cli.symmetry.labelled.action")


def by_hand(element: Element, tensor: LabelledTensor, old: Tensor) -> Tensor:
    """g·U as the definition says: entry e goes to entry σ(e), multiplied by what stands at e."""
    new = old.clone().flatten()
    flat = old.flatten()
    for use in tensor.uses:
        every = list(itertools.product(*(range(size) for size in use.shape)))

        def at(array: np.ndarray, entry: tuple[int, ...]) -> int:
            return int(array[tuple(place if size > 1 else 0 for place, size in zip(entry, array.shape, strict=True))])

        for entry in every:
            end = list(entry)
            for role in use.roles:
                label = at(role.labels, entry)
                if label == NONE:
                    continue
                axes = [axis for axis, size in enumerate(role.labels.shape) if size > 1]
                slots = np.zeros_like(role.labels) if role.slots is None else role.slots
                wanted = (element.goes[label], at(slots, entry))
                (found,) = [
                    place
                    for place in itertools.product(*(range(size) for size in role.labels.shape))
                    if (role.labels[place], slots[place]) == wanted
                ]
                for axis in axes:
                    end[axis] = found[axis]
            factor = 1.0
            for coefficient, variables in use.scales:
                variable = at(variables, entry)
                sign = -1.0 if element.signs[variable] and coefficient % 2 else 1.0
                factor *= sign * 2.0 ** (coefficient * element.logs[variable])
            start, stop = (use.offset + sum(np.multiply(place, use.stride)) for place in (entry, end))
            new[int(stop)] = flat[int(start)] * factor
    return new.view(old.shape)


@st.composite
def cases(draw: st.DrawFn) -> tuple[Element, LabelledTensor]:
    """A tensor, a view of it (split, turned, cut), and roles over one or several of its axes."""
    shape = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    stride = [int(np.prod(shape[axis + 1 :])) for axis in range(len(shape))]
    count = int(np.prod(shape))
    order = draw(st.permutations(range(len(shape))))
    shape, stride, offset = [shape[axis] for axis in order], [stride[axis] for axis in order], 0
    for axis, size in enumerate(shape):
        start = draw(st.integers(0, size - 1))
        step = draw(st.integers(1, 2))
        offset += start * stride[axis]
        shape[axis], stride[axis] = len(range(start, size, step)), stride[axis] * step
    rank = len(shape)
    owners = [draw(st.integers(0, 2)) for _ in range(rank)]  # 0: the axis stays
    roles, scales, goes, variables = [], [], [], 0
    for owner in (1, 2):
        own = [shape[axis] if owners[axis] == owner else 1 for axis in range(rank)]
        total = int(np.prod(own))
        if total == 1:
            continue
        kept = draw(st.integers(0, total))  # entries with a label; the others have none
        repeat = draw(st.sampled_from([1, 2])) if kept % 2 == 0 else 1
        places = np.array(draw(st.permutations(range(total))))[:kept]
        labels, slots = absent((total,)), np.zeros(total, dtype=np.int32)
        first = len(goes)
        labels[places] = first + np.arange(kept) // repeat
        slots[places] = np.arange(kept) % repeat
        goes += [first + place for place in draw(st.permutations(range(kept // repeat)))]
        roles.append(Role(labels.reshape(own), slots.reshape(own) if repeat > 1 else None))
        if draw(st.booleans()):
            scales.append((draw(st.sampled_from([-1, 1, 2])), numbers(variables, *own)))
            variables += total
    if draw(st.booleans()):  # scales along axes of several roles
        own = [size if draw(st.booleans()) else 1 for size in shape]
        scales.append((1, numbers(variables, *own)))
        variables += int(np.prod(own))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    element = Element(
        np.array(goes, dtype=np.int32), rng.integers(-3, 4, variables).astype(float), rng.random(variables) < 0.5
    )
    use = Use(tuple(shape), tuple(stride), offset, tuple(roles), tuple(scales))
    outer = draw(st.sampled_from([(count,), (1, count), (count, 1)]))
    return element, LabelledTensor(("x",), outer, (use,))


@settings(max_examples=80, deadline=None)
@given(case=cases(), chunk=st.sampled_from([1, 3, 7, 1 << 17]), dtype=st.sampled_from([torch.float64, torch.bfloat16]))
def test_every_view_moves_as_by_hand(case: tuple[Element, LabelledTensor], chunk: int, dtype: torch.dtype) -> None:
    element, tensor = case
    old = torch.arange(1, torch.Size(tensor.shape).numel() + 1).view(tensor.shape).to(dtype)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ACTION, "CHUNK", chunk)
        found = act_on_tensor(element, tensor, old)
    assert found.dtype == dtype and torch.equal(found, by_hand(element, tensor, old))


def swap(count: int) -> Element:
    return Element(numbers(0, count)[::-1].copy(), np.zeros(count), np.zeros(count, dtype=np.bool_))


@pytest.mark.parametrize("chunk", [1, 5, 8, 64, 1 << 17])
def test_fused_experts_move_in_chunks_smaller_than_a_row(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """[experts, out, neurons]: an expert's neurons move with it."""
    monkeypatch.setattr(ACTION, "CHUNK", chunk)
    experts, size, width = 3, 4, 5
    goes = np.array([4, 6, 7, 5, 9, 8, 10, 11, 2, 1, 3, 0], dtype=np.int32)
    neuron = numbers(0, experts, 1, size)
    row = numbers(0, 1, width, 1) + 12
    goes = np.concatenate([goes, np.array([13, 16, 12, 15, 14])]).astype(np.int32)
    generator = np.random.default_rng(0)
    element = Element(goes, generator.integers(-2, 3, 17).astype(float), generator.random(17) < 0.5)
    use = whole((experts, width, size), (Role(neuron), Role(row)), ((1, neuron), (-1, row)))
    tensor = LabelledTensor(("x",), (experts, width, size), (use,))
    old = torch.randn(experts, width, size, generator=torch.Generator().manual_seed(0))
    parts = list(TensorAction(tensor, element).rows(old))
    assert torch.equal(torch.cat(parts), by_hand(element, tensor, old))
    assert len(parts) == (1 if chunk > 20 * 2 else 3)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.int64, torch.complex64]
)
def test_a_permutation_keeps_every_bit(dtype: torch.dtype) -> None:
    tensor = LabelledTensor(("x",), (7, 3), (whole((7, 3), (Role(numbers(0, 7, 1)),)),))
    size = torch.empty(0, dtype=dtype).element_size()
    # Every bit there is, numbers that are none among them.
    old = torch.randint(0, 256, (7, 3 * size), generator=torch.Generator().manual_seed(0), dtype=torch.uint8).view(
        dtype
    )
    found = act_on_tensor(swap(7), tensor, old)
    assert torch.equal(found.view(torch.uint8), old.view(torch.uint8).flip(0))


def test_what_no_use_covers_stays() -> None:
    use = Use((2, 2), (4, 1), 5, (Role(numbers(0, 1, 2)),))
    tensor = LabelledTensor(("x",), (4, 4), (use,))
    old = torch.arange(16.0).view(4, 4)
    expected = old.clone()
    expected[1:3, 1:3] = old[1:3, 1:3].flip(1)
    assert torch.equal(act_on_tensor(swap(2), tensor, old), expected)


def test_a_tensor_that_is_stored_otherwise_is_scaled_as_it_is_used() -> None:
    cases = {
        (Stored("add", 1.0),): lambda w: 4 * (w + 1) - 1,
        (Stored("exp"), Stored("neg")): lambda w: w + 2 * np.log(2),
        (Stored("mul", 3.0), Stored("neg")): lambda w: 4 * w,
        (Stored("mul", 3.0), Stored("add", 1.0)): lambda w: (4 * (3 * w + 1) - 1) / 3,
    }
    old = torch.tensor([0.25, -0.5, 1e-30], dtype=torch.float64)
    element = Element(numbers(0, 0), np.array([2.0, 0.0]), np.zeros(2, dtype=np.bool_))
    variables = np.array([0, 0, 1], dtype=np.int32)
    for stored, expected in cases.items():
        tensor = LabelledTensor(("x",), (3,), (whole((3,), (), ((1, variables),), stored),))
        found = act_on_tensor(element, tensor, old)
        assert torch.allclose(found[:2], expected(old[:2]), rtol=1e-14), stored
        assert found[2] == old[2]  # not multiplied, so not even rounded


def test_factors_that_float64_does_not_hold_are_refused() -> None:
    # One is infinite and the other zero; together they are 1.
    use = whole((2, 2), (), ((1, numbers(0, 2, 1)), (-1, numbers(2, 1, 2))))
    element = Element(numbers(0, 0), np.full(4, 2_000.0), np.zeros(4, dtype=np.bool_))
    with pytest.raises(ValueError, match=r"'x': a factor beyond 2\^400"):
        act_on_tensor(element, LabelledTensor(("x",), (2, 2), (use,)), torch.ones(2, 2))


def test_a_sign_has_no_place_behind_a_logarithm() -> None:
    tensor = LabelledTensor(("x",), (1,), (whole((1,), (), ((1, numbers(0, 1)),), (Stored("exp"),)),))
    element = Element(numbers(0, 0), np.zeros(1), np.ones(1, dtype=np.bool_))
    with pytest.raises(ValueError, match="'x': a factor has no place"):
        act_on_tensor(element, tensor, torch.ones(1))


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (whole((3,), (Role(np.array([0, 1, 3], dtype=np.int32)),)), "taken out of the entries"),
        (whole((4,), (Role(np.array([0, 0, 3, 3], dtype=np.int32)),)), "one label and one slot"),
        (whole((2, 2), (Role(3 * numbers(0, 2, 1)), Role(numbers(0, 2, 2)))), "two roles speak of one axis"),
        (whole((2, 2), (Role(numbers(0, 3, 1)),)), "does not fit a view"),
        (whole((2, 2), (), ((1, numbers(0, 3, 1)),)), "do not fit a view"),
        (Use((2, 2), (1, 1), 0, ()), "overlaps itself"),
        (Use((2, 2), (2, 0), 0, ()), "overlaps itself"),
        (Use((2, 2), (4, 2), 0, ()), "reaches beyond"),
        (Use((2,), (1,), -1, ()), "reaches beyond"),
    ],
)
def test_a_use_that_is_none_of_the_tensor_is_refused(use: Use, message: str) -> None:
    count = int(np.prod(use.shape))
    with pytest.raises(ValueError, match=f"tensor 'x': .*{message}"):
        TensorAction(LabelledTensor(("x",), (count,), (use,)), swap(4))


def test_a_tensor_of_another_shape_or_kind_is_refused() -> None:
    tensor = LabelledTensor(("x",), (2,), (whole((2,), (), ((1, numbers(0, 2)),)),))
    element = Element(numbers(0, 0), np.ones(2), np.zeros(2, dtype=np.bool_))
    with pytest.raises(ValueError, match="'x': a shape of"):
        act_on_tensor(element, tensor, torch.ones(3))
    with pytest.raises(ValueError, match="'x': int8 cannot be multiplied"):
        act_on_tensor(element, tensor, torch.ones(2, dtype=torch.int8))
    twice = LabelledTensor(("x",), (2,), tensor.uses * 2)
    with pytest.raises(ValueError, match="'x': its views overlap"):
        act_on_tensor(element, twice, torch.ones(2))


def test_numbers_of_no_axes_and_tensors_that_are_not_contiguous_move() -> None:
    element = Element(numbers(0, 3)[::-1].copy(), np.ones(3), np.zeros(3, dtype=np.bool_))
    alone = LabelledTensor(("x",), (), (Use((), (), 0, (), ((1, np.array(0, dtype=np.int32)),)),))
    assert act_on_tensor(element, alone, torch.tensor(3.0)) == 6
    tensor = LabelledTensor(("x",), (3, 2), (whole((3, 2), (Role(numbers(0, 3, 1)),)),))
    old = torch.arange(6.0).view(2, 3).T
    assert torch.equal(act_on_tensor(element, tensor, old), old.flip(0))
    part = torch.arange(8.0)[2:].view(3, 2)
    assert torch.equal(act_on_tensor(element, tensor, part), part.flip(0))
