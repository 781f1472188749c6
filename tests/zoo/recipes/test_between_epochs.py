"""Zoos of networks between epochs: on the line between two checkpoints, and labelled by what they do on the images."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from nfn_cli.errors import DataError
from nfn_cli.zoo import BetweenSettings, ZooReport, ZooSettings, load_images, read_networks, read_record, recipe_of
from nfn_cli.zoo.between_rows import read_between_rows

SETTINGS = BetweenSettings("far/away.npz", "far/zoo", "relu", 16, "float32", 0)

Generate = Callable[..., ZooReport]


@pytest.fixture
def zoo(generate: Generate, settings: Callable[..., ZooSettings], tmp_path: Path) -> Path:
    """Three runs, saved after epochs 1, 2 and 4; their pixels are prepared otherwise than they are stored."""
    own = settings(count=3, epochs=(1, 2, 4), preprocessing="unit")
    generate(tmp_path / "zoo", own)
    return tmp_path / "zoo"


@pytest.fixture
def between(zoo: Path, archive: Path) -> BetweenSettings:
    record = read_record(zoo)
    assert record is not None
    return BetweenSettings.of(record, data=str(archive), zoo=zoo, each=2, seed=5, packed=True)


def test_networks_lie_between_checkpoints_of_their_run(
    between: BetweenSettings, zoo: Path, archive: Path, generate: Generate, plain: Callable[..., torch.nn.Module]
) -> None:
    out = zoo.parent / "between"
    report = generate(out, between)
    assert (report.networks, report.trained, report.diverged) == (12, 3, 0) and recipe_of(out) == "between-epochs"
    rows, made, saved = read_between_rows(out / "labels.csv"), read_networks(out), read_networks(zoo)
    with (zoo / "labels.csv").open(newline="") as file:
        at = {(int(row["run"]), int(row["epoch"])): number for number, row in enumerate(csv.DictReader(file))}
    images = load_images(str(archive))
    for number, row in enumerate(rows):
        first, last = at[row.run, row.first_epoch], at[row.run, row.last_epoch]
        tensors = {}
        for name, tensor in saved.point.tensors.items():
            tensors[name] = tensor[first] + row.share * (tensor[last] - tensor[first])
            assert torch.allclose(made.point.tensors[name][number], tensors[name], atol=1e-6)
        network = plain(tensors, "relu")
        found = network(images.test_images / 2 + 0.5).argmax(1) == images.test_labels
        assert row.test_accuracy == pytest.approx(found.double().mean().item(), abs=1e-6)
        assert row.even_accuracy == pytest.approx(found[::2].double().mean().item(), abs=1e-6)
    assert set(made.runs) == set(saved.runs)
    places = [(row.first_epoch, row.share < 0.5) for row in rows if row.run == 0]
    assert sorted(places) == [(1, False), (1, True), (2, False), (2, True)]


def test_a_stopped_zoo_goes_on(
    between: BetweenSettings, zoo: Path, generate: Generate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nfn_cli.zoo.between_recipe._RUNS_IN_JOB", 1)
    whole, stopped = zoo.parent / "whole", zoo.parent / "stopped"
    generate(whole, between)

    def interrupt(done: int, wanted: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(stopped, between, on_runs=interrupt)
    assert {row.run for row in read_between_rows(stopped / "labels.csv")} == {0, 1}
    report = generate(stopped, between)
    assert (report.found, report.trained) == (2, 1)
    assert (stopped / "labels.csv").read_text() == (whole / "labels.csv").read_text()
    for name, tensor in read_networks(whole).point.tensors.items():
        assert torch.equal(read_networks(stopped).point.tensors[name], tensor)


def test_images_of_another_zoo_are_refused(
    between: BetweenSettings, zoo: Path, archive: Path, tmp_path: Path, generate: Generate
) -> None:
    with np.load(archive) as file:
        arrays = dict(file)
    np.savez(tmp_path / "wrong.npz", **{**arrays, "y_test": (arrays["y_test"] + 1) % 4})
    np.savez(
        tmp_path / "colour.npz",
        **{name: own[..., None].repeat(3, -1) if own.ndim == 3 else own for name, own in arrays.items()},
    )
    for name, cause in {"wrong": "and the labels say", "colour": "its images do not fit the networks"}.items():
        with pytest.raises(DataError, match=cause):
            generate(tmp_path / "out", replace(between, data=str(tmp_path / f"{name}.npz")))
        assert not (tmp_path / "out").exists()


def test_a_zoo_of_one_epoch_has_nothing_between(
    settings: Callable[..., ZooSettings], archive: Path, generate: Generate, tmp_path: Path
) -> None:
    generate(tmp_path / "zoo", settings(count=1, epochs=(2,)))
    record = read_record(tmp_path / "zoo")
    assert record is not None
    own = BetweenSettings.of(record, data=str(archive), zoo=tmp_path / "zoo", each=1, seed=0, packed=False)
    with pytest.raises(DataError, match="no run that was saved after two epochs"):
        generate(tmp_path / "out", own)


def test_another_zoo_does_not_share_the_folder(between: BetweenSettings, zoo: Path, generate: Generate) -> None:
    generate(zoo.parent / "out", between)
    with pytest.raises(DataError, match="another zoo_seed"):
        generate(zoo.parent / "out", replace(between, zoo_seed=9))
