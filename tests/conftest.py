"""What all tests share."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

# The tests' tensors are small: threads gain nothing on them, and cost much where the machine is busy. Set before torch
# is imported, and handed on to the programs that tests start.
os.environ.setdefault("OMP_NUM_THREADS", "1")


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
