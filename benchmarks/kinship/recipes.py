"""Recipes of networks that are trained apart: those the null is read off, and others to check it with.

Members of a recipe are alike but for the seed of their first weights: architecture, data, order of data, optimizer.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from networks import Cnn, Mlp, ResNet, gpt2, llama
from tasks import Pictures
from torch import nn
from training import Training

# Makes an untrained network for pictures like those given; language models need none.
Build = Callable[[Pictures | None], nn.Module]


@dataclass(frozen=True)
class Recipe:
    """What members of a recipe share.

    Attributes:
        family: of networks, as the null is kept: mlp, cnn, resnet or lm.
        part: "null", or "fresh" where the null is not read off.
        count: of networks.
        other: whether they are trained on the second set of pictures, where two are given.
    """

    name: str
    family: str
    part: str
    count: int
    build: Build
    training: Training
    other: bool = False


def mlp(*hidden: int) -> Build:
    """A perceptron with these hidden layers."""

    def build(task: Pictures | None) -> nn.Module:
        assert task is not None
        return Mlp((task.pictures[0].numel(), *hidden, task.classes))

    return build


def cnn(*widths: int) -> Build:
    """A CNN with convolutions of these widths."""

    def build(task: Pictures | None) -> nn.Module:
        assert task is not None
        return Cnn(task.pictures.shape[1], widths, task.classes)

    return build


def resnet(widths: tuple[int, ...], blocks: tuple[int, ...] = (1, 1, 1)) -> Build:
    """A ResNet with stages of these widths and numbers of blocks."""

    def build(task: Pictures | None) -> nn.Module:
        assert task is not None
        return ResNet(task.pictures.shape[1], widths, blocks, task.classes)

    return build


def language(kind: Callable[..., nn.Module], *sizes: int, **more: int | bool) -> Build:
    """A language model; see `networks`."""
    make = partial(kind, *sizes, **more)
    return lambda task: make()


def adam(steps: int, batch: int, rate: float, order: int, decay: float = 0.0) -> Training:
    """With AdamW."""
    return Training(steps, batch, rate, "adam", decay, order)


def sgd(steps: int, batch: int, rate: float, order: int, decay: float = 0.0) -> Training:
    """With momentum 0.9."""
    return Training(steps, batch, rate, "sgd", decay, order)


_LLAMA = partial(language, llama)
_GPT2 = partial(language, gpt2)

RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("mlp-128", "mlp", "null", 100, mlp(128), adam(500, 64, 3e-3, 1)),
        Recipe("cnn-16-16-16", "cnn", "null", 60, cnn(16, 16, 16), adam(600, 32, 1e-2, 2)),
        Recipe("llama-48", "lm", "null", 20, _LLAMA(48, 2, inner=128, heads=4, groups=2), adam(500, 16, 3e-3, 3, 0.1)),
        Recipe("gpt2-48", "lm", "null", 20, _GPT2(48, 2, heads=4), adam(500, 8, 3e-3, 4, 0.1)),
        Recipe("mlp-64-64", "mlp", "null", 60, mlp(64, 64), adam(500, 64, 3e-3, 5)),
        Recipe("cnn-8-16-32", "cnn", "null", 50, cnn(8, 16, 32), sgd(600, 32, 0.15, 6)),
        Recipe("resnet-8", "resnet", "null", 24, resnet((8, 16, 32)), adam(250, 64, 3e-3, 7)),
        Recipe("mlp-256", "mlp", "null", 40, mlp(256), sgd(500, 64, 0.05, 8)),
        Recipe("resnet-8-narrow", "resnet", "null", 12, resnet((8, 12, 16)), sgd(250, 64, 0.1, 9, 5e-4)),
        Recipe("mlp-100", "mlp", "fresh", 70, mlp(100), sgd(600, 32, 0.03, 11), other=True),
        Recipe("mlp-96-96-96", "mlp", "fresh", 70, mlp(96, 96, 96), adam(400, 64, 2e-3, 12, 0.1)),
        Recipe("mlp-144", "mlp", "fresh", 40, mlp(144), adam(2000, 64, 2e-3, 13)),
        Recipe("mlp-160", "mlp", "fresh", 40, mlp(160), sgd(300, 128, 0.1, 14, 1e-3)),
        Recipe("cnn-12-24", "cnn", "fresh", 60, cnn(12, 24), adam(600, 32, 1e-2, 15)),
        Recipe("cnn-24-24-24-24", "cnn", "fresh", 60, cnn(24, 24, 24, 24), sgd(400, 32, 0.1, 16), other=True),
        Recipe("resnet-10", "resnet", "fresh", 32, resnet((6, 12, 24), (1, 2, 1)), adam(200, 64, 5e-3, 17, 0.01)),
        Recipe("llama-40", "lm", "fresh", 14, _LLAMA(40, 3, inner=96, heads=5, groups=5), adam(300, 8, 4e-3, 18)),
        Recipe("gpt2-64", "lm", "fresh", 14, _GPT2(64, 2, heads=4, tied=True), adam(300, 8, 2e-3, 19, 0.01)),
        # Seeds follow the places here: new recipes come last.
        Recipe("mlp-32", "mlp", "null", 40, mlp(32), adam(2000, 64, 1e-3, 20)),
        Recipe("mlp-24", "mlp", "fresh", 30, mlp(24), adam(2500, 64, 1e-3, 21), other=True),
        Recipe("mlp-40", "mlp", "fresh", 30, mlp(40), adam(2500, 64, 1e-3, 22)),
    )
}
