"""Run the program in this process, as the shell would."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import NamedTuple

import pytest

from nfn_cli.cli.app import main


class Finished(NamedTuple):
    """How a call of `nfn` ended."""

    code: int
    out: str
    err: str


Nfn = Callable[..., Finished]


@pytest.fixture
def nfn(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Nfn:
    """Call `nfn` with arguments."""

    def call(*arguments: object) -> Finished:
        monkeypatch.setattr(sys, "argv", ["nfn", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Finished(int(ended.value.code or 0), captured.out, captured.err)

    return call
