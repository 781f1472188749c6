"""Split networks by training run, so that no checkpoint of a held-out run was ever trained on.

A run's part follows from its name and the seed alone, so it stays there when a zoo grows.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Sequence
from typing import Literal

Part = Literal["train", "calibration", "test"]

TRAIN_SHARE = 0.70
CALIBRATION_SHARE = 0.12

# What a population must have of each part for `first_seed`, and how many seeds it tries.
FEWEST_RUNS: dict[Part, int] = {"train": 10, "calibration": 5, "test": 5}
_SEEDS = 10_000


def part_of(run: str, seed: int) -> Part:
    """The part that a run belongs to: 70 % train, 12 % calibration, 18 % test."""
    number = number_of(f"{seed}:{run}")
    if number < TRAIN_SHARE:
        return "train"
    return "calibration" if number < TRAIN_SHARE + CALIBRATION_SHARE else "test"


def positions(runs: Sequence[str], part: Part, seed: int) -> list[int]:
    """Where in `runs` the networks of a part are."""
    return [position for position, run in enumerate(runs) if part_of(run, seed) == part]


def first_seed(runs: Sequence[str], level: float) -> int | None:
    """The first split seed that gives each part enough: 0 for all but small populations, None for too small ones.

    Looks at the runs' names and numbers alone, never at accuracies, so the parts stay a random choice.

    Args:
        runs: the run of each network.
        level: of the interval, for which at least level / (1 - level) networks must be there to calibrate.
    """
    networks = Counter(runs)
    calibrating_least = math.ceil(level / (1 - level) - 1e-9)
    for seed in range(_SEEDS):
        parts: dict[Part, list[str]] = {"train": [], "calibration": [], "test": []}
        for run in networks:
            parts[part_of(run, seed)].append(run)
        calibrating = sum(networks[run] for run in parts["calibration"])
        enough = all(len(parts[part]) >= least for part, least in FEWEST_RUNS.items())
        if enough and calibrating >= calibrating_least:
            return seed
    return None


def validation_positions(runs: Sequence[str], share: float, seed: int) -> list[int]:
    """Where in `runs`, those that a head is fitted to, the networks are that validate the fit.

    Args:
        share: of the runs, which are rounded to at least one; 0 for none.
        seed: another seed chooses other runs.
    """
    names = sorted(set(runs), key=lambda run: number_of(f"validation:{seed}:{run}"))
    if share == 0 or len(names) < 2:
        return []
    chosen = set(names[: min(len(names) - 1, max(1, round(share * len(names))))])
    return [position for position, run in enumerate(runs) if run in chosen]


def left_out_positions(runs: Sequence[str], folds: int, seed: int) -> list[list[int]]:
    """Where in `runs`, those that a head is fitted to, the networks of each fold are; no run is divided.

    Args:
        folds: as many as are given back; of more folds than runs, some are empty.
        seed: another seed deals the runs otherwise.
    """
    names = sorted(set(runs), key=lambda run: number_of(f"fold:{seed}:{run}"))
    fold_of = {name: number % folds for number, name in enumerate(names)}
    return [[position for position, run in enumerate(runs) if fold_of[run] == fold] for fold in range(folds)]


def number_of(name: str) -> float:
    """A number in [0, 1) that follows from a name alone, evenly spread over names."""
    return int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big") / 2**64
