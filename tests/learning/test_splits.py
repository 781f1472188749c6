"""Where a run belongs."""

from __future__ import annotations

from collections import Counter

import pytest

from nfn_cli.learning import part_of
from nfn_cli.learning.splits import positions

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
