"""How much of a layer's output comes from each of its inputs.

A layer's weight times the size of its input channel, over the size of its output channel, is the same for every
network of an orbit: the scales of neurons cancel. Sizes are root mean squares on pictures where the network is run. A
chain that is not run has those of its paths: s² = |W|² s² + b², from 1 at the input on (the ℓ₂ path norm of Neyshabur
et al. 2015, *Norm-based capacity control in neural networks*, with biases as further inputs).
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from nfn_cli.architectures import NetworkWeights

FLOW = 12  # numbers that `flow_statistics` gives
_TINY = 1e-12
_CANCELS = 1e-8
_LEAST_SQUARE = 1e-200
_LEAST = 1e-4
_SHARES = (0.02, 0.1, 0.5, 0.9)


def flow_statistics(weight: Tensor, bias: Tensor | None, sizes_in: Tensor, sizes_out: Tensor) -> Tensor:
    """Statistics of what flows through a layer, float64 [12].

    Args:
        weight: [out, in, *kernel].
        bias: [out], or None.
        sizes_in, sizes_out: of input and output channels, [in] and [out], not negative.
    """
    squares = weight.double().square().flatten(2).sum(2) if weight.ndim > 2 else weight.double().square()
    parts_of_out = squares * sizes_in.double().square()
    # Relative to its parts, so that no scale matters: a neuron whose parts cancel up to rounding counts as dead.
    out = torch.maximum(sizes_out.double().square(), _CANCELS * parts_of_out.sum(1)).clamp_min(_LEAST_SQUARE)
    flow = parts_of_out / out[:, None]
    columns, rows = flow.mean(0), flow.sum(1)
    parts = [_logs(columns / columns.mean().clamp_min(_TINY)), _logs(rows)[-4:]]
    # A sum of many inputs is larger or smaller than its parts: how much they add up or cancel.
    parts.append(torch.stack([rows.mean().clamp_min(_TINY).log()]))
    share = torch.zeros(2).double()
    if bias is not None:
        share[0] = (bias.double().square() / out).mean().clamp(_TINY, 1e6).log() / 4
        share[1] = bias.double().square().div(out).clamp_max(1).mean()
    parts.append(share)
    return torch.cat(parts)


def _logs(values: Tensor) -> Tensor:
    """Deviation and quantiles of logarithms [5] of positive numbers, none below a ten-thousandth."""
    logs = (values + _LEAST).log().sort().values
    places = [round(share * (len(logs) - 1)) for share in _SHARES]
    return torch.stack([logs.std(correction=0), *(logs[place] for place in places)])


def path_sizes(chain: NetworkWeights) -> list[tuple[Tensor, Tensor]]:
    """Sizes of input and output channels of every layer of a chain [*shape], along its paths; float64."""
    found: list[tuple[Tensor, Tensor]] = []
    sizes: Tensor | None = None
    for layer in chain.architecture.layers:
        weight, bias = chain.tensors[f"{layer.name}.weight"].double(), chain.tensors[f"{layer.name}.bias"].double()
        squares = weight.square().flatten(2).sum(2) if weight.ndim > 2 else weight.square()
        if sizes is None:
            sizes = torch.ones(squares.shape[1]).double()
        elif len(sizes) != squares.shape[1]:  # a channel before a flatten is an input at every position
            sizes = sizes.repeat_interleave(squares.shape[1] // len(sizes))
        out = (squares @ sizes.square() + bias.square()).sqrt()
        found.append((sizes, out))
        sizes = out
    return found


def path_statistics(sizes: Sequence[tuple[Tensor, Tensor]], depth: int) -> Tensor:
    """Of a whole chain, float64 [2]: the logarithm of its path norm a layer, and how outputs differ in it."""
    logs = sizes[-1][1].clamp_min(_TINY).log()
    return torch.stack([logs.mean() / depth, logs.std(correction=0)])
