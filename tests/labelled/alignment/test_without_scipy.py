"""What is matched without SciPy, and what is said where it is wanted."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from traced_networks import random_state, traced

from nfn_cli.errors import DifferentError, UsageError
from nfn_cli.symmetry.labelled import act, sample
from nfn_cli.symmetry.labelled.alignment import align, beside_residuals


@pytest.fixture
def no_scipy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)


@pytest.mark.usefixtures("no_scipy")
def test_one_orbit_needs_none() -> None:
    architecture = traced("mlp")
    state = random_state(architecture)
    moved = act(sample(architecture, torch.Generator().manual_seed(0), scale_range=(0.3, 3.0)), architecture, state)
    assert align(architecture, state, moved).same_orbit


@pytest.mark.usefixtures("no_scipy")
def test_it_is_asked_for_where_neurons_have_no_one_best_partner() -> None:
    architecture = traced("mlp")
    with pytest.raises(UsageError, match="SciPy"):
        align(architecture, random_state(architecture), random_state(architecture, 1))


def test_what_the_group_leaves_alone_is_compared() -> None:
    architecture = traced("mlp")
    state = {**random_state(architecture), "steps": torch.tensor(3), "table": torch.tensor([1.0, 2.0])}
    other = {**state, "table": torch.tensor([1.0, 4.0])}
    path = Path("b.pt")
    same, different = (beside_residuals(path, architecture, state, own) for own in (state, other))
    assert [(own.layer, own.deviation) for own in same] == [("steps", 0.0), ("table", 0.0)]
    assert {own.layer: own.deviation for own in different} == {"steps": 0.0, "table": 0.5}
    with pytest.raises(DifferentError):
        beside_residuals(path, architecture, state, {**state, "more": torch.zeros(2)})
