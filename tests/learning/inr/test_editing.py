"""Fitting and measuring heads that edit INRs, on a zoo of a few small pictures."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pytest import MonkeyPatch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import DataError
from nfn_cli.learning import (
    EditFit,
    EditReport,
    EditSettings,
    EvaluateSettings,
    evaluate_head,
    is_unfinished,
    measure_editor,
    train_head,
)
from nfn_cli.learning.tasks.editing import EditLearning
from nfn_cli.nn import read_head
from nfn_cli.nn.inr.function_editor import FunctionEditorSizes
from nfn_cli.nn.inr.sine_chain import read_tensors
from nfn_cli.nn.kinds import Kind
from nfn_cli.nn.names import HEAD_KINDS, HeadKind
from nfn_cli.zoo import InrSettings, generate_zoo, read_inr_rows, read_inrs

Nfn = Callable[..., Any]

SIDE = 9
QUICK = EditSettings(
    sizes=FunctionEditorSizes(channels=8, depth=2, steps=3),
    picture=(SIDE, SIDE),
    fit=EditFit(epochs=30, batch_size=8, tuning=4, tuning_batch=2),
    test_count=12,
)


@pytest.fixture(scope="session")
def blobs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A zoo of INRs of light blobs, 9×9 pixels, and the pictures beside it as `blobs.npz`."""
    folder = tmp_path_factory.mktemp("blobs")
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[0:SIDE, 0:SIDE]
    pictures = []
    for _ in range(112):
        y, x = generator.uniform(2, SIDE - 3, 2)
        pictures.append(255 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / 3))
    images = np.stack(pictures).astype(np.uint8)
    labels = np.zeros(112, dtype=np.int64)
    archive = folder / "blobs.npz"
    np.savez(archive, x_train=images[:96], y_train=labels[:96], x_test=images[96:], y_test=labels[96:])
    settings = InrSettings(str(archive), count=96, test_count=16, width=16, steps=60, packed=True)
    generate_zoo(folder / "zoo", settings)
    return folder


@pytest.fixture(scope="session")
def fitted(blobs: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, EditReport, list[float]]:
    folder = tmp_path_factory.mktemp("heads") / "dilate-blobs"
    told: list[float] = []
    return folder, train_head(blobs / "zoo", None, folder, QUICK, on_epoch=told.append), told


def test_the_edited_networks_show_the_edited_pictures(fitted: tuple[Path, EditReport, list[float]]) -> None:
    _, report, told = fitted
    assert report.after.low <= report.after.value <= report.after.high
    assert report.after.value < 0.2 * report.before.value
    assert (report.networks, report.pictures, report.target) == (12, 12, "rendered")
    assert len(told) == 30 + 4
    assert report.change > 0.01


def test_editing_commutes_with_moving(fitted: tuple[Path, EditReport, list[float]]) -> None:
    _, report, _ = fitted
    assert 0 < report.weight_drift <= 1e-8 and 0 < report.picture_drift <= 1e-8


def test_the_head_on_disk_measures_the_same(blobs: Path, fitted: tuple[Path, EditReport, list[float]]) -> None:
    folder, report, _ = fitted
    again = evaluate_head(str(folder), blobs / "zoo", settings=EvaluateSettings(count=12))
    assert again.after.value == pytest.approx(report.after.value, rel=1e-6)
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert f"{report.after.value:.2e}" in card and f"{report.before.value:.2e}" in card
    assert "solved for" in card and "--edit dilate" in card
    assert not re.search(r"\{|None", card)


def test_the_target_may_be_the_true_picture(blobs: Path, fitted: tuple[Path, EditReport, list[float]]) -> None:
    head = read_head(fitted[0])
    networks = read_inrs(blobs / "zoo").part("test")
    images = np.load(blobs / "blobs.npz")["x_test"][
        [row.image for row in read_inr_rows(blobs / "zoo" / "labels.csv") if row.split == "test"]
    ]
    pictures = torch.tensor(images).float()[:, None] / 127.5 - 1
    report = measure_editor(head, networks, pictures=pictures, most_transformed=2)
    assert report.target == "given" and report.after.value < 0.3 * report.before.value
    wrong = measure_editor(head, networks, pictures=pictures.flip(0), most_transformed=2)
    assert wrong.after.value > 3 * report.after.value


def test_a_fit_follows_from_its_seed(blobs: Path, fitted: tuple[Path, EditReport, list[float]], tmp_path: Path) -> None:
    train_head(blobs / "zoo", None, tmp_path / "again", QUICK)
    one, other = read_head(fitted[0]).model.state_dict(), read_head(tmp_path / "again").model.state_dict()
    assert all(torch.equal(other[name], tensor) for name, tensor in one.items())


@pytest.mark.parametrize("epochs", [7, 32])
def test_a_stopped_fit_ends_in_the_same_head(
    epochs: int,
    blobs: Path,
    fitted: tuple[Path, EditReport, list[float]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Stopped among the epochs of the convolutional network, or among the steps that tune the solver."""
    monkeypatch.setattr("nfn_cli.learning.fit_state.SECONDS_BETWEEN", 0.0)
    out = tmp_path / "again"
    told: list[float] = []

    def stopping(loss: float) -> None:
        if len(told) == epochs:
            raise KeyboardInterrupt
        told.append(loss)

    with pytest.raises(KeyboardInterrupt):
        train_head(blobs / "zoo", None, out, QUICK, on_epoch=stopping)
    assert is_unfinished(out)
    skipped: list[int] = []
    torch.manual_seed(99)  # whatever else draws between two sittings does not matter
    train_head(blobs / "zoo", None, out, QUICK, on_epoch=told.append, on_skip=skipped.append)
    assert told == fitted[2] and sum(skipped) == epochs
    one, other = read_head(fitted[0]).model.state_dict(), read_head(out).model.state_dict()
    assert all(torch.equal(other[name], tensor) for name, tensor in one.items())


def test_too_few_networks_are_refused(blobs: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="only 3 networks fall into the train part"):
        train_head(blobs / "zoo", None, tmp_path / "head", EditSettings(picture=(SIDE, SIDE), count=3))
    assert not (tmp_path / "head").exists()


@dataclass(frozen=True)
class DimmerSizes:
    """It has none."""


class Dimmer(nn.Module):
    """Makes a picture brighter: one forward pass, the simplest that there is."""

    def __init__(self) -> None:
        super().__init__()
        self.brighter = nn.Parameter(torch.zeros(2))

    def encode(self, point: NetworkWeights) -> list[Tensor]:
        return read_tensors(point, self.brighter.dtype)

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        self.prepared = len(inputs[0])

    def forward(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        *inner, weight, bias = tensors
        scale, shift = self.brighter
        return [*(torch.zeros_like(tensor) for tensor in inner), scale * weight, scale * bias + shift]


KIND = Kind(DimmerSizes, lambda architecture, sizes, details: Dimmer())


def test_a_kind_of_one_forward_pass_is_fitted_end_to_end(
    blobs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = HeadKind("edit-inr", "Dimmer", "dims", __name__, runs=False, epochs=10)
    monkeypatch.setitem(HEAD_KINDS, "dimmer", entry)
    settings = EditSettings(kind="dimmer", picture=(SIDE, SIDE), fit=EditFit(epochs=10, batch_size=8), test_count=12)
    report = train_head(blobs / "zoo", None, tmp_path / "dimmer", settings)
    assert report.after.value < 0.95 * report.before.value
    assert report.weight_drift <= 1e-8
    head = read_head(tmp_path / "dimmer")
    assert head.model.brighter[1] > 0.01  # type: ignore[index, operator]
    assert "one forward pass" in (tmp_path / "dimmer" / "README.md").read_text(encoding="utf-8")


def test_the_commands_fit_measure_and_edit(nfn: Nfn, blobs: Path, tmp_path: Path, monkeypatch: MonkeyPatch) -> None:
    head, zoo = tmp_path / "soft", blobs / "zoo"
    small = ["--size", SIDE, SIDE, "--epochs", 12, "--tuning", 2, "--count", 60, "--test-count", 12, "--seed", 3]
    code, out, err = nfn("train-editor", zoo, "--edit", "erode", "--out", head, *small)
    assert code == 0 and err.splitlines()[-1] == f"nfn: head written to {head}"
    assert "edited networks" in out and "erode on 12 networks of 12 pictures" in out

    code, out, _ = nfn("evaluate-inr", head, zoo, "--count", 12, "--format", "json")
    report = json.loads(out)
    assert code == 0 and (report["edit"], report["networks"], report["transformed"]) == ("erode", 12, 12)
    assert report["after"]["value"] < 0.5 * report["before"]["value"]
    code, out, _ = nfn("evaluate-inr", head, zoo, "--split", "all", "--count", 5)
    assert code == 0 and "commute to" in out and "5 networks" in out

    part = next(zoo.glob("*.safetensors"))
    network = {name: tensor[0] for name, tensor in load_file(part).items()}
    save_file(network, tmp_path / "one.safetensors", metadata={"activation": "sin", "omega_0": "30"})
    code, out, _ = nfn("edit-inr", tmp_path / "one.safetensors", "-o", tmp_path / "new.safetensors", "--head", head)
    assert code == 0 and "soft" in out and (tmp_path / "new.safetensors").exists()

    # The card's own commands fit the same head.
    card = (head / "README.md").read_text(encoding="utf-8")
    lines = card.rpartition("```\n")[0].rpartition("```\n")[2].splitlines()
    fitting = shlex.split(next(line for line in lines if line.startswith("nfn train-editor")))
    monkeypatch.chdir(blobs)
    code, _, _ = nfn(*[str(tmp_path / "again") if word == "soft" else word for word in fitting[1:]])
    assert code == 0
    one, other = read_head(head).model.state_dict(), read_head(tmp_path / "again").model.state_dict()
    assert all(torch.equal(other[name], tensor) for name, tensor in one.items())
    assert lines[-1] == "nfn evaluate-inr soft zoo --limit 12 --seed 3"


def test_contrast_sees_more_of_the_picture(blobs: Path) -> None:
    networks = read_inrs(blobs / "zoo").part("train").select(range(8))
    decided = [
        EditLearning().decided(EditSettings(edit=edit, picture=(SIDE, SIDE)), networks, blobs / "zoo")
        for edit in ("dilate", "contrast")
    ]
    assert [settings.sizes.context for settings in decided] == [0, 3]


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["train-editor", "{zoo}", "--edit", "dilate", "--out", "{zoo}"], 2, "exists already"),
        (["train-editor", "{zoo}", "--edit", "dilate", "--out", "{new}", "--size", "0", "9"], 2, "--size"),
        (["train-editor", "{zoo}", "--edit", "blur", "--out", "{new}"], 2, "blur"),
        (["train-editor", "{new}/none", "--edit", "dilate", "--out", "{new}"], 3, "no such folder"),
        (["train-editor", "{zoo}", "--edit", "dilate", "--out", "{new}", "--count", "3"], 3, "only 3 networks"),
        (["evaluate-inr", "{head}", "{zoo}", "--ood", "a={zoo}"], 2, "--ood"),
        (["evaluate-inr", "{head}", "{new}"], 3, "no such folder"),
        (["evaluate-inr", "{new}", "{zoo}"], 3, "new"),
    ],
    ids=lambda value: " ".join(value[-4:]) if isinstance(value, list) else None,
)
def test_wrong_input_is_refused_in_one_line(
    arguments: list[str],
    code: int,
    told: str,
    nfn: Nfn,
    blobs: Path,
    fitted: tuple[Path, EditReport, list[float]],
    tmp_path: Path,
) -> None:
    places = {"zoo": blobs / "zoo", "head": fitted[0], "new": tmp_path / "new"}
    finished = nfn(*[argument.format(**places) for argument in arguments])
    assert finished.code == code and told in finished.err
    assert "Traceback" not in finished.err and not (tmp_path / "new").exists()
