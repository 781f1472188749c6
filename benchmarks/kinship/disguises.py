"""Disguises: what a member's file looks like after an element of its group has acted.

A kind of disguise is one entry of `DISGUISES`; "plain" is none.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Callable
from pathlib import Path

import torch
from changes import stored_as
from files import config_beside, read, write
from members import MEMBERS, Family
from rotation import rotated

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.symmetry.rewriting import write_moved
from nfn_cli.symmetry.sources import Draw, draw_element, read_any, transformed_by

PLAIN = "plain"
TRACER = NetworkTracer()  # it keeps what it has traced


def _signed_permutation(source: Path, target: Path, dtype: torch.dtype | None, seed: int) -> None:
    """A random element of the group, as `nfn apply` draws it."""
    found = read_any(source, Stated(), TRACER)
    moved = transformed_by(found, draw_element(found, Draw(), seed))
    partial = target.with_name(f"{os.getpid()}-{target.name}")
    write_moved(found, moved, partial, overwrite=True)
    os.replace(partial, target)


def _rotation(source: Path, target: Path, dtype: torch.dtype | None, seed: int) -> None:
    config = config_beside(source)
    assert config is not None
    moved = rotated(read(source), config, seed)
    write(target, stored_as(moved, dtype or torch.float32), config)


DISGUISES: dict[str, Callable[[Path, Path, torch.dtype | None, int], None]] = {
    "disguised": _signed_permutation,
    "rotated": _rotation,
}


def disguises_of(family: Family) -> list[str]:
    """Those that make sense: only language models can be rotated."""
    return list(DISGUISES) if family.kind.family == "lm" else ["disguised"]


def disguise(family: Family, member: str, how: str) -> Path:
    """Make a disguised member that is not there from the plain one."""
    target = family.place(member, how)
    if not target.exists():
        seed = zlib.crc32(f"{family.name}/{member}/{how}".encode())
        DISGUISES[how](family.place(member), target, MEMBERS[member].dtype, seed)
    return target
