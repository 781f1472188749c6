"""`nfn train --kind monomial-any` for a zoo of residual networks and transformers, and what its head then says."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from labelled_zoo import write_zoo

from nfn_cli.cli.app import main
from nfn_cli.nn import load_head

Nfn = Callable[..., tuple[int, str, str]]
TRAIN = ["--kind", "monomial-any", "--members", 1, "--epochs", 20, "--device", "cpu", "--workers", 1]


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zoo(tmp_path_factory.mktemp("labelled") / "zoo", 48)


@pytest.fixture(scope="module")
def head(zoo: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head that the command fitted."""
    folder = tmp_path_factory.mktemp("heads") / "labelled-head"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["nfn", "train", *map(str, (zoo, "--output", folder, "-q", *TRAIN))])
        main()
    assert not ended.value.code
    return folder


@pytest.fixture
def measured(nfn: Nfn, zoo: Path, head: Path) -> dict[str, Any]:
    """What `nfn evaluate` says of it."""
    code, out, err = nfn("evaluate", head, zoo, "--format", "json", "--workers", 1)
    assert code == 0, err
    found: dict[str, Any] = json.loads(out)
    return found


def test_a_fit_learns_what_follows_from_the_weights_and_does_not_move_along_orbits(measured: dict[str, Any]) -> None:
    assert measured["overall"]["tau"]["value"] > 0.3
    assert [own["name"] for own in measured["by_family"]] == ["residual", "transformer"]
    drift = measured["drift"]
    assert drift["networks"] == measured["overall"]["networks"] and drift["unmoved"] == 0
    assert drift["largest"] < 1e-3 and drift["flags_changed"] == 0


def test_the_card_says_what_it_reads(head: Path) -> None:
    card = " ".join((head / "README.md").read_text(encoding="utf-8").split())
    assert "the weights alone, of any network whose group nfn knows" in card
    assert "--kind monomial-any" in card and "it is known how they are run" not in card
    assert load_head(str(head)).config.accepted.by_labels


def test_a_command_predicts(head: Path, zoo: Path, nfn: Nfn) -> None:
    files = [zoo / f"run-{run}" / "model.safetensors" for run in (0, 1)]
    code, out, err = nfn("predict-accuracy", *files, "--head", head, "--format", "json", "--jobs", 0)
    assert code == 0, err
    rows = json.loads(out)
    assert [row["path"] for row in rows] == list(map(str, files))
    assert all(0 <= row["low"] <= row["accuracy"] <= row["high"] <= 1 for row in rows)
