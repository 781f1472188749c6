"""Statistics of wild classifiers, stored and read back."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from types import ModuleType

import torch

from nfn_cli.nn.any_classifier.network_statistics import NetworkStatistics
from nfn_cli.zoo.listed_classifiers import listed_classifiers, read_classifiers

Load = Callable[[str], ModuleType]
WILD = Path(__file__).resolve().parents[1] / "wild"


def some(folder: Path, runs: tuple[str, ...]) -> Path:
    """A zoo of some runs of the test population."""
    folder.mkdir()
    lines = (WILD / "labels.csv").read_text().splitlines()
    (folder / "labels.csv").write_text("\n".join([lines[0], *(line for line in lines if line.startswith(runs))]) + "\n")
    for run in runs:
        shutil.copytree(WILD / run, folder / run)
    return folder


def test_what_is_collected_is_what_is_read(load: Load, tmp_path: Path) -> None:
    zoo = some(tmp_path / "zoo", ("run-000008", "run-000022"))
    collect, stored = load("collect"), load("statistics_file")
    stored.write_statistics(tmp_path / "wild.npz", collect.collected([zoo], 10, 1))
    found = stored.read_statistics([tmp_path / "wild.npz"])
    wanted = read_classifiers(listed_classifiers([zoo]))
    for part in ("statistics", "unrun"):
        for own in fields(NetworkStatistics):
            one, other = (getattr(getattr(networks, part), own.name).double() for networks in (found, wanted))
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-3)
    assert torch.equal(found.targets, wanted.targets)
    assert found.tasks == wanted.tasks and found.families == wanted.families
    assert [str(place) for place in found.places] == [f"zoo/{own.path.relative_to(zoo)}" for own in wanted.places]
    assert set(found.runs) == {"zoo/0", "zoo/2"}  # ten runs a network
