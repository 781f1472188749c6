"""`nfn calibrate`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Nfn = Callable[..., Any]
TESTS = Path(__file__).parents[2]


def test_the_new_head_has_the_old_one_s_tensors_and_another_card(nfn: Nfn, tmp_path: Path) -> None:
    out = tmp_path / "new"
    finished = nfn("calibrate", "small-cnn-relu", "--population", f"own={TESTS / 'population' / 'relu'}", "-o", out)
    assert finished.code == 0, finished.err
    assert "nfn calibrate small-cnn-relu" in (out / "README.md").read_text(encoding="utf-8")
    assert nfn("predict-accuracy", TESTS / "samples" / "relu-1.safetensors", "--head", out).code == 0


def test_a_population_has_a_name(nfn: Nfn, tmp_path: Path) -> None:
    finished = nfn("calibrate", "small-cnn-relu", "--population", TESTS, "-o", tmp_path / "new")
    assert finished.code == 2 and finished.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []
