"""The interval of a head for any classifier keeps its word on populations that did not set it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.learning.any_classifier.coverage import CoverageRow, coverage_table, crossed_coverage_table
from nfn_cli.learning.any_classifier.interval import set_interval
from nfn_cli.learning.any_classifier.left_out import LeftOut
from nfn_cli.nn.any_classifier.interval import AnyInterval

CLASSES = 10


def error_scale(predicted: Tensor, distance: Tensor) -> Tensor:
    """Deviation of the errors: small at chance and at 1, and larger the farther a network is."""
    place = ((predicted - 0.1) / 0.9).clamp(0, 1)
    return (0.01 + 0.08 * 4 * place * (1 - place)) * (1 + 1.5 * distance)


def answers(
    way: str, seed: int, *, away: float = 0.0, populations: int = 6, each: int = 160, bias: float = 0.0
) -> LeftOut:
    """Answers with random errors of that scale.

    Args:
        away: how far populations lie from what was fitted, half of it to one and a half.
        bias: deviation of what the errors of a population have in common, in units of their own.
    """
    generator = torch.Generator().manual_seed(seed)

    def uniform(count: int) -> Tensor:
        return torch.rand(count, generator=generator, dtype=torch.float64)

    def normal(count: int) -> Tensor:
        return torch.randn(count, generator=generator, dtype=torch.float64)

    count = populations * each
    owner = torch.arange(populations).repeat_interleave(each)
    predicted = 0.1 + 0.89 * uniform(count)
    distance = 0.6 * uniform(count) + away * (0.5 + uniform(populations))[owner]
    errors = normal(count) + bias * normal(populations)[owner]
    truth = (predicted + error_scale(predicted, distance) * errors).clamp(0, 1)
    return LeftOut(
        way,
        tuple(f"{way} {number}" for number in owner.tolist()),
        tuple(f"{number}/{place // 2}" for number in range(populations) for place in range(each)),
        predicted,
        0.2 + 0.5 * uniform(count) + 0.5 * distance,
        distance,
        torch.full((count,), CLASSES),
        truth,
        (truth * (1 - truth) / 10_000).sqrt(),
    )


def ways(seed: int = 0, *, populations: int = 6, each: int = 160, bias: float = 0.0) -> list[LeftOut]:
    """Held-out runs near what was fitted, and tasks and families farther away."""
    size = {"populations": populations, "each": each}
    far = [answers(way, seed + place, away=0.4, bias=bias, **size) for place, way in ((1, "task"), (2, "family"))]
    return [answers("run", seed, **size), *far]


def made(left_out: list[LeftOut], level: float = 0.9) -> AnyInterval:
    interval = AnyInterval()
    set_interval(interval, left_out, level)
    return interval


def radius(interval: AnyInterval, own: LeftOut) -> Tensor:
    return interval.radius(own.predicted, own.spread, own.distance, own.classes)


@pytest.fixture(scope="module")
def interval() -> AnyInterval:
    return made(ways())


def shares(rows: list[CoverageRow]) -> dict[str, float]:
    """Coverage of every way."""
    return {row.way: row.coverage.value for row in rows if not row.population}


# --- coverage ---------------------------------------------------------------------------------------------------------


def test_fresh_networks_are_covered_near_and_far_and_inside_the_limit(interval: AnyInterval) -> None:
    rows = coverage_table(interval, ways(seed=100))
    found = shares(rows)
    assert 0.88 < found["run"] < 0.94
    assert found["task"] > 0.87 and found["family"] > 0.87
    assert all(row.coverage.value > 0.80 for row in rows)
    assert all(row.inside is not None and row.inside.value > 0.80 for row in rows)


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_other_levels_are_kept(level: float) -> None:
    interval = made(ways(), level)
    assert all(level - 0.03 < share < level + 0.05 for share in shares(coverage_table(interval, ways(100))).values())


def test_held_out_runs_stay_nearly_as_narrow_as_their_errors_allow(interval: AnyInterval) -> None:
    own = answers("run", 100)
    ideal = 1.645 * error_scale(own.predicted, own.distance)
    assert radius(interval, own).median() < 1.15 * ideal.median()
    far = answers("task", 101, away=0.4)
    assert radius(interval, far).median() > 1.2 * radius(interval, own).median()


def test_populations_that_err_together_are_covered_on_average_by_an_interval_set_without_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nfn_cli.learning.any_classifier.coverage.CROSS_FOLDS", 3)
    left_out = ways(populations=4, each=60, bias=0.5)
    found = shares(crossed_coverage_table(left_out))
    assert 0.86 < found["run"] < 0.94
    assert (found["task"] + found["family"]) / 2 > 0.86


def test_without_left_out_populations_held_out_runs_have_their_coverage() -> None:
    found = shares(coverage_table(made([answers("run", 0)]), [answers("run", 100)]))
    assert abs(found["run"] - 0.9) < 0.03


def test_populations_as_near_as_runs_that_err_more_widen_all_by_no_more_than_is_spared() -> None:
    near = answers("task", 1)
    strange = replace(near, truth=(near.predicted + 3 * (near.truth - near.predicted)).clamp(0, 1))
    known = answers("run", 0)
    little, more = AnyInterval(), AnyInterval()
    set_interval(little, [known, strange], spare=0.0)
    set_interval(more, [known, strange], spare=0.03)
    fresh = [answers("run", 100)]
    before, after = (shares(coverage_table(own, fresh))["run"] for own in (little, more))
    assert 0.87 < before < after < 0.96
    wider = radius(more, near) / radius(little, near)
    assert wider.min() > 0.99 and wider.mean() > 1.05


# --- what an interval follows from ------------------------------------------------------------------------------------


def test_half_widths_never_fall_with_distance(interval: AnyInterval) -> None:
    own = answers("run", 100)
    radii = [
        interval.radius(own.predicted, own.spread, torch.full_like(own.distance, distance), own.classes)
        for distance in (0.0, 0.2, 0.5, 0.8, 1.0, 1.5, 4.0)
    ]
    assert torch.stack(radii).diff(dim=0).ge(0).all()
    assert (radii[-1] > radii[0]).all()


def test_perfect_predictions_keep_the_noise_of_labels() -> None:
    left_out = [replace(own, truth=own.predicted) for own in ways()]
    interval = made(left_out)
    assert interval.is_sound()
    (own, *_) = left_out
    noise = 1.644 * (own.predicted * (1 - own.predicted) / 10_000).sqrt()
    found = radius(interval, own)
    assert (found >= noise).all() and (found < noise + 1e-3).all()


def test_the_order_of_networks_and_of_ways_does_not_matter(interval: AnyInterval) -> None:
    generator = torch.Generator().manual_seed(0)
    shuffled = [own.select(torch.randperm(len(own), generator=generator).tolist()) for own in reversed(ways())]
    for one, other in zip(interval.buffers(), made(shuffled).buffers(), strict=True):
        assert torch.equal(one, other)


def test_a_population_weighs_the_same_whatever_its_size() -> None:
    """Ten copies of every network of one population are no more than one of each."""
    runs, task, _ = ways()
    first = [place for place, name in enumerate(task.population) if name == "task 0"]
    copied = task.select([*range(len(task)), *first * 9])
    one, other = (radius(made([runs, own]), task) for own in (task, copied))
    assert (one / other).log().abs().max() < 0.02


def test_a_saved_interval_says_the_same(interval: AnyInterval, tmp_path: Path) -> None:
    save_file(dict(interval.state_dict()), tmp_path / "interval.safetensors")
    loaded = AnyInterval()
    loaded.load_state_dict(load_file(tmp_path / "interval.safetensors"))
    own = answers("task", 100, away=0.4)
    assert torch.equal(radius(loaded, own), radius(interval, own))
    assert loaded.is_sound()


def test_too_few_networks_are_refused() -> None:
    left_out = ways()
    for few in ([], left_out[1:], [left_out[0].select(range(8)), left_out[1]]):
        with pytest.raises(DataError, match=r"whose runs were left out, and a 90 % interval takes 9; give more"):
            set_interval(AnyInterval(), few)
    interval = AnyInterval()
    set_interval(interval, [left_out[0].select(range(9))])
    assert interval.is_sound()


# --- the table --------------------------------------------------------------------------------------------------------


def test_a_table_counts_what_it_says(interval: AnyInterval) -> None:
    left_out = ways()
    rows = coverage_table(interval, left_out)
    assert [row.way for row in rows] == ["run"] * 7 + ["family"] * 7 + ["task"] * 7
    assert [row.population for row in rows[:3]] == ["", "run 0", "run 1"]
    own = left_out[1].select([place for place, name in enumerate(left_out[1].population) if name == "task 1"])
    (row,) = [row for row in rows if row.population == "task 1"]
    radii = radius(interval, own)
    low, high = (own.predicted - radii).clamp(0, 1), (own.predicted + radii).clamp(0, 1)
    covered, flagged = (low <= own.truth) & (own.truth <= high), own.distance > 1
    assert (row.networks, row.runs) == (160, 80)
    assert row.coverage.value == pytest.approx(covered.double().mean().item())
    assert row.coverage.low < row.coverage.value < row.coverage.high
    assert row.flagged == pytest.approx(flagged.double().mean().item())
    assert row.width == pytest.approx((high - low).median().item())
    assert row.label_noise == pytest.approx(own.label_noise.median().item())
    assert flagged.any() and row.inside is not None and row.outside is not None
    assert row.inside.value == pytest.approx(covered[~flagged].double().mean().item())
    assert row.outside.value == pytest.approx(covered[flagged].double().mean().item())
    assert row.width_outside == pytest.approx((high - low)[flagged].median().item())
    assert rows[0].outside is None and rows[0].width_outside is None


def test_all_of_a_left_out_way_is_the_mean_over_its_populations(interval: AnyInterval) -> None:
    runs, task, _ = ways(bias=1.5)
    uneven = task.select([*range(160), *range(160, 200)])
    every, first, second = (row.coverage.value for row in coverage_table(interval, [uneven]))
    assert first != second and every == pytest.approx((first + second) / 2)
    renamed = replace(runs, population=uneven.population + ("task 1",) * (len(runs) - len(uneven)))
    every, *each = (row.coverage.value for row in coverage_table(interval, [renamed]))
    assert every == pytest.approx((160 * each[0] + 800 * each[1]) / 960)


def test_a_population_is_tried_with_an_interval_that_knows_none_of_its_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    known: list[set[str]] = []

    def spy(interval: AnyInterval, left_out: list[LeftOut], level: float, *, spare: float) -> None:
        known.append({run for own in left_out for run in own.runs})

    monkeypatch.setattr("nfn_cli.learning.any_classifier.coverage.set_interval", spy)
    runs, task, _ = ways()
    crossed_coverage_table([task, runs])
    assert len(known) == 10 + 6
    everything = set(runs.runs)
    assert set().union(*(everything - own for own in known[:10])) == everything
    assert [everything - own for own in known[10:]] == [
        {f"{number}/{place}" for place in range(80)} for number in range(6)
    ]


def test_answers_that_do_not_fit_together_are_refused() -> None:
    own = answers("run", 0)
    broken: list[Callable[[], LeftOut]] = [
        lambda: replace(own, runs=own.runs[1:]),
        lambda: replace(own, spread=own.spread[1:]),
        lambda: replace(own, distance=own.distance * torch.nan),
    ]
    for make in broken:
        with pytest.raises(ValueError):
            make()
