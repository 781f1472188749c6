"""The elements form a group, and it acts: identity, inverse, associativity, (g∘h)·U = g·(h·U)."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.symmetry import GroupElement, act

MakeArchitecture = Callable[..., Architecture]
RandomPoint = Callable[..., NetworkWeights]

# Powers of two: their products and quotients are exact, so that laws hold to the last bit.
DIAGONAL = st.builds(lambda power, sign: sign * 2.0**power, st.integers(-12, 12), st.sampled_from([1.0, -1.0]))


def elements(sizes: tuple[int, ...], batch: tuple[int, ...] = ()) -> st.SearchStrategy[GroupElement]:
    """Any element for groups of these sizes, one for each member of the batch."""
    members = torch.Size(batch).numel()

    def tensor(rows: list[list[float]], size: int, dtype: torch.dtype) -> Tensor:
        return torch.tensor(rows, dtype=dtype).reshape(*batch, size)

    def of_size(size: int) -> st.SearchStrategy[tuple[Tensor, Tensor]]:
        orders = st.lists(st.permutations(range(size)), min_size=members, max_size=members)
        diagonals = st.lists(st.lists(DIAGONAL, min_size=size, max_size=size), min_size=members, max_size=members)
        return st.tuples(
            orders.map(lambda rows: tensor(rows, size, torch.int64)),
            diagonals.map(lambda rows: tensor(rows, size, torch.float64)),
        )

    groups = st.tuples(*(of_size(size) for size in sizes))
    return groups.map(lambda pairs: GroupElement(tuple(p for p, _ in pairs), tuple(d for _, d in pairs)))


def assert_same(left: GroupElement, right: GroupElement) -> None:
    for mine, theirs in zip(left.permutations, right.permutations, strict=True):
        assert torch.equal(mine, theirs)
    for mine, theirs in zip(left.diagonals, right.diagonals, strict=True):
        assert torch.equal(mine, theirs)


SIZES = (8, 5)
ELEMENT = elements(SIZES)
fast = settings(max_examples=40, deadline=None)


@fast
@given(ELEMENT, ELEMENT, ELEMENT)
def test_composition_is_associative(f: GroupElement, g: GroupElement, h: GroupElement) -> None:
    assert_same(f.compose(g).compose(h), f.compose(g.compose(h)))


@fast
@given(ELEMENT)
def test_the_identity_is_neutral(g: GroupElement) -> None:
    identity = GroupElement.identity(SIZES)
    assert_same(g.compose(identity), g)
    assert_same(identity.compose(g), g)


@fast
@given(ELEMENT)
def test_the_inverse_undoes_from_both_sides(g: GroupElement) -> None:
    identity = GroupElement.identity(SIZES)
    assert_same(g.compose(g.inverse()), identity)
    assert_same(g.inverse().compose(g), identity)
    assert_same(g.inverse().inverse(), g)


@fast
@given(ELEMENT, ELEMENT)
def test_the_inverse_of_a_product_is_the_product_of_inverses_in_reverse(g: GroupElement, h: GroupElement) -> None:
    assert_same(g.compose(h).inverse(), h.inverse().compose(g.inverse()))


@fast
@given(elements(SIZES, (3,)), elements(SIZES, (3,)))
def test_a_batch_composes_member_by_member(g: GroupElement, h: GroupElement) -> None:
    def member(element: GroupElement, i: int) -> GroupElement:
        return GroupElement(tuple(p[i] for p in element.permutations), tuple(d[i] for d in element.diagonals))

    for i in range(3):
        assert_same(member(g.compose(h), i), member(g, i).compose(member(h, i)))
        assert_same(member(g.inverse(), i), member(g, i).inverse())


def assert_same_point(left: NetworkWeights, right: NetworkWeights) -> None:
    assert left.architecture == right.architecture
    assert left.tensors.keys() == right.tensors.keys()
    for name, tensor in left.tensors.items():
        assert torch.equal(tensor, right.tensors[name])


# Group sizes, by the architecture's name.
ARCHITECTURES = {"mlp": (8, 5), "conv1d": (4, 3), "conv2d": (4, 6), "conv3d": (6,), "convolutions": (4, 3)}


@pytest.mark.parametrize("name", ARCHITECTURES)
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_acting_twice_is_acting_by_the_product(
    name: str, architecture_of: MakeArchitecture, random_point: RandomPoint, data: st.DataObject
) -> None:
    g, h = data.draw(elements(ARCHITECTURES[name])), data.draw(elements(ARCHITECTURES[name]))
    point = random_point(architecture_of(name, "identity"))
    assert_same_point(act(g.compose(h), point), act(g, act(h, point)))


@pytest.mark.parametrize("name", ARCHITECTURES)
@settings(max_examples=15, deadline=None)
@given(st.data())
def test_the_inverse_takes_a_point_back(
    name: str, architecture_of: MakeArchitecture, random_point: RandomPoint, data: st.DataObject
) -> None:
    g = data.draw(elements(ARCHITECTURES[name]))
    point = random_point(architecture_of(name, "identity"))
    assert_same_point(act(g.inverse(), act(g, point)), point)
    assert_same_point(act(GroupElement.identity(ARCHITECTURES[name]), point), point)


def test_the_group_is_not_commutative() -> None:
    swap = GroupElement((torch.tensor([1, 0]),), (torch.ones(2, dtype=torch.float64),))
    double = GroupElement((torch.tensor([0, 1]),), (torch.tensor([2.0, 1.0], dtype=torch.float64),))
    assert double.compose(swap).diagonals[0].tolist() == [2.0, 1.0]
    assert swap.compose(double).diagonals[0].tolist() == [1.0, 2.0]
