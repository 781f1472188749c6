"""Coordinate-Probe: an invariant head that runs implicit neural representations at learned coordinates.

A value is unchanged by every symmetry (permutations, signs, phases), whatever the width, so anything may follow: the
coordinates start as a grid, the values on it are a picture, and a small convolutional network reads that. During a fit
each network is run on a grid that is turned, stretched and moved at random, which is augmentation of the picture
without a pixel being resampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.architectures import (
    COORDINATES,
    FUNCTIONS,
    Architecture,
    NetworkWeights,
    picture_values,
    pixel_grid,
)
from nfn_cli.errors import HeadError, shown
from nfn_cli.nn.in_parts import in_parts, parts_of
from nfn_cli.nn.inr.other_coordinates import Changes, random_affine
from nfn_cli.nn.inr.sine_chain import read_tensors
from nfn_cli.nn.kinds import Kind
from nfn_cli.nn.sizes import require_flag, require_sizes

# Networks asked at once on a CPU; more only fall out of its cache.
_TOGETHER = 64
_LARGEST_VALUE = 1e4


@dataclass(frozen=True)
class CoordinateProbeSizes:
    """Sizes that no input fixes, and what is known of the pictures.

    Attributes:
        side: points along each side of the grid.
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
        require_sizes(self, channels=1024)
        require_sizes(self, least=8, side=256)
        require_flag(self, "mirror")
        for name in ("turn", "stretch", "move"):
            value = getattr(self, name)
            if not (isinstance(value, int | float) and 0 <= value < 1):
                raise ValueError(f"{name} is {shown(value)}, not a number from 0 to below 1")


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
        self.register_buffer("grid", pixel_grid(sizes.side, sizes.side))
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
        return read_tensors(point, torch.float32, device)

    @torch.no_grad()
    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Set mean and spread of every channel of the pictures, from a training population [networks, *shape]."""
        some = [values[:4096] for values in inputs]
        pictures = in_parts(lambda part: self._values(part, self.grid), some, _TOGETHER).cpu().double()
        spread = pictures.std((0, 1), correction=0)
        self.shift.copy_(pictures.mean((0, 1)))
        self.scale.copy_(torch.where(spread > 0, 1 / spread, 1.0))

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits [batch, classes] of tensors [batch, *shape] from `encode`."""
        return self.logits_and_summary(inputs)[0]

    def logits_and_summary(self, inputs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Logits [batch, classes], and what the detector looks at [batch, summary_features]: what the last layer reads,
        and statistics of the picture."""
        coordinates = self.grid + self.moved
        if self.training:
            return self._answer(inputs, self._augmented(coordinates, len(inputs[0])))
        parts = [inputs] if torch.is_grad_enabled() else parts_of(inputs, _TOGETHER)
        found = [self._answer(part, coordinates) for part in parts]
        if self.sizes.mirror:
            mirrored = coordinates * coordinates.new_tensor([1.0, -1.0])
            others = [self._answer(part, mirrored)[0] for part in parts]
            found = [((logits + other) / 2, own) for (logits, own), other in zip(found, others, strict=True)]
        return torch.cat([logits for logits, _ in found]), torch.cat([summary for _, summary in found])

    def _answer(self, inputs: Sequence[Tensor], coordinates: Tensor) -> tuple[Tensor, Tensor]:
        values = self._values(inputs, coordinates).clamp(-_LARGEST_VALUE, _LARGEST_VALUE)
        standard = (values - self.shift) * self.scale
        picture = standard.mT.unflatten(2, (self.sizes.side, self.sizes.side))
        features = self.reader(picture)
        return self.readout(features), torch.cat([features, _statistics(picture)], dim=1)

    def _values(self, inputs: Sequence[Tensor], coordinates: Tensor) -> Tensor:
        """[batch, coordinates, channels] at coordinates [coordinates, 2], or [batch, coordinates, 2]."""
        return picture_values(inputs, coordinates, self.activation, [self.omega_0] * (len(self.names) - 1))

    def _augmented(self, coordinates: Tensor, networks: int) -> Tensor:
        """A grid for each network, turned, stretched and moved at random, [networks, coordinates, 2]."""
        sizes = self.sizes
        changes = Changes(sizes.turn, sizes.stretch, sizes.move, sizes.mirror)
        affine, moved = random_affine(networks, changes, coordinates.device)
        return coordinates @ affine.mT + moved[:, None]


_QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
_STATISTICS = len(_QUANTILES) + 5


def _statistics(picture: Tensor) -> Tensor:
    """Of each channel of pictures [batch, channels, side, side]: mean, spread and quantiles, mean size of the
    differences along rows and columns, and mean of the border; [batch, channels × 12]."""
    pixels = picture.flatten(2)
    ordered = pixels.sort(2).values
    positions = [round(level * (pixels.shape[2] - 1)) for level in _QUANTILES]
    border = torch.cat([picture[:, :, 0], picture[:, :, -1], picture[..., 0], picture[..., -1]], dim=2)
    columns = [
        pixels.mean(2),
        pixels.std(2, correction=0),
        *(ordered[:, :, position] for position in positions),
        picture.diff(dim=2).abs().mean((2, 3)),
        picture.diff(dim=3).abs().mean((2, 3)),
        border.mean(2),
    ]
    return torch.cat(columns, dim=1)


def _convolution(inputs: int, outputs: int) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


KIND = Kind(
    CoordinateProbeSizes,
    lambda architecture, sizes, details: CoordinateProbe(architecture, sizes, len(details.classes)),
)
