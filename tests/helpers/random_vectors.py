"""Networks of vectors, drawn: dense layers, tied and factored weights, products, experts."""

from __future__ import annotations

import torch
from random_blocks import BLOCKS, ODDITIES, activation, dense, mixed
from random_steps import Builder, DrawnNetwork, Value
from torch import Tensor, nn

F = nn.functional


def tied(b: Builder, x: Value, axis: int) -> Value:
    """One weight, used straight and transposed."""
    width, inner = x.shape[axis], b.width()
    name = b.parameter(inner, width, kind="weight")
    h = b.step(f"linear({{}}, {name})", lambda net, value: F.linear(value, net.number(name)), x)
    h = activation(b, h, axis)
    return b.step(f"linear({{}}, {name}.t())", lambda net, value: F.linear(value, net.number(name).t()), h)


def low_rank(b: Builder, x: Value, axis: int) -> Value:
    """A linear layer whose weight is W + B A."""
    width, inner, rank = x.shape[axis], b.width(), b.rng.choice((1, 2))
    whole, up, down = (b.parameter(*s, kind="weight") for s in ((inner, width), (inner, rank), (rank, width)))

    def function(net: DrawnNetwork, value: Tensor) -> Tensor:
        return F.linear(value, net.number(whole) + net.number(up) @ net.number(down))

    return b.step(f"linear({{}}, {whole} + {up} @ {down})", function, x)


def low_rank_beside(b: Builder, x: Value, axis: int) -> Value:
    """The same, as libraries write it: two thin layers beside a whole one."""
    width, inner = x.shape[axis], b.width()
    whole = b.call(nn.Linear(width, inner), x)
    thin = b.call(nn.Linear(2, inner, bias=False), b.call(nn.Linear(width, 2, bias=False), x))
    return b.step("{} + 0.5 * {}", lambda net, one, other: one + 0.5 * other, whole, thin)


def normalised_weight(b: Builder, x: Value, axis: int) -> Value:
    """Weight normalisation: a gain times rows of norm one."""
    width, inner = x.shape[axis], b.width()
    weight, gain = b.parameter(inner, width, kind="weight"), b.parameter(inner, 1, kind="gain")

    def function(net: DrawnNetwork, value: Tensor) -> Tensor:
        rows = net.number(weight)
        return F.linear(value, net.number(gain) * rows / rows.norm(dim=1, keepdim=True))

    return b.step(f"linear({{}}, {gain} * {weight} / {weight}.norm(dim=1))", function, x)


def bilinear(b: Builder, x: Value, axis: int) -> Value:
    one, other = activation(b, dense(b, x, b.width(), axis), axis), dense(b, x, b.width(), axis)
    name = b.layer(nn.Bilinear(one.shape[axis], other.shape[axis], b.width()))
    return b.step(f"{name}({{}}, {{}})", lambda net, u, v: net.parts[name](u, v), one, other)


def contracted(b: Builder, x: Value, axis: int) -> Value:
    width, inner = x.shape[axis], b.width()
    name = b.parameter(width, inner, kind="weight")
    return b.step(
        f"einsum('...i,io->...o', {{}}, {name})",
        lambda net, value: torch.einsum("...i,io->...o", value, net.number(name)), x,
    )  # fmt: skip


def experts(b: Builder, x: Value, axis: int) -> Value:
    """Experts with gates over all of them, their weights in one tensor each."""
    width, inner, count = x.shape[axis], b.width(), b.rng.choice((2, 3))
    gates = b.step("softmax({}, -1)", lambda net, v: v.softmax(-1), b.call(nn.Linear(width, count), x))
    up, down = b.parameter(count, width, inner, kind="weight"), b.parameter(count, inner, width, kind="weight")
    top = b.chance(0.3)
    if top:

        def kept(net: DrawnNetwork, value: Tensor) -> Tensor:
            found = value.topk(min(2, count), -1)
            return torch.zeros_like(value).scatter(-1, found.indices, found.values)

        gates = b.step("topk({}, 2), zeros elsewhere", kept, gates)

    def function(net: DrawnNetwork, value: Tensor, gate: Tensor) -> Tensor:
        h = F.gelu(torch.einsum("...d,edf->...ef", value, net.number(up)))
        return torch.einsum("...ef,efd,...e->...d", h, net.number(down), gate)

    return b.step(f"sum over experts of {{1}} * gelu({{0}} @ {up}) @ {down}", function, x, gates)


def expert_layers(b: Builder, x: Value, axis: int) -> Value:
    """Experts as layers of their own, with gates over all of them."""
    width, inner, count = x.shape[axis], b.width(), b.rng.choice((2, 3))
    gates = b.step("softmax({}, -1)", lambda net, v: v.softmax(-1), b.call(nn.Linear(width, count), x))
    outs = []
    for _ in range(count):
        h = b.step("relu({})", lambda net, v: v.relu(), b.call(nn.Linear(width, inner), x))
        outs.append(b.call(nn.Linear(inner, width), h))

    def summed(net: DrawnNetwork, gate: Tensor, *values: Tensor) -> Tensor:
        total = gate[..., :1] * values[0]
        for k, value in enumerate(values[1:], 1):
            total = total + gate[..., k : k + 1] * value
        return total

    return b.step(
        "sum of {0}[..., k] * each of " + ", ".join(f"{{{k + 1}}}" for k in range(count)), summed, gates, *outs
    )


VECTOR_BLOCKS = (
    *BLOCKS,
    (1, tied),
    (0.3, low_rank),
    (0.7, low_rank_beside),
    (0.3, normalised_weight),
    (0.4, bilinear),
    (0.7, contracted),
    (0.4, experts),
    (0.7, expert_layers),
)


def vector_network(b: Builder) -> Value:
    x = b.input()
    x = mixed(b, x, 1) if b.chance(0.6) else dense(b, x, b.width(), 1)
    for _ in range(b.rng.randint(1, 4)):
        x = b.draw(ODDITIES if b.chance(0.08) else VECTOR_BLOCKS)(b, x, 1)
    return dense(b, x, b.rng.choice((2, 3)), 1)
