"""The interval covers fresh networks as often as it says."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.learning import interval_radius


@pytest.mark.parametrize("level", [0.5, 0.8, 0.9, 0.95])
@pytest.mark.parametrize("count", [25, 100])
def test_coverage_is_at_least_the_level_and_little_more(level: float, count: int) -> None:
    generator = torch.Generator().manual_seed(0)
    residuals = torch.randn(4_000, count + 1, generator=generator).abs()
    covered = [row[count].item() <= interval_radius(torch.zeros(count), row[:count], level) for row in residuals]
    share = sum(covered) / len(covered)
    # Exactly, coverage lies between the level and the level + 1 / (count + 1); the rest is chance.
    assert level - 0.02 < share < level + 1 / (count + 1) + 0.02


@pytest.mark.parametrize(
    ("count", "level", "rank"), [(9, 0.9, 9), (10, 0.9, 10), (19, 0.9, 18), (99, 0.95, 95), (3, 0.5, 2)]
)
def test_the_radius_is_the_residual_of_the_conformal_rank(count: int, level: float, rank: int) -> None:
    truth = torch.zeros(count)
    residuals = torch.arange(1, count + 1) / 1000
    shuffled = residuals[torch.randperm(count, generator=torch.Generator().manual_seed(0))]
    signs = torch.tensor([1.0, -1.0]).repeat(count)[:count]
    assert interval_radius(truth, signs * shuffled, level) == pytest.approx(rank / 1000)


@pytest.mark.parametrize("level", [0.55, 0.9, 0.95])
def test_a_whole_rank_is_not_raised_by_rounding(level: float) -> None:
    for hundreds in range(1, 30):
        count = 100 * hundreds - 1
        residuals = torch.arange(1, count + 1, dtype=torch.float64)
        assert interval_radius(torch.zeros(count), residuals, level) == round(100 * level) * hundreds


@pytest.mark.parametrize(("count", "level"), [(0, 0.5), (8, 0.9), (1, 0.9), (18, 0.95)])
def test_too_few_networks_give_an_interval_of_everything(count: int, level: float) -> None:
    assert interval_radius(torch.zeros(count), torch.full((count,), 0.01), level) == 1.0
