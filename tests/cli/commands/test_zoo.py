"""`nfn zoo`: commands below a command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Nfn = Callable[..., Any]


def test_its_commands_are_listed(nfn: Nfn) -> None:
    shown = nfn("zoo", "--help").out.splitlines()
    assert {line.split()[0] for line in shown if line.startswith("  ")} >= {"cnn", "inr", "import"}


def test_networks_between_epochs_take_a_zoo_of_ours(nfn: Nfn, tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    finished = nfn("zoo", "between", tmp_path / "runs", "--data", "digits", "-o", tmp_path / "zoo")
    assert (finished.code, finished.err.count("\n")) == (3, 1) and "no zoo of nfn zoo cnn" in finished.err
    assert not (tmp_path / "zoo").exists()


@pytest.mark.parametrize("command", [["cnn", "--activation", "relu"], ["inr"]], ids=lambda command: command[0])
def test_missing_pictures_are_refused_before_any_work(command: list[str], nfn: Nfn, tmp_path: Path) -> None:
    finished = nfn("zoo", *command, "--data", tmp_path / "none.npz", "--count", 1, "-o", tmp_path / "zoo")
    assert (finished.code, finished.err.count("\n")) == (3, 1) and "no such file" in finished.err
    assert list(tmp_path.iterdir()) == []
