"""What all tests share."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

# The tests' tensors are small: threads gain nothing on them, and cost much where the machine is busy. Set before torch
# is imported, and handed on to the programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Tests that want a width say so: the one of the terminal that pytest itself was started in is nothing to them.
os.environ.pop("COLUMNS", None)


def pytest_configure(config: pytest.Config) -> None:
    """Side by side, tests get folders whose paths are as short as those of a single run: tables break long ones."""
    alone = not getattr(config.option, "numprocesses", None)
    if alone or config.option.basetemp is not None:
        return
    folder = Path(tempfile.mkdtemp(prefix="n"))
    config.option.basetemp = str(folder / "t")
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))


class Finished(NamedTuple):
    """How a call of `nfn` ended."""

    code: int
    out: str
    err: str


Nfn = Callable[..., Finished]


@pytest.fixture
def nfn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nfn:
    """Call `nfn` with arguments, in this process, as the shell would."""

    from nfn_cli.cli.app import main

    def call(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["nfn", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Finished(int(ended.value.code or 0), captured.out, captured.err)

    return call
