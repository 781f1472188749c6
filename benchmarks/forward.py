"""Speed of Monomial-NFN's forward pass on a CPU, against plain einsums with the same weights.

Both compute the same function of the same batch of small CNNs in float32 (the largest difference is printed). The plain
form is the paper's sums (arXiv 2409.11697, equations 14 to 22), one einsum a term, over weights as they lie in a
checkpoint: [batch, channel, out, in, kernel].

    python benchmarks/forward.py
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from nfn_cli.architectures import Layer, NetworkWeights, chain
from nfn_cli.nn import Layout, MonomialLinear, MonomialNFN, MonomialNFNSizes, read_fields

LAYERS = [
    Layer("conv1", "conv", 1, 16, (3, 3)),
    Layer("conv2", "conv", 16, 16, (3, 3)),
    Layer("conv3", "conv", 16, 16, (3, 3)),
    Layer("fc", "linear", 16, 10),
]
# The fields of these networks under scalings, in order, as the plain form names them.
CONV1, CONV2, BIAS2, CONV3, BIAS3, FC, FC_BIAS = range(7)


def plain_logits(model: MonomialNFN, tensors: dict[str, Tensor]) -> Tensor:
    """Logits [batch] of networks given by their named tensors, term by term."""
    scale = [model.standardise.get_buffer(f"scale_{i}") for i in range(7)]
    first, second = (layer for layer in model.equivariant if isinstance(layer, MonomialLinear))
    w1, b1 = tensors["conv1.weight"].flatten(3), tensors["conv1.bias"]  # [b, n₁, n₀, k], [b, n₁]
    w2, w3 = tensors["conv2.weight"].flatten(3), tensors["conv3.weight"].flatten(3)
    b2, b3, w4, b4 = (tensors[name] for name in ("conv2.bias", "conv3.bias", "fc.weight", "fc.bias"))

    # Degree 0: each entry by its own norm.
    norm = (torch.einsum("bjqk,bjqk->bj", w1, w1) + b1.square()).sqrt()
    w1, b1 = w1 / norm[:, :, None, None], b1 / norm
    w2, w3 = (w / torch.einsum("bjqk,bjqk->bjq", w, w).sqrt()[..., None] for w in (w2, w3))
    w4 = w4 / torch.einsum("bpk,bpk->bk", w4, w4).sqrt()[:, None]
    b2, b3 = b2.sign(), b3.sign()

    # Standardise.
    w1, b1 = w1 * scale[CONV1][:9], b1 * scale[CONV1][9]
    w2, w3, b2, b3 = w2 * scale[CONV2], w3 * scale[CONV3], b2 * scale[BIAS2], b3 * scale[BIAS3]
    w4 = w4 * scale[FC][:, None]
    b4 = (b4 - model.standardise.get_buffer("shift_6")) * scale[FC_BIAS]

    # Equations 14 to 19 into channels.
    maps = [linear.weight for linear in first.maps]
    p1, a1 = maps[CONV1][:, :9].unflatten(1, (1, 9)), maps[CONV1][:, 9]
    h1 = torch.einsum("cqk,bjqk->bcj", p1, w1) + torch.einsum("c,bj->bcj", a1, b1)
    h2, h3 = (torch.einsum("ck,bjqk->bcjq", m, w) for m, w in ((maps[CONV2], w2), (maps[CONV3], w3)))
    g2, g3 = (torch.einsum("c,bj->bcj", m[:, 0], b) for m, b in ((maps[BIAS2], b2), (maps[BIAS3], b3)))
    h4 = torch.einsum("cp,bpk->bck", maps[FC], w4)
    g4 = torch.einsum("cp,bp->bc", maps[FC_BIAS], b4) + first.maps[FC_BIAS].bias
    hidden = [values.relu() for values in (h1, h2, g2, h3, g3, h4, g4)]

    # The second layer, channels to channels.
    maps = [linear.weight for linear in second.maps]
    specs = ["bcj", "bcjq", "bcj", "bcjq", "bcj", "bck", "bc"]
    hidden = [
        torch.einsum(f"dc,{spec}->{spec.replace('c', 'd')}", m, values)
        for spec, m, values in zip(specs, maps, hidden, strict=True)
    ]
    hidden[FC_BIAS] = hidden[FC_BIAS] + second.maps[FC_BIAS].bias
    hidden = [values.relu() for values in hidden]

    # Equations 20 to 22: the affine map of each entry, then averages over neurons.
    pooled = []
    for spec, affine, values in zip(specs, model.invariant.affine, hidden, strict=True):
        entries = torch.einsum(f"dc,{spec}->{spec.replace('c', 'd')}", affine.weight, values)
        entries = (entries + affine.bias.view(-1, *[1] * (values.ndim - 2))).relu()
        pooled.append(entries.flatten(2).mean(2) if values.ndim > 2 else entries)
    return model.logits(torch.cat(pooled, dim=1))


def seconds(function: Callable[[], Tensor], repeats: int) -> float:
    """Median time of a call."""
    function()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@torch.inference_mode()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--repeats", type=int, default=20)
    arguments = parser.parse_args()
    torch.manual_seed(0)
    architecture = chain(LAYERS, activation="relu")
    tensors = {spec.name: torch.randn(arguments.batch, *spec.shape) for spec in architecture.tensors}
    layout = Layout.of(architecture)
    model = MonomialNFN(layout, MonomialNFNSizes()).eval()
    model.standardise.fit(read_fields(layout, NetworkWeights(architecture, tensors)))

    def ours() -> Tensor:
        return model(read_fields(layout, NetworkWeights(architecture, tensors)))

    def plain() -> Tensor:
        return plain_logits(model, tensors)

    difference = (ours() - plain()).abs().max().item()
    # Turn about, so that a busy machine is unfair to neither.
    times = {"plain": [], "ours": []}
    for _ in range(arguments.repeats):
        times["plain"].append(seconds(plain, 1))
        times["ours"].append(seconds(ours, 1))
    plain_time, our_time = (statistics.median(times[name]) for name in ("plain", "ours"))
    print(f"batch {arguments.batch}, float32, {torch.get_num_threads()} threads; largest difference {difference:.1e}")
    print(f"plain einsums   {plain_time * 1e3:8.1f} ms")
    print(f"Monomial-NFN    {our_time * 1e3:8.1f} ms")
    print(f"ratio           {plain_time / our_time:8.2f}")


if __name__ == "__main__":
    main()
