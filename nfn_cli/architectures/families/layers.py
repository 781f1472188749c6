"""Small parts that several families of convolutional networks have in common."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Inputs
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.scope import Scope

Function = Callable[[Tensor], Tensor]


def convolution(
    scope: Scope, name: str, channels: int, kernel: int, stride: int = 1, groups: int = 1, bias: bool = False
) -> nn.Conv2d:
    """The convolution called `name`: its outputs as in the file, the rest as given, padded by half its kernel.

    Raises:
        Refusal: the file has no weight of it.
    """
    outputs = scope.size(f"{name}.weight")
    return nn.Conv2d(channels, outputs, kernel, stride, kernel // 2, groups=groups, bias=bias)


def groups_of(scope: Scope, name: str, channels: int) -> int:
    """How many groups a convolution of `channels` inputs has.

    Raises:
        Refusal: its inputs are not one of so many equal parts.
    """
    outputs, part = scope.shape(f"{name}.weight", 4)[:2]
    groups, rest = divmod(channels, part)
    if rest or not groups or outputs % groups:
        raise Refusal(f"{scope.name(name)} cannot read {channels} channels in groups of {part}")
    return groups


def odd_kernel(scope: Scope, name: str) -> int:
    """The size of a square kernel.

    Raises:
        Refusal: it is not square, or even.
    """
    height, width = scope.shape(f"{name}.weight", 4)[2:]
    if height != width or height % 2 == 0:
        raise Refusal(f"the kernel of {scope.name(name)} is {height}×{width}, not an odd square")
    return height


class ConvNorm(nn.ModuleDict):
    """A convolution, a BatchNorm and a function, called 0 and 1 in their container."""

    def __init__(
        self,
        scope: Scope,
        channels: int,
        kernel: int,
        stride: int = 1,
        *,
        function: Function | None,
        depthwise: bool = False,
        eps: float = 1e-5,
    ) -> None:
        layer = convolution(scope, "0", channels, kernel, stride, channels if depthwise else 1)
        super().__init__({"0": layer, "1": nn.BatchNorm2d(layer.out_channels, eps)})
        self.outputs = layer.out_channels
        self._function = function

    def forward(self, x: Tensor) -> Tensor:
        x = self["1"](self["0"](x))
        return x if self._function is None else self._function(x)


class Squeeze(nn.Module):
    """Channels multiplied by gates that read their means over space: fc1, a function, fc2, a gate."""

    def __init__(self, scope: Scope, channels: int, function: Function, gate: Function) -> None:
        super().__init__()
        self.fc1 = convolution(scope, "fc1", channels, 1, bias=True)
        self.fc2 = convolution(scope, "fc2", self.fc1.out_channels, 1, bias=True)
        self._function, self._gate = function, gate

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return self._gate(self.fc2(self._function(self.fc1(means)))) * x


class ChannelNorm(nn.LayerNorm):
    """A LayerNorm over the channels of pictures [batch, channels, height, width]."""

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps).permute(
            0, 3, 1, 2
        )


def pictures(channels: int, size: int) -> Callable[[int, torch.device | str], Inputs]:
    """A batch of pictures [batch, channels, size, size] that are not alike."""

    def make(batch: int, device: torch.device | str) -> Inputs:
        return (waves((batch, channels, size, size), device),), {}

    return make


def waves(shape: tuple[int, ...], device: torch.device | str) -> Tensor:
    """Numbers between -1 and 1 that are the same at every call."""
    return torch.sin(torch.arange(math.prod(shape), device=device, dtype=torch.float32) * 0.7391).reshape(shape)
