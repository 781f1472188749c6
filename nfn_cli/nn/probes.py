"""Learned inputs on which a head runs the networks that it reads.

What a network answers to an input is invariant to every symmetry of its weights. Probes are the parameters of a linear
generator, as in deep linear probe generators (Kahana et al. 2024, arXiv 2410.10811): here a Fourier series whose
amplitudes fall with the frequency as those of natural images do, so that gradients move large structures first.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Layer

_FALL = 1.3  # amplitude ∝ frequency^−1.3; natural images have about −1, learning works best a little above
_SIZE = 0.5  # standard deviation of the first probes, of pixels in [−1, 1]
# One step of Adam moves a parameter by the learning rate; probes have to move farther than weights.
_SPEED = 20.0


class Probes(nn.Module):
    """Learned inputs of a network's first layer.

    Args:
        first: the layer that will read them.
        space: sides of an input of convolutions, () of a linear layer.
        count: how many.
    """

    amplitudes: Tensor

    def __init__(self, first: Layer, space: tuple[int, ...], count: int) -> None:
        super().__init__()
        self.space = space
        channels = first.in_features
        # The amplitudes follow from the sides alone, but are kept, so that a head's numbers are all in its file.
        self.register_buffer("amplitudes", _amplitudes(space))
        series = torch.empty(count, channels, *space)
        # A head that is being built without memory gets its values later, and would load torch's compiler for these.
        self.series = nn.Parameter(series if series.is_meta else series.normal_() / _SPEED)

    def forward(self) -> Tensor:
        """The probes, [count, channels, *space], or [count, features] for a linear layer."""
        white = self.series * _SPEED
        if not self.space:
            return white * self.amplitudes
        axes = tuple(range(2, 2 + len(self.space)))
        return torch.fft.irfftn(torch.fft.rfftn(white, dim=axes) * self.amplitudes, s=self.space, dim=axes)

    @torch.no_grad()
    def start_at(self, pictures: Tensor) -> None:
        """Make the probes these pictures, [count, channels, *space] or [count, features]."""
        if self.space:
            axes = tuple(range(2, 2 + len(self.space)))
            spectrum = torch.fft.rfftn(pictures.to(self.series), dim=axes) / self.amplitudes
            self.series.copy_(torch.fft.irfftn(spectrum, s=self.space, dim=axes) / _SPEED)
        else:
            self.series.copy_(pictures.to(self.series) / (self.amplitudes * _SPEED))


def _amplitudes(space: tuple[int, ...]) -> Tensor:
    """Amplitudes [*half spectrum] that give white noise of unit variance the spectrum and size of first probes."""
    # On the CPU even where a head is being built without memory: elsewhere torch would load its compiler for this.
    if not space:
        return torch.tensor(_SIZE, device="cpu")
    squares = torch.zeros((), device="cpu")
    for axis, side in enumerate(space):
        frequencies = torch.fft.rfftfreq if axis == len(space) - 1 else torch.fft.fftfreq
        own = frequencies(side, device="cpu")
        squares = squares[..., None] + own.square()
    lowest = max(space) ** -2.0
    amplitudes = squares.clamp_min(lowest) ** (-_FALL / 2)
    whole = torch.fft.irfftn(amplitudes.to(torch.complex64), s=space)  # its energy is the variance of a pixel
    return amplitudes * _SIZE / whole.square().sum().sqrt()
