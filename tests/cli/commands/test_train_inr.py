"""`nfn train-inr`: what its options choose."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Nfn = Callable[..., Any]


def test_options_reach_the_fit(nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("nfn_cli.cli.commands.train_inr.fit_head", lambda *arguments: asked.append(arguments))
    options = ["--kind", "monomial-inr", "--channels", 8, "--messages", "--epochs", 3, "--classes", "cat, dog"]
    assert nfn("train-inr", tmp_path, "-o", tmp_path / "new", *options, "--limit", 50, "--members", 2).code == 0
    ((data, labels, settings, *_),) = asked
    assert (data, labels, settings.kind, settings.count, settings.members) == (tmp_path, None, "monomial-inr", 50, 2)
    assert (settings.sizes.channels, settings.sizes.messages, settings.fit.epochs) == (8, True, 3)
    assert settings.class_names == ("cat", "dog")
    options = ["--kind", "monomial-inr", "--sines", "--augment", "--also", tmp_path / "a", "--also", tmp_path / "b"]
    assert nfn("train-inr", tmp_path, "-o", tmp_path / "new", *options).code == 0
    settings = asked[1][2]
    assert (settings.sizes.sines, settings.sizes.augment, settings.sizes.messages) == (True, True, False)
    assert settings.also == (tmp_path / "a", tmp_path / "b")
