"""What a network is run on: the usual where that is quick, and so little of it that a deep network takes seconds."""

from __future__ import annotations

import pytest

from nfn_cli.architectures import Architecture, Layer, chain
from nfn_cli.symmetry import Trial, plan_trial
from nfn_cli.symmetry.trial import multiplications


def deep(width: int, convolutions: int = 55) -> Architecture:
    layers = [Layer(f"c{n}", "conv", width if n else 3, width, (3, 3)) for n in range(convolutions)]
    return chain([*layers, Layer("fc", "linear", width, 10)], activation="relu")


def all_of(network: Architecture, trial: Trial) -> int:
    return (trial.samples + 1) * trial.inputs * multiplications(network, trial.shape, padded=trial.padded)


def test_a_small_network_is_run_on_the_usual_inputs() -> None:
    network = deep(16, 3)
    assert plan_trial(network, samples=8) == Trial((3, 10, 10), 16, 8)
    assert multiplications(network, (3, 10, 10)) == 8 * 8 * 9 * 3 * 16 + (6 * 6 + 4 * 4) * 9 * 16 * 16 + 160


@pytest.mark.parametrize("width", [16, 64, 160])
def test_a_network_of_56_layers_takes_seconds(width: int) -> None:
    network = deep(width)
    assert 17 * 9 * multiplications(network, (3, 114, 114)) > 1e10
    trial = plan_trial(network, samples=8)
    assert trial.padded and trial.shape[1] < 10
    assert trial.inputs >= 2
    assert all_of(network, trial) <= 4e9


def test_what_is_given_stays() -> None:
    trial = plan_trial(deep(512), samples=5, given_shape=(3, 120, 120), fixed_samples=True)
    assert trial == Trial((3, 120, 120), 2, 5)
    assert plan_trial(deep(512), samples=5).samples < 5


def test_a_position_that_a_layer_reads_is_there() -> None:
    layers = [Layer(f"c{n}", "conv", 64 if n else 3, 64, (3, 3)) for n in range(40)]
    network = chain([*layers, Layer("fc", "linear", 64 * 400, 10, spatial=400)], activation="relu")
    assert plan_trial(network, samples=8).shape == (3, 20, 20)
