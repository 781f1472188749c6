"""Parameters of equivariant layers, beside the permutation-only layers of the PyPI package `nfn` (NP and HNP).

Two layers in a row, from a multilayer perceptron's weights to 16 channels to 16 channels. Counts depend on depth and on
the sizes of input and output, never on hidden widths. The last line says how a doubling multiplies the count: linear
growth tends to 2, quadratic growth to 4.

    pip install 'nfn-cli[bench]' && python benchmarks/parameters.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from nfn.common import ArraySpec, NetworkSpec
from nfn.layers import HNPLinear, NPLinear
from torch import nn

from nfn_cli.architectures import Layer, chain
from nfn_cli.nn import Layout, MonomialLinear

CHANNELS = 16
HIDDEN = 8
DEPTHS = (2, 4, 6, 8, 10, 12, 14, 16)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


def monomial(layers: int, outer: int, activation: str) -> int:
    widths = [outer, *[HIDDEN] * (layers - 1), outer]
    named = [Layer(str(i), "linear", n, m) for i, (n, m) in enumerate(pairwise(widths))]
    layout = Layout.of(chain(named, activation=activation))
    features, hidden = [field.features for field in layout.fields], [CHANNELS] * len(layout.fields)
    return count(MonomialLinear(layout, features, hidden), MonomialLinear(layout, hidden, hidden))


def permutation_only(layers: int, outer: int, kind: type[nn.Module]) -> int:
    # -1 marks an axis of hidden neurons; NP shares its weights along the outer axes too.
    widths = [outer, *[-1] * (layers - 1), outer]
    spec = NetworkSpec(
        [ArraySpec((m, n)) for n, m in pairwise(widths)],
        [ArraySpec((m,)) for m in widths[1:]],
    )
    return count(kind(spec, 1, CHANNELS), kind(spec, CHANNELS, CHANNELS))


def count(*modules: nn.Module) -> int:
    return sum(parameter.numel() for module in modules for parameter in module.parameters())


METHODS: dict[str, Callable[[int, int], int]] = {
    "scaling group (ReLU)": lambda layers, outer: monomial(layers, outer, "relu"),
    "sign group (tanh, sin)": lambda layers, outer: monomial(layers, outer, "tanh"),
    "NPLinear": lambda layers, outer: permutation_only(layers, outer, NPLinear),
    "HNPLinear": lambda layers, outer: permutation_only(layers, outer, HNPLinear),
}


def table(title: str, points: Sequence[tuple[int, int]], label: Callable[[tuple[int, int]], int]) -> None:
    counts = {point: [method(*point) for method in METHODS.values()] for point in points}
    print(f"{title:>8} " + " ".join(f"{name:>22}" for name in METHODS))
    for point, row in counts.items():
        print(f"{label(point):>8} " + " ".join(f"{value:>22,}" for value in row))
    top = label(points[-1])
    half, whole = (next(row for point, row in counts.items() if label(point) == size) for size in (top // 2, top))
    print(
        f"{'doubling':>8} " + " ".join(f"{'× ' + format(b / a, '.2f'):>22}" for a, b in zip(half, whole, strict=True))
    )
    print()


if __name__ == "__main__":
    table("layers", [(layers, 4) for layers in DEPTHS], lambda point: point[0])
    table("n₀ = n_L", [(4, outer) for outer in SIZES], lambda point: point[1])
