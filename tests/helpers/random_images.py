"""Convolutional networks, drawn: images and signals, from a stem to a head."""

from __future__ import annotations

import torch
from random_blocks import BLOCKS, ODDITIES, activation, add, concatenated, dense, mixed, norm
from random_steps import Builder, Value
from torch import Tensor, nn

F = nn.functional


def depthwise(b: Builder, x: Value, axis: int) -> Value:
    """Expanded, filtered channel by channel, projected; with squeeze and excitation at times."""
    width = b.width()
    h = activation(b, dense(b, x, width, 1), 1)
    kind = nn.Conv1d if len(x.shape) == 3 else nn.Conv2d
    h = b.call(kind(width, width, 3, padding=1, groups=width, bias=b.chance(0.5)), h)
    h = activation(b, norm(b, h, 1) if b.chance(0.6) else h, 1)
    if b.chance(0.5):
        h = excited(b, h, 1)
    h = dense(b, h, x.shape[1], 1)
    return add(b, x, h) if b.chance(0.6) else h


def excited(b: Builder, x: Value, axis: int) -> Value:
    """A channel gate: pooled, two dense layers, sigmoid, times the channels."""
    axes, width = tuple(range(2, len(x.shape))), x.shape[1]
    pooled = b.step(f"{{}}.mean({axes}, keepdim=True)", lambda net, value: value.mean(axes, keepdim=True), x)
    kind = nn.Conv1d if len(x.shape) == 3 else nn.Conv2d
    h = activation(b, b.call(kind(width, b.width(), 1), pooled), 1)
    h = b.call(kind(h.shape[1], width, 1), h)
    return b.step("{} * sigmoid({})", lambda net, value, gate: value * torch.sigmoid(gate), x, h)


def grouped(b: Builder, x: Value, axis: int) -> Value:
    groups, each = 2, b.rng.choice((1, 2, 3))
    h = activation(b, dense(b, x, groups * each, 1), 1)
    kind = nn.Conv1d if len(x.shape) == 3 else nn.Conv2d
    h = b.call(kind(groups * each, groups * b.rng.choice((1, 2)), 3, padding=1, groups=groups), h)
    return mixed(b, activation(b, h, 1), 1)


def pooled(b: Builder, x: Value, axis: int) -> Value:
    if x.shape[-1] < 4:
        return mixed(b, x, 1)
    signal = len(x.shape) == 3
    kinds = (nn.MaxPool1d, nn.AvgPool1d) if signal else (nn.MaxPool2d, nn.AvgPool2d)
    return b.call(b.rng.choice(kinds)(2), x)


def strided(b: Builder, x: Value, axis: int) -> Value:
    if x.shape[-1] < 4:
        return mixed(b, x, 1)
    kind = nn.Conv1d if len(x.shape) == 3 else nn.Conv2d
    return activation(b, b.call(kind(x.shape[1], b.width(), 3, stride=2, padding=1), x), 1)


def down_and_up(b: Builder, x: Value, axis: int) -> Value:
    """A level of a U-Net."""
    if x.shape[-1] % 2 or x.shape[-1] < 4:
        return mixed(b, x, 1)
    signal = len(x.shape) == 3
    low = mixed(b, b.call((nn.MaxPool1d if signal else nn.MaxPool2d)(2), x), 1)
    if b.chance(0.5):
        up = b.call((nn.ConvTranspose1d if signal else nn.ConvTranspose2d)(low.shape[1], b.width(), 2, 2), low)
    else:
        up = b.step("interpolate({}, scale_factor=2)", lambda net, value: F.interpolate(value, scale_factor=2), low)
    both = b.step("cat([{}, {}], 1)", lambda net, one, other: torch.cat([one, other], 1), up, x)
    return mixed(b, both, 1)


def shortcut_by_padding(b: Builder, x: Value, axis: int) -> Value:
    """The shortcut of option A: every second pixel, channels padded with zeros."""
    if x.shape[-1] < 4 or len(x.shape) != 4:
        return mixed(b, x, 1)
    width, more = x.shape[1], b.rng.choice((1, 2))
    h = b.call(nn.Conv2d(width, width + 2 * more, 3, 2, 1, bias=False), x)
    h = b.call(nn.BatchNorm2d(width + 2 * more), h)

    def padded(net: nn.Module, value: Tensor, other: Tensor) -> Tensor:
        return F.pad(value[:, :, ::2, ::2], (0, 0, 0, 0, more, more)) + other

    return b.step(f"pad({{}}[:, :, ::2, ::2], {more} channels on both sides) + {{}}", padded, x, h)


def moved_in_space(b: Builder, x: Value, axis: int) -> Value:
    if b.chance(0.5):
        return b.step("{}.roll(1, -1)", lambda net, value: value.roll(1, -1), x)
    return b.step("{0} + {0}.flip(-1)", lambda net, value: value + value.flip(-1), x)


def channel_shuffle(b: Builder, x: Value, axis: int) -> Value:
    """As ShuffleNet has it."""
    if x.shape[1] % 2:
        return mixed(b, x, 1)
    return b.step(
        "{}.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2)",
        lambda net, value: value.unflatten(1, (2, -1)).transpose(1, 2).flatten(1, 2), x,
    )  # fmt: skip


def position_table(b: Builder, x: Value, axis: int) -> Value:
    name = b.parameter(*x.shape[1:])
    return b.step(f"{{}} + {name}", lambda net, value: value + net.number(name), x)


IMAGE_BLOCKS = (
    *BLOCKS,
    (2, depthwise),
    (1, excited),
    (1, grouped),
    (1.5, pooled),
    (1.5, strided),
    (1, down_and_up),
    (0.7, shortcut_by_padding),
    (0.3, position_table),
)
IMAGE_ODDITIES = (*ODDITIES, (3, moved_in_space), (2, channel_shuffle))


def head(b: Builder, x: Value) -> Value:
    """Channels to a vector: pooled or flattened, and a last layer."""
    axes = tuple(range(2, len(x.shape)))
    kind = b.draw(((3, "mean"), (2, "flatten"), (1, "pool"), (1, "max"), (0.5, "conv")))
    if kind == "conv":
        return b.call((nn.Conv1d if len(axes) == 1 else nn.Conv2d)(x.shape[1], 2, 1), x)
    if kind == "mean":
        x = b.step(f"{{}}.mean({axes})", lambda net, value: value.mean(axes), x)
    elif kind == "max":
        x = b.step(f"{{}}.amax({axes})", lambda net, value: value.amax(axes), x)
    else:
        if kind == "pool":
            x = b.call((nn.AdaptiveAvgPool1d if len(axes) == 1 else nn.AdaptiveAvgPool2d)(2), x)
        x = b.step("{}.flatten(1)", lambda net, value: value.flatten(1), x)
    if b.chance(0.3):
        x = mixed(b, x, 1)
    return b.call(nn.Linear(x.shape[1], b.rng.choice((2, 3))), x)


def image_network(b: Builder) -> Value:
    x = activation(b, dense(b, b.input(), b.width(), 1), 1)
    for _ in range(b.rng.randint(1, 3)):
        x = b.draw(IMAGE_ODDITIES if b.chance(0.08) else IMAGE_BLOCKS)(b, x, 1)
    return head(b, x)


__all__ = ["concatenated", "image_network"]
