"""Small networks on labels, written by hand, with their functions and random weights."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from nfn_cli.architectures.labels import (
    NONE,
    Block,
    LabelledArchitecture,
    LabelledTensor,
    Role,
    Solutions,
    Stored,
    Use,
)

NO_ROWS = np.empty((0, 3), dtype=np.int32)


@dataclass(frozen=True)
class Network:
    """A network on labels, a point in its weight space, and what it computes there."""

    architecture: LabelledArchitecture
    state: dict[str, Tensor]
    run: Callable[[dict[str, Tensor]], list[Tensor]]


def numbers(start: int, *shape: int) -> NDArray[np.int32]:
    """Consecutive numbers in a shape."""
    return np.arange(start, start + math.prod(shape), dtype=np.int32).reshape(shape)


def each(free: NDArray[np.int32], variables: int, also: tuple[tuple[int, int, float], ...] = ()) -> Solutions:
    """Free variables by themselves, and further entries (variable, free one, coefficient)."""
    rows = np.concatenate([free.ravel(), np.array([row for row, _, _ in also], dtype=np.int32)]).astype(np.int32)
    columns = np.concatenate([np.arange(free.size), np.array([column for _, column, _ in also])]).astype(np.int32)
    coefficients = np.concatenate([np.ones(free.size), np.array([value for _, _, value in also])])
    return Solutions(variables, free.size, rows, columns, coefficients.astype(np.float64))


def whole(shape: tuple[int, ...], roles: tuple[Role, ...], scales: tuple = (), stored: tuple = ()) -> Use:
    """A use of a whole tensor in this shape."""
    stride = tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))
    return Use(shape, stride, 0, roles, scales, stored)


def draw(seed: int, **shapes: tuple[int, ...]) -> dict[str, Tensor]:
    """Standard normal numbers, float64."""
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}


def attention(heads: int = 3, size: int = 4, width: int = 5, *, own_label: bool = True) -> Network:
    """Fused queries, keys and values (3, heads, size, width), and an output projection: heads with two blocks in each.

    Args:
        own_label: whether a head has a label of its own, at a factor for each head.
    """
    n = heads * size
    match, value = numbers(0, heads, size), numbers(n, heads, size)
    head = numbers(2 * n, heads)
    labels = np.stack([match, match, value])[..., None]
    slots = np.broadcast_to(numbers(0, 3, 1, 1, 1), labels.shape).copy()
    # Query variable a and key −a in one array each: scales stand where their axis says.
    neither = 2 * n
    query_key = np.stack([match, np.full_like(match, neither), np.full_like(match, neither)])[..., None]
    minus = np.stack([np.full_like(match, neither), match, np.full_like(match, neither)])[..., None]
    values = np.stack([np.full_like(match, neither)] * 2 + [value])[..., None]
    qkv = whole((3, heads, size, width), (Role(labels, slots),), ((1, query_key), (-1, minus), (1, values)))
    out = whole((width, n), (Role(value.reshape(1, n)),), ((-1, value.reshape(1, n)),))
    tensors = [
        LabelledTensor(("qkv.weight",), (3 * n, width), (qkv,)),
        LabelledTensor(("out.weight",), (width, n), (out,)),
    ]
    if own_label:
        tensors.append(LabelledTensor(("factor",), (heads,), (whole((heads,), (Role(head),)),)))
    blocks = (
        Block("heads", None, heads, head[:, None] if own_label else np.empty((heads, 0), dtype=np.int32)),
        Block("heads.match", 0, size, match.reshape(-1, 1)),
        Block("heads.value", 0, size, value.reshape(-1, 1)),
    )
    free = each(numbers(0, 2 * n), 2 * n + 1)
    architecture = LabelledArchitecture(
        tuple(tensors), 2 * n + (heads if own_label else 0), 2 * n + 1, blocks, NO_ROWS, free, free
    )
    inputs = draw(1, x=(2, 6, width))["x"]

    def run(state: dict[str, Tensor]) -> list[Tensor]:
        q, k, v = (
            part.view(2, 6, heads, size).transpose(1, 2) for part in (inputs @ state["qkv.weight"].T).chunk(3, dim=-1)
        )
        mixed = F.scaled_dot_product_attention(q, k, v)
        if own_label:
            mixed = mixed * state["factor"][:, None, None]
        return [mixed.transpose(1, 2).flatten(2) @ state["out.weight"].T]

    state = draw(0, **{tensor.name: tensor.shape for tensor in tensors})
    return Network(architecture, state, run)


def batch_norm(epsilon: float = 1e-2, smallest: float = 1e-4) -> Network:
    """A linear layer, a BatchNorm in evaluation with its freedom c, and a layer that reads it; one tied with the first.

    c scales the first layer and the mean, c² the variance (stored without ε), and its sign the gain.
    """
    n, width = 6, 4
    neuron, gain = numbers(0, n), numbers(n, n)
    column = neuron[:, None]
    var = Use((n,), (1,), 0, (Role(neuron),), ((2, neuron),), (Stored("add", epsilon),))
    vector = LabelledTensor(("mean",), (n,), (whole((n,), (Role(neuron),), ((1, neuron),)),))
    architecture = LabelledArchitecture(
        (
            LabelledTensor(
                ("a.weight", "same.weight"), (n, width), (whole((n, width), (Role(column),), ((1, column),)),)
            ),
            vector,
            LabelledTensor(("var",), (n,), (var,)),
            LabelledTensor(("gain",), (n,), (whole((n,), (Role(neuron),), ((1, gain),)),)),
            LabelledTensor(("b.weight",), (3, n), (whole((3, n), (Role(neuron[None]),)),)),
        ),
        n,
        2 * n,
        (Block("a", None, n, column),),
        NO_ROWS,
        each(neuron, 2 * n),
        each(neuron, 2 * n, tuple((n + place, place, 1.0) for place in range(n))),
    )
    state = draw(3, **{name: tensor.shape for tensor in architecture.tensors for name in tensor.names})
    state["same.weight"] = state["a.weight"].clone()
    state["var"] = torch.logspace(math.log10(smallest), 0, n, dtype=torch.float64)
    inputs = draw(4, x=(7, width))["x"]

    def run(state: dict[str, Tensor]) -> list[Tensor]:
        hidden = inputs @ state["same.weight"].T - state["mean"]
        hidden = hidden / (state["var"] + epsilon).sqrt() * state["gain"]
        return [torch.tanh(hidden) @ state["b.weight"].T]

    return Network(architecture, state, run)


def grouped() -> Network:
    """Two convolutions, the second in groups: Sym(2) over groups, neurons in each; its entries move by pairs."""
    groups, reads, lists = 2, 3, 4
    first, second = numbers(0, groups, reads), numbers(groups * reads, groups, lists)
    pair = numbers(groups * (reads + lists), groups, lists, reads)
    determined = np.array(
        [(pair[g, o, i], second[g, o], first[g, i]) for g in range(groups) for o in range(lists) for i in range(reads)],
        dtype=np.int32,
    )
    column, row = first.reshape(-1, 1), second.reshape(1, -1)
    kernel = whole(
        (groups, lists, reads, 2),
        (Role(pair[..., None]),),
        ((1, second[:, :, None, None]), (-1, first[:, None, :, None])),
    )
    architecture = LabelledArchitecture(
        (
            LabelledTensor(("a",), (6, 5), (whole((6, 5), (Role(column),), ((1, column),)),)),
            LabelledTensor(("b",), (8, 3, 2), (kernel,)),
            LabelledTensor(("c",), (2, 8), (whole((2, 8), (Role(row),), ((-1, row),)),)),
        ),
        groups * (reads + lists + lists * reads),
        groups * (reads + lists),
        (
            Block("groups", None, groups, np.empty((groups, 0), dtype=np.int32)),
            Block("groups.first", 0, reads, column),
            Block("groups.second", 0, lists, second.reshape(-1, 1)),
        ),
        determined,
        each(numbers(0, groups * (reads + lists)), groups * (reads + lists)),
        each(np.empty(0, dtype=np.int32), groups * (reads + lists)),
    )
    inputs = draw(6, x=(3, 5, 4))["x"]

    def run(state: dict[str, Tensor]) -> list[Tensor]:
        hidden = torch.relu(F.conv1d(inputs, state["a"][..., None]))
        return [F.conv1d(torch.relu(F.conv1d(hidden, state["b"], groups=groups)), state["c"][..., None])]

    return Network(architecture, draw(5, a=(6, 5), b=(8, 3, 2), c=(2, 8)), run)


def rotary(groups: int = 2, queries: int = 3, size: int = 4, width: int = 5) -> Network:
    """Attention with grouped heads and rotary pairs (j, j + size/2): query heads and values in each key-value head.

    Entries of a query or a key stay in their places in the head. Columns of the output projection are of a query head
    and of a value, and so determined by the two.
    """
    pairs = size // 2
    key, query = numbers(0, groups), numbers(groups, groups, queries)
    value = numbers(groups + query.size, groups, size)
    column = numbers(int(value[-1, -1]) + 1, groups, queries, size)
    determined = np.array(
        [
            (column[g, r, j], query[g, r], value[g, j])
            for g in range(groups)
            for r in range(queries)
            for j in range(size)
        ],
        dtype=np.int32,
    )
    pair = np.tile(numbers(0, groups, pairs), 2)  # [groups, size]
    scale = numbers(groups * pairs, groups, size)
    count = groups * (pairs + size)

    def in_place(labels: NDArray[np.int32], shape: tuple[int, ...]) -> Role:
        wide = np.broadcast_to(labels[..., None], shape)[..., None].copy()
        return Role(wide, np.broadcast_to(numbers(0, size), shape)[..., None].copy())

    uses = {
        "q": whole(
            (groups, queries, size, width), (in_place(query, (groups, queries, size)),), ((1, pair[:, None, :, None]),)
        ),
        "k": whole((groups, size, width), (in_place(key, (groups, size)),), ((-1, pair[..., None]),)),
        "v": whole((groups, size, width), (Role(value[..., None]),), ((1, scale[..., None]),)),
        "o": whole((width, groups, queries, size), (Role(column[None]),), ((-1, scale[None, :, None]),)),
    }
    rows, columns = groups * size, groups * queries * size
    shapes = {"q": (columns, width), "k": (rows, width), "v": (rows, width), "o": (width, columns)}
    blocks = (
        Block("heads", None, groups, key[:, None]),
        Block("heads.queries", 0, queries, query.reshape(-1, 1)),
        Block("heads.values", 0, size, value.reshape(-1, 1)),
    )
    free = each(numbers(0, count), count)
    architecture = LabelledArchitecture(
        tuple(LabelledTensor((name,), shapes[name], (use,)) for name, use in uses.items()),
        int(column[-1, -1, -1]) + 1,
        count,
        blocks,
        determined,
        free,
        free,
    )
    inputs = draw(8, x=(2, 6, width))["x"]
    angle = torch.arange(6.0, dtype=torch.float64)[:, None] * torch.tensor([1.0, 0.1], dtype=torch.float64)

    def turned(heads: Tensor) -> Tensor:
        one, other = heads.chunk(2, dim=-1)
        return torch.cat([one * angle.cos() - other * angle.sin(), other * angle.cos() + one * angle.sin()], dim=-1)

    def run(state: dict[str, Tensor]) -> list[Tensor]:
        q, k, v = ((inputs @ state[name].T).unflatten(-1, (-1, size)).transpose(1, 2) for name in "qkv")
        k, v = (part.repeat_interleave(queries, dim=1) for part in (k, v))
        mixed = F.scaled_dot_product_attention(turned(q), turned(k), v)
        return [mixed.transpose(1, 2).flatten(2) @ state["o"].T]

    return Network(architecture, draw(7, **shapes), run)


def absent(shape: tuple[int, ...]) -> NDArray[np.int32]:
    """No labels at all."""
    return np.full(shape, NONE, dtype=np.int32)


NETWORKS: dict[str, Callable[[], Network]] = {
    "attention": attention,
    "attention without labels of heads": lambda: attention(own_label=False),
    "BatchNorm": batch_norm,
    "grouped convolution": grouped,
    "rotary attention": rotary,
}
