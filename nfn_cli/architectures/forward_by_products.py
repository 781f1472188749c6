"""The forward pass of many small networks as matrix products alone, for a CPU and without gradients.

A convolution is a product of windows [positions, kernel × channels] with filters [kernel × channels, filters]. Channels
lie last in memory, and each network's values together, so that a window is a few long rows. Products with so few
filters are up to twice as fast as grouped convolutions, as long as what stands between two layers stays in a
processor's cache. So a few inputs run through one network at a time, and always through the same memory.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures.between_layers import activated, flattened
from nfn_cli.architectures.network_weights import NetworkWeights
from nfn_cli.kept_tensor import KeptTensor

# Numbers that a first layer gives at once: a megabyte, half of a cache.
_NUMBERS = 1 << 18
# Heads give the same inputs each time.
_ROWS = KeptTensor()
# Inputs that are laid out as windows at once.
_INPUTS = 256
# A first layer with windows of so few entries is cheap.
_FEW_ENTRIES = 32
# Networks that go through the later layers at once.
_NETWORKS = 8


def runs_by_products(point: NetworkWeights, inputs: Tensor, stride: int, padding: int | None) -> bool:
    """Whether `forward_by_products` runs these networks on these inputs.

    They are convolutions, then linear layers, with nothing but activations between, no layer's windows of one input
    are more than are kept in a cache, and neither gradients nor shorter numbers are wanted.
    """
    layers = point.architecture.layers
    kinds = [layer.kind for layer in layers]
    if kinds[0] != "conv" or kinds != sorted(kinds) or any(layer.stages for layer in layers):
        return False
    if inputs.device.type != "cpu" or torch.is_grad_enabled() or inputs.ndim != 2 + len(layers[0].kernel):
        return False
    # Autocast does not shorten products into memory of their own.
    if not len(inputs) or torch.is_autocast_enabled("cpu"):
        return False
    sides: Sequence[int] = inputs.shape[2:]
    for layer in layers[: kinds.count("conv")]:
        added = [size - 1 if padding is None else 2 * padding for size in layer.kernel]
        steps = zip(sides, added, layer.kernel, strict=True)
        sides = [(side + more - size) // stride + 1 for side, more, size in steps]
        entries = math.prod(point.tensors[f"{layer.name}.weight"].shape[2:])
        if min(sides) < 1 or math.prod(sides) * entries > _NUMBERS:
            return False
    return True


def forward_by_products(point: NetworkWeights, inputs: Tensor, stride: int, padding: int | None) -> Tensor:
    """As `population_forward`, of networks that `runs_by_products`."""
    products = _Products(point, stride, padding)
    if len(inputs) <= _INPUTS:
        # The numbers as well: a caller may have written to them in a way that torch does not see.
        numbers = inputs.detach().contiguous().view(torch.uint8).numpy().tobytes()
        return products.of(_ROWS.of([inputs], lambda: products.rows(inputs), (products.key, numbers)))
    return torch.cat([products.of(products.rows(some)) for some in inputs.split(_INPUTS)], dim=1)


class _Products:
    """Networks as matrices, [networks, entries, out] and [networks, 1, out] for each layer."""

    def __init__(self, point: NetworkWeights, stride: int, padding: int | None) -> None:
        self.architecture, self.stride, self.padding = point.architecture, stride, padding
        self.layers = point.architecture.layers
        self.kernels = tuple(layer.kernel for layer in self.layers if layer.kind == "conv")
        # A layer's windows hold its inputs several times. A cheap first layer is computed as often, which is faster
        # than to copy what it gives: its own windows are laid out as the second one's will be, once for all networks.
        cheap = point.architecture.activation == "relu" and math.prod(self.layers[0].weight_shape[1:]) <= _FEW_ENTRIES
        self.nested = cheap and len(self.kernels) > 1 and padding == 0
        self.key = (self.kernels, self.nested, stride, padding)
        weights = [point.tensors[f"{layer.name}.weight"] for layer in self.layers]
        self.weights = [own.movedim((1, 2), (-1, -2)).flatten(1, -2).contiguous() for own in weights]
        self.biases = [point.tensors[f"{layer.name}.bias"][:, None] for layer in self.layers]
        # The first bias is one more entry, which reads a one: to copy it into so much takes as long as the product.
        self.weights[0] = torch.cat([self.weights[0], self.biases[0]], dim=1)
        self._memory: dict[str, Tensor] = {}

    def of(self, rows: Tensor) -> Tensor:
        """Outputs [networks, batch, outputs], or [networks, batch, channels, *space], for `rows` of the inputs."""
        inputs_at_once = max(1, _NUMBERS // (rows[0, ..., 0].numel() * self.weights[0].shape[2]))
        groups = range(len(self.weights[0]))
        found = [
            torch.cat([self._of_some(some, groups[start : start + _NETWORKS]) for start in groups[::_NETWORKS]])
            for some in rows.split(inputs_at_once)
        ]
        return torch.cat(found, dim=1).movedim(-1, 2)

    def rows(self, inputs: Tensor) -> Tensor:
        """What the first layer reads of inputs, a one behind each window's entries [batch, *positions, entries]."""
        places = _places(tuple(inputs.shape[1:]), self.kernels[: 1 + self.nested], self.stride, self.padding)
        # Behind each picture: what is padded, and what the bias reads.
        ends = inputs.new_tensor([0.0, 1.0]).expand(len(inputs), 2)
        found = torch.cat([inputs.flatten(1), ends], dim=1).index_select(1, places.flatten())
        return found.unflatten(1, places.shape)

    def _of_some(self, rows: Tensor, networks: range) -> Tensor:
        """Outputs [networks, batch, *positions, channels] of some networks, for `rows` of some inputs.

        The first two layers, between which there is most, run one network a thread; those behind all at once.
        """
        flat, hidden = rows.flatten(0, -2), rows
        # A single layer has nothing behind it, and all of the networks are as good as one.
        threads = torch.get_num_threads() if len(self.layers) > 1 else len(networks)
        for start in range(0, len(networks), threads):
            some = networks[start : start + threads]
            own = slice(some.start, some.stop)
            shape = len(some), *rows.shape[:-1], self.weights[0].shape[2]
            hidden = self._kept("first", shape, rows)
            torch.bmm(flat.expand(len(some), -1, -1), self.weights[0][own], out=hidden.flatten(1, -2))
            if len(self.layers) == 1:
                break
            seen = self._seen(hidden, 1)
            shape = len(networks), *seen.shape[1:-1], self.weights[1].shape[2]
            hidden = self._kept("second", shape, rows)
            self._product(seen, 1, own, hidden[start : start + len(some)])
        for position in range(2, len(self.layers)):
            seen = self._seen(hidden, position)
            hidden = self._kept(f"product {position}", (*seen.shape[:-1], self.weights[position].shape[2]), rows)
            self._product(seen, position, slice(networks.start, networks.stop), hidden)
        return hidden.clone()

    def _seen(self, hidden: Tensor, position: int) -> Tensor:
        """What a layer reads of what the one before it gave, [networks, batch, *positions, entries]."""
        layer, hidden = self.layers[position], activated(hidden, self.architecture, position - 1)
        if layer.kind == "conv":
            if position > 1 or not self.nested:
                windows = _windows(hidden, layer.kernel, self.stride, self.padding)
                hidden = self._kept(f"windows {position}", windows.shape, hidden).copy_(windows)
            return hidden.flatten(-1 - len(layer.kernel))
        if hidden.ndim == 3:
            return hidden
        channels_first = hidden.movedim(-1, 2).flatten(0, 1)
        return flattened(channels_first, layer, self.architecture.pool).unflatten(0, hidden.shape[:2])

    def _product(self, seen: Tensor, position: int, networks: slice, out: Tensor) -> None:
        weight, bias = self.weights[position][networks], self.biases[position][networks]
        torch.baddbmm(bias, seen.flatten(1, -2), weight, out=out.flatten(1, -2))

    def _kept(self, use: str, shape: Sequence[int], like: Tensor) -> Tensor:
        """Memory for one use, the same each time: what is new lies elsewhere, and is in no cache."""
        kept = self._memory.get(use)
        if kept is None or kept.shape != shape:
            kept = self._memory[use] = like.new_empty(shape)
        return kept


@lru_cache(16)
def _places(shape: tuple[int, ...], kernels: tuple[tuple[int, ...], ...], stride: int, padding: int | None) -> Tensor:
    """Where in a picture [channels, *space] each entry of a window lies [*positions, entries], counted through; of one
    kernel, or of the windows of a second one. One behind the picture is padding, the last entry one behind that."""
    size = math.prod(shape)
    places = torch.arange(size).view(shape).movedim(0, -1)
    places = _windows(places, kernels[0], stride, padding, size).flatten(-1 - len(kernels[0]))
    places = F.pad(places, (0, 1), value=size + 1)
    return places if len(kernels) == 1 else _windows(places, kernels[1], stride, 0)


def _windows(values: Tensor, kernel: Sequence[int], stride: int, padding: int | None, fill: int = 0) -> Tensor:
    """Of values [..., *space, channels] those that a convolution reads at each position, [..., *positions, *kernel,
    channels], a view where nothing is padded."""
    if padding != 0:
        sides = [(size // 2, (size - 1) // 2) if padding is None else (padding, padding) for size in reversed(kernel)]
        values = F.pad(values, [0, 0, *(side for both in sides for side in both)], value=fill)
    first = values.ndim - 1 - len(kernel)
    for axis, size in enumerate(kernel):
        values = values.unfold(first + axis, size, stride)
    return values.movedim(first + len(kernel), -1)
