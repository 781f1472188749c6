"""A ranking without copies: the best of each orbit stays."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.scoring import RankRow
from nfn_cli.scoring.unique import one_of_each_orbit
from nfn_cli.symmetry.named_networks import each_network, read_named

Nfn = Callable[..., Any]
SAMPLES = Path(__file__).parents[1] / "samples"


def ranked(*paths: Path | str) -> list[RankRow]:
    return [RankRow(place, str(path), 0.5, 0.4, 0.6, "h", True) for place, path in enumerate(paths, 1)]


def read(name: str) -> Any:
    return read_named(name, Stated(), NetworkTracer())


@pytest.fixture
def copies(nfn: Nfn, tmp_path: Path) -> list[Path]:
    """A network, a disguised copy, another network, and a copy of the first."""
    one, disguised, other, copy = (tmp_path / f"{name}.safetensors" for name in "abcd")
    shutil.copy(SAMPLES / "relu-1.safetensors", one)
    shutil.copy(SAMPLES / "relu-2.safetensors", other)
    shutil.copy(one, copy)
    nfn("apply", one, "--seed", "1", "-o", disguised, "--quiet")
    return [one, disguised, other, copy]


def test_the_first_of_each_orbit_stays_and_ranks_are_new(copies: list[Path]) -> None:
    seen: list[int] = []
    found = one_of_each_orbit(ranked(*copies), None, read, lambda: seen.append(1))
    assert [(row.rank, Path(row.path).stem) for row in found.rows] == [(1, "a"), (2, "c")]
    assert (found.left_out, found.unsure, len(seen)) == (2, (), 4)


def test_no_more_are_read_than_are_asked_for(copies: list[Path]) -> None:
    found = one_of_each_orbit(ranked(*copies), 1, read)
    assert len(found.rows) == 1 and found.left_out == 0
    found = one_of_each_orbit(ranked(*copies), 2, read)
    assert [Path(row.path).stem for row in found.rows] == ["a", "c"] and found.left_out == 1


def test_what_cannot_be_compared_stays(copies: list[Path]) -> None:
    found = one_of_each_orbit(ranked("gone.pt", copies[0], copies[1]), None, read)
    assert [Path(row.path).stem for row in found.rows] == ["gone", "a"]
    assert [path for path, _ in found.unsure] == ["gone.pt"] and found.left_out == 1


def test_networks_of_packed_files_have_names() -> None:
    packed = Path(__file__).parents[1] / "population" / "relu" / "part-00000.safetensors"
    names = list(each_network([str(packed), "a.pt"]))
    assert names[:2] == [f"{packed}#0", f"{packed}#1"] and names[-1] == "a.pt"
    assert str(read(names[1]).checkpoint.path) == names[1]
    assert one_of_each_orbit(ranked(names[0], names[0]), None, read).left_out == 1


def test_the_command(nfn: Nfn, copies: list[Path]) -> None:
    finished = nfn("rank", *copies, "--unique", "--format", "path", "--jobs", "0")
    assert finished.code == 0
    assert len(finished.out.splitlines()) == 2
    assert "nfn: 2 left out: they are copies of others" in finished.err
    everything = nfn("rank", *copies, "--format", "path", "--jobs", "0").out.splitlines()
    assert len(everything) == 4 and everything[0] == finished.out.splitlines()[0]
