"""Who looks on while two networks are aligned."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Watch:
    """Told what is done.

    Attributes:
        on_stage: the name of what begins, and how many steps it takes at most.
        on_step: a step of it is done.
    """

    on_stage: Callable[[str, int], None] = lambda name, steps: None
    on_step: Callable[[], None] = lambda: None


UNWATCHED = Watch()
