"""The normal form of small networks of many kinds: one for the whole orbit, the same function, and normal itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
import torch
from small_modules import SMALL, filled
from torch import Tensor

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.architectures.tracing.export import Exported, export
from nfn_cli.architectures.tracing.tracer import trace
from nfn_cli.symmetry.labelled import (
    act,
    bounded,
    compose,
    free_logs,
    free_signs,
    normal_form,
    orders_of,
    sample,
    used_variables,
)

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-6}
_FAST = ("MLP, ReLU", "MLP, none", "residual", "gates, groups", "GPT-2", "Llama", "GRU")
KINDS = [name if name in _FAST else pytest.param(name, marks=pytest.mark.slow) for name in SMALL]
State = dict[str, Tensor]


@dataclass(frozen=True)
class Traced:
    """A module as a graph, its group, its weights and inputs."""

    graph: Exported
    architecture: LabelledArchitecture
    state: State
    inputs: Tensor

    def run(self, state: Mapping[str, Tensor]) -> Tensor:
        return self.graph.run(state, (self.inputs,), {})[0]


@lru_cache
def traced(name: str) -> Traced:
    module = filled(SMALL[name].build())
    graph = export(module, (SMALL[name].inputs,), {})
    state = {key: value.detach().clone() for key, value in module.state_dict().items()}
    return Traced(graph, trace(graph), state, SMALL[name].inputs)


def rounded(state: State, dtype: torch.dtype) -> State:
    return {name: value.to(dtype) if value.is_floating_point() else value for name, value in state.items()}


def distance(one: Mapping[str, Tensor], other: Mapping[str, Tensor]) -> float:
    """The largest difference, beside the largest number of the same tensor."""
    pairs = [(one[name].double(), other[name].double()) for name in one if one[name].is_floating_point()]
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in pairs)


def moved(network: Traced, state: State, seed: int) -> State:
    element = sample(network.architecture, torch.Generator().manual_seed(seed), scale_range=(0.1, 10.0))
    return act(bounded(element, network.architecture, state), network.architecture, state)


@pytest.mark.parametrize("dtype", TOLERANCE, ids=str)
@pytest.mark.parametrize("name", KINDS)
def test_one_form_for_the_whole_orbit(name: str, dtype: torch.dtype) -> None:
    network = traced(name)
    state = rounded(network.state, dtype)
    found = normal_form(network.architecture, state)
    assert found.unique
    assert not found.unsettled
    assert not found.silent
    normal = act(found.element, network.architecture, state)
    before, after = network.run(state), network.run(normal)
    assert float((before - after).abs().max() / before.abs().max()) < 10 * TOLERANCE[dtype]
    again = normal_form(network.architecture, normal)
    assert distance(act(again.element, network.architecture, normal), normal) < TOLERANCE[dtype] / 5
    for seed in range(3):
        other = moved(network, state, seed)
        assert distance(other, state) > 0.01  # the orbit has other points
        own = normal_form(network.architecture, other)
        assert distance(act(own.element, network.architecture, other), normal) < TOLERANCE[dtype]


@pytest.mark.parametrize("name", KINDS)
def test_the_element_is_of_the_group(name: str) -> None:
    network = traced(name)
    architecture = network.architecture
    element = normal_form(architecture, network.state).element
    orders_of(architecture, element.goes)
    used = used_variables(architecture)
    free_logs(architecture.logs, element.logs, used)
    free_signs(architecture.signs, element.signs, used)
    compose(architecture, element, element)


@pytest.mark.parametrize("name", ["MLP, none", "Llama", "residual"])
def test_without_scales_sizes_keep_their_bits(name: str) -> None:
    network = traced(name)
    state = rounded(network.state, torch.float32)
    found = normal_form(network.architecture, state, scale="none")
    assert not found.element.logs.any()
    normal = act(found.element, network.architecture, state)
    assert distance(normal, state) > 0.01
    for key, old in state.items():
        assert torch.equal(old.abs().flatten().sort().values, normal[key].abs().flatten().sort().values)
    element = sample(network.architecture, torch.Generator().manual_seed(0), scale=False)
    other = act(element, network.architecture, state)
    own = normal_form(network.architecture, other, scale="none")
    same = act(own.element, network.architecture, other)
    assert all(torch.equal(same[key], normal[key]) for key in normal)


@pytest.mark.parametrize("part", ["scale", "sign", "permute"])
def test_a_part_that_is_not_used_up_stays(part: str) -> None:
    network = traced("Llama")
    chosen = {"scale": "none"} if part == "scale" else {part: False}
    element = normal_form(network.architecture, network.state, **chosen).element
    assert bool(element.logs.any()) == (part != "scale")
    assert bool(element.signs.any()) == (part != "sign")
    assert bool((element.goes != np.arange(len(element.goes))).any()) == (part != "permute")
    others = {"scale": part != "scale", "flip": part != "sign", "permute": part != "permute"}
    normal = act(element, network.architecture, network.state)
    drawn = sample(network.architecture, torch.Generator().manual_seed(0), scale_range=(0.1, 10.0), **others)
    other = act(drawn, network.architecture, network.state)
    own = normal_form(network.architecture, other, **chosen).element
    assert distance(act(own, network.architecture, other), normal) < 1e-10


def test_gains_and_variances_become_one() -> None:
    for name, endings in (("residual", ("norm.weight", "0.weight", "running_var")), ("Llama", ("norm1.weight",))):
        network = traced(name)
        normal = act(normal_form(network.architecture, network.state).element, network.architecture, network.state)
        some = [key for key in normal if normal[key].ndim == 1 and key.endswith(endings)]
        assert len(some) > 1
        for key in some:
            assert torch.allclose(normal[key], torch.ones_like(normal[key]), rtol=0, atol=1e-14), key


def test_bfloat16_is_not_called_unique() -> None:
    network = traced("Llama")
    state = rounded(network.state, torch.bfloat16)
    found = normal_form(network.architecture, state)
    assert not found.unique
    assert found.gap <= found.rounding
    before, after = network.run(state), network.run(act(found.element, network.architecture, state))
    assert float((before - after).abs().max() / before.abs().max()) < 0.1
    again = act(found.element, network.architecture, state)
    element = normal_form(network.architecture, again).element
    assert distance(act(element, network.architecture, again), again) < 0.03


def test_a_precision_that_is_told_counts() -> None:
    network = traced("Llama")
    assert normal_form(network.architecture, network.state).unique
    assert not normal_form(network.architecture, network.state, precision=torch.bfloat16).unique
