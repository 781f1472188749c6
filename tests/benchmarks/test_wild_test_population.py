"""The population of wild classifiers for `tests/wild`."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from nfn_cli.checkpoints import save_tensors
from nfn_cli.zoo.wild.labels import WildRow, read_wild_rows, write_wild_rows

Load = Callable[[str], ModuleType]
FAMILIES = ("mlp", "residual", "vgg")
FACTS = {"images": 10, "epochs": 1, "optimizer": "sgd", "learning_rate": 0.1, "noise": 0.0, "augmentation": "none"}


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """24 runs of three families and four tasks, two checkpoints each; every fourth is large."""
    folder, rows = tmp_path / "zoo", []
    for run in range(24):
        place = folder / f"run-{run:06d}"
        place.mkdir(parents=True)
        (place / "config.json").write_text(json.dumps({"run": run}))
        for epoch in (1, 2):
            file = f"{place.name}/epoch-{epoch:03d}.safetensors"
            save_tensors(folder / file, {"fc.weight": torch.full((4, 10 + run), float(run))})
            accuracies = dict.fromkeys(("test_accuracy", "even_accuracy", "odd_accuracy", "train_accuracy"), run / 24)
            parameters = 60_001 if run % 4 == 3 else 40 + 4 * run
            task, family = f"set/{run // 3 % 4}", FAMILIES[run % 3]
            rows.append(WildRow(file, run, epoch, task, family, parameters, test_loss=1.0, **accuracies, **FACTS))
    write_wild_rows(folder, rows)
    return folder


def test_families_and_tasks_take_turns_within_the_size(load: Load, zoo: Path, tmp_path: Path) -> None:
    out = tmp_path / "wild"
    assert load("test_population").main([str(zoo), f"--out={out}", "--megabytes=0.006"]) == 0
    rows = read_wild_rows(out / "labels.csv")
    files = [*out.glob("*/*")]
    assert 0.004e6 < sum(file.stat().st_size for file in files) <= 0.006e6
    assert len(files) == len(rows) * 3 // 2
    assert all(row.parameters <= 60_000 for row in rows)
    runs = {row.run: row for row in rows}.values()
    assert max(counted := Counter(row.family for row in runs).values()) - min(counted) <= 1
    assert len({row.task for row in rows}) >= 3
    for row in rows:  # the same network, under its new number
        before = round(row.test_accuracy * 24)
        assert (out / row.file).read_bytes() == (zoo / f"run-{before:06d}" / Path(row.file).name).read_bytes()
        assert json.loads((out / row.file).with_name("config.json").read_text()) == {"run": before}
    assert f"{len(rows)} checkpoints of {len(runs)} training runs" in (out / "README.md").read_text(encoding="utf-8")


def test_only_listed_runs_are_taken(load: Load, zoo: Path, tmp_path: Path) -> None:
    listed, out = tmp_path / "runs.txt", tmp_path / "wild"
    listed.write_text("".join(f"zoo/run-{run:06d}\n" for run in (0, 4, 8, 13)))
    assert load("test_population").main([str(zoo), f"--out={out}", f"--runs={listed}"]) == 0
    assert {round(row.test_accuracy * 24) for row in read_wild_rows(out / "labels.csv")} == {0, 4, 8, 13}


def test_too_few_kinds_are_refused(load: Load, zoo: Path, tmp_path: Path) -> None:
    listed, out = tmp_path / "runs.txt", tmp_path / "wild"
    listed.write_text("zoo/run-000000 zoo/run-000004\n")
    assert load("test_population").main([str(zoo), f"--out={out}", f"--runs={listed}"]) == 3
    assert not out.exists()
