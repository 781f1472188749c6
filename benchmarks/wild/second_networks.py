"""Networks as people write them, of drawn widths, depths and activations: those of the second trainer."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise

from torch import Tensor, nn

Picture = tuple[int, int, int]  # channels, height, width
MOST_PARAMETERS = 300_000
_ACTIVATIONS: tuple[Callable[[], nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU, nn.ReLU, nn.ReLU),
    *(nn.LeakyReLU, nn.GELU, nn.SiLU, nn.ELU, nn.Tanh),
)


def _mlp(rng: random.Random, picture: Picture, classes: int) -> nn.Module:
    activation, norm, rate = rng.choice(_ACTIVATIONS), rng.random() < 0.35, rng.choice((0.0, 0.0, 0.1, 0.25, 0.5))
    widths = rng.choice(((48,), (100,), (200,), (96, 48), (128, 64), (64, 64, 64), (200, 100, 50), (40, 40, 40, 40)))
    layers: list[nn.Module] = [nn.Flatten()]
    ins = picture[0] * picture[1] * picture[2]
    for width in widths:
        layers.append(nn.Linear(ins, width))
        layers += [nn.BatchNorm1d(width)] if norm else []
        layers.append(activation())
        layers += [nn.Dropout(rate)] if rate else []
        ins = width
    return nn.Sequential(*layers, nn.Linear(ins, classes))


class LeNet(nn.Module):
    """Two convolutions with pooling behind each, and two or three linear layers."""

    def __init__(self, rng: random.Random, picture: Picture, classes: int) -> None:
        super().__init__()
        activation = rng.choice((nn.ReLU, nn.ReLU, nn.Tanh, nn.ELU))
        pool = rng.choice((nn.MaxPool2d, nn.AvgPool2d))
        kernel = rng.choice((3, 5))
        first, second = rng.choice(((4, 8), (6, 12), (8, 20), (12, 24), (16, 16)))
        self.conv1 = nn.Conv2d(picture[0], first, kernel, padding=kernel // 2)
        self.conv2 = nn.Conv2d(first, second, kernel, padding=kernel // 2)
        self.pool, self.activation, self.flatten = pool(2), activation(), nn.Flatten()
        widths = [second * (picture[1] // 4) * (picture[2] // 4), *rng.choice(((32,), (60,), (96, 48), (120, 84)))]
        hidden: list[nn.Module] = []
        for ins, outs in pairwise(widths):
            hidden += [nn.Linear(ins, outs), activation()]
        self.head = nn.Sequential(*hidden, nn.Linear(widths[-1], classes))

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.activation(self.conv1(x)))
        x = self.pool(self.activation(self.conv2(x)))
        return self.head(self.flatten(x))


class VGG(nn.Module):
    """Blocks of 3×3 convolutions with max-pooling behind each."""

    def __init__(self, rng: random.Random, picture: Picture, classes: int) -> None:
        super().__init__()
        norm, activation = rng.random() < 0.6, rng.choice((nn.ReLU, nn.ReLU, nn.SiLU, nn.LeakyReLU))
        width, side, ins = rng.choice((6, 10, 14, 20)), min(picture[1:]), picture[0]
        layers: list[nn.Module] = []
        for _ in range(3):
            for _ in range(rng.choice((1, 1, 2))):
                layers.append(nn.Conv2d(ins, width, 3, padding=1, bias=not norm))
                layers += [nn.BatchNorm2d(width)] if norm else []
                layers.append(activation())
                ins = width
            layers.append(nn.MaxPool2d(2))
            side, width = side // 2, min(48, 2 * width)
        self.backbone = nn.Sequential(*layers)
        hidden, rate = rng.choice((40, 80)), rng.choice((0.0, 0.2, 0.4))
        dropout = [nn.Dropout(rate)] if rate else []
        self.head = nn.Sequential(
            nn.Flatten(), nn.Linear(ins * side * side, hidden), activation(), *dropout, nn.Linear(hidden, classes)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.backbone(x))


def _strided(rng: random.Random, picture: Picture, classes: int) -> nn.Module:
    activation, norm, kernel = rng.choice(_ACTIVATIONS), rng.random() < 0.4, rng.choice((3, 5))
    ins, width, layers = picture[0], rng.choice((6, 10, 16, 20, 28)), list[nn.Module]()
    side = min(picture[1:])
    for _ in range(3):
        layers.append(nn.Conv2d(ins, width, kernel, stride=2, padding=kernel // 2))
        layers += [nn.BatchNorm2d(width)] if norm else []
        layers.append(activation())
        side, ins, width = (side + 1) // 2, width, min(56, width * rng.choice((1, 2)))
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(ins * side * side, classes))


class Block(nn.Module):
    """Two 3×3 convolutions with BatchNorm, added to the input, or to a 1×1 convolution of it."""

    def __init__(self, ins: int, outs: int, stride: int) -> None:
        super().__init__()
        self.conv_a = nn.Conv2d(ins, outs, 3, stride, 1, bias=False)
        self.norm_a = nn.BatchNorm2d(outs)
        self.conv_b = nn.Conv2d(outs, outs, 3, 1, 1, bias=False)
        self.norm_b = nn.BatchNorm2d(outs)
        self.relu = nn.ReLU(inplace=True)
        self.skip = nn.Sequential()
        if stride != 1 or ins != outs:
            self.skip = nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.norm_a(self.conv_a(x)))
        return self.relu(self.norm_b(self.conv_b(y)) + self.skip(x))


class ResNet(nn.Module):
    """A stem, two or three stages of residual blocks, global average pooling."""

    def __init__(self, rng: random.Random, picture: Picture, classes: int) -> None:
        super().__init__()
        width, stages = rng.choice((6, 8, 10, 14)), rng.choice((2, 3))
        self.stem = nn.Sequential(
            nn.Conv2d(picture[0], width, 3, rng.choice((1, 2)), 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()
        )
        blocks, ins = [], width
        for stage in range(stages):
            for block in range(rng.choice((1, 1, 2))):
                blocks.append(Block(ins, width, 2 if stage and not block else 1))
                ins = width
            width *= 2
        self.blocks = nn.Sequential(*blocks)
        self.pool, self.flatten, self.out = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(ins, classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.flatten(self.pool(self.blocks(self.stem(x)))))


class AllConvolutional(nn.Module):
    """Convolutions alone (Springenberg et al. 2015), the classes averaged over the picture, or a linear layer last."""

    def __init__(self, rng: random.Random, picture: Picture, classes: int) -> None:
        super().__init__()
        width, norm, rate = rng.choice((8, 12, 18, 24)), rng.random() < 0.4, rng.choice((0.0, 0.2, 0.5))
        activation = rng.choice((nn.ReLU, nn.ReLU, nn.GELU, nn.ELU))
        layers: list[nn.Module] = []
        ins = picture[0]
        for outs, stride in ((width, 1), (width, 2), (2 * width, 1), (2 * width, 2)):
            layers.append(nn.Conv2d(ins, outs, 3, stride, 1, bias=not norm))
            layers += [nn.BatchNorm2d(outs)] if norm else []
            layers.append(activation())
            layers += [nn.Dropout(rate)] if rate and stride == 2 else []
            ins = outs
        linear = rng.random() < 0.5
        self.convs = nn.Sequential(*layers)
        self.last = nn.Identity() if linear else nn.Conv2d(ins, classes, 1)
        self.out = nn.Linear(ins, classes) if linear else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.last(self.convs(x)).mean((2, 3)))


FAMILIES: dict[str, Callable[[random.Random, Picture, int], nn.Module]] = {
    "mlp": _mlp,
    "lenet": LeNet,
    "vgg": VGG,
    "strided": _strided,
    "residual": ResNet,
    "all-convolutional": AllConvolutional,
}


def draw_network(
    rng: random.Random, picture: Picture, classes: int, most_parameters: int = MOST_PARAMETERS
) -> tuple[str, nn.Module]:
    """A family and a network of it, of at most so many parameters, for pictures of so many classes.

    Raises:
        ValueError: none that was drawn is that small.
    """
    for _ in range(50):
        family = rng.choice(sorted(FAMILIES))
        for _ in range(20):  # another size before another family
            network = FAMILIES[family](rng, picture, classes)
            if sum(parameter.numel() for parameter in network.parameters()) <= most_parameters:
                return family, network
    raise ValueError(f"no network has at most {most_parameters:,} parameters; allow more")
