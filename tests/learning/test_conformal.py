"""The interval covers fresh networks as often as it says."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from nfn_cli.learning.conformal import crossed_residuals, interval_radius, local_radii
from nfn_cli.nn.calibrated_accuracy import along


def crossed_radius(ensemble: Tensor, members: Tensor, left_out: Tensor, level: float) -> float:
    return interval_radius(crossed_residuals(ensemble, members, left_out), level)


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("count", [25, 100])
def test_coverage_is_at_least_the_level_and_little_more(level: float, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    residuals = torch.randn(4_000, count + 1, generator=generator).abs()
    covered = [row[count].item() <= interval_radius(row[:count], level) for row in residuals]
    share = sum(covered) / len(covered)
    # Exactly, coverage lies between the level and the level + 1 / (count + 1); the rest is chance.
    assert level - 0.02 < share < level + 1 / (count + 1) + 0.02


@pytest.mark.parametrize(
    ("count", "level", "rank"), [(9, 0.9, 9), (10, 0.9, 10), (19, 0.9, 18), (99, 0.95, 95), (3, 0.5, 2)]
)
def test_the_radius_is_the_residual_of_the_conformal_rank(count: int, level: float, rank: int) -> None:
    residuals = torch.arange(1, count + 1) / 1000
    shuffled = residuals[torch.randperm(count, generator=torch.Generator().manual_seed(0))]
    assert interval_radius(shuffled, level) == pytest.approx(rank / 1000)


@pytest.mark.parametrize("level", [0.55, 0.9, 0.95])
def test_a_whole_rank_is_not_raised_by_rounding(level: float) -> None:
    for hundreds in range(1, 30):
        count = 100 * hundreds - 1
        residuals = torch.arange(1, count + 1, dtype=torch.float64)
        assert interval_radius(residuals, level) == round(100 * level) * hundreds


@pytest.mark.parametrize(("count", "level"), [(0, 0.5), (8, 0.9), (1, 0.9), (18, 0.95)])
def test_too_few_networks_give_an_interval_of_everything(count: int, level: float) -> None:
    assert interval_radius(torch.full((count,), 0.01), level) == 1.0


def test_what_members_left_out_counts_at_the_scale_of_the_ensemble() -> None:
    # On calibration networks a member errs twice as much as the ensemble.
    ensemble = torch.tensor([0.01, 0.02, 0.03])
    members = torch.stack([1.5 * ensemble, 2.5 * ensemble], dim=1)
    left_out = torch.tensor([0.02 * number for number in range(4, 20)])
    # Residuals 0.01 to 0.19, of which the conformal rank of 90 % is the 18th.
    assert crossed_radius(ensemble, members, left_out, 0.9) == pytest.approx(0.18)


@pytest.mark.parametrize("members", [1, 3])
def test_nothing_left_out_is_split_conformal(members: int) -> None:
    residuals = torch.rand(50, generator=torch.Generator().manual_seed(0))
    whole = crossed_radius(residuals, residuals[:, None].repeat(1, members), torch.empty(0), 0.9)
    assert whole == interval_radius(residuals, 0.9)


def test_members_that_never_err_are_taken_as_they_are() -> None:
    assert crossed_radius(torch.zeros(5), torch.zeros(5, 2), torch.full((14,), 0.1), 0.9) == pytest.approx(0.1)


def test_few_calibration_networks_scatter_less_with_what_members_left_out() -> None:
    generator = torch.Generator().manual_seed(0)
    plain, crossed = [], []
    for _ in range(300):
        # Members err as the ensemble does, and by as much again of their own.
        shared = torch.randn(30 + 200, generator=generator)
        own = torch.randn(30 + 200, 4, generator=generator)
        ensemble = (shared + own.mean(1)).abs()
        members = (shared[:, None] + own).abs()
        left_out = members[30:, 0]
        for radii, radius in (
            (plain, interval_radius(ensemble[:30], 0.9)),
            (crossed, crossed_radius(ensemble[:30], members[:30], left_out, 0.9)),
        ):
            radii.append(math.erf(radius / math.sqrt(2 * 1.25)))
    before, after = torch.tensor(plain), torch.tensor(crossed)
    assert abs(after.mean().item() - 0.9) < 0.01
    assert after.std() < 0.7 * before.std()


def uneven(count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Predictions, and residuals that are five times as large at one end as at the other."""
    predicted = torch.rand(count, generator=generator, dtype=torch.float64)
    errors = torch.randn(count, generator=generator, dtype=torch.float64).abs()
    return predicted, 0.01 * (1 + 4 * predicted) * errors


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_the_interval_covers_alike_at_every_height_of_the_prediction(level: float) -> None:
    generator = torch.Generator().manual_seed(0)
    knots, radii = local_radii(*uneven(4_000, generator), level)
    predicted, residuals = uneven(40_000, generator)
    covered = (residuals <= along(knots, radii, predicted)).double()
    even = (residuals <= interval_radius(residuals, level)).double()
    shares = [covered[(predicted >= low) & (predicted < low + 0.2)].mean().item() for low in (0, 0.2, 0.4, 0.6, 0.8)]
    assert abs(covered.mean().item() - level) < 0.015
    assert all(abs(share - level) < 0.05 for share in shares)
    # One half-width for all would not.
    assert even[predicted < 0.2].mean() > 0.98 and even[predicted > 0.8].mean() < level - 0.05


def test_few_residuals_give_one_half_width() -> None:
    predicted, residuals = uneven(499, torch.Generator().manual_seed(0))
    knots, radii = local_radii(predicted, residuals, 0.9)
    assert set(radii.tolist()) == {interval_radius(residuals, 0.9)}
    assert along(knots, radii, predicted).unique().shape == (1,)
    _, radii = local_radii(predicted[:8], residuals[:8], 0.9)
    assert set(radii.tolist()) == {1.0}


def test_equal_predictions_have_one_half_width() -> None:
    residuals = torch.rand(600, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    predicted = torch.full((600,), 0.25, dtype=torch.float64)
    knots, radii = local_radii(predicted, residuals, 0.9)
    found = along(knots, radii, predicted)
    assert found.isfinite().all() and found.unique().shape == (1,)


def test_a_part_without_errors_keeps_a_narrow_interval() -> None:
    predicted, residuals = uneven(1_000, torch.Generator().manual_seed(0))
    knots, radii = local_radii(predicted, residuals * (predicted > 0.5), 0.9)
    assert 0 < radii[0] < radii[-1] / 5
    _, radii = local_radii(predicted, torch.zeros_like(residuals), 0.9)
    assert not radii.any()
    assert knots.diff().gt(0).all()


def test_whole_weights_count_as_copies() -> None:
    generator = torch.Generator().manual_seed(0)
    residuals = torch.rand(200, generator=generator, dtype=torch.float64)
    weights = torch.randint(0, 5, (200,), generator=generator)
    copies = residuals.repeat_interleave(weights)
    for level in (0.5, 0.8, 0.9):
        # The fresh network counts as an average one, which is two copies here, so ranks may differ by as many.
        apart = (copies <= interval_radius(residuals, level, weights)).sum() - math.ceil(level * len(copies))
        assert 0 <= apart <= weights.max()
    assert interval_radius(residuals, 0.9, torch.full((200,), 0.3)) == interval_radius(residuals, 0.9)
    assert interval_radius(residuals[:8], 0.9, torch.ones(8)) == 1.0


def test_a_population_of_the_same_weight_is_heard_whatever_its_size() -> None:
    generator = torch.Generator().manual_seed(0)
    many, few = torch.rand(5_000, generator=generator), 10 * torch.rand(500, generator=generator)
    residuals, predicted = torch.cat([many, few]), torch.rand(5_500, generator=generator)
    weights = torch.cat([torch.full((5_000,), 1 / 5_000), torch.full((500,), 1 / 500)])
    knots, radii = local_radii(predicted, residuals, 0.9, weights)
    covered = (residuals <= along(knots, radii, predicted)).double()
    assert float(covered[:5_000].mean() + covered[5_000:].mean()) / 2 == pytest.approx(0.9, abs=0.01)
    knots, radii = local_radii(predicted, residuals, 0.9)
    covered = (residuals <= along(knots, radii, predicted)).double()
    assert float(covered[:5_000].mean() + covered[5_000:].mean()) / 2 < 0.8
