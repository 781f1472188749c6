"""A stopped zoo is continued by the same command, and ends as it would have without the stop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from safetensors import safe_open

import nfn_cli.zoo.small_cnn_recipe
from nfn_cli.errors import DataError
from nfn_cli.zoo import LABELS_FILE, Hyperparameters, ZooReport, ZooSettings, draw_hyperparameters
from nfn_cli.zoo.labels import read_zoo_rows, write_labels
from nfn_cli.zoo.small_cnn_recipe import SmallCnnRecipe

Generate = Callable[..., ZooReport]
Settings = Callable[..., ZooSettings]
# One run of each length: 8, 16, 40 and 80 images, three times.
SAMPLES = [24, 48, 120, 240]


class Stopped(Exception):
    """Stands in for a kill."""


def stop_after(samples: int) -> Callable[[int], None]:
    """Progress that ends the sitting once more than so many samples were processed."""
    done = 0

    def on_steps(more: int) -> None:
        nonlocal done
        done += more
        if done > samples:
            raise Stopped

    return on_steps


def contents(folder: Path) -> dict[str, bytes]:
    """Every file's bytes; of safetensors files, what they mean: the library orders metadata at random."""
    return {
        path.name: _meaning(path) if path.suffix == ".safetensors" else path.read_bytes() for path in folder.iterdir()
    }


def _meaning(path: Path) -> bytes:
    with safe_open(path, framework="np") as file:
        parts = [repr(sorted(file.metadata().items())).encode()]
        for name in sorted(file.keys()):
            parts += [name.encode(), file.get_tensor(name).tobytes()]
    return b"".join(parts)


@pytest.fixture(params=[False, True], ids=["single", "packed"])
def chosen(request: pytest.FixtureRequest, settings: Settings) -> ZooSettings:
    return settings(packed=request.param)


@pytest.fixture
def whole(chosen: ZooSettings, generate: Generate, tmp_path: Path) -> dict[str, bytes]:
    """The files of the zoo as one sitting makes them."""
    generate(tmp_path / "whole", chosen)
    return contents(tmp_path / "whole")


@pytest.mark.parametrize("groups", [0, 1, 3])
def test_a_stop_loses_only_the_group_in_training(
    groups: int, chosen: ZooSettings, generate: Generate, whole: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "stopped"
    with pytest.raises(Stopped):
        generate(folder, chosen, on_steps=stop_after(2 * sum(SAMPLES[:groups])))
    assert sum(path.suffix == ".safetensors" for path in folder.iterdir()) == groups * (1 if chosen.packed else 4)
    report = generate(folder, chosen)
    assert (report.trained, report.found, report.networks) == (8 - 2 * groups, 2 * groups, 16)
    assert report.steps == 2 * sum(SAMPLES[groups:])
    assert contents(folder) == whole


def test_a_stop_between_checkpoints_and_labels_leaves_nothing_behind(
    chosen: ZooSettings,
    generate: Generate,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "stopped"
    write_labels, written = SmallCnnRecipe.write_rows, 0

    def write_once(*arguments: object) -> None:
        nonlocal written
        written += 1
        if written == 2:
            raise Stopped
        write_labels(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(SmallCnnRecipe, "write_rows", staticmethod(write_once))
    with pytest.raises(Stopped):
        generate(folder, chosen)
    assert generate(folder, chosen).found == 2
    assert contents(folder) == whole


def test_a_run_with_missing_rows_is_trained_again(
    chosen: ZooSettings, generate: Generate, whole: dict[str, bytes], tmp_path: Path
) -> None:
    folder = tmp_path / "whole"
    lines = whole["labels.csv"].decode().splitlines(keepends=True)
    # Groups are [0, 4], [1, 5], [2, 6], [3, 7]: of the last, one row of each run is missing.
    kept = [line for line in lines if _epoch_and_run(line) not in (("3", "3"), ("3", "7"))]
    assert len(kept) == len(lines) - 2
    (folder / "labels.csv").write_text("".join(kept))
    report = generate(folder, chosen)
    assert (report.trained, report.found, report.diverged) == (2, 6, 0)
    assert contents(folder) == whole


def _epoch_and_run(line: str) -> tuple[str, str]:
    cells = line.split(",")
    return cells[2], cells[8]


def test_a_finished_zoo_is_left_as_it_is(
    chosen: ZooSettings, generate: Generate, whole: dict[str, bytes], tmp_path: Path
) -> None:
    report = generate(tmp_path / "whole", chosen)
    assert report == ZooReport(trained=0, found=8, diverged=0, networks=16, steps=0)
    assert contents(tmp_path / "whole") == whole


def test_a_zoo_may_grow(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    generate(tmp_path / "grown", settings(count=8))
    before = contents(tmp_path / "grown")
    report = generate(tmp_path / "grown", settings(count=16))
    assert (report.trained, report.found, report.networks) == (8, 8, 32)
    after = contents(tmp_path / "grown")
    assert {name: after[name] for name in before if name.endswith(".safetensors")} == {
        name: content for name, content in before.items() if name.endswith(".safetensors")
    }
    # Groups of two fit both counts, so the grown zoo is the one that a single sitting makes.
    generate(tmp_path / "once", settings(count=16))
    assert after == contents(tmp_path / "once")


def test_a_smaller_count_ends_a_zoo_early_but_drops_no_run(
    generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(Stopped):
        generate(tmp_path, settings(count=16), on_steps=stop_after(2 * SAMPLES[0]))
    with pytest.raises(DataError, match="holds run 4 of a larger zoo; give a --count of at least 5"):
        generate(tmp_path, settings(count=4))
    report = generate(tmp_path, settings(count=5))
    assert (report.trained, report.found) == (3, 2)
    assert yaml.safe_load((tmp_path / "zoo.yaml").read_text())["count"] == 5


@pytest.mark.parametrize(
    "change",
    [
        {"activation": "tanh"},
        {"seed": 1},
        {"epochs": (1, 2)},
        {"batch_size": 4},
        {"image_limit": 40},
        {"packed": True},
        {"precision": "bfloat16"},
        {"width": 8},
        {"data": "other.npz"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_are_refused_by_name_and_change_nothing(
    change: dict[str, object], generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path, settings(count=1))
    before = contents(tmp_path)
    with pytest.raises(DataError, match=f"holds a zoo of another {next(iter(change))}; choose another folder"):
        generate(tmp_path, settings(count=1, **change))
    assert contents(tmp_path) == before


def test_an_archive_may_have_moved(generate: Generate, settings: Settings, archive: Path, tmp_path: Path) -> None:
    generate(tmp_path / "zoo", settings(count=1))
    moved = tmp_path / archive.name
    moved.write_bytes(archive.read_bytes())
    assert generate(tmp_path / "zoo", settings(count=2, data=str(moved))).found == 1


def test_a_zoo_whose_record_knows_no_width_has_the_published_one(
    generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path, settings(count=1))
    record = yaml.safe_load((tmp_path / "zoo.yaml").read_text())
    assert record.pop("width") == 16
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump(record))
    with pytest.raises(DataError, match="holds a zoo of another width"):
        generate(tmp_path, settings(count=2, width=8))
    assert generate(tmp_path, settings(count=2)).found == 1
    assert yaml.safe_load((tmp_path / "zoo.yaml").read_text())["width"] == 16


def test_diverged_runs_are_not_trained_again(
    generate: Generate, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(**arguments: object) -> Hyperparameters:
        run = draw_hyperparameters(**arguments)  # type: ignore[arg-type]
        return Hyperparameters(**{**run.__dict__, "learning_rate": 1e30}) if run.run in (0, 4) else run

    monkeypatch.setattr(nfn_cli.zoo.small_cnn_recipe, "draw_hyperparameters", draw)
    # The first group holds no run that lasts, so labels.csv is a header line alone.
    with pytest.raises(Stopped):
        generate(tmp_path, settings(), on_steps=stop_after(2 * SAMPLES[0]))
    report = generate(tmp_path, settings())
    assert (report.trained, report.found, report.diverged, report.networks) == (6, 2, 2, 12)
    assert generate(tmp_path, settings()).trained == 0


@pytest.mark.parametrize(
    "record",
    [b"", b"[]", b"count: 8", b"recipe: [", b"\xff\xfe", b"diverged: 3\n"],
    ids=["empty", "list", "too little", "no yaml", "no text", "no list"],
)
def test_a_damaged_record_is_refused_in_one_line(
    record: bytes, generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path, settings(count=1))
    damaged = (tmp_path / "zoo.yaml").read_bytes() + record if record.startswith(b"diverged") else record
    (tmp_path / "zoo.yaml").write_bytes(damaged)
    with pytest.raises(DataError) as refused:
        generate(tmp_path, settings(count=1))
    assert str(refused.value).startswith(f"{tmp_path / 'zoo.yaml'}: not a ")
    assert len(str(refused.value).splitlines()) == 1


@pytest.mark.parametrize("row", ["a.safetensors,,1,0.5\n", "a.safetensors,,one" + ",1" * 14 + "\n"])
def test_a_damaged_row_is_refused_by_its_line(row: str, generate: Generate, settings: Settings, tmp_path: Path) -> None:
    generate(tmp_path, settings(count=1))
    with (tmp_path / "labels.csv").open("a") as file:
        file.write(row)
    with pytest.raises(DataError, match=r"labels\.csv:4: not a row of a zoo"):
        generate(tmp_path, settings(count=1))


def test_a_folder_of_labels_without_a_record_is_refused(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,test_accuracy\n")
    with pytest.raises(DataError, match=r"holds a labels\.csv but no zoo\.yaml; choose an empty folder"):
        generate(tmp_path, settings())
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_a_zoo_from_before_halves_were_measured_grows_with_them(
    settings: Settings, generate: Generate, tmp_path: Path
) -> None:
    generate(tmp_path, settings(count=4))
    rows = [replace(row, even_accuracy=None, odd_accuracy=None) for row in read_zoo_rows(tmp_path / LABELS_FILE)]
    write_labels(tmp_path, rows)
    generate(tmp_path, settings(count=8))
    grown = read_zoo_rows(tmp_path / LABELS_FILE)
    assert [row for row in grown if row.even_accuracy is None] == rows
    more = [row for row in grown if row.even_accuracy is not None and row.odd_accuracy is not None]
    assert len(more) == 8
    # 40 test images: 20 in each half.
    assert all(row.even_accuracy + row.odd_accuracy == pytest.approx(2 * row.test_accuracy) for row in more)
