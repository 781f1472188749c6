"""`nfn evaluate`: what its options choose."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

Nfn = Callable[..., Any]


@dataclass(frozen=True)
class Report:
    """In the place of a measurement, which takes long."""

    tau: float


def test_options_reach_the_measurement_and_its_report_stdout(
    nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    monkeypatch.setattr("nfn_cli.learning.evaluate_head", lambda *own, **_: [asked.append(own), Report(0.5)][1])
    options = ["--split", "all", "--scale-range", 1, 2, "--samples", 3, "--target", "acc", "--format", "csv"]
    finished = nfn("evaluate", "small-cnn-relu", tmp_path, *options)
    assert (finished.code, finished.out) == (0, "figure,value\ntau,0.5\n")
    ((head, data, labels, settings, *_),) = asked
    assert (head, data, labels, settings.split, settings.column) == ("small-cnn-relu", tmp_path, None, "all", "acc")
    assert (settings.scale_range, settings.samples) == ((1.0, 2.0), 3)
