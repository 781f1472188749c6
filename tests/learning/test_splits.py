"""Where a run belongs."""

from __future__ import annotations

from collections import Counter

import pytest

from nfn_cli.learning import part_of
from nfn_cli.learning.splits import first_seed, left_out_positions, positions, validation_positions

PARTS = ["train", "calibration", "test"]


def test_shares_are_as_documented() -> None:
    counts = Counter(part_of(str(run), seed=0) for run in range(20_000))
    shares = {part: counts[part] / 20_000 for part in PARTS}
    assert shares == pytest.approx({"train": 0.70, "calibration": 0.12, "test": 0.18}, abs=0.01)


def test_the_split_of_a_seed_stays_what_it_is() -> None:
    # A head's card counts on it: with another split, runs it was fitted to would pass for unseen.
    expected = ["train", "test", "train", "train", "train", "calibration", "train", "train"]
    assert [part_of(str(run), seed=0) for run in range(8)] == expected


def test_a_run_stays_where_it_is_when_a_zoo_grows() -> None:
    small, large = [str(run) for run in range(50)], [str(run) for run in range(500)]
    for part in PARTS:
        before = {small[i] for i in positions(small, part, 0)}  # type: ignore[arg-type]
        after = {large[i] for i in positions(large, part, 0)}  # type: ignore[arg-type]
        assert before == after.intersection(small)


def test_no_run_is_divided_and_no_network_lost() -> None:
    runs = [str(number % 40) for number in range(200)]
    places = {part: positions(runs, part, 0) for part in PARTS}  # type: ignore[arg-type]
    assert sorted(place for part in PARTS for place in places[part]) == list(range(200))
    members = [{runs[place] for place in places[part]} for part in PARTS]
    assert sum(map(len, members)) == 40


def test_another_seed_is_another_split() -> None:
    runs = [str(run) for run in range(1_000)]
    one, other = (set(positions(runs, "test", seed)) for seed in (0, 1))
    assert len(one & other) / len(one) == pytest.approx(0.18, abs=0.08)


def test_a_population_that_suffices_is_split_by_seed_0() -> None:
    assert first_seed([str(run) for run in range(200)], 0.9) == 0


@pytest.mark.parametrize("count", [30, 40, 50, 60])
def test_small_populations_get_enough_runs_in_every_part(count: int) -> None:
    runs = [str(run) for run in range(count)]
    seed = first_seed(runs, 0.9)
    assert seed is not None
    counts = Counter(part_of(run, seed) for run in runs)
    # At a level of 90 %, fewer than nine networks calibrate nothing.
    assert counts["train"] >= 10 and counts["calibration"] >= 9 and counts["test"] >= 5
    several = [run for run in runs for _ in range(3)]
    fewer = first_seed(several, 0.9)
    assert fewer is not None and fewer <= seed
    assert Counter(part_of(run, fewer) for run in runs)["calibration"] >= 5


def test_too_few_runs_have_no_split() -> None:
    assert first_seed([str(run) for run in range(19)] * 10, 0.9) is None


def test_validation_takes_whole_runs_of_their_share() -> None:
    runs = [str(number % 40) for number in range(200)]
    chosen = validation_positions(runs, 0.15, seed=3)
    members = {runs[place] for place in chosen}
    assert len(members) == 6
    assert sorted(chosen) == [place for place, run in enumerate(runs) if run in members]
    assert validation_positions(runs, 0.15, seed=3) == chosen
    assert validation_positions(runs, 0.15, seed=4) != chosen


@pytest.mark.parametrize(("runs", "share", "count"), [([], 0.2, 0), (["a"], 0.2, 0), (["a", "b"], 0.9, 1)])
def test_validation_leaves_a_run_to_fit(runs: list[str], share: float, count: int) -> None:
    assert len(validation_positions(runs, share, 0)) == count
    assert validation_positions(["a", "b", "c"], 0.0, 0) == []
    assert len(validation_positions(["a", "b", "c"], 0.01, 0)) == 1


@pytest.mark.parametrize("folds", [1, 8, 50])
def test_folds_divide_the_networks_and_no_run(folds: int) -> None:
    runs = [str(number % 40) for number in range(200)]
    found = left_out_positions(runs, folds, seed=0)
    assert len(found) == folds
    assert sorted(place for fold in found for place in fold) == list(range(200))
    members = [{runs[place] for place in fold} for fold in found]
    assert sum(map(len, members)) == 40
    assert max(map(len, members)) - min(map(len, members)) <= 1
    assert left_out_positions(runs, folds, seed=0) == found
    assert folds == 1 or left_out_positions(runs, folds, seed=1) != found
