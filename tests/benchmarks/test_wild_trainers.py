"""The populations that fitting never sees: the second trainer's and the tutorials' networks."""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from nfn_cli.architectures.families.recorded import RecordedNetwork, read_steps
from nfn_cli.zoo.wild.labels import read_wild_rows

Load = Callable[[str], ModuleType]
Archive = Callable[..., Path]
FOLDER = Path(__file__).parents[2] / "benchmarks" / "wild"


@pytest.fixture
def short(load: Load, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The second trainer, with runs of two epochs."""
    trainer = load("second_trainer")
    monkeypatch.setattr(trainer, "within_budget", lambda recipe, each: replace(recipe, epochs=2, half_way=1))
    return trainer


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def network_of(folder: Path, row: dict[str, str]) -> RecordedNetwork:
    path = folder / row["file"]
    network = RecordedNetwork(read_steps(json.loads((path.parent / "config.json").read_text())["steps"]))
    network.load_state_dict(load_file(path))
    return network.eval()


def test_the_second_trainer_writes_networks_with_their_accuracies(
    load: Load, short: ModuleType, archive: Archive, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    data = [archive("gray", 16, 16), archive("cifar10_color", 16, 16, 3)]
    command = [*(f"--data={path}" for path in data), f"--out={out}", "--count=4"]
    assert short.main(command) == 0
    rows = rows_of(out)
    assert [(row["run"], row["epoch"]) for row in rows] == [(run, epoch) for run in "0123" for epoch in "12"]
    assert {row["task"].split("/")[0] for row in rows} == {"gray", "cifar10_color"}
    assert len(read_wild_rows(out / "labels.csv")) == len(rows)
    for row in rows:
        images = load("archive").task_of(
            load("archive").read_archive(data[int(row["run"]) % 2]), row["task"].split("/")[1]
        )
        pixels = load("pixels").ToPixels(row["pixels"], images.x_train)
        right = network_of(out, row)(pixels(images.x_test)).argmax(1).numpy() == images.y_test
        measured = [right.mean(), right[::2].mean(), right[1::2].mean()]
        stated = [float(row[name]) for name in ("test_accuracy", "even_accuracy", "odd_accuracy")]
        assert measured == pytest.approx(stated, abs=1.01 / len(right[::2]))


def test_what_is_done_is_not_done_again(
    short: ModuleType, archive: Archive, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer, out, data = short, tmp_path / "out", archive("gray", 16, 16)
    assert trainer.main([f"--data={data}", f"--out={out}", "--count=2"]) == 0
    first, done = rows_of(out), []

    def counted(*given: object) -> list[object]:
        done.append(given[3])
        return do_run(*given)

    do_run = trainer.do_run
    monkeypatch.setattr(trainer, "do_run", counted)
    (out / first[-1]["file"]).unlink()
    assert trainer.main([f"--data={data}", f"--out={out}", "--count=3"]) == 0
    assert done == [1, 2]
    assert rows_of(out)[: len(first)] == first


def test_a_run_beyond_the_time_limit_leaves_nothing(load: Load, archive: Archive, tmp_path: Path) -> None:
    trainer, data = load("second_trainer"), archive("gray", 16, 16)
    trainer.start([data])
    with pytest.raises(load("runs").OutOfTime):
        trainer.do_run(tmp_path, 0, 300_000, 0, 0.0)
    assert not list(tmp_path.glob("run-*"))
    assert trainer.main([f"--data={data}", f"--out={tmp_path / 'out'}", "--count=3", "--time-limit=1e-9"]) == 0
    assert not rows_of(tmp_path / "out")


def test_the_second_trainer_is_written_apart(load: Load) -> None:
    for name in ("second_trainer", "second_networks", "pixels", "archive", "recording", "runs", "saving"):
        assert "nfn_cli.zoo" not in (FOLDER / f"{name}.py").read_text(encoding="utf-8")


def test_recipes_stay_within_the_budget(load: Load) -> None:
    trainer = load("second_trainer")
    for seed in range(50):
        drawn = trainer.draw_recipe(random.Random(seed), 50_000)
        assert trainer.within_budget(drawn, 1) == drawn
        cut = trainer.within_budget(drawn, 10_000_000)
        assert cut.images >= 500 and cut.epochs >= 1 and cut.half_way < max(cut.epochs, 2)
        assert 3 * 10_000_000 * cut.images * cut.epochs <= trainer._BUDGET or (cut.images, cut.epochs) == (500, 1)


def test_networks_are_as_small_as_asked(load: Load) -> None:
    networks = load("second_networks")
    drawn = [networks.draw_network(random.Random(seed), (3, 32, 32), 10, 30_000) for seed in range(20)]
    assert max(sum(parameter.numel() for parameter in network.parameters()) for _, network in drawn) <= 30_000
    assert len({family for family, _ in drawn}) > 2
    with pytest.raises(ValueError, match="at most 100"):
        networks.draw_network(random.Random(0), (1, 8, 8), 10, 100)


def test_tasks(load: Load, archive: Archive) -> None:
    module = load("archive")
    images = module.read_archive(archive("cifar10_gray", 16, 16))
    parity = module.task_of(images, "parity")
    assert parity.classes == 2 and np.array_equal(parity.y_test, images.y_test % 2)
    five = module.task_of(images, "five-halved")
    assert (five.classes, five.picture, len(five.y_test)) == (5, (1, 8, 8), 20)
    first = images.x_test[0].astype(float)
    assert abs(five.x_test[0, 0, 0, 0] - first[:2, :2].mean()) <= 0.5
    assert module.task_of(images, "animals").classes == module.task_of(images, "vehicles").classes == 3


def test_augmented_pictures_keep_their_shape(load: Load) -> None:
    pixels, rng = load("pixels"), np.random.default_rng(0)
    pictures = rng.integers(0, 256, (30, 8, 8, 3), dtype=np.uint8)
    for how in ("crop-flip", "blur"):
        changed = pixels.augmented(pictures, how, np.random.default_rng(1))
        assert changed.shape == pictures.shape and changed.dtype == np.uint8
        assert (changed != pictures).any()
    flat = np.full((30, 8, 8, 1), 7, dtype=np.uint8)
    assert np.array_equal(pixels.augmented(flat, "blur", rng), flat)
    assert np.array_equal(pixels.augmented(pictures, "none", rng), pictures)


@pytest.mark.parametrize(
    ("how", "low", "high"), [("unit", 0, 1), ("raw", 0, 255), ("signed", -1, 1), ("imagenet", -2, 2.5)]
)
def test_pixels_are_scaled(load: Load, how: str, low: float, high: float) -> None:
    pictures = np.array([0, 255], dtype=np.uint8).reshape(2, 1, 1, 1)
    seen = load("pixels").ToPixels(how, pictures)(pictures).flatten().tolist()
    assert seen == pytest.approx([low, high], abs=0.5 if how == "imagenet" else 1e-4)


def test_the_table_of_tutorials_has_100_networks(load: Load) -> None:
    tutorials = load("tutorials")
    specs = tutorials.specs()
    assert sum(1 + bool(spec.training.early) for spec in specs) == 100
    assert len({spec.name for spec in specs}) == len(specs)
    assert {spec.architecture for spec in specs} == set(tutorials.USUAL) == set(tutorials.FAMILIES)


def test_tutorials_are_trained(load: Load, archive: Archive, tmp_path: Path) -> None:
    tutorials, out = load("tutorials"), tmp_path / "out"
    data = archive("mnist", 28, 28)
    command = [f"--data={data}", f"--out={out}", "--quick", "--only=mnist/mlp_300_100/*"]
    assert tutorials.main(command) == 0
    rows = rows_of(out)
    assert [row["recipe"] for row in rows] == tutorials.TABLE["mnist"]["mlp_300_100"].split()
    assert {row["task"] for row in rows} == {"mnist/all"}
    module, picture = getattr(load("tutorial_models"), rows[0]["model"])()
    module.load_state_dict(load_file(out / rows[0]["file"]))
    torch.testing.assert_close(network_of(out, rows[0])(picture), module(picture))
    assert (out / "model.py").read_text() == (FOLDER / "tutorial_models.py").read_text()


def test_tutorials_name_what_is_missing(
    load: Load, archive: Archive, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tutorials = load("tutorials")
    assert tutorials.main([f"--data={archive('mnist', 28, 28)}", f"--out={tmp_path / 'out'}"]) == 2
    assert "no archive for color, gray" in capsys.readouterr().err
    assert tutorials.main([f"--data={archive('odd', 12, 12)}", f"--out={tmp_path / 'out'}"]) == 2
    assert not (tmp_path / "out").exists()
