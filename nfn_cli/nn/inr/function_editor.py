"""Function-Editor: an equivariant editor of implicit neural representations that works in function space.

1. The network's values on a grid are a picture, which no symmetry of the network changes.
2. A small convolutional network says what that picture should become.
3. A few Levenberg–Marquardt steps move the weights there (see `gauss_newton`), each equivariant.

The third part solves for the picture, within the edit: it is an optimiser with learned constants, unrolled, and costs a
linear system of as many unknowns as there are pixels and channels a step. An editor made of equivariant layers
(arXiv 2409.11697) is one forward pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, NetworkWeights, pixel_grid
from nfn_cli.nn.inr.gauss_newton import step
from nfn_cli.nn.inr.painter import Painter
from nfn_cli.nn.inr.sine_chain import read_tensors, require_sine_picture, sine_values, trace
from nfn_cli.nn.kinds import Kind
from nfn_cli.nn.sizes import require_sizes


@dataclass(frozen=True)
class FunctionEditorSizes:
    """Sizes that no input fixes.

    Attributes:
        channels, depth, context: of the convolutional network, see `Painter`.
        steps: Levenberg–Marquardt steps.
    """

    channels: int = 16
    depth: int = 4
    context: int = 0
    steps: int = 6

    def __post_init__(self) -> None:
        require_sizes(self, channels=1024, depth=32, steps=64)
        require_sizes(self, least=0, context=16)


class FunctionEditor(nn.Module):
    """Maps a batch of INRs to changes of their weights.

    Args:
        architecture: of an INR that it reads; hidden widths are free.
        picture: height and width of the grid on which it looks at networks.

    Attributes:
        log_metric: log of M, one number a step and tensor, [steps, tensors].
        log_damping: log of λ relative to the mean of the diagonal of J M Jᵀ, [steps].
        rate: γ, the share of the way that a step sets out to go, [steps].

    Raises:
        HeadError: another architecture.
    """

    places: Tensor

    def __init__(self, architecture: Architecture, picture: tuple[int, int], sizes: FunctionEditorSizes) -> None:
        super().__init__()
        require_sine_picture(architecture)
        self.picture, self.omega_0 = picture, architecture.omega_0
        values, tensors = architecture.outputs, len(architecture.tensors)
        self.painter = Painter(values, sizes.channels, sizes.depth, sizes.context)
        self.log_metric = nn.Parameter(torch.full((sizes.steps, tensors), -2.3))
        with torch.no_grad():
            self.log_metric[:, -2:] = 0.0
        # The first steps go half way, the last ones all the way: the picture is far off at first, and sines are far
        # from linear.
        self.log_damping = nn.Parameter(torch.linspace(-3.0, -7.5, sizes.steps))
        self.rate = nn.Parameter(torch.linspace(0.5, 1.0, sizes.steps))
        self.register_buffer("places", pixel_grid(*picture))

    def encode(self, point: NetworkWeights) -> list[Tensor]:
        """What `forward` takes of a batch of networks, in this module's dtype and on its device."""
        return read_tensors(point, self.places.dtype, self.places.device)

    def paint(self, values: Tensor) -> Tensor:
        """What values [batch, C, P] on the grid should become, in [-1, 1]."""
        return self.painter(values.unflatten(2, self.picture)).clamp(-1, 1).flatten(2)  # type: ignore[no-any-return]

    def forward(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """Changes of first weight, first bias, ..., [batch, *shape] each.

        In evaluation, each network gets the best of its iterates, the weights as they were among them: by the measure
        of what it should become, no network is made worse.
        """
        wanted = self.paint(sine_values(tensors, self.places, self.omega_0))
        now, best, least = list(tensors), list(tensors), None
        for number in range(len(self.rate)):
            traced = trace(now, self.places, self.omega_0)
            residual = wanted - traced.values
            if not self.training:
                best, least = _better(now, residual, best, least)
            metric = self.log_metric[number].exp().unbind()
            changes = step(traced, metric, residual * self.rate[number], self.log_damping[number].exp())
            now = [tensor + change for tensor, change in zip(now, changes, strict=True)]
        if not self.training:
            best, least = _better(now, wanted - sine_values(now, self.places, self.omega_0), best, least)
            now = best
        return [after - before for after, before in zip(now, tensors, strict=True)]


def _better(
    now: Sequence[Tensor], residual: Tensor, best: Sequence[Tensor], least: Tensor | None
) -> tuple[list[Tensor], Tensor]:
    """For each network the iterate with the smaller error, and that error."""
    error = residual.square().mean((1, 2))
    if least is None:
        return list(now), error
    better = error < least
    chosen = [torch.where(better.view(-1, *[1] * (a.ndim - 1)), a, b) for a, b in zip(now, best, strict=True)]
    return chosen, torch.where(better, error, least)


KIND = Kind(
    FunctionEditorSizes, lambda architecture, sizes, details: FunctionEditor(architecture, details.picture, sizes)
)
