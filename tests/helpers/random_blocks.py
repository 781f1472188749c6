"""Blocks for any layout: activations, norms, residual additions, gates, concatenations, sharing, and rare oddities.

A layout is told by the axis of the channels: 1 for images, signals and vectors, −1 for tokens.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from random_steps import Builder, Value
from torch import Tensor, nn

F = nn.functional
ACTIVATIONS: tuple[tuple[float, tuple[str, Callable[[Tensor], Tensor]]], ...] = (
    (6, ("relu", torch.relu)),
    (1, ("leaky_relu", lambda x: F.leaky_relu(x, 0.1))),
    (1, ("relu6", F.relu6)),
    (3, ("gelu", F.gelu)),
    (3, ("silu", F.silu)),
    (3, ("tanh", torch.tanh)),
    (1, ("sin", torch.sin)),
    (1, ("sigmoid", torch.sigmoid)),
    (1, ("softplus", F.softplus)),
    (1, ("hardswish", F.hardswish)),
    (0.5, ("abs", torch.abs)),
)


def channels(x: Value, axis: int) -> int:
    return x.shape[axis]


def along(width: int, rank: int, axis: int) -> tuple[int, ...]:
    """The shape of a table over channels that broadcasts."""
    return (width,) if axis == -1 else (width, *[1] * (rank - 2))


def activation(b: Builder, x: Value, axis: int) -> Value:
    if b.chance(0.02):
        return b.call(nn.PReLU(b.rng.choice((1, x.shape[axis]))), x) if axis == 1 else b.call(nn.PReLU(), x)
    name, function = b.draw(ACTIVATIONS)
    return b.step(f"{name}({{}})", lambda net, value: function(value), x)


def dense(b: Builder, x: Value, width: int, axis: int) -> Value:
    """Channels mixed by a weight, whatever the layout."""
    bias, inputs = b.chance(0.7), channels(x, axis)
    if axis == -1 or len(x.shape) == 2:
        if b.chance(0.08):
            name = b.parameter(inputs, width, kind="weight")
            return b.step(f"{{}} @ {name}", lambda net, value: value @ net.number(name), x)
        return b.call(nn.Linear(inputs, width, bias=bias), x)
    kernel = b.rng.choice((1, 3))
    kind = nn.Conv1d if len(x.shape) == 3 else nn.Conv2d
    return b.call(kind(inputs, width, kernel, padding=kernel // 2, bias=bias), x)


def norm(b: Builder, x: Value, axis: int) -> Value:
    width, rank = channels(x, axis), len(x.shape)
    if axis == -1:
        if b.chance(0.6):
            return b.call(nn.LayerNorm(width, elementwise_affine=b.chance(0.9)), x)
        return root_mean_square(b, x)
    kinds: list[tuple[float, Callable[[], nn.Module]]] = []
    if rank == 2:
        kinds = [(3, lambda: nn.BatchNorm1d(width)), (2, lambda: nn.LayerNorm(width))]
    elif rank == 3:
        kinds = [(4, lambda: nn.BatchNorm1d(width)), (1, lambda: nn.InstanceNorm1d(width, affine=b.chance(0.5)))]
    else:
        kinds = [(5, lambda: nn.BatchNorm2d(width)), (1, lambda: nn.InstanceNorm2d(width, affine=b.chance(0.5)))]
        kinds.append((0.5, lambda: nn.LayerNorm([*x.shape[1:]])))
    kinds.append((1, lambda: nn.GroupNorm(b.rng.choice([g for g in (1, 2, width) if width % g == 0]), width)))
    return b.call(b.draw(kinds)(), x)


def root_mean_square(b: Builder, x: Value) -> Value:
    """RMSNorm as decoders write it, with a gain or one more than the table."""
    shift = b.chance(0.3)
    name = b.parameter(x.shape[-1], kind="table" if shift else "gain")
    scaled = b.step(
        "{0} * rsqrt({0}.pow(2).mean(-1, keepdim=True) + 1e-5)",
        lambda net, value: value * torch.rsqrt(value.pow(2).mean(-1, keepdim=True) + 1e-5), x,
    )  # fmt: skip
    if shift:
        return b.step(f"{{}} * (1 + {name})", lambda net, value: value * (1 + net.number(name)), scaled)
    return b.step(f"{name} * {{}}", lambda net, value: net.number(name) * value, scaled)


def branch(b: Builder, x: Value, axis: int, width: int | None = None) -> Value:
    """A small network from channels to channels: what residual blocks add."""
    own = channels(x, axis) if width is None else width
    h = norm(b, x, axis) if b.chance(0.5) else x
    h = activation(b, dense(b, h, b.width(), axis), axis)
    h = dense(b, h, own, axis)
    return norm(b, h, axis) if axis == 1 and b.chance(0.4) else h


def mixed(b: Builder, x: Value, axis: int) -> Value:
    h = dense(b, x, b.width(), axis)
    if b.chance(0.4):
        h = norm(b, h, axis)
    return activation(b, h, axis)


def residual(b: Builder, x: Value, axis: int) -> Value:
    return add(b, x, branch(b, x, axis))


def add(b: Builder, x: Value, y: Value) -> Value:
    return b.step("{} + {}", lambda net, one, other: one + other, x, y)


def residual_of_activated(b: Builder, x: Value, axis: int) -> Value:
    """h = f(x); h + g(h)."""
    h = activation(b, norm(b, x, axis), axis)
    return add(b, h, branch(b, h, axis))


def gated(b: Builder, x: Value, axis: int) -> Value:
    width = b.width()
    one, other = activation(b, dense(b, x, width, axis), axis), dense(b, x, width, axis)
    h = b.step("{} * {}", lambda net, first, second: first * second, one, other)
    h = dense(b, h, channels(x, axis), axis)
    return add(b, x, h) if b.chance(0.5) else h


def gated_by_halves(b: Builder, x: Value, axis: int) -> Value:
    """One dense layer, halved: x · sigmoid(gate), as `glu` has it."""
    h = dense(b, x, 2 * b.width(), axis)
    if b.chance(0.3):
        return b.step(f"glu({{}}, {axis})", lambda net, value: F.glu(value, axis), h)

    def halves(net: nn.Module, value: Tensor) -> Tensor:
        one, other = value.chunk(2, axis)
        return F.silu(one) * other

    return b.step(f"silu(a) * b of {{}}.chunk(2, {axis})", halves, h)


def concatenated(b: Builder, x: Value, axis: int) -> Value:
    y = activation(b, dense(b, x, b.width(), axis), axis)
    both = b.step(f"cat([{{}}, {{}}], {axis})", lambda net, one, other: torch.cat([one, other], axis), x, y)
    return mixed(b, both, axis)


def chunks_in_another_order(b: Builder, x: Value, axis: int) -> Value:
    h = activation(b, dense(b, x, 2 * b.width(), axis), axis)
    h = b.step(
        f"cat(reversed({{}}.chunk(2, {axis})), {axis})",
        lambda net, value: torch.cat(value.chunk(2, axis)[::-1], axis), h,
    )  # fmt: skip
    return dense(b, h, b.width(), axis)


def shared(b: Builder, x: Value, axis: int) -> Value:
    """A layer applied twice."""
    width = channels(x, axis)
    plain = axis == -1 or len(x.shape) == 2
    layer: nn.Module = nn.Linear(width, width)
    if not plain:
        layer = (nn.Conv1d if len(x.shape) == 3 else nn.Conv2d)(width, width, 3, padding=1)
    name = b.layer(layer)
    h = activation(b, b.again(name, x), axis)
    return activation(b, b.again(name, h), axis)


def scaled(b: Builder, x: Value, axis: int) -> Value:
    """A learned scale or shift of channels, or of all at once."""
    shape = along(channels(x, axis), len(x.shape), axis)
    gain = b.parameter(*(shape if b.chance(0.8) else ()), kind="gain")
    if b.chance(0.7):
        return b.step(f"{{}} * {gain}", lambda net, value: value * net.number(gain), x)
    shift = b.parameter(*shape, kind="shift")
    return b.step(f"{{}} * {gain} + {shift}", lambda net, v: v * net.number(gain) + net.number(shift), x)


def layer_scale(b: Builder, x: Value, axis: int) -> Value:
    gain = b.parameter(*along(channels(x, axis), len(x.shape), axis), kind="gain")
    h = b.step(f"{gain} * {{}}", lambda net, value: net.number(gain) * value, branch(b, x, axis))
    return add(b, x, h)


def dropped(b: Builder, x: Value, axis: int) -> Value:
    return b.call(nn.Dropout(0.3), mixed(b, x, axis))


BLOCKS = (
    (5, mixed),
    (4, residual),
    (1, residual_of_activated),
    (2, gated),
    (1, gated_by_halves),
    (1.5, concatenated),
    (0.7, chunks_in_another_order),
    (1, shared),
    (1, scaled),
    (1, layer_scale),
    (0.5, dropped),
)


# --- oddities ------------------------------------------------------------------------------------------------------


def plain_function(text: str, function: Callable[[Tensor, int], Tensor]) -> Callable[[Builder, Value, int], Value]:
    """A block that calls a function of a value and its channel axis."""

    def block(b: Builder, x: Value, axis: int) -> Value:
        return b.step(text.replace("AXIS", str(axis)), lambda net, value: function(value, axis), x)

    return block


def shuffled(b: Builder, x: Value, axis: int) -> Value:
    """Channels indexed by a constant permutation, alone or added to themselves."""
    order = list(range(channels(x, axis)))
    b.rng.shuffle(order)
    name, added = b.buffer(torch.tensor(order)), b.chance(0.5)

    def function(net: nn.Module, value: Tensor) -> Tensor:
        moved = value.index_select(axis, net.number(name))
        return value + moved if added else moved

    return b.step(f"{'{0} + ' if added else ''}{{0}}[channels {order}]", function, x)


def masked(b: Builder, x: Value, axis: int) -> Value:
    y = dense(b, x, channels(x, axis), axis)
    return b.step("({0} > 0) * {1}", lambda net, one, other: (one > 0) * other, x, y)


def divided(b: Builder, x: Value, axis: int) -> Value:
    y = dense(b, x, channels(x, axis), axis)
    return b.step("{0} / (1 + {1}.abs())", lambda net, one, other: one / (1 + other.abs()), x, y)


def by_a_constant(b: Builder, x: Value, axis: int) -> Value:
    table = b.buffer(torch.rand(along(channels(x, axis), len(x.shape), axis), dtype=torch.float64) + 0.5)
    if b.chance(0.5):
        return b.step(f"{{}} * {table}", lambda net, value: value * net.number(table), x)
    return b.step(f"{{}} + {table}", lambda net, value: value + net.number(table), x)


def scaled_by_positive(b: Builder, x: Value, axis: int) -> Value:
    name = b.parameter(*along(channels(x, axis), len(x.shape), axis))
    if b.chance(0.5):
        return b.step(f"{{}} * exp({name})", lambda net, value: value * net.number(name).exp(), x)
    return b.step(f"{{}} * softplus({name})", lambda net, value: value * F.softplus(net.number(name)), x)


ODDITIES = (
    (1.5, shuffled),
    (1, masked),
    (1, divided),
    (1.5, by_a_constant),
    (1, scaled_by_positive),
    (1, plain_function("{0} * {0}", lambda x, axis: x * x)),
    (0.7, plain_function("{0} ** 3", lambda x, axis: x**3)),
    (0.7, plain_function("{0}.roll(1, AXIS)", lambda x, axis: x.roll(1, axis))),
    (0.7, plain_function("{0}.flip(AXIS)", lambda x, axis: x.flip(axis))),
    (0.7, plain_function("{0} + {0}.flip(AXIS)", lambda x, axis: x + x.flip(axis))),
    (1, plain_function("softmax({0}, AXIS)", lambda x, axis: x.softmax(axis))),
    (0.4, plain_function("{0}.cumsum(AXIS)", lambda x, axis: x.cumsum(axis))),
    (0.7, plain_function("{0}.clamp(-0.5, 0.7)", lambda x, axis: x.clamp(-0.5, 0.7))),
    (0.7, plain_function("{0} - {0}.mean(AXIS)", lambda x, axis: x - x.mean(axis, keepdim=True))),
    (0.7, plain_function("normalize({0}, AXIS)", lambda x, axis: F.normalize(x, dim=axis))),
    (0.7, plain_function("{0} + 1", lambda x, axis: x + 1)),
    (0.5, plain_function("1 - {0}", lambda x, axis: 1 - x)),
    (0.5, plain_function("where({0} > 0, {0}, 0.1 {0})", lambda x, axis: torch.where(x > 0, x, 0.1 * x))),
    (0.5, plain_function("{0} * sigmoid({0})", lambda x, axis: x * torch.sigmoid(x))),
    (0.5, plain_function("{0} - amax({0}, AXIS)", lambda x, axis: x - x.amax(axis, keepdim=True))),
)  # fmt: skip
