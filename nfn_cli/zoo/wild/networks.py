"""Draw networks as people build them: each family is one function that writes down its steps.

The last one is the recipe of the CNN Wild Park (Kofinas et al. 2024, *Graph Neural Networks for Learning Equivariant
Representations of Neural Networks*): convolutions of stride 1, an activation a layer, sums from earlier layers.
"""

from __future__ import annotations

import random
from collections.abc import Callable

from nfn_cli.zoo.wild.building import Steps

_ACTIVATIONS = ("relu", "relu", "relu", "tanh", "gelu", "leaky_relu", "silu", "elu", "sigmoid")
_WILD_PARK = ("relu", "gelu", "tanh", "sigmoid", "leaky_relu", "none")
Picture = tuple[int, int, int]


def _mlp(rng: random.Random, picture: Picture, classes: int) -> Steps:
    act, norm = rng.choice(_ACTIVATIONS), rng.choice(("none", "none", "batch", "layer"))
    rate = rng.choice((0.0, 0.0, 0.2, 0.5))
    depth, width = rng.randint(1, 4), rng.choice((16, 32, 64, 128, 256))
    layers, norms = rng.choice((("fc{}", "bn{}"), ("layers.{}", "norms.{}"), ("hidden{}", "norm{}")))
    steps = Steps(picture).op("flatten")
    for number in range(1, depth + 1):
        steps.linear(layers.format(number), width).norm(norm, norms.format(number)).act(act).dropout(rate)
        width = rng.choice((width, width, max(classes, width // 2)))
    return steps.linear(layers.format(depth + 1), classes)


def _lenet(rng: random.Random, picture: Picture, classes: int) -> Steps:
    act, pool = rng.choice(("relu", "relu", "tanh", "sigmoid")), rng.choice(("maxpool", "maxpool", "avgpool"))
    first, second = rng.choice(((6, 16), (10, 20), (8, 16), (16, 32), (20, 50)))
    kernel, hidden = rng.choice((3, 5)), rng.choice(((120, 84), (84,), (64,), (50,), (128,)))
    rate = rng.choice((0.0, 0.0, 0.25, 0.5))
    padding = None if picture[1] < 20 or rng.random() < 0.4 else 0
    steps = Steps(picture)
    steps.conv("conv1", first, kernel, padding=padding).act(act).pool(pool)
    steps.conv("conv2", second, kernel, padding=padding).act(act).pool(pool).op("flatten")
    for number, width in enumerate(hidden, 1):
        steps.linear(f"fc{number}", width).act(act).dropout(rate)
    return steps.linear(f"fc{len(hidden) + 1}", classes)


def _strided(rng: random.Random, picture: Picture, classes: int) -> Steps:
    act, norm = rng.choice(_ACTIVATIONS), rng.choice(("none", "none", "batch", "group"))
    depth, width = rng.randint(2, 4), rng.choice((8, 12, 16, 24, 32))
    kernel, grows = rng.choice((3, 3, 5)), rng.random() < 0.5
    rate = rng.choice((0.0, 0.0, 0.1, 0.3))
    steps = Steps(picture)
    for number in range(1, depth + 1):
        stride = 2 if min(steps.shape[1:]) > 3 else 1
        steps.conv(f"conv{number}", width, kernel, stride=stride, bias=norm == "none").norm(norm, f"bn{number}")
        steps.act(act).dropout(rate)
        width = min(64, 2 * width) if grows else width
    return steps.op("mean").linear("fc", classes)


def _pooled(rng: random.Random, picture: Picture, classes: int) -> Steps:
    act, pool = rng.choice(_ACTIVATIONS), rng.choice(("maxpool", "maxpool", "avgpool"))
    norm, depth = rng.choice(("none", "none", "batch")), rng.randint(2, 3)
    width, number = rng.choice((8, 16, 24, 32)), 0
    steps = Steps(picture)
    for _ in range(depth):
        steps.conv(f"features.{number}", width, 3, bias=norm == "none").norm(norm, f"features.{number + 1}")
        steps.act(act).pool(pool)
        number += 3 + (norm != "none")
        width = rng.choice((width, min(64, 2 * width)))
    rate = rng.choice((0.0, 0.25, 0.5))
    if rng.random() < 0.5:
        return steps.op("mean").dropout(rate).linear("classifier", classes)
    hidden = rng.choice((32, 64, 128))
    return steps.op("flatten").linear("classifier.0", hidden).act(act).dropout(rate).linear("classifier.3", classes)


def _vgg(rng: random.Random, picture: Picture, classes: int) -> Steps:
    norm, act = rng.choice(("batch", "batch", "none")), rng.choice(("relu", "relu", "relu", "leaky_relu", "gelu"))
    width, blocks = rng.choice((8, 12, 16, 24)), rng.randint(2, 3)
    number = 0
    steps = Steps(picture)
    for _ in range(blocks):
        for _ in range(rng.choice((1, 2, 2))):
            steps.conv(f"features.{number}", width, 3).norm(norm, f"features.{number + 1}").act(act)
            number += 2 + (norm != "none")
        steps.pool("maxpool")
        number += 1
        width = min(64, 2 * width)
    rate = rng.choice((0.0, 0.3, 0.5))
    if rng.random() < 0.5:
        return steps.op("mean").linear("classifier", classes)
    hidden = rng.choice((32, 64))
    return steps.op("flatten").linear("classifier.0", hidden).act(act).dropout(rate).linear("classifier.3", classes)


def _residual(rng: random.Random, picture: Picture, classes: int) -> Steps:
    """A CIFAR ResNet (He et al. 2016), before or after activation, with shortcuts of 1×1 convolutions."""
    width, blocks = rng.choice((8, 8, 12, 16)), rng.choice((1, 1, 2))
    before, stages = rng.random() < 0.3, rng.choice((2, 3))
    first = 2 if picture[1] > 16 and rng.random() < 0.5 else 1
    return _resnet(picture, classes, width=width, blocks=blocks, stages=stages, before=before, first=first)


def _resnet20(rng: random.Random, picture: Picture, classes: int) -> Steps:
    """ResNet-20 (He et al. 2016, section 4.2)."""
    return _resnet(picture, classes, width=16, blocks=3, stages=3, before=rng.random() < 0.3, first=1)


def _resnet(picture: Picture, classes: int, *, width: int, blocks: int, stages: int, before: bool, first: int) -> Steps:
    steps = Steps(picture).conv("conv1", width, 3, stride=first, bias=False)
    if not before:
        steps.norm("batch", "bn1").act("relu")
    for stage in range(1, stages + 1):
        for block in range(blocks):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            start = steps.place
            if before:
                steps.norm("batch", f"{name}.bn1").act("relu")
            shortcut = steps.place if before else start
            steps.conv(f"{name}.conv1", width, 3, stride=stride, bias=False)
            steps.norm("batch", f"{name}.bn2" if before else f"{name}.bn1").act("relu")
            steps.conv(f"{name}.conv2", width, 3, bias=False)
            if not before:
                steps.norm("batch", f"{name}.bn2")
            end = steps.place
            if stride > 1:
                steps.at(shortcut).conv(f"{name}.shortcut.0", width, 1, stride=stride, padding=0, bias=before)
                if not before:
                    steps.norm("batch", f"{name}.shortcut.1")
                start = steps.place
            steps.at(end).add(start)
            if not before:
                steps.act("relu")
        width *= 2
    if before:
        steps.norm("batch", "bn").act("relu")
    return steps.op("mean").linear("fc", classes)


def _wild_park(rng: random.Random, picture: Picture, classes: int) -> Steps:
    steps = Steps(picture)
    ends: list[int] = []
    for number in range(rng.randint(2, 8)):
        steps.conv(f"convs.{number}", rng.choice((4, 8, 16, 24, 32, 64)), rng.choice((3, 3, 5, 7)))
        if ends and rng.random() < 0.4:
            steps.add(rng.choice(ends))
        steps.act(rng.choice(_WILD_PARK))
        ends.append(steps.place)
    return steps.op("mean").linear("fc", classes)


FAMILIES: dict[str, Callable[[random.Random, Picture, int], Steps]] = {
    "mlp": _mlp,
    "lenet": _lenet,
    "strided": _strided,
    "pooled": _pooled,
    "vgg": _vgg,
    "residual": _residual,
    "wild-park": _wild_park,
}
# Drawn rarely, and only for networks that several runs share: a run takes a GPU.
LARGE_FAMILIES: dict[str, Callable[[random.Random, Picture, int], Steps]] = {"resnet20": _resnet20}


def draw_network(rng: random.Random, family: str, picture: Picture, classes: int) -> Steps:
    """A network of a family, for pictures (channels, height, width) of so many classes."""
    return (FAMILIES | LARGE_FAMILIES)[family](rng, picture, classes)
