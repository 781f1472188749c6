"""ProbeGen: a deep linear generator makes the inputs on which networks are run, and an MLP reads the answers.

Kahana, Horwitz, Shuval and Hoshen 2024, "Deep Linear Probe Generators for Weight Space Learning", arXiv 2410.10811.
Codes of 32 numbers, one a probe, are learned along with the generator: transposed convolutions without activations
between them, which double the sides three times, and a tanh that keeps pixels in [-1, 1]. Networks whose first layer is
linear get theirs from two linear layers. Sizes are those of the authors' code for the Small CNN Zoo: 128 probes, layers
of 128, 64, 32, 32 and 16 channels, an MLP of six layers of 256 units. What a network answers is no matter of how its
neurons are numbered or scaled, so this is invariant to every symmetry.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from itertools import pairwise

import torch
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, NetworkWeights, population_forward
from nfn_cli.errors import HeadError
from nfn_cli.nn.forward_pass import ForwardPass
from nfn_cli.nn.readout import logits
from nfn_cli.precision import fastest_precision

_CODE = 32
_WIDTH = 16
# Networks times probes that are run at once: what stands between layers of more falls out of a processor's cache.
_RUNS_TOGETHER = 512


class ProbeGen(nn.Module):
    """Maps the tensors of a batch of networks, from `read_tensors`, to logits.

    Args:
        architecture: of the networks; their hidden widths are free.
        forward_pass: how they are run. Sides of an input must be equal, and multiples of eight.
        probes: number of generated inputs.
        hidden: units of each hidden layer of the MLP.
        depth: linear layers of the MLP.
        outputs: number of logits.

    Raises:
        HeadError: the networks cannot be run so, or the generator makes no such inputs.
    """

    def __init__(
        self,
        architecture: Architecture,
        forward_pass: ForwardPass,
        probes: int = 128,
        hidden: int = 256,
        depth: int = 6,
        outputs: int = 1,
    ) -> None:
        super().__init__()
        if reason := forward_pass.mismatch(architecture):
            raise HeadError(architecture.describe(), reason, "tell how the networks are run")
        self.architecture, self.forward_pass = architecture, forward_pass
        self.codes = nn.Parameter(torch.randn(probes, _CODE))
        self.generator = _generator(architecture.first.in_features, forward_pass.space)
        widths = [probes * architecture.outputs, *[hidden] * (depth - 1)]
        layers = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        self.readout = nn.Sequential(*layers, nn.Linear(widths[-1], outputs))

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Nothing to set: networks are run as they are, and their answers read as they are."""

    def probes(self) -> Tensor:
        """The inputs [probes, channels, *space], or [probes, features] for a first layer that is linear."""
        spatial = [1] * len(self.forward_pass.space)
        return self.generator(self.codes.view(*self.codes.shape, *spatial))  # type: ignore[no-any-return]

    def answers(self, inputs: Sequence[Tensor]) -> Tensor:
        """Outputs [batch, probes, outputs] of the networks; of a last convolution the mean over positions."""
        names = (spec.name for spec in self.architecture.tensors)
        point = NetworkWeights.of_any_widths(self.architecture, dict(zip(names, inputs, strict=True)))
        parts = self.probes().split(max(1, _RUNS_TOGETHER // len(inputs[0])))
        how = {"stride": self.forward_pass.stride, "padding": self.forward_pass.padding}
        device = inputs[0].device.type
        # As Monomial-Probe does: half as many digits are enough to learn by, and faster where a processor has them.
        short = self.training and device in ("cpu", "cuda") and fastest_precision(device) == "bfloat16"
        with torch.autocast(device, torch.bfloat16) if short else nullcontext():
            found = torch.cat([population_forward(point, part, **how) for part in parts], dim=1)
        found = found.to(inputs[0].dtype)
        return found.flatten(3).mean(3) if found.ndim > 3 else found

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits of tensors [batch, *shape] from `read_tensors`: [batch], or [batch, outputs] of several outputs."""
        return logits(self.readout(self.answers(inputs).flatten(1)))


def _generator(channels: int, space: tuple[int, ...]) -> nn.Sequential:
    if not space:
        return nn.Sequential(nn.Linear(_CODE, _CODE), nn.Linear(_CODE, channels))
    side = space[0]
    if len(space) != 2 or space[1] != side or side % 8:
        cause = f"ProbeGen makes no inputs of {'x'.join(map(str, space))}"
        raise HeadError("ProbeGen", cause, "compare on networks of inputs whose two sides are equal multiples of eight")

    def doubled(before: int, after: int) -> nn.ConvTranspose2d:
        return nn.ConvTranspose2d(before, after, 4, 2, 1)

    return nn.Sequential(
        nn.ConvTranspose2d(_CODE, 8 * _WIDTH, side // 8),
        doubled(8 * _WIDTH, 4 * _WIDTH),
        doubled(4 * _WIDTH, 2 * _WIDTH),
        nn.ConvTranspose2d(2 * _WIDTH, 2 * _WIDTH, 3, 1, 1),
        doubled(2 * _WIDTH, _WIDTH),
        nn.ConvTranspose2d(_WIDTH, channels, 3, 1, 1),
        nn.Tanh(),
    )
