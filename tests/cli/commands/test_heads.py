"""`nfn heads`: what heads say of themselves in their folders."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nfn_cli.cli.options import heads_of
from nfn_cli.head_cards import head_card
from nfn_cli.nn.names import TASKS
from nfn_cli.shipped import CLASSIFY, EDIT, PREDICT, models_folder, shipped_heads, task_of_shipped

Nfn = Callable[..., tuple[int, str, str]]

CONFIG = """
kind: monomial-nfn
accepts:
  activation: tanh
  layers:
  - {kind: linear, kernel: [], spatial: 1, inputs: 4, outputs: null}
  - {kind: linear, kernel: [], spatial: 1, inputs: null, outputs: 2}
"""
CARD = """# mine

| no | figure |
|---|---|
| accuracy | 0.1 |

## Measured on 3 networks

| | as they are | moved |
|---|---|---|
| Kendall's τ | 0.750 [0.7, 0.8] | 0.750 |
| coverage | see below | |
| change of the weights | 12.5% | |

| outsiders | flagged |
|---|---|
| all | 0.9 |
"""


def own_head(folder: Path, config: str = CONFIG, card: str | None = CARD) -> Path:
    folder.mkdir()
    (folder / "config.yaml").write_text(config)
    if card is not None:
        (folder / "README.md").write_text(card)
    return folder


def test_every_shipped_head_is_listed_with_a_figure_of_its_card(nfn: Nfn) -> None:
    code, out, err = nfn("heads", "--format", "json")
    assert (code, err) == (0, "")
    rows = json.loads(out)
    assert sorted(row["name"] for row in rows) == shipped_heads()
    tasks = [row["task"] for row in rows]
    assert tasks == sorted(tasks, key=[PREDICT, CLASSIFY, EDIT].index)
    for row in rows:
        card = (models_folder() / row["name"] / "README.md").read_text(encoding="utf-8")
        assert row["figures"] and row["reads"] and row["error"] is None
        assert all(f"| {name} | " in card for name in row["figures"])


def test_the_table_fits_80_columns_with_all_its_columns(nfn: Nfn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = nfn("heads", "--format", "table")[1].splitlines()
    assert lines[0].split() == ["head", "task", "measured", "reads"]
    assert len(lines) == 1 + len(shipped_heads()) and max(map(len, lines)) <= 80
    assert any(line.split()[:4] == ["small-cnn-relu", "predict-accuracy", "τ", "0.893"] for line in lines)


def test_a_head_in_a_folder_is_read_alike(tmp_path: Path, nfn: Nfn) -> None:
    card = head_card(str(own_head(tmp_path / "mine")))
    assert (card.task, card.kind, card.reads) == (PREDICT, "monomial-nfn", "tanh, 2 linear, from 4 to 2")
    assert card.figures == {"Kendall's τ": 0.75, "change of the weights": 0.125}
    assert head_card(str(own_head(tmp_path / "bare", card=None))).figures == {}
    code, out, _ = nfn("heads", tmp_path / "mine")
    assert code == 0 and "Kendall's τ:0.75" in out


def test_a_folder_without_a_head_is_one_line_and_the_others_are_listed(tmp_path: Path, nfn: Nfn) -> None:
    other = own_head(tmp_path / "other", "kind: a\naccepts: {layers: []}\n")
    code, out, err = nfn("heads", "inr-mnist", other, tmp_path / "none", "--format", "csv")
    assert code == 1 and out.splitlines()[1].startswith("inr-mnist,classify-inr,")
    assert err.splitlines() == [
        f"nfn: {other}: its config.yaml is no head's; give a head's folder, or a name that `nfn heads` lists",
        f"nfn: {tmp_path / 'none'}: no head's folder: its config.yaml cannot be read; give a head's folder, or a name"
        " that `nfn heads` lists",
    ]
    assert nfn("heads", tmp_path / "none")[0] == 3


def test_tasks_are_those_of_the_registry() -> None:
    assert list(TASKS) == [PREDICT, CLASSIFY, EDIT]
    assert {task_of_shipped(name) for name in shipped_heads()} == set(TASKS)


@pytest.mark.parametrize(
    ("tasks", "names"),
    [
        ((PREDICT,), ["monomial-nfn-relu", "monomial-nfn-tanh"]),
        ((CLASSIFY,), ["monomial-inr-mnist"]),
        ((EDIT, CLASSIFY), ["monomial-dilate-mnist", "monomial-inr-mnist"]),
    ],
)
def test_heads_of_a_task_alone_are_completed(tasks: tuple[str, ...], names: list[str]) -> None:
    assert heads_of(*tasks)("monomial-") == names


def test_a_head_for_any_classifier_says_what_it_reads(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("kind: any-classifier\naccepts:\n  any: classifier\n", encoding="utf-8")
    card = head_card(str(tmp_path))
    assert (card.task, card.kind, card.reads) == (PREDICT, "any-classifier", "any classifier of pictures")
