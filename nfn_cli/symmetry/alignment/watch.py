"""Callbacks for the progress of an alignment."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Watch:
    """Functions that are called while two networks are aligned.

    Attributes:
        on_stage: at the start of a stage, with its name and the largest number of steps that it may take.
        on_step: after each step.
    """

    on_stage: Callable[[str, int], None] = lambda name, steps: None
    on_step: Callable[[], None] = lambda: None


UNWATCHED = Watch()
