"""Three hundred random modules: what is accepted is sound, what is refused names an operator, most is accepted.

Seeds are fixed; `pytest -m slow` draws ten times as many from other seeds.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field

import pytest
import torch
from random_networks import draw
from soundness import deviation, deviations, outputs
from traced_group import Counts, RefusedError, group_of, names_an_operator


@dataclass
class Judged:
    """What became of some modules.

    Attributes:
        refused: by seed, the line that says why.
        unsound: the module as text, and what changed.
        crashed: the module as text, and an error that is no refusal.
        counts: of each group that was found.
    """

    refused: dict[int, str] = field(default_factory=dict)
    unsound: list[str] = field(default_factory=list)
    crashed: list[str] = field(default_factory=list)
    counts: list[Counts] = field(default_factory=list)


def judge(seeds: range) -> Judged:
    judged = Judged()
    for seed in seeds:
        drawn = draw(seed)
        try:
            group = group_of(drawn.module, drawn.inputs)
            found = deviations(drawn.module, drawn.inputs, group)
        except RefusedError as error:
            judged.refused[seed] = str(error)
            continue
        except Exception as error:
            judged.crashed.append(f"{drawn.source()}\n  {type(error).__name__}: {error}")
            continue
        judged.counts.append(group.counts)
        if not max(found.values()) < 1e-10:
            judged.unsound.append(f"{drawn.source()}\n  {found}")
    return judged


def named(seed: int, line: str) -> bool:
    drawn = draw(seed)
    return names_an_operator(line, drawn.module, drawn.inputs)


def check(judged: Judged, seeds: range) -> None:
    reasons = Counter(re.sub(r"\d+", "", line) for line in judged.refused.values())
    summary = f"{len(judged.refused)} of {len(seeds)} refused: {reasons.most_common(20)}"
    print(summary)
    parts = (("unsound", judged.unsound), ("crashed", judged.crashed))
    for kind, found in parts:
        shortest = sorted(found, key=lambda text: text.count("\n"))[:5]
        assert found == [], f"{len(found)} {kind}; the shortest:\n\n" + "\n\n".join(shortest)
    nameless = [(seed, line) for seed, line in judged.refused.items() if not named(seed, line)]
    assert nameless == []
    assert len(judged.counts) >= 0.8 * len(seeds), summary
    trivial = sum(counts.order == 1 and not counts.scales and not counts.signs for counts in judged.counts)
    assert trivial <= 0.15 * len(judged.counts), f"{trivial} of {len(judged.counts)} groups have one element"


def test_three_hundred_random_networks() -> None:
    pytest.importorskip("nfn_cli.architectures.tracing.tracer")
    seeds = range(300)
    check(judge(seeds), seeds)


@pytest.mark.slow
@pytest.mark.parametrize("start", [10_000, 20_000, 30_000])
def test_three_thousand_random_networks(start: int) -> None:
    pytest.importorskip("nfn_cli.architectures.tracing.tracer")
    seeds = range(start, start + 1000)
    check(judge(seeds), seeds)


def test_a_seed_draws_one_network() -> None:
    one, other = draw(5), draw(5)
    assert one.source() == other.source()
    state = other.module.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in one.module.state_dict().items())


def test_what_no_group_does_is_seen() -> None:
    """One tensor rolled by itself changes the outputs of nearly every network: the check is not blind."""
    seen = []
    for seed in range(60):
        drawn = draw(seed)
        state = dict(drawn.module.state_dict())
        expected = outputs(drawn.module, state, drawn.inputs)
        name = next(name for name, value in state.items() if value.ndim > 1 and value.shape[0] > 1)
        changed = outputs(drawn.module, {**state, name: state[name].roll(1, 0)}, drawn.inputs)
        seen.append(deviation(expected, changed) > 1e-6)
    assert sum(seen) >= 0.95 * len(seen)
