"""Zoos of INRs: what decides a network, how they are stored, and that a stopped sitting loses nothing."""

from __future__ import annotations

import math
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from pkgutil import resolve_name

import numpy as np
import pytest
import torch
import yaml
from safetensors import safe_open
from torch import Tensor

import nfn_cli.zoo.inr.siren_recipe
from nfn_cli.architectures import functional_forward, pixel_grid
from nfn_cli.checkpoints import POPULATION_KEY
from nfn_cli.errors import DataError
from nfn_cli.zoo import InrSettings, ZooReport, generate_zoo, load_images, read_inr_rows, read_inrs

Generate = Callable[..., ZooReport]
Settings = Callable[..., InrSettings]
Name = tuple[str, int | None, int]


class Stopped(Exception):
    """Stands in for a kill."""


def by_name(folder: Path) -> dict[Name, Tensor]:
    """Parameters [parameter_count] of every network, by split, picture and number of the fit."""
    flat = torch.cat([tensor.flatten(1) for tensor in read_inrs(folder).point.tensors.values()], 1)
    names = [(row.split, row.image, row.fit) for row in read_inr_rows(folder / "labels.csv")]
    assert len(set(names)) == len(names)
    return dict(zip(names, flat, strict=True))


def largest_difference(one: dict[Name, Tensor], other: dict[Name, Tensor]) -> float:
    assert one.keys() == other.keys()
    return max((one[name] - other[name]).abs().max().item() for name in one)


def contents(folder: Path) -> dict[str, bytes]:
    """Every file's bytes; of safetensors files, what they mean: the library orders metadata at random."""
    found = {}
    for path in folder.iterdir():
        found[path.name] = path.read_bytes()
        if path.suffix == ".safetensors":
            with safe_open(path, framework="np") as file:
                parts = [repr(sorted(file.metadata().items())).encode()]
                parts += [name.encode() + file.get_tensor(name).tobytes() for name in sorted(file.keys())]
            found[path.name] = b"".join(parts)
    return found


@pytest.fixture(params=[False, True], ids=["single", "packed"])
def chosen(request: pytest.FixtureRequest, settings: Settings) -> InrSettings:
    """Two fits to nine pictures: five parts of four, but for the last."""
    return settings(packed=request.param, fits=2)


def test_every_picture_is_fitted_and_told(
    chosen: InrSettings, generate: Generate, archive: Path, tmp_path: Path
) -> None:
    report = generate(tmp_path, chosen)
    assert (report.trained, report.found, report.diverged, report.steps) == (18, 0, 0, 18 * 5)
    rows, zoo = read_inr_rows(tmp_path / "labels.csv"), read_inrs(tmp_path)
    assert len(by_name(tmp_path)) == 18 == len(zoo)
    assert Counter(row.split for row in rows) == {"test": 6, "train": 12}
    images = load_images(str(archive))
    labels = {"train": images.train_labels, "test": images.test_labels}
    classes = [int(labels[row.split][row.image or 0]) for row in rows]
    assert [row.label for row in rows] == zoo.targets.tolist() == classes
    assert report.psnr == pytest.approx(sum(row.psnr or 0 for row in rows) / 18)


def test_the_psnr_is_that_of_the_stored_network(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    generate(tmp_path, settings(packed=True, steps=60, width=12))
    zoo, pictures = read_inrs(tmp_path), load_images(settings().data)
    parts = {"train": pictures.train_images, "test": pictures.test_images}
    for place, row in enumerate(read_inr_rows(tmp_path / "labels.csv")):
        point = zoo.select([place]).point
        alone = replace(point, tensors={name: tensor[0] for name, tensor in point.tensors.items()})
        values = functional_forward(alone, pixel_grid(8, 8)).view(8, 8)
        error = (values - parts[row.split][row.image or 0][0]).square().mean().item()
        assert row.psnr == pytest.approx(10 * math.log10(4 / error), abs=2e-3)
        assert row.psnr > 20


def test_colours_are_channels(generate: Generate, settings: Settings, archive: Path, tmp_path: Path) -> None:
    with np.load(archive) as arrays:
        changed = {name: arrays[name] for name in ("y_train", "y_test")}
        for name in ("x_train", "x_test"):
            changed[name] = np.stack([arrays[name], 255 - arrays[name], arrays[name]], axis=-1)
    np.savez(tmp_path / "colours.npz", **changed)
    generate(tmp_path / "zoo", settings(data=str(tmp_path / "colours.npz"), steps=80, width=12, count=1))
    zoo = read_inrs(tmp_path / "zoo")
    assert zoo.point.tensors["layers.2.weight"].shape[1:] == (3, 12)
    point = zoo.select([0]).point
    alone = replace(point, tensors={name: tensor[0] for name, tensor in point.tensors.items()})
    values = functional_forward(alone, pixel_grid(8, 8))
    assert torch.allclose(values[:, 0], -values[:, 1], atol=0.5)
    assert torch.allclose(values[:, 0], values[:, 2], atol=0.5)


def test_files_are_named_and_say_what_they_are(chosen: InrSettings, generate: Generate, tmp_path: Path) -> None:
    generate(tmp_path, chosen)
    files = sorted(tmp_path.glob("*.safetensors"))
    rows = read_inr_rows(tmp_path / "labels.csv")
    assert {row.file for row in rows} == {file.name for file in files}
    told = {"activation": "sin", "arch": "siren", "value_range": "-1 1", "omega_0": "30"}
    for file in files:
        with safe_open(file, framework="pt") as opened:
            metadata = opened.metadata()
        population = metadata.pop(POPULATION_KEY, None)
        assert metadata == told
        own = [row for row in rows if row.file == file.name]
        if chosen.packed:
            assert [row.index for row in own] == list(range(len(own))) and population == str(len(own))
        else:
            (row,) = own
            assert (row.index, population) == (None, None)
            assert file.name == f"{row.split}-{row.image:06d}-{row.fit:02d}.safetensors"
    if chosen.packed:
        assert [file.name for file in files] == [f"part-{number:05d}.safetensors" for number in range(5)]


def test_test_pictures_come_first(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    calls = 0

    def on_steps(steps: int) -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise Stopped

    with pytest.raises(Stopped):
        generate(tmp_path, settings(packed=True), on_steps=on_steps)
    rows = read_inr_rows(tmp_path / "labels.csv")
    assert [row.split for row in rows] == ["test", "test", "test", "train"]


def test_a_seed_decides_everything(chosen: InrSettings, generate: Generate, tmp_path: Path) -> None:
    for name in "ab":
        generate(tmp_path / name, chosen)
    assert contents(tmp_path / "a") == contents(tmp_path / "b")
    generate(tmp_path / "other", replace(chosen, seed=1))
    one, other = (by_name(tmp_path / name) for name in ("a", "other"))
    assert one.keys() != other.keys()
    common = one.keys() & other.keys()
    assert common
    assert all((one[name] - other[name]).abs().max() > 0.1 for name in common)


def test_single_and_packed_zoos_hold_the_same_networks(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    for packed in (False, True):
        generate(tmp_path / str(packed), settings(packed=packed))
    one, other = (by_name(tmp_path / name) for name in ("False", "True"))
    assert largest_difference(one, other) == 0


@pytest.mark.parametrize("group_size", [1, 3, 100])
def test_who_is_fitted_beside_a_network_changes_no_more_than_rounding(
    group_size: int, generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path / "usual", settings())
    generate(tmp_path / "other", settings(), group_size=group_size)
    one, other = (by_name(tmp_path / name) for name in ("usual", "other"))
    assert largest_difference(one, other) < 1e-4


def test_fits_to_one_picture_start_from_networks_of_their_own(
    generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path, settings(fits=3, learning_rate=0.0, width=32, packed=True, steps=1))
    networks = by_name(tmp_path)
    names = sorted(networks, key=str)
    assert len(names) == 27
    for place, name in enumerate(names):
        for other in names[:place]:
            first, second = networks[name], networks[other]
            assert torch.corrcoef(torch.stack([first, second]))[0, 1].abs() < 0.5, (name, other)


def test_a_learning_rate_of_zero_leaves_the_initial_networks(
    generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path / "still", settings(learning_rate=0.0))
    generate(tmp_path / "moved", settings())
    one, other = (by_name(tmp_path / name) for name in ("still", "moved"))
    assert 1e-3 < largest_difference(one, other) < 0.1


@pytest.mark.parametrize(
    "more", [{"count": 12}, {"test_count": 5}, {"fits": 3}, {"count": 9, "test_count": 4, "fits": 2}], ids=str
)
def test_counts_and_fits_may_grow(
    more: dict[str, int], chosen: InrSettings, generate: Generate, tmp_path: Path
) -> None:
    small = replace(chosen, fits=1)
    generate(tmp_path / "grown", small)
    before = contents(tmp_path / "grown")
    report = generate(tmp_path / "grown", replace(small, **more))
    once = generate(tmp_path / "once", replace(small, **more))
    assert (report.found, report.found + report.trained) == (9, once.trained)
    after = contents(tmp_path / "grown")
    assert all(after[name] == before[name] for name in before if name.endswith(".safetensors"))
    one, other = (by_name(tmp_path / name) for name in ("grown", "once"))
    assert largest_difference(one, other) < 1e-4
    assert yaml.safe_load((tmp_path / "grown" / "zoo.yaml").read_text()) == yaml.safe_load(
        (tmp_path / "once" / "zoo.yaml").read_text()
    )


def test_smaller_counts_drop_nothing(chosen: InrSettings, generate: Generate, tmp_path: Path) -> None:
    generate(tmp_path, chosen)
    before = contents(tmp_path)
    report = generate(tmp_path, replace(chosen, count=1, fits=1))
    assert (report.trained, report.found) == (0, 18)
    after = contents(tmp_path)
    assert {name for name in before if before[name] != after[name]} == {"zoo.yaml"}


def test_a_finished_zoo_is_left_as_it_is(chosen: InrSettings, generate: Generate, tmp_path: Path) -> None:
    first = generate(tmp_path, chosen)
    before = contents(tmp_path)
    started: list[int] = []
    report = generate(tmp_path, chosen, on_start=started.append)
    assert report == ZooReport(0, 18, 0, 18, 0, pytest.approx(first.psnr))  # type: ignore[arg-type]
    assert started == [0]
    assert contents(tmp_path) == before


def test_steps_are_announced_and_told(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    started: list[int] = []
    told: list[int] = []
    generate(tmp_path, settings(steps=13), on_start=started.append, on_steps=told.append)
    assert started == [9 * 13] == [sum(told)]


# --- fits that diverge ---------------------------------------------------------------------------------------------


def test_diverged_fits_are_left_out_and_recorded(chosen: InrSettings, generate: Generate, tmp_path: Path) -> None:
    settings = replace(chosen, learning_rate=1e30, fits=1)
    report = generate(tmp_path, settings)
    assert (report.trained, report.diverged) == (9, 9) and math.isnan(report.psnr)
    assert not list(tmp_path.glob("*.safetensors"))
    diverged = yaml.safe_load((tmp_path / "zoo.yaml").read_text())["diverged"]
    assert len(diverged) == 9 and sum(split == "test" for split, _, _ in diverged) == 3
    # They are not tried again, though the table has no row; and the zoo may grow.
    assert generate(tmp_path, settings).trained == 0
    assert generate(tmp_path, replace(settings, count=8)).trained == 2


def test_one_diverged_fit_takes_no_other_with_it(
    chosen: InrSettings, generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    generate(tmp_path / "all", chosen)
    fit = nfn_cli.zoo.inr.siren_recipe.fit_sirens

    def broken(siren, start, *others):  # type: ignore[no-untyped-def]
        fitted = fit(siren, start, *others)
        fitted[1, 3] = math.nan
        return fitted

    monkeypatch.setattr(nfn_cli.zoo.inr.siren_recipe, "fit_sirens", broken)
    report = generate(tmp_path / "some", chosen)
    assert (report.trained, report.diverged) == (18, 5)
    whole, sound = (by_name(tmp_path / name) for name in ("all", "some"))
    record = yaml.safe_load((tmp_path / "some" / "zoo.yaml").read_text())
    assert whole.keys() - sound.keys() == {tuple(fit) for fit in record["diverged"]}
    assert all(torch.equal(sound[name], whole[name]) for name in sound)


# --- folders that are refused --------------------------------------------------------------------------------------


def refusal(folder: Path, settings: InrSettings) -> str:
    """The one line; nothing in the folder changes."""
    before = contents(folder) if folder.is_dir() else {}
    with pytest.raises(DataError) as refused:
        generate_zoo(folder, settings)
    assert len(str(refused.value).splitlines()) == 1
    assert (contents(folder) if folder.is_dir() else {}) == before
    return str(refused.value)


@pytest.mark.parametrize(
    "change",
    [
        {"data": "other.npz"},
        {"width": 5},
        {"hidden_layers": 1},
        {"omega_0": 29.0},
        {"steps": 6},
        {"learning_rate": 1e-3},
        {"initial_scale": 2.0},
        {"seed": 1},
        {"packed": True},
    ],
    ids=lambda change: next(iter(change)),
)
def test_other_settings_are_refused_by_name(
    change: dict[str, object], generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path, settings(count=1))
    message = refusal(tmp_path, settings(count=1, **change))
    assert message == f"{tmp_path}: holds a zoo of another {next(iter(change))}; choose another folder"


def test_an_archive_may_have_moved(generate: Generate, settings: Settings, archive: Path, tmp_path: Path) -> None:
    generate(tmp_path / "zoo", settings())
    moved = tmp_path / archive.name
    moved.write_bytes(archive.read_bytes())
    assert generate(tmp_path / "zoo", settings(data=str(moved), count=7)).found == 9


@pytest.mark.parametrize("recipe", ["small-cnn", "imported", None])
def test_another_kind_of_zoo_is_refused(recipe: str | None, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "zoo.yaml").write_text(yaml.safe_dump({"recipe": recipe, "count": 3}))
    what = "an imported zoo" if recipe == "imported" else "another kind of zoo"
    assert refusal(tmp_path, settings()) == f"{tmp_path}: holds {what}; choose another folder"


@pytest.mark.parametrize(
    "record",
    [
        b"recipe: [",
        b"\xff\xfe",
        b"",
        b"[]",
        b"recipe: siren",
        b"diverged: 3\n",
        b"diverged: [[train, .inf, 0]]\n",
        b"diverged: [[train, 1]]\n",
        b"diverged: [[train, one, 0]]\n",
    ],
    ids=lambda record: repr(record[:24]),
)
def test_a_damaged_record_is_refused(record: bytes, generate: Generate, settings: Settings, tmp_path: Path) -> None:
    generate(tmp_path, settings(count=1))
    before = (tmp_path / "zoo.yaml").read_bytes()
    (tmp_path / "zoo.yaml").write_bytes(before + record if record.startswith(b"diverged") else record)
    assert str(tmp_path) in refusal(tmp_path, settings(count=1))


def test_labels_without_a_record_are_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("file,label\n")
    assert "holds a labels.csv but no zoo.yaml; choose an empty folder" in refusal(tmp_path, settings())


def test_a_damaged_row_is_refused(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    generate(tmp_path, settings(count=1))
    with (tmp_path / "labels.csv").open("a") as file:
        file.write("a.safetensors,,train,1,0,cat,30.0,train-1\n")
    assert "labels.csv:6: not a row of a zoo of INRs" in refusal(tmp_path, settings(count=1))


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        ({"count": 13}, "has 12 pictures for training, not 13;"),
        ({"test_count": 6}, "has 5 pictures for testing, not 6;"),
        ({"data": "/no/such.npz"}, "no such file"),
    ],
)
def test_unusable_pictures_are_refused(
    change: dict[str, object], cause: str, settings: Settings, tmp_path: Path
) -> None:
    assert cause in refusal(tmp_path / "zoo", settings(**change))
    assert not (tmp_path / "zoo").exists()


def test_a_file_in_the_place_of_the_folder_is_refused(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("precious")
    assert str(tmp_path / "file") in refusal(tmp_path / "file" / "zoo", settings())
    assert (tmp_path / "file").read_text() == "precious"


# --- sittings that are stopped -------------------------------------------------------------------------------------


@pytest.fixture
def whole(chosen: InrSettings, generate: Generate, tmp_path: Path) -> dict[str, bytes]:
    """The files of the zoo as one sitting makes them."""
    generate(tmp_path / "whole", chosen)
    return contents(tmp_path / "whole")


@pytest.mark.parametrize("parts", [0, 1, 4])
def test_a_stop_loses_only_the_part_under_way(
    parts: int, chosen: InrSettings, generate: Generate, whole: dict[str, bytes], tmp_path: Path
) -> None:
    folder, done = tmp_path / "stopped", 0

    def on_steps(steps: int) -> None:
        nonlocal done
        done += steps
        if done > 4 * parts * chosen.steps:
            raise Stopped

    with pytest.raises(Stopped):
        generate(folder, chosen, on_steps=on_steps)
    assert len(list(folder.glob("*.safetensors"))) == parts * (1 if chosen.packed else 4)
    report = generate(folder, chosen)
    assert (report.trained, report.found) == (18 - 4 * parts, 4 * parts)
    assert contents(folder) == whole


@pytest.mark.parametrize(
    "stopped_in",
    [
        "nfn_cli.zoo.network_files.save_tensors",
        "nfn_cli.zoo.inr.siren_recipe.SirenRecipe.write_rows",
        "nfn_cli.zoo.generate.write_record",
    ],
)
@pytest.mark.parametrize("call", [1, 2, 3])
def test_a_stop_between_two_files_leaves_nothing_behind(
    stopped_in: str,
    call: int,
    chosen: InrSettings,
    generate: Generate,
    whole: dict[str, bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder, calls = tmp_path / "stopped", 0
    true = resolve_name(stopped_in)

    def stop(*arguments: object, **options: object) -> None:
        nonlocal calls
        calls += 1
        if calls == call:
            raise Stopped
        true(*arguments, **options)

    with monkeypatch.context() as patched:
        patched.setattr(stopped_in, staticmethod(stop))
        with pytest.raises(Stopped):
            generate(folder, chosen)
    generate(folder, chosen)
    assert contents(folder) == whole


@pytest.mark.parametrize("written", [0, 1, 2, 3])
def test_a_packed_file_without_rows_is_replaced_in_whatever_order_parts_were_finished(
    written: int, generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    chosen = settings(packed=True, fits=2)
    generate(tmp_path, chosen)
    # As two processes may leave it: one part has been written and is not in the table, the last has not been begun.
    rows = (tmp_path / "labels.csv").read_text().splitlines(keepends=True)
    left_out = (f"part-{written:05d}", "part-00004")
    (tmp_path / "labels.csv").write_text("".join(row for row in rows if not row.startswith(left_out)))
    (tmp_path / "part-00004.safetensors").unlink()
    assert generate(tmp_path, chosen).trained == 4 + 2
    assert {path.name for path in tmp_path.glob("*.safetensors")} == {f"part-{i:05d}.safetensors" for i in range(5)}
    assert len(by_name(tmp_path)) == 18


SLOW = """
import sys, time
import nfn_cli.zoo.generate as generate
import nfn_cli.zoo.inr.siren_recipe as siren_recipe
from nfn_cli.cli.app import main

def here(work, shared, jobs, workers, on_steps):
    for job in jobs:
        time.sleep(0.05)
        yield job, work(shared, job, on_steps)

siren_recipe._PART = 4
generate.in_processes = here
main()
"""


def test_a_killed_command_goes_on_where_it_was(
    chosen: InrSettings, generate: Generate, whole: dict[str, bytes], archive: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    (tmp_path / "slow.py").write_text(SLOW)
    options = ["--data", archive, "--count", 6, "--test-count", 3, "--fits", 2, "--width", 4, "--steps", 5]
    command = [sys.executable, tmp_path / "slow.py", "zoo", "inr", *options, "--out", folder, "--device", "cpu"]
    command += ["--packed"] if chosen.packed else []
    with subprocess.Popen(list(map(str, command)), stderr=subprocess.DEVNULL) as program:
        deadline = time.monotonic() + 120
        while not (folder / "labels.csv").exists() and program.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(program.pid, signal.SIGKILL)
    assert program.returncode == -signal.SIGKILL
    kept = read_inr_rows(folder / "labels.csv")
    assert 4 <= len(kept) < 18
    report = generate(folder, chosen)
    assert (report.found, report.trained) == (len(kept), 18 - len(kept))
    after = contents(folder)
    assert {name for name in after if ".safetensors" in name} >= {name for name in whole if ".safetensors" in name}
    assert {name: after[name] for name in whole} == whole
