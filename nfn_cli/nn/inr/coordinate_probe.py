"""Coordinate-Probe: an invariant head that asks an implicit neural representation for its values at learned places.

A value is unchanged by every symmetry (permutations, signs, phases), whatever the width, so anything may follow: the
places start as a grid, the values on it are a picture, and a small convolutional network reads that. While it is being
fitted, each network is asked on a grid that is turned, stretched and moved at random, which is augmentation of the
picture without a pixel being resampled.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.architectures import COORDINATES, FUNCTIONS, Architecture, NetworkWeights
from nfn_cli.errors import HeadError, shown
from nfn_cli.nn.kinds import Kind
from nfn_cli.nn.sizes import require_sizes

# Networks asked at once on a CPU; more only fall out of its cache.
_TOGETHER = 64
_LARGEST_VALUE = 1e4


@dataclass(frozen=True)
class CoordinateProbeSizes:
    """Sizes that no input fixes, and what is known of the pictures.

    Attributes:
        side: places along each side of the grid.
        channels: of the first convolutions; the second stage has twice, the third four times as many.
        turn, stretch, move: the random grids of a fit: largest angle (radians), largest change of a side's length and
            of the aspect (shares), and largest move (of the grid's half side).
        mirror: whether a picture mirrored left to right keeps its class; grids are mirrored at random, and an answer is
            the mean over both.
    """

    side: int = 24
    channels: int = 16
    dropout: float = 0.1
    turn: float = 0.2
    stretch: float = 0.15
    move: float = 0.12
    mirror: bool = False

    def __post_init__(self) -> None:
        require_sizes(self, side=256, channels=1024)
        for name in ("turn", "stretch", "move"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 <= value < 1):
                raise ValueError(f"{name} is {shown(value)}, not a number from 0 to below 1")
        if type(self.mirror) is not bool or self.side < 8:
            raise ValueError(f"mirror is {shown(self.mirror)}, side {self.side}: not true or false, or below 8")


class CoordinateProbe(nn.Module):
    """Maps a batch of INRs to logits.

    Args:
        architecture: of an INR that it reads: linear layers from two coordinates; hidden widths are free.
        sizes: everything else.
        classes: number of logits.

    Raises:
        HeadError: another architecture.
    """

    grid: Tensor
    shift: Tensor
    scale: Tensor

    def __init__(self, architecture: Architecture, sizes: CoordinateProbeSizes, classes: int) -> None:
        super().__init__()
        if architecture.activation not in FUNCTIONS:
            raise HeadError(architecture.describe(), "the activation is none that nfn knows", "update nfn-cli")
        if not architecture.is_picture:
            raise HeadError(
                architecture.describe(),
                "it is no picture, which takes two coordinates through linear layers",
                "classify implicit neural representations of pictures",
            )
        self.sizes = sizes
        self.names = [(f"{layer.name}.weight", f"{layer.name}.bias") for layer in architecture.layers]
        self.activation, self.omega_0 = architecture.activation, architecture.omega_0
        values, width = architecture.outputs, sizes.channels
        # What is learned is the difference from the grid, so that weight decay leads back to it.
        self.register_buffer("grid", _grid(sizes.side))
        self.moved = nn.Parameter(torch.zeros(sizes.side**2, COORDINATES))
        self.register_buffer("shift", torch.zeros(values))
        self.register_buffer("scale", torch.ones(values))
        self.reader = nn.Sequential(
            *_convolution(values, width),
            *_convolution(width, width),
            nn.MaxPool2d(2),
            *_convolution(width, 2 * width),
            *_convolution(2 * width, 2 * width),
            nn.MaxPool2d(2),
            *_convolution(2 * width, 4 * width),
            *_convolution(4 * width, 4 * width),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(1),
        )
        self.readout = nn.Sequential(nn.Dropout(sizes.dropout), nn.Linear(4 * width, classes))
        self.summary_features = 4 * width + _STATISTICS * values

    def encode(self, point: NetworkWeights, device: str | torch.device = "cpu") -> list[Tensor]:
        """The tensors of a batch of networks, float32 [batch, *shape] each: first weight, first bias, ...

        The phases of sines are brought to one turn first, in which float32 is finest.
        """
        tensors = []
        for position, spec in enumerate(point.architecture.tensors):
            values = point.tensors[spec.name]
            inner_bias = position % 2 == 1 and position + 1 < len(point.architecture.tensors)
            if inner_bias and self.activation == "sin":
                turn = 2 * math.pi / self.omega_0
                values = values.double() - turn * (values.double() / turn).round()
            tensors.append(values.float().to(device))
        return tensors

    @torch.no_grad()
    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Set mean and spread of every channel of the pictures, from a training population [networks, *shape]."""
        some = [values[:4096] for values in inputs]
        pictures = torch.cat([self._values(part, self.grid) for part in _parts(some)]).cpu().double()
        spread = pictures.std((0, 1), correction=0)
        self.shift.copy_(pictures.mean((0, 1)))
        self.scale.copy_(torch.where(spread > 0, 1 / spread, 1.0))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits [batch, classes] of tensors [batch, *shape] from `encode`."""
        return self.logits_and_summary(inputs)[0]

    def logits_and_summary(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [batch, classes], and what tells a population [batch, summary_features]: what the last layer reads,
        and statistics of the picture."""
        places = self.grid + self.moved
        if self.training:
            return self._answer(inputs, self._augmented(places, len(inputs[0])))
        parts = [list(inputs)] if torch.is_grad_enabled() else _parts(inputs)
        found = [self._answer(part, places) for part in parts]
        if self.sizes.mirror:
            mirrored = places * places.new_tensor([1.0, -1.0])
            others = [self._answer(part, mirrored)[0] for part in parts]
            found = [((logits + other) / 2, own) for (logits, own), other in zip(found, others, strict=True)]
        return torch.cat([logits for logits, _ in found]), torch.cat([summary for _, summary in found])

    def _answer(self, inputs: Sequence[Tensor], places: Tensor) -> tuple[Tensor, Tensor]:
        values = self._values(inputs, places).clamp(-_LARGEST_VALUE, _LARGEST_VALUE)
        standard = (values - self.shift) * self.scale
        picture = standard.mT.unflatten(2, (self.sizes.side, self.sizes.side))
        features = self.reader(picture)
        return self.readout(features), torch.cat([features, _statistics(picture)], dim=1)

    def _values(self, inputs: Sequence[Tensor], places: Tensor) -> Tensor:
        """[batch, places, channels] at places [places, 2], or [batch, places, 2]."""
        hidden = places.expand(len(inputs[0]), -1, -1) if places.ndim == 2 else places
        last = len(self.names) - 1
        for layer in range(len(self.names)):
            weight, bias = inputs[2 * layer], inputs[2 * layer + 1]
            if layer < last and self.activation == "sin":
                phase = torch.baddbmm(bias[:, None], hidden, weight.mT, beta=self.omega_0, alpha=self.omega_0)
                hidden = torch.sin(phase)
            else:
                hidden = torch.baddbmm(bias[:, None], hidden, weight.mT)
                hidden = FUNCTIONS[self.activation](hidden) if layer < last else hidden
        return hidden

    def _augmented(self, places: Tensor, networks: int) -> Tensor:
        """A grid for each network, turned, stretched and moved at random, [networks, places, 2]."""
        sizes = self.sizes
        uniform = torch.rand(networks, 6, device=places.device) * 2 - 1
        angle, longer, aspect, rows, columns, side = uniform.unbind(1)
        turn = angle * sizes.turn
        cosine, sine = turn.cos(), turn.sin()
        height = (1 + longer * sizes.stretch) * (1 + aspect * sizes.stretch / 2)
        width = (1 + longer * sizes.stretch) * (1 - aspect * sizes.stretch / 2)
        if sizes.mirror:
            width = width * side.sign()
        affine = torch.stack([cosine * height, -sine * width, sine * height, cosine * width], 1).view(-1, 2, 2)
        moved = torch.stack([rows, columns], 1)[:, None] * sizes.move
        return places @ affine.mT + moved


_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_STATISTICS = len(_QUANTILES) + 5


def _statistics(picture: Tensor) -> Tensor:
    """Of each channel of pictures [batch, channels, side, side]: mean, spread and quantiles, mean size of the
    differences along rows and columns, and mean of the border; [batch, channels × 12]."""
    pixels = picture.flatten(2)
    ordered = pixels.sort(2).values
    places = [round(level * (pixels.shape[2] - 1)) for level in _QUANTILES]
    border = torch.cat([picture[:, :, 0], picture[:, :, -1], picture[..., 0], picture[..., -1]], dim=2)
    columns = [
        pixels.mean(2),
        pixels.std(2, correction=0),
        *(ordered[:, :, place] for place in places),
        picture.diff(dim=2).abs().mean((2, 3)),
        picture.diff(dim=3).abs().mean((2, 3)),
        border.mean(2),
    ]
    return torch.cat(columns, dim=1)


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _grid(side: int) -> Tensor:
    """Places [side², 2] evenly over [-1, 1]², row by row."""
    # On the CPU even where a head is being built without memory: elsewhere torch would load its compiler for this.
    line = torch.linspace(-1, 1, side, device="cpu")
    return torch.cartesian_prod(line, line)


def _parts(inputs: Sequence[Tensor]) -> list[list[Tensor]]:
    return [list(part) for part in zip(*(values.split(_TOGETHER) for values in inputs), strict=True)]


KIND = Kind(
    CoordinateProbeSizes,
    lambda architecture, sizes, details: CoordinateProbe(architecture, sizes, len(details.classes)),
)
