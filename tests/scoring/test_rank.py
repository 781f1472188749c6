"""The best of many, in memory for as many as are asked for."""

from __future__ import annotations

import random

import pytest

from nfn_cli.scoring import Ranking, ScoreRow


def row(path: str, accuracy: float, low: float = 0.1, known: bool = True) -> ScoreRow:
    return ScoreRow(path, accuracy, low, 0.9, "h", known)


def test_the_best_come_first_then_the_surest_then_by_name() -> None:
    rows = [
        row("net-10.pt", 0.5),
        row("net-2.pt", 0.5),
        row("better.pt", 0.6, 0.0),
        row("surer.pt", 0.5, 0.2),
        row("alike.pt", 0.5000000004),  # the printed digits decide
        ScoreRow("failed.pt", error="failed.pt: bad; mend it"),
        row("nothing.pt", 0.0, 0.0),
    ]
    expected = ["better.pt", "surer.pt", "alike.pt", "net-2.pt", "net-10.pt", "nothing.pt"]
    for seed in range(5):
        random.Random(seed).shuffle(rows)
        ranking = Ranking()
        ranking.add(rows)
        assert [(own.rank, own.path) for own in ranking.rows()] == list(enumerate(expected, 1))
    best = ranking.rows()[0]
    assert (best.accuracy, best.low, best.high, best.head, best.in_distribution) == (0.6, 0.0, 0.9, "h", True)


@pytest.mark.parametrize("top", [1, 7, 10_000])
def test_no_more_are_kept_than_asked_for(top: int) -> None:
    generator = random.Random(0)
    rows = [row(f"{number}.pt", number / 5_000) for number in generator.sample(range(5_000), 5_000)]
    ranking, most = Ranking(top), 0
    for start in range(0, len(rows), 10):
        ranking.add(rows[start : start + 10])
        most = max(most, len(ranking._rows))
    assert most <= 2 * top + 1_010
    best = sorted(rows, key=lambda own: -(own.accuracy or 0))[:top]
    assert [own.path for own in ranking.rows()] == [own.path for own in best]


def test_strangers_are_marked_or_left_out() -> None:
    rows = [row("a.pt", 0.9, known=False), row("b.pt", 0.5)]
    both, known = Ranking(), Ranking(in_distribution=True)
    both.add(rows)
    known.add(rows)
    assert [(own.path, own.in_distribution) for own in both.rows()] == [("a.pt", False), ("b.pt", True)]
    assert [own.path for own in known.rows()] == ["b.pt"]
