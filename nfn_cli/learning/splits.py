"""Split networks by training run, so that no checkpoint of a held-out run was ever trained on.

A run's place follows from its name and the seed alone, so it stays where it is when a zoo grows.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

Part = Literal["train", "calibration", "test"]

TRAIN_SHARE = 0.70
CALIBRATION_SHARE = 0.12


def part_of(run: str, seed: int) -> Part:
    """The part that a run belongs to: 70 % train, 12 % calibration, 18 % test."""
    digest = hashlib.sha256(f"{seed}:{run}".encode()).digest()
    place = int.from_bytes(digest[:8], "big") / 2**64
    if place < TRAIN_SHARE:
        return "train"
    return "calibration" if place < TRAIN_SHARE + CALIBRATION_SHARE else "test"


def positions(runs: Sequence[str], part: Part, seed: int) -> list[int]:
    """Where in `runs` the networks of a part are."""
    return [position for position, run in enumerate(runs) if part_of(run, seed) == part]
