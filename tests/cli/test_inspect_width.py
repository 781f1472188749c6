"""The table of `nfn inspect` on terminals of several widths."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import torch
from torch import nn

from nfn_cli.architectures import Stated
from nfn_cli.cli.inspections import write_inspections
from nfn_cli.cli.tables.inspection_table import Inspected
from nfn_cli.symmetry import inspect_network, read_leniently

SAMPLES = Path(__file__).parent.parent / "samples"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def shown(path: Path, width: int, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm")
    inspection = inspect_network(*read_leniently(path, Stated(activation="relu")))
    terminal = Terminal()
    write_inspections([Inspected.of(path, inspection, {})], None, terminal)
    return re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()).splitlines()


def lines_of_layers(lines: list[str]) -> list[str]:
    start = next(place for place, line in enumerate(lines) if line.startswith("layer"))
    stop = next(place for place, line in enumerate(lines) if line.startswith("read as"))
    return [line for line in lines[start + 1 : stop] if "widen the terminal" not in line]


@pytest.mark.parametrize(
    ("width", "cells"),
    [
        (120, ("16 scalings, 16! permutations", "0.48, at most 0.69")),
        (100, ("16 scalings, 16!", "0.48 ≤ 0.69")),
        (80, ("16 scalings, 16!", "0.48 ≤ 0.69")),
        (70, ("G_16^{>0}", "0.48 ≤ 0.69")),
    ],
)
def test_a_layer_takes_one_line(width: int, cells: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_of_layers(shown(SAMPLES / "relu-1.safetensors", width, monkeypatch))
    assert len(lines) == 4
    assert all(cell in lines[0] for cell in cells)
    assert max(map(len, lines)) <= width


def test_a_deeper_network_fits_a_hundred_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.ModuleDict(
        {
            "features": nn.Sequential(nn.Conv2d(3, 64, 3), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 128, 3)),
            "classifier": nn.Sequential(nn.Linear(2048, 512), nn.ReLU(), nn.Linear(512, 10)),
        }
    )
    torch.save(net.state_dict(), tmp_path / "net.pt")
    lines = lines_of_layers(shown(tmp_path / "net.pt", 100, monkeypatch))
    assert len(lines) == 4
    assert "BatchNorm features.1" in lines[0]
