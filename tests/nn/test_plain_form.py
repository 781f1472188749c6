"""The layer against the paper's own sums (arXiv 2409.11697, equations 14 to 19 and appendix D), written plainly."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nfn_cli.architectures import Layer, NetworkWeights, chain
from nfn_cli.nn import Layout, MonomialLinear

BATCH, OUT = 5, 7
# Two 3×3 convolutions, one of 1×1, a flatten of four positions, and two linear layers.
LAYERS = [
    Layer("a", "conv", 2, 3, (3, 3)),
    Layer("b", "conv", 3, 4, (3, 3)),
    Layer("c", "conv", 4, 5, (1, 1)),
    Layer("d", "linear", 20, 6, (), 4),
    Layer("e", "linear", 6, 3),
]


def plain_scaling(point: NetworkWeights, maps: list[Tensor], constant: Tensor) -> list[Tensor]:
    """One einsum a term, under d > 0; the maps are those of the fields, in the order of `point.tensors`."""
    w = {name: tensor.flatten(3) if tensor.ndim > 3 else tensor for name, tensor in point.tensors.items()}
    first, b, c, d, last, tail = maps[0], maps[1:3], maps[3:5], maps[5:7], maps[7], maps[8]
    kernels = 9 * 2
    # W'₁ and b'₁: what is left when the axis of inputs and the kernel are summed against p₁ and q₁.
    p, a = first[:, :kernels].view(OUT, 2, 9), first[:, kernels]
    w1 = torch.einsum("oqk,bjqk->bjo", p, w["a.weight"]) + torch.einsum("o,bj->bjo", a, w["a.bias"])
    inner = []
    for layer, (weight, bias) in zip("bcd", (b, c, d), strict=True):
        # W'ᵢ and b'ᵢ: entry by entry. Kernel entries and the flatten's positions ride in the channels.
        if layer == "d":
            split = w["d.weight"].unflatten(2, (5, 4))
            kept = torch.einsum("os,bjqs->bqjo", weight, split)
        else:
            kept = torch.einsum("ok,bjqk->bqjo", weight, w[f"{layer}.weight"])
        inner += [kept, torch.einsum("o,bj->bjo", bias[:, 0], w[f"{layer}.bias"])]
    w_last = torch.einsum("op,bpk->bko", last, w["e.weight"])
    b_last = torch.einsum("op,bp->bo", tail, w["e.bias"]) + constant
    return [w1, *inner, w_last, b_last]


def plain_sign(point: NetworkWeights, maps: list[Tensor], constant: Tensor) -> list[Tensor]:
    """Under d = ±1 the same, but that b_{L−1} and W_L read each other."""
    own_bias, last = maps[6][:, :1], maps[6][:, 1:]
    sums = plain_scaling(point, [*maps[:6], own_bias, last, maps[7]], constant)
    merged = sums[6] + sums[7]
    return [*sums[:6], merged, sums[8]]


@pytest.mark.parametrize(("activation", "plain"), [("relu", plain_scaling), ("tanh", plain_sign)])
def test_the_layer_is_the_papers_sums(activation: str, plain, random_point) -> None:  # type: ignore[no-untyped-def]
    architecture = chain(LAYERS, activation=activation)
    layout = Layout.of(architecture)
    torch.manual_seed(0)
    layer = MonomialLinear(layout, [field.features for field in layout.fields], [OUT] * len(layout.fields)).double()
    point = random_point(architecture, BATCH)
    maps = [linear.weight for linear in layer.maps]
    expected = plain(point, maps, layer.maps[-1].bias)
    found = layer(layout.pack(point))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.shape == theirs.shape
        assert torch.allclose(ours, theirs, atol=1e-12)
