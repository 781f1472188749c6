"""What the checks act with is tried itself, on groups written by hand: no product code makes or moves them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from labelled_reference import order
from small_networks import Net, attended, batch, heads, mlp
from soundness import deviations
from torch import nn
from traced_group import Counts, TracedGroup

from nfn_cli.architectures.labels import Block, LabelledArchitecture, LabelledTensor, Role, Solutions, Stored, Use


def labels(*numbers: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.array(numbers, np.int32).reshape(shape)


def free(count: int, fixed: int = 0) -> Solutions:
    """Variables 0 … fixed − 1 are zero, each other one is free."""
    places = np.arange(count, dtype=np.int32)
    return Solutions(count + fixed, count, places + fixed, places, np.ones(count))


def whole(shape: tuple[int, ...], *roles: Role, scales=(), stored=()) -> Use:
    stride = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    return Use(shape, stride, 0, tuple(roles), tuple(scales), tuple(stored))


def chain() -> tuple[TracedGroup, nn.Module]:
    """A ReLU chain 2-3-1: labels and scale variables 0, 1, 2."""
    module = mlp("", torch.relu, 2, 3, 1).module
    rows, columns = labels(0, 1, 2, shape=(3, 1)), labels(0, 1, 2, shape=(1, 3))
    tensors = (
        LabelledTensor(("l0.weight",), (3, 2), (whole((3, 2), Role(rows), scales=[(1, rows)]),)),
        LabelledTensor(("l0.bias",), (3,), (whole((3,), Role(rows[:, 0]), scales=[(1, rows[:, 0])]),)),
        LabelledTensor(("l1.weight",), (1, 3), (whole((1, 3), Role(columns), scales=[(-1, columns)]),)),
    )
    blocks = (Block("l0", None, 3, rows),)
    signs = Solutions(3, 0, *[np.zeros(0, np.int32)] * 2, np.zeros(0))
    traced = LabelledArchitecture(tensors, 3, 3, blocks, np.zeros((0, 3), np.int32), free(3), signs)
    return TracedGroup(traced, dict(module.state_dict())), module


def test_a_chain_is_kept() -> None:
    torch.manual_seed(0)
    group, module = chain()
    assert group.counts == Counts(6, 3, 0)
    found = deviations(module, batch(8, 2), group, samples=4)
    assert max(found.values()) < 1e-12, found
    moved = group.sample(1)
    assert not torch.equal(moved["l0.weight"], group.state["l0.weight"])


def test_a_wrong_group_is_seen() -> None:
    """The same with the columns of the second layer left alone."""
    torch.manual_seed(0)
    group, module = chain()
    traced = group.traced
    wrong = LabelledArchitecture(traced.tensors[:2], 3, 3, traced.blocks, traced.determined, traced.logs, traced.signs)
    found = deviations(module, batch(8, 2), TracedGroup(wrong, group.state))
    assert found["permutations"] > 1e-3 and found["scales"] > 1e-3


def test_heads_with_their_dimensions_are_kept() -> None:
    """Two heads of two: labels 0, 1 the heads, 2 … 5 their values' dimensions; determined 6 … 9: heads by queries'.

    Queries and keys are moved by whole heads only; slots are their dimensions.
    """
    torch.manual_seed(0)
    module = Net(
        lambda net, x: net.o(attended(heads(net.q(x), 2), heads(net.k(x), 2), heads(net.v(x), 2))),
        q=nn.Linear(2, 4, bias=False), k=nn.Linear(2, 4, bias=False), v=nn.Linear(2, 4, bias=False),
        o=nn.Linear(4, 2, bias=False),
    )  # fmt: skip
    by_head = Role(labels(0, 0, 1, 1, shape=(4, 1)), labels(0, 1, 0, 1, shape=(4, 1)))
    values = labels(2, 3, 4, 5, shape=(4, 1))
    scale = labels(0, 1, 2, 3, shape=(4, 1))
    tensors = (
        *(LabelledTensor((name,), (4, 2), (whole((4, 2), by_head),)) for name in ("q.weight", "k.weight")),
        LabelledTensor(("v.weight",), (4, 2), (whole((4, 2), Role(values), scales=[(1, scale)]),)),
        LabelledTensor(("o.weight",), (2, 4), (whole((2, 4), Role(values.T), scales=[(-1, scale.T)]),)),
    )
    blocks = (
        Block("heads", None, 2, labels(0, 1, shape=(2, 1))),
        Block("values", 0, 2, labels(2, 3, 4, 5, shape=(4, 1))),
    )
    # Label 6 + 2 h + d goes where head h and dimension d go; nothing reads them here but the check of bijections.
    determined = np.array([[6 + k, k // 2, 2 + k] for k in range(4)], np.int32)
    traced = LabelledArchitecture(tensors, 10, 4, blocks, determined, free(4), free(4))
    assert order(traced) == 2 * 2 * 2
    found = deviations(module, batch(3, 4, 2), TracedGroup(traced, dict(module.state_dict())), samples=6)
    assert max(found.values()) < 1e-12, found


@pytest.mark.parametrize("stored", [Stored("add", 1.0), Stored("exp"), Stored("neg")])
def test_what_is_stored_is_not_what_is_scaled(stored: Stored) -> None:
    """A gain behind a function of the stored number."""
    function = {"add": lambda x: 1 + x, "exp": torch.exp, "neg": torch.neg}[stored.kind]
    module = Net(
        lambda net, x: net.b(torch.tanh(net.a(x)) * function(net.g)),
        a=nn.Linear(2, 3), g=nn.Parameter(torch.randn(3, dtype=torch.float64)), b=nn.Linear(3, 1, bias=False),
    )  # fmt: skip
    row = labels(0, 1, 2, shape=(3,))
    tensors = (
        LabelledTensor(("g",), (3,), (whole((3,), Role(row), scales=[(1, row)], stored=[stored]),)),
        LabelledTensor(("b.weight",), (1, 3), (whole((1, 3), Role(row[None]), scales=[(-1, row[None])]),)),
        LabelledTensor(("a.weight",), (3, 2), (whole((3, 2), Role(row[:, None])),)),
        LabelledTensor(("a.bias",), (3,), (whole((3,), Role(row)),)),
    )
    none = Solutions(3, 0, *[np.zeros(0, np.int32)] * 2, np.zeros(0))
    blocks = (Block("a", None, 3, row[:, None]),)
    traced = LabelledArchitecture(tensors, 3, 3, blocks, np.zeros((0, 3), np.int32), free(3), none)
    found = deviations(module, batch(8, 2), TracedGroup(traced, dict(module.state_dict())))
    assert max(found.values()) < 1e-12, found
