"""Fitting a head's members."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nfn_cli.learning import AccuracySettings, FitSettings
from nfn_cli.learning.fitting import ensemble_stages, fit_stages
from nfn_cli.learning.splits import left_out_positions
from nfn_cli.nn import Accepted, HeadConfig
from nfn_cli.nn.ensemble import Ensemble
from nfn_cli.nn.tasks.accuracy import AccuracyDetails
from nfn_cli.zoo import LabelledNetworks, read_networks


@pytest.fixture(scope="module")
def networks(population: Path) -> LabelledNetworks:
    return read_networks(population)


@pytest.fixture
def make(networks: LabelledNetworks, quick: AccuracySettings) -> Callable[[], tuple[Ensemble, list[Tensor]]]:
    """A fresh ensemble of two, the same each time, and the networks' fields."""

    def call() -> tuple[Ensemble, list[Tensor]]:
        torch.manual_seed(0)
        assert quick.sizes is not None
        accepted = Accepted.of(networks.point.architecture)
        model = HeadConfig(accepted, quick.sizes, AccuracyDetails(), members=2).new_model()
        return model, model.encode(networks.point)

    return call


def test_every_epoch_of_every_member_is_reported_and_the_loss_falls(
    make: Callable[[], tuple[Ensemble, list[Tensor]]], networks: LabelledNetworks
) -> None:
    model, fields = make()
    losses: list[float] = []
    settings = FitSettings(epochs=15, batch_size=16, learning_rate=1e-2)
    fit_stages(ensemble_stages(model, fields, networks.targets, settings), losses.append)
    assert len(losses) == 30
    for member in (losses[:15], losses[15:]):
        assert member[-1] < member[0] - 0.02
    assert not model.members[0].training


def test_a_fit_follows_from_its_seed(
    make: Callable[[], tuple[Ensemble, list[Tensor]]], networks: LabelledNetworks
) -> None:
    def fit(seed: int) -> list[Tensor]:
        model, fields = make()
        fit_stages(ensemble_stages(model, fields, networks.targets, FitSettings(epochs=2, seed=seed)))
        return [parameter.detach() for parameter in model.members[1].parameters()]

    one, again, other = fit(0), fit(0), fit(1)
    assert all(torch.equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


def test_members_see_the_networks_in_different_orders(
    make: Callable[[], tuple[Ensemble, list[Tensor]]], networks: LabelledNetworks
) -> None:
    model, fields = make()
    model.members[1].load_state_dict(model.members[0].state_dict())
    fit_stages(ensemble_stages(model, fields, networks.targets, FitSettings(epochs=2, batch_size=16)))
    first, second = (member.readout[1].weight for member in model.members)  # type: ignore[index, union-attr]
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("validation", [0.0, 0.3])
def test_a_member_knows_nothing_of_what_it_leaves_out(
    validation: float, make: Callable[[], tuple[Ensemble, list[Tensor]]], networks: LabelledNetworks
) -> None:
    def fit(targets: Tensor, change: float = 1.0) -> list[dict[str, Tensor]]:
        model, fields = make()
        places = torch.tensor(left_out[1])
        fields = [values.index_copy(0, places, change * values[places]) for values in fields]
        settings = FitSettings(epochs=3, batch_size=16, validation=validation)
        stages = ensemble_stages(model, fields, targets, settings, runs=networks.runs, left_out=left_out)
        outcomes = fit_stages(stages)
        assert [outcome.validation_loss is not None for outcome in outcomes] == [validation > 0] * 2
        return [member.state_dict() for member in model.members]

    left_out = left_out_positions(networks.runs, 8, 0)[:2]
    other = networks.targets.clone()
    other[left_out[1]] = 1 - other[left_out[1]]
    whole, changed = fit(networks.targets), fit(other, 3.0)
    # The second member left them out, the first did not.
    assert all(torch.equal(whole[1][name], changed[1][name]) for name in whole[1])
    assert not all(torch.equal(whole[0][name], changed[0][name]) for name in whole[0])


@pytest.mark.parametrize("count", [1, 5])
def test_fewer_networks_than_a_batch_are_one_batch(
    count: int, make: Callable[[], tuple[Ensemble, list[Tensor]]], networks: LabelledNetworks
) -> None:
    model, fields = make()
    before = model.members[0].readout[1].weight.detach().clone()  # type: ignore[index, union-attr]
    few = [values[:count] for values in fields]
    fit_stages(ensemble_stages(model, few, networks.targets[:count], FitSettings(epochs=1, batch_size=64)))
    after = model.members[0].readout[1].weight  # type: ignore[index, union-attr]
    assert after.isfinite().all() and not torch.equal(before, after)
