"""What is made: families of all kinds, and networks trained apart of all recipes. What is there is not made again."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from disguises import disguise, disguises_of
from independent import task_of
from kinds import KINDS
from members import BASE, MEMBERS, Family, Making, make_member
from training import loss_of


def families(folder: Path, kinds: list[str]) -> list[Family]:
    """All families of some kinds, made or not."""
    return [Family(folder, KINDS[kind], number) for kind in kinds for number in range(KINDS[kind].count)]


def make_families(folder: Path, kinds: list[str], source: str) -> None:
    """Make what is not there; of each kind all bases first, for a layer is replaced by another base's.

    Args:
        source: a set of pictures.
    """
    for kind in kinds:
        start = time.process_time()
        makings = [Making(family, task_of(family.kind.family, source)) for family in families(folder, [kind])]
        losses = []
        for making in makings:
            if not making.family.place(BASE).exists():
                make_member(making, BASE)
                losses.append(loss_of(making.base(), making.task.held_out))
        for making in makings:
            for name in MEMBERS:
                make_member(making, name)
                for how in disguises_of(making.family):
                    disguise(making.family, name, how)
        taken = time.process_time() - start
        shown = f", losses of bases {min(losses):.3f} to {max(losses):.3f}" if losses else ""
        print(f"{kind}: {len(makings)} families{shown}, {taken:.0f} s of processor time", file=sys.stderr, flush=True)
