"""The learning curve: which networks a point is fitted to, what is kept, and how two methods are compared."""

from __future__ import annotations

import json
import runpy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from nfn_cli.architectures import Layer, NetworkWeights, chain
from nfn_cli.zoo import LabelledNetworks


@pytest.fixture(scope="module")
def curve() -> dict[str, Any]:
    """What the program defines."""
    return runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "learning_curve.py"))


@pytest.fixture
def networks() -> LabelledNetworks:
    """Thirty tanh networks of ten runs."""
    architecture = chain([Layer("0", "linear", 2, 3), Layer("1", "linear", 3, 1)], activation="tanh")
    generator = torch.Generator().manual_seed(0)
    tensors = {spec.name: torch.randn(30, *spec.shape, generator=generator) for spec in architecture.tensors}
    runs = tuple(str(number // 3) for number in range(30))
    truth = torch.linspace(0.1, 0.9, 30, dtype=torch.float64)
    return LabelledNetworks(NetworkWeights(architecture, tensors), truth, runs, runs, ("",) * 30)


def test_a_draw_takes_whole_runs_of_the_pool(curve: dict[str, Any], networks: LabelledNetworks) -> None:
    pool = list(range(6, 30))
    drawn = curve["draw"](networks, pool, 8, 0)
    assert len(drawn) == 8 and set(drawn) <= set(pool)
    assert sorted(len([i for i in drawn if networks.runs[i] == run]) for run in {networks.runs[i] for i in drawn}) == [
        2,
        3,
        3,
    ]
    assert drawn[:6] == curve["draw"](networks, pool, 6, 0)
    assert drawn != curve["draw"](networks, pool, 8, 1)


def test_fits_come_back_as_they_were_kept(curve: dict[str, Any], tmp_path: Path) -> None:
    assert curve["read_results"](tmp_path / "none.jsonl") == {}
    fit = curve["Fitted"]("monomial-nfn", 8, 1, 3, 2.5, (0.1, -0.2))
    path = tmp_path / "fits.jsonl"
    path.write_text(json.dumps(asdict(fit)) + "\n")
    assert curve["read_results"](path) == {("monomial-nfn", 8, 1): fit}


def test_a_lead_is_that_of_the_mean_tau(curve: dict[str, Any], networks: LabelledNetworks) -> None:
    truth, fitted = networks.targets, curve["Fitted"]
    noise = torch.rand(2, 30, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    ours = [fitted("a", 8, seed, 3, 1.0, tuple((truth + row).tolist())) for seed, row in enumerate(noise)]
    others = [fitted("b", 8, seed, 3, 1.0, tuple((truth + 3 * row).tolist())) for seed, row in enumerate(noise)]
    lead = curve["ahead"](ours, others, networks)
    means = [sum(curve["taus"](fits, networks)) / 2 for fits in (ours, others)]
    assert lead.value == pytest.approx(means[0] - means[1])
    assert 0 < lead.low < lead.value < lead.high
    same = curve["ahead"](ours, ours, networks)
    assert (same.value, same.low, same.high) == pytest.approx((0, 0, 0), abs=1e-12)


@pytest.mark.parametrize("method", ["monomial-nfn", "monomial-nfn-unit-form", "monomial-nfn-paper"])
def test_every_method_gives_a_logit_a_network(curve: dict[str, Any], networks: LabelledNetworks, method: str) -> None:
    settings = curve["FitSettings"](epochs=1, batch_size=8)
    task = curve["Task"](curve["ForwardPass"](), 1, settings, "cpu")
    train, test = networks.select(range(16)), networks.select(range(16, 30))
    logits = curve["METHODS"][method](train, test, task)
    assert logits.shape == (14,) and logits.isfinite().all()
