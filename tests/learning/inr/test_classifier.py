"""From a zoo of INRs to a head's folder, and back."""

from __future__ import annotations

import csv
import json
import math
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import save_file
from torch import Tensor

import nfn_cli.learning.tasks.classification as classification
from nfn_cli.errors import DataError, HeadError, NfnError
from nfn_cli.learning import (
    ClassifierSettings,
    ClassReport,
    EvaluateSettings,
    evaluate_head,
    has_state,
    is_unfinished,
    measure_classifier,
    train_head,
)
from nfn_cli.learning.temperature import fitted_temperature
from nfn_cli.nn import load_head
from nfn_cli.nn.inr.coordinate_probe import CoordinateProbeSizes
from nfn_cli.zoo import LabelledNetworks, read_inrs

Nfn = Callable[..., tuple[int, str, str]]
Fitted = tuple[Path, ClassReport]
Check = Callable[[ClassReport, ClassReport], None]
FILES = ("README.md", "config.yaml", "model.safetensors")


class Stopped(Exception):
    """Stands for whatever ends the process."""


@pytest.fixture
def brief(quick: ClassifierSettings) -> ClassifierSettings:
    """Two epochs, where it does not matter what is learnt."""
    return replace(quick, fit=replace(quick.fit, epochs=2))


@pytest.fixture
def data(zoo: Path, tmp_path: Path) -> Path:
    """A zoo of this test's own."""
    return Path(shutil.copytree(zoo, tmp_path / "data"))


def relabel(folder: Path, change: Callable[[dict[str, str]], dict[str, str] | None]) -> None:
    """Change the rows of labels.csv; None drops one."""
    with (folder / "labels.csv").open(newline="") as file:
        rows = [new for row in csv.DictReader(file) if (new := change(row)) is not None]
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def parts_of(networks: LabelledNetworks, data: Path, count: int | None = None) -> tuple[LabelledNetworks, ...]:
    """Networks to fit to, to calibrate with, and to measure on."""
    parts, _ = classification.ClassLearning().parts(networks, ClassifierSettings(count=count), data)
    return parts.train, parts.held_out, parts.test


def contents(head: Path) -> dict[str, bytes]:
    return {name: (head / name).read_bytes() for name in FILES}


# --- what is learnt ------------------------------------------------------------------------------------------------


def test_a_head_classifies_pictures_that_it_has_not_seen(fitted: Fitted) -> None:
    _, report = fitted
    assert (report.networks, report.pictures) == (72, 36)
    assert report.accuracy.value > 0.8
    assert report.accuracy.low <= report.accuracy.value <= report.accuracy.high
    assert report.top3.value == 1
    assert set(report.by_class) == {"0", "1", "2"} and min(report.by_class.values()) > 0.5
    assert sum(report.by_class.values()) / 3 == pytest.approx(report.accuracy.value)
    wrong = round((1 - report.accuracy.value) * 72)
    assert sum(count for _, _, count in report.confused) <= wrong
    assert all(true != guess for true, guess, _ in report.confused)


def test_moving_networks_along_their_orbits_changes_nothing(fitted: Fitted) -> None:
    _, report = fitted
    assert 0 < report.drift <= 1e-5
    assert (report.changed, report.transformed_accuracy) == (0, report.accuracy)


def test_evaluating_the_saved_head_repeats_the_report(fitted: Fitted, zoo: Path, assert_repeats: Check) -> None:
    folder, report = fitted
    again = evaluate_head(str(folder), zoo)
    assert_repeats(again, report)
    assert evaluate_head(str(folder), zoo) == again
    assert evaluate_head(str(folder), zoo, settings=EvaluateSettings("train")).networks == 240
    assert evaluate_head(str(folder), zoo, settings=EvaluateSettings("all")).networks == 312


def test_the_figures_are_what_anyone_would_compute(fitted: Fitted, zoo: Path) -> None:
    folder, report = fitted
    head, test = load_head(str(folder)), read_inrs(zoo).part("test")
    found = head.predict(test.point)
    right = found.logits.argmax(1) == test.targets
    assert report.accuracy.value == pytest.approx(right.double().mean().item())
    shares = found.probabilities.gather(1, test.targets[:, None])[:, 0]
    assert report.loss == pytest.approx(-shares.log().mean().item())
    confidence = found.probabilities.max(1).values
    bins = (confidence * 15).long().clamp_max(14)
    gaps = [
        (right[bins == number].double() - confidence[bins == number]).sum().abs().item() / 72 for number in range(15)
    ]
    assert report.calibration_error == pytest.approx(sum(gaps))


def test_the_temperature_is_that_of_pictures_that_were_held_out(fitted: Fitted, zoo: Path) -> None:
    head, networks = load_head(str(fitted[0])), read_inrs(zoo)
    _, held_out, _ = parts_of(networks, zoo)
    logits = head.predict(held_out.point).logits
    assert float(head.model.temperature) == pytest.approx(fitted_temperature(logits, held_out.targets), rel=1e-3)


def test_no_picture_is_in_two_parts(zoo: Path) -> None:
    networks = read_inrs(zoo)
    parts = parts_of(networks, zoo)
    runs = [set(part.runs) for part in parts]
    assert not runs[0] & runs[1] and not runs[0] & runs[2] and not runs[1] & runs[2]
    assert sum(map(len, parts)) == 312
    assert all(len(part) == 2 * len(own) for part, own in zip(parts, runs, strict=True))  # both fits of each
    assert set(parts[2].splits) == {"test"}
    # Who is held out follows from a picture's name, so a zoo that grows moves none from one part to another.
    some = networks.select([place for place, run in enumerate(networks.runs) if run != "train-3"])
    fewer = [set(part.runs) for part in parts_of(some, zoo)]
    assert all(own <= whole for own, whole in zip(fewer, runs, strict=True))


def test_held_out_and_test_pictures_are_never_fitted_to(
    zoo: Path, brief: ClassifierSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[list[Tensor], Tensor]] = []
    true = classification.ensemble_stages

    def watched(model: Any, inputs: Sequence[Tensor], targets: Tensor, *others: Any, **options: Any) -> Any:
        seen.append((list(inputs), targets))
        return true(model, inputs, targets, *others, **options)

    monkeypatch.setattr(classification, "ensemble_stages", watched)
    train_head(zoo, None, tmp_path / "head", brief)
    ((inputs, targets),) = seen
    train, held_out, test = parts_of(read_inrs(zoo), zoo)
    assert len(inputs[0]) == len(targets) == len(train) == 312 - len(held_out) - 72
    # Known by their last layers, which reading leaves alone.
    given = {tuple(values) for values in inputs[4].flatten(1).tolist()}

    def last_layers(part: LabelledNetworks) -> set[tuple[float, ...]]:
        return {tuple(values) for values in part.point.tensors["layers.2.weight"].flatten(1).tolist()}

    assert given == last_layers(train)
    assert not given & (last_layers(held_out) | last_layers(test))


def test_a_count_takes_the_first_training_networks(zoo: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    train_head(zoo, None, tmp_path / "head", replace(brief, count=30))
    head = load_head(str(tmp_path / "head"))
    assert head.config.fitted["networks"] == 30
    whole, _, _ = parts_of(read_inrs(zoo), zoo)
    some, held_out, _ = parts_of(read_inrs(zoo), zoo, 30)
    assert some.files == whole.files[:30] and some.runs == whole.runs[:30] and len(held_out) > 2


def test_training_repeats_exactly(zoo: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    reports = [train_head(zoo, None, tmp_path / name / "head", brief) for name in "ab"]
    assert reports[0] == reports[1]
    assert contents(tmp_path / "a" / "head") == contents(tmp_path / "b" / "head")
    other = replace(brief, fit=replace(brief.fit, seed=1))
    assert train_head(zoo, None, tmp_path / "c" / "head", other).loss != reports[0].loss


def test_the_folder_holds_configuration_tensors_and_card(fitted: Fitted, zoo: Path) -> None:
    folder, _ = fitted
    assert {path.name for path in folder.iterdir()} == set(FILES)
    record = yaml.safe_load((folder / "config.yaml").read_text())
    assert (record["task"], record["kind"], record["classes"]) == ("classify-inr", "coordinate-probe", ["0", "1", "2"])
    held_out = len(parts_of(read_inrs(zoo), zoo)[1])
    known = {"data": "shapes-zoo", "labels": None, "count": None, "networks": 240 - held_out, "epochs": 15, "seed": 0}
    assert known.items() <= record["fitted"].items()
    assert record["fitted"]["zoo"]["steps"] == 80


def test_classes_may_have_names(zoo: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    names = ("across", "down", "disc", "nothing")
    report = train_head(zoo, None, tmp_path / "head", replace(brief, class_names=names))
    assert list(report.by_class) == ["across", "down", "disc"]
    head = load_head(str(tmp_path / "head"))
    assert head.config.details.classes == names
    assert head.predict(read_inrs(zoo).point).probabilities.shape == (312, 4)
    assert "--classes across,down,disc,nothing" in (tmp_path / "head" / "README.md").read_text()


def test_other_activations_are_learnt_as_well(data: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    # The same weights under another activation are other pictures; what matters is that every step takes them.
    report = train_head(data, None, tmp_path / "head", replace(brief, activation="tanh"))
    assert report.drift <= 1e-4 and report.changed == 0
    assert "--activation tanh" in (tmp_path / "head" / "README.md").read_text()


# --- out of distribution -------------------------------------------------------------------------------------------


def test_flags_follow_the_function_of_a_network_alone(fitted: Fitted) -> None:
    _, report = fitted
    assert report.flags_changed == 0
    assert report.flagged.value < 0.3
    assert set(report.out_of_distribution) == {"shuffled entries", "Gaussian weights"}
    assert report.out_of_distribution["Gaussian weights"].value > 0.6


def test_other_zoos_are_measured_by_their_test_pictures(fitted: Fitted, zoo: Path, data: Path) -> None:
    folder, _ = fitted
    report = evaluate_head(str(folder), zoo)
    found = evaluate_head(str(folder), zoo, settings=EvaluateSettings(out_of_distribution={"a copy": data}))
    assert found.out_of_distribution["a copy"].value == report.flagged.value
    assert replace(found, out_of_distribution=report.out_of_distribution) == report


def test_other_zoos_that_the_head_does_not_read_are_refused(
    fitted: Fitted, zoo: Path, brief: ClassifierSettings, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    save_file({"0.weight": torch.zeros(1, 3), "0.bias": torch.zeros(1)}, other / "a.safetensors")
    (other / "labels.csv").write_text("file,label\na.safetensors,0\n")
    with pytest.raises(DataError, match=r"other: layer 0 is linear from 3 to 1, the head reads linear from 2"):
        evaluate_head(str(fitted[0]), zoo, settings=EvaluateSettings(out_of_distribution={"other": other}))
    message = refusal(zoo, tmp_path / "head", replace(brief, out_of_distribution={"other": other}))
    assert "give networks that the head reads" in message


# --- the card ------------------------------------------------------------------------------------------------------


OPTIONS = [
    ["--side", 9, "--channels", 2, "--epochs", 2, "--mirror", "--classes", "across,the way down,disc"],
    ["--kind", "monomial-inr", "--channels", 3, "--messages", "--epochs", 1],
    ["--kind", "monomial-inr", "--channels", 8, "--messages", "--sines", "--augment", "--epochs", 1],
]


@pytest.mark.parametrize("options", OPTIONS, ids=["coordinate-probe", "monomial-inr", "sines"])
def test_the_commands_of_the_card_make_the_head_again(
    options: list[object], nfn: Nfn, zoo: Path, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(pictures, "shapes.npz")
    shutil.copytree(zoo, "my zoo")
    code, out, err = nfn("train-inr", "my zoo", "--out", "my head", *options, "--count", 60, "--seed", 3)
    assert (code, err) == (0, "nfn: head written to my head\n")
    assert out.splitlines()[0].split()[:2] == ["my", "head"]
    first = contents(Path("my head"))
    block = Path("my head", "README.md").read_text().split("```")[1].strip().splitlines()
    commands = [shlex.split(line) for line in block]
    assert [command[:2] for command in commands] == [["nfn", "zoo"], ["nfn", "train-inr"], ["nfn", "evaluate-inr"]]
    code, _, err = nfn(*commands[0][1:])
    assert code == 0 and "312 networks (0 fitted now, 312 found, 0 diverged)" in err
    shutil.rmtree("my head")
    assert nfn(*commands[1][1:])[:2] == (0, out)
    assert contents(Path("my head")) == first
    assert nfn(*commands[2][1:]) == (0, out, "")


# --- several zoos --------------------------------------------------------------------------------------------------


def test_training_parts_of_other_zoos_are_fitted_to_as_well(
    zoo: Path, data: Path, brief: ClassifierSettings, tmp_path: Path
) -> None:
    settings = replace(brief, also=(data,))
    networks = classification.ClassLearning().read(zoo, None, settings)
    assert len(networks) == 312 + 240 and networks.files[312].startswith("data/")
    own, both = parts_of(read_inrs(zoo), zoo), parts_of(networks, zoo)
    # A picture is held out of both zoos or of none, and the first zoo alone measures.
    assert [len(part) for part in both] == [2 * len(own[0]), 2 * len(own[1]), len(own[2])]
    assert [set(part.runs) for part in both] == [set(part.runs) for part in own]
    report = train_head(zoo, None, tmp_path / "head", settings)
    assert report.networks == 72
    fitted = load_head(str(tmp_path / "head")).config.fitted
    assert (fitted["networks"], [also["data"] for also in fitted["also"]]) == (len(both[0]), ["data"])
    card = (tmp_path / "head" / "README.md").read_text()
    assert "(shapes-zoo, data)" in card and "--also data" in card and card.count("nfn zoo inr") == 2


def test_other_zoos_of_another_architecture_are_refused(zoo: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    save_file({"0.weight": torch.zeros(1, 2), "0.bias": torch.zeros(1)}, other / "a.safetensors")
    (other / "labels.csv").write_text("file,label\na.safetensors,0\n")
    assert "give zoos of one architecture" in refusal(zoo, tmp_path / "head", replace(brief, also=(other,)))
    (other / "labels.csv").write_text("file,label,split\na.safetensors,0,test\n")
    assert "training part" in refusal(zoo, tmp_path / "head", replace(brief, also=(other,)))


# --- stopped fits --------------------------------------------------------------------------------------------------


@pytest.fixture
def save_every_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nfn_cli.learning.fit_state.SECONDS_BETWEEN", 0.0)


def fit(data: Path, out: Path, settings: ClassifierSettings, stop_after: int | None = None) -> list[float]:
    """Fit a head and return the losses of the epochs that were run; stop after some of them."""
    losses: list[float] = []

    def on_epoch(loss: float) -> None:
        if len(losses) == stop_after:
            raise Stopped
        losses.append(loss)

    if stop_after is None:
        train_head(data, None, out, settings, on_epoch=on_epoch)
    else:
        with pytest.raises(Stopped):
            train_head(data, None, out, settings, on_epoch=on_epoch)
    return losses


@pytest.mark.usefixtures("save_every_epoch")
def test_a_stopped_fit_ends_in_the_same_head(zoo: Path, quick: ClassifierSettings, tmp_path: Path) -> None:
    sizes = CoordinateProbeSizes(side=8, channels=2, dropout=0.3, mirror=True)
    settings = replace(quick, sizes=sizes, members=2, fit=replace(quick.fit, epochs=3))
    losses = fit(zoo, tmp_path / "whole" / "head", settings)
    assert len(losses) == 6
    out = tmp_path / "parts" / "head"
    told: list[float] = []
    for count in (1, 3):
        # Whatever else happens to the global generator between two sittings does not matter.
        torch.manual_seed(count + 99)
        told += fit(zoo, out, settings, stop_after=count)
        assert is_unfinished(out) and not (out / "config.yaml").exists()
    skipped: list[int] = []
    train_head(zoo, None, out, settings, on_epoch=told.append, on_skip=skipped.append)
    assert told == losses and sum(skipped) == 4
    assert contents(out) == contents(tmp_path / "whole" / "head")
    assert {path.name for path in out.iterdir()} == set(FILES)


@pytest.mark.usefixtures("save_every_epoch")
@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("seed", lambda s: replace(s, fit=replace(s.fit, seed=1))),
        ("epochs", lambda s: replace(s, fit=replace(s.fit, epochs=5))),
        ("members", lambda s: replace(s, members=2)),
        ("sizes", lambda s: replace(s, sizes=replace(s.sizes, channels=3))),
        ("number of classes", lambda s: replace(s, class_names=("a", "b", "c", "d"))),
        ("count", lambda s: replace(s, count=100)),
    ],
)
def test_the_state_of_other_settings_is_refused_by_name(
    name: str,
    change: Callable[[ClassifierSettings], ClassifierSettings],
    zoo: Path,
    brief: ClassifierSettings,
    tmp_path: Path,
) -> None:
    fit(zoo, tmp_path / "head", brief, stop_after=1)
    with pytest.raises(DataError) as refused:
        train_head(zoo, None, tmp_path / "head", change(brief))
    assert f"{tmp_path / 'head'}: holds an unfinished fit of another {name};" in str(refused.value)
    assert has_state(tmp_path / "head")


@pytest.mark.usefixtures("save_every_epoch")
def test_an_interrupted_command_tells_how_to_go_on(
    nfn: Nfn, zoo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    command = ["train-inr", zoo, "--out", tmp_path / "head", "--side", 8, "--channels", 2, "--epochs", 1]
    with monkeypatch.context() as patched:
        patched.setattr(classification, "calibrate", interrupted)
        code, out, err = nfn(*command)
    assert (code, out) == (130, "")
    assert err == f"nfn: {tmp_path / 'head'}: interrupted; the same command goes on from here\n"
    assert nfn(*command)[0] == 0
    assert {path.name for path in (tmp_path / "head").iterdir()} == set(FILES)


# --- what is refused -----------------------------------------------------------------------------------------------


def refusal(
    data: Path, out: Path, settings: ClassifierSettings, error: type[NfnError] = DataError, labels: Path | None = None
) -> str:
    def forbidden(plan: object) -> None:
        raise AssertionError("the fit began")

    with pytest.raises(error) as refused:
        train_head(data, labels, out, settings, on_plan=forbidden)
    assert len(str(refused.value).splitlines()) == 1
    assert not (out / "config.yaml").exists()
    return str(refused.value)


def test_too_few_networks_of_a_part_are_refused(data: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    message = refusal(data, tmp_path / "head", replace(brief, count=19))
    assert message.startswith(f"{data}: only 19 networks fall into the training part (at least 20);")
    relabel(data, lambda row: row | {"split": "train"})
    message = refusal(data, tmp_path / "head", brief)
    assert "only 0 networks fall into the test part (at least 2)" in message


def test_networks_of_one_class_are_refused(data: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    relabel(data, lambda row: row | {"label": "0"})
    assert refusal(data, tmp_path / "head", brief) == (
        f"{data}: all its networks are of one class; give networks of two classes or more"
    )


def test_a_class_beyond_those_that_were_named_is_refused(zoo: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    message = refusal(zoo, tmp_path / "head", replace(brief, class_names=("a", "b")))
    assert message == f"{zoo}: has a class 2, the head knows 0 to 1; leave its networks out"


@pytest.mark.parametrize(
    "change", [{"count": "many"}, {"omega_0": "thirty"}, {"packed": 3}, {"fits": None}, {"data": 5}], ids=str
)
def test_a_damaged_zoo_record_is_refused_before_any_work(
    change: dict[str, object], data: Path, brief: ClassifierSettings, tmp_path: Path
) -> None:
    record = yaml.safe_load((data / "zoo.yaml").read_text())
    (data / "zoo.yaml").write_text(yaml.safe_dump(record | change))
    assert f"{data / 'zoo.yaml'}: not a zoo's record" in refusal(data, tmp_path / "head", brief)


@pytest.mark.parametrize("record", [None, "recipe: small-cnn\n"])
def test_networks_need_no_record(record: str | None, data: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    (data / "zoo.yaml").unlink()
    if record is not None:
        (data / "zoo.yaml").write_text(record)
    train_head(data, None, tmp_path / "head", brief)
    card = (tmp_path / "head" / "README.md").read_text()
    assert "nfn zoo inr" not in card and "nfn train-inr data --output head " in card


def test_weights_beyond_float32_are_refused_by_file(data: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    networks = read_inrs(data)
    alone = {name: tensor[0].double() for name, tensor in networks.point.tensors.items()}
    alone["layers.1.bias"][3] = 1e200
    save_file(alone, data / "huge.safetensors", {"activation": "sin"})
    with (data / "labels.csv").open("a") as file:
        file.write("huge.safetensors,,train,5,9,1,30.0,train-5\n")
    message = refusal(data, tmp_path / "head", brief)
    assert message == "huge.safetensors: weights beyond float32's range; leave it out"


def test_networks_that_are_no_pictures_are_refused(brief: ClassifierSettings, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    rows = ["file,label,split"]
    for number in range(80):
        tensors = {"0.weight": torch.randn(4, 3), "0.bias": torch.randn(4), "1.weight": torch.randn(1, 4)}
        save_file(tensors | {"1.bias": torch.randn(1)}, tmp_path / "data" / f"{number}.safetensors")
        rows.append(f"{number}.safetensors,{number % 2},{'test' if number > 70 else 'train'}")
    (tmp_path / "data" / "labels.csv").write_text("\n".join(rows))
    message = refusal(tmp_path / "data", tmp_path / "head", brief, HeadError)
    assert "linear 3->" in message and "it is no picture, which takes two coordinates through linear layers" in message


@pytest.mark.parametrize("place", ["file", "file/head"])
def test_an_impossible_place_is_refused_before_any_work(
    place: str, zoo: Path, brief: ClassifierSettings, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("precious")
    assert "is no folder that can be written to" in refusal(zoo, tmp_path / place, brief)
    assert (tmp_path / "file").read_text() == "precious"


def test_evaluation_refuses_what_it_cannot_measure(fitted: Fitted, data: Path, tmp_path: Path) -> None:
    folder, _ = fitted
    with pytest.raises(HeadError, match="no such head"):
        evaluate_head(str(tmp_path / "none"), data)
    relabel(data, lambda row: row | {"label": "7"} if row["split"] == "test" else row)
    with pytest.raises(DataError, match="has a class 7, the head knows 0 to 2"):
        evaluate_head(str(folder), data)
    relabel(data, lambda row: None if row["split"] == "test" else row)
    with pytest.raises(DataError, match="none of its networks is of the test part; use --split all"):
        evaluate_head(str(folder), data)
    assert evaluate_head(str(folder), data, settings=EvaluateSettings("all")).networks == 240


def test_logits_that_are_not_finite_are_refused_by_file(fitted: Fitted, zoo: Path) -> None:
    networks = read_inrs(zoo).part("test")
    tensors = {name: tensor.double() for name, tensor in networks.point.tensors.items()}
    tensors["layers.2.weight"][4] = 1e300
    broken = replace(networks, point=replace(networks.point, tensors=tensors))
    with pytest.raises(DataError, match="the logits are not finite: weights beyond float32's range; leave it out"):
        measure_classifier(load_head(str(fitted[0])), broken)


def test_a_packed_zoo_whose_pictures_nobody_tells_is_split_by_network(
    data: Path, brief: ClassifierSettings, tmp_path: Path
) -> None:
    relabel(data, lambda row: {name: row[name] for name in ("file", "index", "label", "split")})
    (data / "zoo.yaml").unlink()
    report = train_head(data, None, tmp_path / "head", brief)
    assert (report.networks, report.pictures) == (72, 72)


# --- commands ------------------------------------------------------------------------------------------------------


def test_the_report_is_printed_and_json_holds_all_of_it(nfn: Nfn, fitted: Fitted, zoo: Path) -> None:
    folder, report = fitted
    code, out, err = nfn("evaluate-inr", folder, zoo, "--device", "cpu")
    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0].split() == ["shapes", "as", "they", "are", "transformed"]
    assert lines[1].split()[:2] == ["accuracy", f"{report.accuracy.value:.3f}"]
    assert any(line.startswith("72 networks of 36 pictures; largest drift ") for line in lines)
    assert any(line.startswith("right by class: 0 0.") or line.startswith("right by class: 0 1.") for line in lines)
    code, out, err = nfn("evaluate-inr", folder, zoo, "--format", "json", "--split", "all")
    found = json.loads(out)
    assert (code, err, found["networks"], found["head"]) == (0, "", 312, "shapes")
    assert set(found["accuracy"]) == {"value", "low", "high"}
    assert not any(isinstance(value, float) and math.isnan(value) for value in found.values())


def test_a_head_may_have_an_odd_name(nfn: Nfn, fitted: Fitted, zoo: Path, tmp_path: Path) -> None:
    shutil.copytree(fitted[0], tmp_path / "[bold]head")
    code, out, _ = nfn("evaluate-inr", tmp_path / "[bold]head", zoo)
    assert code == 0 and out.startswith("[bold]head ")


@pytest.mark.parametrize(
    "options",
    [
        ["--kind", "transformer"],
        ["--side", 7],
        ["--channels", 0],
        ["--members", 0],
        ["--members", 65],
        ["--epochs", 0],
        ["--seed", -1],
        ["--seed", 10**30],
        ["--classes", "cat"],
        ["--classes", "cat,cat"],
        ["--classes", "cat,,dog"],
        ["--classes", "cat,d\x1bog"],
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_wrong_usage_leaves_with_two(options: list[object], nfn: Nfn, zoo: Path, tmp_path: Path) -> None:
    code, out, _ = nfn("train-inr", zoo, "--out", tmp_path / "head", *options)
    assert (code, out) == (2, "")
    assert not (tmp_path / "head").exists()


def test_an_existing_head_is_refused_before_any_work(nfn: Nfn, tmp_path: Path) -> None:
    (tmp_path / "head").mkdir()
    code, out, err = nfn("train-inr", tmp_path / "no data", "--out", tmp_path / "head")
    assert (code, out) == (2, "")
    assert err == f"nfn: {tmp_path / 'head'}: exists already; pass --overwrite to replace it\n"


@pytest.mark.parametrize(
    ("kind", "option"),
    [
        ("coordinate-probe", "--messages"),
        ("coordinate-probe", "--sines"),
        ("coordinate-probe", "--augment"),
        ("monomial-inr", "--mirror"),
    ],
    ids=lambda value: value,
)
def test_options_of_another_kind_are_refused(kind: str, option: str, nfn: Nfn, zoo: Path, tmp_path: Path) -> None:
    code, _, err = nfn("train-inr", zoo, "--out", tmp_path / "head", "--kind", kind, option)
    assert (code, err) == (2, f"nfn: {option}: does not apply to {kind}; leave it out\n")


@pytest.mark.parametrize("command", [["train-inr"], ["evaluate-inr", "{head}"]])
def test_unusable_data_is_refused_in_one_line(command: list[str], nfn: Nfn, fitted: Fitted, tmp_path: Path) -> None:
    arguments = [word.format(head=fitted[0]) for word in command]
    options = ["--out", tmp_path / "head"] if command == ["train-inr"] else []
    code, out, err = nfn(*arguments, tmp_path / "none", *options)
    assert (code, out, err) == (3, "", f"nfn: {tmp_path / 'none'}: no such folder; give a zoo of INRs\n")


def test_a_head_that_predicts_accuracies_is_refused(nfn: Nfn, zoo: Path) -> None:
    code, out, err = nfn("evaluate-inr", "monomial-nfn-relu", zoo)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert "a head for `nfn predict-accuracy`; give one for `nfn classify-inr`" in err


def test_the_state_of_a_fit_is_no_head(nfn: Nfn, zoo: Path, brief: ClassifierSettings, tmp_path: Path) -> None:
    fit(zoo, tmp_path / "head", brief, stop_after=1)
    code, _, err = nfn("evaluate-inr", tmp_path / "head", zoo)
    assert code == 3 and "no head here (there is no config.yaml)" in err
