"""Two runs never write one head."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nfn_cli.folders import held

Nfn = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize(
    "command",
    [
        ["train", "DATA"],
        ["train-inr", "DATA"],
        ["train-editor", "DATA", "--edit", "dilate"],
        ["calibrate", "small-cnn-relu", "--population", "own=DATA"],
    ],
    ids=lambda command: command[0],
)
def test_a_head_that_another_run_writes_is_refused(command: list[str], nfn: Nfn, tmp_path: Path) -> None:
    data, out = tmp_path / "data", tmp_path / "head"
    data.mkdir()
    out.mkdir()
    arguments = [word.replace("DATA", str(data)) for word in command]
    with held(out):
        code, _, told = nfn(*arguments, "--out", out, "--overwrite")
    assert (code, told) == (3, f"nfn: {out}: another run is writing to it; wait for its end\n")
    assert list(out.iterdir()) == []
