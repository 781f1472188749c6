"""The Small CNN Zoo's network, run for a whole population at once.

Three 3×3 convolutions of 16 channels, or another width, with stride 2 and no padding, each followed by the activation
and dropout, then global average pooling and a linear layer: 4,970 parameters on one input channel and ten classes.
A population of P networks is one grouped convolution with P groups per layer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.zoo.flat_network import FlatNetwork
from nfn_cli.zoo.hyperparameters import Hyperparameters
from nfn_cli.zoo.initialisers import initial_weight
from nfn_cli.zoo.preprocessing import Preprocessing

WIDTH = 16  # of the published zoo
KERNEL = 3
STRIDE = 2
SMALLEST_IMAGE = 15  # three unpadded 3×3 convolutions of stride 2 leave one pixel of it

ACTIVATIONS = {"relu": torch.relu, "tanh": torch.tanh}


@dataclass(frozen=True)
class SmallCnn(FlatNetwork):
    """The network's numbers of channels and classes."""

    in_channels: int = 1
    classes: int = 10
    width: int = WIDTH

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Every parameter's name and shape, in the order of the flat row."""
        kernel, width = (KERNEL, KERNEL), self.width
        return {
            "conv1.weight": (width, self.in_channels, *kernel),
            "conv1.bias": (width,),
            "conv2.weight": (width, width, *kernel),
            "conv2.bias": (width,),
            "conv3.weight": (width, width, *kernel),
            "conv3.bias": (width,),
            "fc.weight": (self.classes, width),
            "fc.bias": (self.classes,),
        }

    def initial_parameters(self, runs: Sequence[Hyperparameters]) -> Tensor:
        """Draw each run's parameters from its own seed, float32 [networks, parameter_count]; biases start at zero."""
        parameters = torch.zeros(len(runs), self.parameter_count)
        for row, run in zip(parameters, runs, strict=True):
            generator = torch.Generator().manual_seed(run.seed)
            for name, tensor in self.split(row[None]).items():
                if name.endswith("weight"):
                    shape = tuple(tensor.shape[1:])
                    tensor[0] = initial_weight(shape, run.initialiser, run.initialiser_scale, generator)
        return parameters


def image_patches(images: Tensor) -> Tensor:
    """Cut images into the patches that the first convolution reads, each with a 1 appended for the bias.

    Args:
        images: [count, in_channels, height, width].

    Returns:
        [count, rows, columns, 9 × in_channels + 1] in the images' dtype. Cut once, they turn the first layer of
        every training step into a matrix product, which on a CPU is several times faster than the convolution.
    """
    rows, columns = ((side - KERNEL) // STRIDE + 1 for side in images.shape[2:])
    patches = F.unfold(images.float(), KERNEL, stride=STRIDE).to(images.dtype)  # [count, 9 × in_channels, positions]
    return F.pad(patches.transpose(1, 2), (0, 1), value=1.0).unflatten(1, (rows, columns)).contiguous()


def strided_patches(images: Tensor) -> Tensor:
    """The same as `image_patches`, for the images of one step.

    On a GPU, torch's unfold of images starts a kernel for each image; this is one copy.
    """
    fields = images.unfold(2, KERNEL, STRIDE).unfold(3, KERNEL, STRIDE)  # [count, channels, rows, columns, 3, 3]
    return F.pad(fields.permute(0, 2, 3, 1, 4, 5).flatten(3), (0, 1), value=1.0)


def population_logits(
    tensors: dict[str, Tensor],
    patches: Tensor,
    activation: str,
    dropout: PopulationDropout | None = None,
    preprocessing: Preprocessing | None = None,
) -> Tensor:
    """Run P networks, each on its own batch of images or all on the same.

    Args:
        tensors: the named tensors of `SmallCnn.split`, [P, *shape]. The computation takes the patches' dtype.
        patches: from `image_patches`, [P, batch, rows, columns, patch], or [1, batch, ...] seen by all.
        activation: "relu" or "tanh".
        dropout: zeroes hidden activations while training; None in evaluation.
        preprocessing: of the pixels, which the patches have in [-1, 1]; None takes them as they are.

    Returns:
        Logits, float32 [P, batch, classes].
    """
    networks, _, width = tensors["fc.weight"].shape
    dtype = patches.dtype
    first, offset = tensors["conv1.weight"], tensors["conv1.bias"]
    if preprocessing is not None:
        first, offset = preprocessing.folded(first, offset)
    kernel = torch.cat([first.flatten(2), offset[:, :, None]], dim=2)
    hidden = _first_layer(patches, kernel.to(dtype))  # [batch, P × width, rows, columns], channels last
    for layer in ("conv2", "conv3"):
        hidden = _activate(hidden, activation, dropout)
        weight, bias = tensors[f"{layer}.weight"], tensors[f"{layer}.bias"]
        if dropout is not None:
            # Kept activations are scaled up in the weight that reads them, which is far smaller than they are.
            weight = weight * dropout.scale[:, None, None, None, None]
        convolution = product_convolution if hidden.is_cuda else grouped_convolution
        hidden = convolution(hidden, weight.to(dtype), bias.to(dtype))
    hidden = _activate(hidden, activation, dropout)
    pooled = hidden.mean((2, 3), dtype=torch.float32).unflatten(1, (networks, width))  # [batch, P, width]
    weight = tensors["fc.weight"] if dropout is None else tensors["fc.weight"] * dropout.scale[:, None, None]
    return torch.baddbmm(tensors["fc.bias"][:, None], pooled.transpose(0, 1), weight.transpose(1, 2))


def grouped_convolution(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Each network's 3×3 convolution of its own channels, as one of P groups.

    Args:
        hidden: [batch, P × inputs, rows, columns].
        weight: [P, outputs, inputs, 3, 3].
        bias: [P, outputs].

    Returns:
        [batch, P × outputs, rows, columns].
    """
    return F.conv2d(hidden, weight.flatten(0, 1), bias.flatten(), stride=STRIDE, groups=len(weight))


def product_convolution(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """The same by one batched matrix product, which a GPU does faster than many small groups."""
    networks, inputs = len(weight), weight.shape[2]
    fields = hidden.unflatten(1, (networks, inputs)).unfold(3, KERNEL, STRIDE).unfold(4, KERNEL, STRIDE)
    batch, (rows, columns) = len(hidden), fields.shape[3:5]
    # [P, batch × rows × columns, inputs × 9]
    patches = fields.permute(1, 0, 3, 4, 2, 5, 6).reshape(networks, batch * rows * columns, -1)
    product = torch.baddbmm(bias[:, None], patches, weight.flatten(2).transpose(1, 2))
    return product.unflatten(1, (batch, rows, columns)).permute(1, 2, 3, 0, 4).flatten(3).permute(0, 3, 1, 2)


def _first_layer(patches: Tensor, kernel: Tensor) -> Tensor:
    """Patches [P or 1, batch, rows, columns, patch] times kernels [P, width, patch]."""
    networks, width, _ = kernel.shape
    shared, batch, rows, columns, _ = patches.shape
    if shared == 1:
        flat = patches[0].flatten(0, 2) @ kernel.flatten(0, 1).T
    else:
        flat = _BatchedProduct.apply(patches.flatten(1, 3), kernel.transpose(1, 2))  # type: ignore[no-untyped-call]
    return flat.view(batch, rows, columns, networks * width).permute(0, 3, 1, 2)


class _BatchedProduct(torch.autograd.Function):
    """left [P, m, k] times right [P, k, n] as [m, P, n], with a gradient for `right` alone.

    The transposed result is what a channels-last image of P × n channels looks like in memory. Its gradient is made
    contiguous first, since the batched product over strided bfloat16 takes twice as long as copy and product.
    """

    @staticmethod
    def forward(ctx, left: Tensor, right: Tensor) -> Tensor:  # type: ignore[no-untyped-def]
        ctx.save_for_backward(left)
        output = left.new_empty(left.shape[1], left.shape[0], right.shape[2])
        torch.bmm(left, right, out=output.transpose(0, 1))
        return output

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[None, Tensor]:  # type: ignore[no-untyped-def]
        (left,) = ctx.saved_tensors
        return None, torch.bmm(left.transpose(1, 2), gradient.transpose(0, 1).contiguous())


def _activate(hidden: Tensor, activation: str, dropout: PopulationDropout | None) -> Tensor:
    return ACTIVATIONS[activation](hidden) if dropout is None else dropout(hidden, activation)


class PopulationDropout:
    """Dropout with one rate per network, on hidden activations of shape [batch, P × channels, height, width].

    A rate is rounded to a multiple of 1/256, so that a mask costs one random byte a value.
    """

    def __init__(
        self, rates: Sequence[float], generator: torch.Generator, device: torch.device, channels: int = WIDTH
    ) -> None:
        thresholds = torch.tensor([round(256 * rate) for rate in rates], dtype=torch.float32)
        self.scale = (256 / (256 - thresholds)).to(device)  # [P]
        self.thresholds = thresholds.to(torch.uint8).repeat_interleave(channels).to(device)  # [P × channels]
        self.generator = generator

    def __call__(self, hidden: Tensor, activation: str) -> Tensor:
        words = torch.empty(-(-hidden.numel() // 8), dtype=torch.int64, device=hidden.device)
        words.random_(-(2**63), None, generator=self.generator)
        # The bytes take the order of `hidden` in memory (channels last).
        shape = hidden.permute(0, 2, 3, 1).shape
        keep = words.view(torch.uint8)[: hidden.numel()].view(shape).ge_(self.thresholds).permute(0, 3, 1, 2)
        keep = keep.to(_BITS[hidden.dtype])
        masked: Tensor = _MaskedActivation.apply(hidden, keep, activation)  # type: ignore[no-untyped-call]
        return masked


class _MaskedActivation(torch.autograd.Function):
    """activation(hidden) · keep in one piece, whose backward pass needs the output alone.

    relu' and 1 − tanh² both follow from the output where it is kept; where it is dropped the output is zero,
    which already stops relu's gradient, and tanh's is masked.
    """

    @staticmethod
    def forward(ctx, hidden: Tensor, keep: Tensor, activation: str) -> Tensor:  # type: ignore[no-untyped-def]
        output = _zero_dropped_(ACTIVATIONS[activation](hidden), keep)
        ctx.activation = activation
        ctx.save_for_backward(output, *([keep] if activation == "tanh" else []))
        return output

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, None, None]:  # type: ignore[no-untyped-def]
        output, *keep = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        if ctx.activation == "relu":
            # As integers, the bits of a float are positive exactly where it is.
            positive = output.view(_BITS[output.dtype]).clamp(0, 1)
            return (gradient.view(positive.dtype) * positive).view(output.dtype), None, None
        slope = torch.addcmul(gradient, gradient * output, output, value=-1)
        return _zero_dropped_(slope, keep[0]), None, None


_BITS = {torch.bfloat16: torch.int16, torch.float32: torch.int32}


def _zero_dropped_(values: Tensor, keep: Tensor) -> Tensor:
    # Multiplying the bits by 0 or 1 is exact, and twenty times faster on a CPU than bfloat16 times bool.
    values.view(_BITS[values.dtype]).mul_(keep)
    return values
