"""The layers span every equivariant linear map: their rank is the dimension that sampled elements leave."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from random_networks import draw
from torch import nn

from nfn_cli.architectures.tracing.export import export
from nfn_cli.architectures.tracing.tracer import trace
from nfn_cli.nn.labelled import Commutant, LabelledLayout, LabelledLinear, monomial
from nfn_cli.symmetry.labelled import sample

BENCHMARK = Path(__file__).parents[3] / "benchmarks" / "equivariant_maps"


@pytest.fixture
def networks(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The benchmark's small networks."""
    monkeypatch.syspath_prepend(str(BENCHMARK))
    yield importlib.import_module("networks")
    del sys.modules["networks"]


def spans_all(layout: LabelledLayout) -> bool:
    layer = LabelledLinear(layout, layout.features, layout.features, bias=False)
    commutant = Commutant.of(layout)
    return commutant.dimension > 0 and commutant.spanned(layer) == commutant.dimension


@pytest.mark.parametrize(
    "name",
    [
        "chain, relu",
        "one layer used twice, tanh",
        "residual, norm first",
        "attention, 4 heads on 2",
        "transformer, tied",
    ],
)
def test_chosen_networks(networks: ModuleType, name: str) -> None:
    module, inputs = networks.CHOSEN[name]()
    assert spans_all(LabelledLayout.from_module(module, inputs))


@pytest.mark.parametrize("seed", [9, 15, 21])
def test_random_networks(seed: int) -> None:
    drawn = draw(seed)
    assert spans_all(LabelledLayout.of(trace(export(drawn.module, drawn.inputs))))


@pytest.mark.parametrize("activation", [nn.ReLU, nn.Tanh, nn.GELU])
def test_the_count_is_the_null_space(activation: type[nn.Module]) -> None:
    """Without orbits: the null space of E(gU) = gE(U) in float64."""
    model = nn.Sequential(nn.Linear(1, 3), activation(), nn.Linear(3, 2), activation(), nn.Linear(2, 1, bias=False))
    layout = LabelledLayout.from_module(model)
    generator = torch.Generator().manual_seed(3)
    eye = np.eye(layout.entries)
    gram = np.zeros((layout.entries**2,) * 2)
    for _ in range(6):
        order, factor = monomial(sample(layout.architecture, generator, scale_range=(0.5, 2.0)), layout)
        matrix = eye[order] * factor[:, None]
        constraint = np.kron(matrix, eye) - np.kron(eye, matrix.T)
        gram += constraint.T @ constraint
    values = np.linalg.eigvalsh(gram)
    null = int((values < 1e-9 * values[-1]).sum())
    assert values[null] > 1e-6 * values[-1]  # a clear gap, or the count would mean nothing
    assert Commutant.of(layout).dimension == null


def test_a_layer_that_spans_less_is_found_out() -> None:
    layout = LabelledLayout.from_module(nn.Sequential(nn.Linear(2, 3), nn.GELU(), nn.Linear(3, 2)))
    layer = LabelledLinear(layout, layout.features, layout.features, bias=False)
    whole = Commutant.of(layout)
    key = next(name for name in layer.weights if "a>b" in name)
    layer.terms = [term for term in layer.terms if layer.name(term) != key]
    layer.weights.pop(key)
    assert whole.spanned(layer) < whole.dimension
