"""`nfn train-editor`: what its options choose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nfn_cli.nn.names import EDITS

Nfn = Callable[..., Any]


@pytest.mark.parametrize("edit", EDITS)
def test_options_reach_the_fit(edit: str, nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("nfn_cli.cli.commands.train_editor.fit_head", lambda *arguments: asked.append(arguments))
    options = ["--edit", edit, "--size", "9x7", "--tuning", 2, "--limit", 50, "--test-count", 5]
    assert nfn("train-editor", tmp_path, "-o", tmp_path / "new", *options).code == 0
    ((data, labels, settings, *_),) = asked
    assert (data, labels, settings.edit, settings.picture) == (tmp_path, None, edit, (9, 7))
    assert (settings.fit.tuning, settings.count, settings.test_count) == (2, 50, 5)
