"""A folder of Ray Tune trials becomes a packed zoo of the same networks."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import nn

import nfn_cli.zoo.published.packed_writer
from nfn_cli.errors import DataError
from nfn_cli.zoo import ImportReport, Selection, import_model_zoo, read_networks

Write = Callable[..., Path]


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def refusal(folder: Path, out: Path, *arguments: object) -> str:
    """The one line that refuses an import, which leaves nothing behind."""
    with pytest.raises(DataError) as refused:
        import_model_zoo(folder, out, *arguments)  # type: ignore[arg-type]
    assert len(str(refused.value).splitlines()) == 1
    assert not out.exists()
    return str(refused.value)


def state(trial: Path, epoch: int) -> Path:
    return trial / f"checkpoint_{epoch:06d}" / "checkpoints"


def edit_results(trial: Path, change: Callable[[list[dict[str, object]]], object]) -> None:
    """Let `change` edit the lines of result.json in place."""
    path = trial / "result.json"
    results = [json.loads(line) for line in path.read_text().splitlines()]
    change(results)
    path.write_text("".join(json.dumps(result) + "\n" for result in results))


def test_imported_networks_compute_what_the_state_dicts_compute(trial: Write, tmp_path: Path) -> None:
    folders = [trial(tmp_path / "published", number, (0, 5)) for number in range(3)]
    import_model_zoo(tmp_path / "published", tmp_path / "zoo")
    networks = read_networks(tmp_path / "zoo")
    architecture = networks.point.architecture
    assert (architecture.activation, architecture.pool) == ("relu", "max")
    assert [layer.spatial for layer in architecture.layers] == [1, 1, 1, 9, 1]
    images = torch.randn(4, 1, 28, 28, dtype=torch.float64)
    stages: list[nn.Module] = [nn.MaxPool2d(2), nn.MaxPool2d(2), nn.Identity()]
    for i, (folder, epoch) in enumerate((folder, epoch) for folder in folders for epoch in (0, 5)):
        published = {name: value.double() for name, value in torch.load(state(folder, epoch)).items()}
        imported = {name: value[i].double() for name, value in networks.point.tensors.items()}
        assert imported.keys() == published.keys()
        logits = []
        for tensors in (published, imported):
            hidden = images
            for number, pool in zip((0, 3, 6), stages, strict=True):
                name = f"module_list.{number}"
                hidden = torch.relu(pool(F.conv2d(hidden, tensors[f"{name}.weight"], tensors[f"{name}.bias"])))
            hidden = torch.relu(
                F.linear(hidden.flatten(1), tensors["module_list.9.weight"], tensors["module_list.9.bias"])
            )
            logits.append(F.linear(hidden, tensors["module_list.11.weight"], tensors["module_list.11.bias"]))
        assert torch.equal(*logits)


def test_labels_tell_what_the_trials_tell(trial: Write, tmp_path: Path) -> None:
    folder = trial(tmp_path / "published", 7, (0, 50))
    edit_results(folder, lambda results: results[1].update(test_acc=0.75, val_acc=0.5))
    report = import_model_zoo(tmp_path / "published", tmp_path / "zoo")
    assert report == ImportReport(networks=2, runs=1, dropped=0, skipped=())
    untrained, trained = rows(tmp_path / "zoo")
    # What was not measured before training is left empty, not -999.
    assert (untrained["epoch"], untrained["train_accuracy"], untrained["train_loss"]) == ("0", "", "")
    assert trained == {
        "file": "part-00000.safetensors",
        "index": "1",
        "epoch": "50",
        "test_accuracy": "0.75",
        "test_loss": "1.6",
        "train_accuracy": "0.4",
        "train_loss": "1.5",
        "validation_accuracy": "0.5",
        "run": folder.name,
        "activation": "relu",
        "learning_rate": "0.0003",
        "weight_decay": "0.0",
        "dropout": "0.0",
        "optimizer": "adam",
        "initialiser": "uniform",
        "batch_size": "8",
        "seed": "7",
    }


def test_figures_are_found_by_iteration_not_by_line(trial: Write, tmp_path: Path) -> None:
    folder = trial(tmp_path / "published", 0, (0, 1, 2))

    def shuffle(results: list[dict[str, object]]) -> None:
        results[0]["test_acc"], results[1]["test_acc"], results[2]["test_acc"] = 0.25, 0.5, 0.75
        results.reverse()
        # An epoch that was repeated after a stop: its checkpoint was replaced, so the later result counts.
        results.append(results[0] | {"test_acc": 0.875})

    edit_results(folder, shuffle)
    import_model_zoo(tmp_path / "published", tmp_path / "zoo")
    assert [(row["epoch"], row["test_accuracy"]) for row in rows(tmp_path / "zoo")] == [
        ("0", "0.25"),
        ("1", "0.5"),
        ("2", "0.875"),
    ]


def test_both_ways_of_numbering_checkpoints_are_read(trial: Write, tmp_path: Path) -> None:
    folder = trial(tmp_path / "published", 0, (9, 10))
    (folder / "checkpoint_000009").rename(folder / "checkpoint_9")
    import_model_zoo(tmp_path / "published", tmp_path / "zoo")
    assert [row["epoch"] for row in rows(tmp_path / "zoo")] == ["9", "10"]


@pytest.mark.parametrize(
    ("selection", "epochs"),
    [
        (Selection(), ["0", "1", "2"]),
        (Selection(epochs=(2,)), ["2"]),
        (Selection(epochs=(2, 0)), ["0", "2"]),
        (Selection(last=True), ["2"]),
    ],
)
def test_only_the_chosen_epochs_are_taken(
    selection: Selection, epochs: list[str], trial: Write, tmp_path: Path
) -> None:
    folder = trial(tmp_path / "published", 0)
    (folder / "checkpoint_000003").mkdir()  # without a result
    import_model_zoo(tmp_path / "published", tmp_path / "zoo", selection)
    assert [row["epoch"] for row in rows(tmp_path / "zoo")] == epochs


def test_trials_are_chosen_by_activation_and_configuration(trial: Write, tmp_path: Path) -> None:
    for number, (activation, rate, kind) in enumerate(
        [("relu", 1e-3, "adam"), ("relu", 1e-4, "adam"), ("tanh", 1e-3, "adam"), ("relu", 1e-3, "sgd")]
    ):
        trial(tmp_path / "published", number, (1,), activation, **{"optim::lr": rate, "optim::optimizer": kind})
    message = refusal(tmp_path / "published", tmp_path / "zoo")
    assert "several activations (relu: 3 runs, tanh: 1 runs); choose one, such as --activation relu" in message
    where = {"optim::lr": "1e-3", "optim::optimizer": "adam"}
    report = import_model_zoo(tmp_path / "published", tmp_path / "relu", Selection("relu"), where)
    assert (report.networks, [row["seed"] for row in rows(tmp_path / "relu")]) == (1, ["0"])
    import_model_zoo(tmp_path / "published", tmp_path / "tanh", Selection("tanh"))
    assert read_networks(tmp_path / "tanh").point.architecture.activation == "tanh"
    message = refusal(tmp_path / "published", tmp_path / "zoo", None, {"optim::lr": "7"})
    assert "no trial has optim::lr=7 (the first one's keys are cuda, model::channels_in, " in message


def test_trials_are_drawn_by_the_seed(trial: Write, tmp_path: Path) -> None:
    for number in range(8):
        trial(tmp_path / "published", number, (1, 2))
    seen: list[int] = []
    import_model_zoo(tmp_path / "published", tmp_path / "a", Selection(count=3), on_start=seen.append)
    import_model_zoo(tmp_path / "published", tmp_path / "b", Selection(count=3, seed=1))
    first, second = ([row["seed"] for row in rows(tmp_path / name)] for name in "ab")
    assert seen == [3] and len(first) == 6 and len(set(first)) == 3
    assert first != second


def test_networks_of_several_architectures_need_a_choice(
    trial: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nfn_cli.zoo.published.packed_writer, "MOST_NETWORKS", 1)
    trial(tmp_path / "published", 0, (1, 2))
    trial(tmp_path / "published", 1, (1, 2), channels=3)
    # Parts of the first trial are written by then, and go again.
    message = refusal(tmp_path / "published", tmp_path / "zoo")
    assert "is conv 3->8 5x5, conv 8->6 5x5" in message and "is conv 1->8 5x5" in message
    assert message.endswith("choose networks of one architecture, such as --where model::channels_in=1")
    report = import_model_zoo(tmp_path / "published", tmp_path / "zoo", None, {"model::channels_in": "3"})
    assert report.networks == 2


def test_networks_that_are_not_finite_are_dropped_and_counted(trial: Write, tmp_path: Path) -> None:
    folder = trial(tmp_path / "published", 0, (0, 1, 2, 3, 4))

    def diverge(results: list[dict[str, object]]) -> None:
        results[1]["test_loss"] = float("nan")
        results[2]["test_loss"] = "null"  # how Ray writes a NaN of NumPy
        results[3]["test_acc"] = None

    edit_results(folder, diverge)
    torch.save({}, state(folder, 1))  # nobody looks at it
    report = import_model_zoo(tmp_path / "published", tmp_path / "zoo")
    assert (report.networks, report.dropped, report.skipped) == (2, 3, ())
    message = refusal(tmp_path / "published", tmp_path / "other", Selection(epochs=(1, 2)))
    assert "none of the 2 networks chosen is finite" in message


def _cut(trial: Path) -> None:
    state(trial, 1).write_bytes(state(trial, 1).read_bytes()[:1000])


def _executable(trial: Path) -> None:
    torch.save({"module_list.0.weight": torch.ones(2, 2), "hook": print}, state(trial, 2))


def _nan(trial: Path) -> None:
    tensors = torch.load(state(trial, 2))
    tensors["module_list.11.bias"][3] = torch.nan
    torch.save(tensors, state(trial, 2))


def _branch(trial: Path) -> None:
    tensors = torch.load(state(trial, 2))
    torch.save(tensors | {"module_list.6.shortcut.weight": torch.ones(3, 7, 1, 1)}, state(trial, 2))


def _linked(trial: Path) -> None:
    outside = trial.parent.parent / "outside"
    state(trial, 2).rename(outside)
    state(trial, 2).symlink_to(outside)


def _linked_results(trial: Path) -> None:
    outside = trial.parent.parent / "outside"
    (trial / "result.json").rename(outside)
    (trial / "result.json").symlink_to(outside)


def _without_state(trial: Path) -> None:
    state(trial, 2).unlink()


def _without_config(trial: Path) -> None:
    (trial / "params.json").unlink()


def _without_results(trial: Path) -> None:
    (trial / "result.json").unlink()


def _half_a_line(trial: Path) -> None:
    text = (trial / "result.json").read_text()
    (trial / "result.json").write_text(text[:-100])


def _nested(trial: Path) -> None:
    (trial / "params.json").write_text("[" * 100_000)


def _percent(trial: Path) -> None:
    edit_results(trial, lambda results: results[1].update(test_acc=91.5))


def _unlabelled(trial: Path) -> None:
    edit_results(trial, lambda results: results[1].pop("test_acc"))


def _text(trial: Path) -> None:
    edit_results(trial, lambda results: results[1].update(test_loss="much"))


def _unnumbered(trial: Path) -> None:
    edit_results(trial, lambda results: results[1].pop("training_iteration"))


def _unknown_activation(trial: Path) -> None:
    (trial / "params.json").write_text(json.dumps({"model::nlin": "abacus"}))


def _no_activation(trial: Path) -> None:
    (trial / "params.json").write_text("{}")


def _without_checkpoints(trial: Path) -> None:
    for epoch in range(3):
        (trial / f"checkpoint_{epoch:06d}").rename(trial / f"kept_{epoch}")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_cut, "checkpoints: a truncated"),
        (_executable, "checkpoints: it holds more than tensors"),
        (_nan, "checkpoints: tensor 'module_list.11.bias' holds 1 NaN"),
        (_branch, "checkpoints: "),
        (_linked, "checkpoints: leads out of"),
        (_linked_results, "result.json: leads out of"),
        (_without_state, "checkpoints: no such file"),
        (_without_config, "params.json: no such file"),
        (_without_results, "result.json: no such file"),
        (_half_a_line, "result.json: not readable lines of JSON"),
        (_nested, "params.json: not readable JSON"),
        (_percent, "result.json:2: test_acc is 91.5; give accuracies as fractions"),
        (_unlabelled, "result.json:2: gives no test_acc"),
        (_text, "result.json:2: test_loss is no number"),
        (_unnumbered, "result.json:2: gives no training_iteration"),
        (_unknown_activation, "params.json: unknown activation 'abacus'"),
        (_no_activation, "params.json: names no activation (model::nlin)"),
        (_without_checkpoints, "no checkpoint with a result (it has none)"),
    ],
)
def test_a_broken_trial_is_skipped_whole_and_named(
    damage: Callable[[Path], None], message: str, trial: Write, tmp_path: Path
) -> None:
    broken = trial(tmp_path / "published", 0)
    trial(tmp_path / "published", 1)
    damage(broken)
    report = import_model_zoo(tmp_path / "published", tmp_path / "zoo")
    assert (report.networks, report.runs, report.dropped) == (3, 1, 0)
    assert {row["seed"] for row in rows(tmp_path / "zoo")} == {"1"}
    (line,) = report.skipped
    assert line.startswith(str(broken)) and message in line and len(line.splitlines()) == 1
    assert yaml.safe_load((tmp_path / "zoo" / "zoo.yaml").read_text())["skipped"] == 1


def test_without_a_readable_trial_nothing_is_written(trial: Write, tmp_path: Path) -> None:
    for number in range(2):
        _cut(trial(tmp_path / "published", number))
    message = refusal(tmp_path / "published", tmp_path / "zoo")
    assert "none of its 2 trials can be read; the first: " in message
    for folder in (tmp_path / "published").iterdir():
        _nested(folder)
    assert "none of its 2 trials can be read; the first: " in refusal(tmp_path / "published", tmp_path / "zoo")


def test_an_epoch_that_a_trial_lacks_is_named(trial: Write, tmp_path: Path) -> None:
    trial(tmp_path / "published", 0, (0, 1))
    trial(tmp_path / "published", 1, (0, 1, 2))
    report = import_model_zoo(tmp_path / "published", tmp_path / "zoo", Selection(epochs=(0, 2)))
    assert (report.networks, len(report.skipped)) == (2, 1)
    assert "no checkpoint with a result of epoch 2 (it has 0, 1)" in report.skipped[0]


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_without_trials_is_refused(made: bool, tmp_path: Path) -> None:
    if made:
        (tmp_path / "published" / "empty").mkdir(parents=True)
    message = refusal(tmp_path / "published", tmp_path / "zoo")
    assert ("none of its folders is a trial" if made else "no readable folder (No such file") in message


def test_names_that_are_no_text_are_written_as_text(trial: Write, tmp_path: Path) -> None:
    folder = trial(tmp_path / "published", 0, (1,), **{"optim::optimizer": "ad\ud800am"})
    folder.rename(folder.with_name("trial-\udcff"))
    import_model_zoo(tmp_path / "published", tmp_path / "zoo")
    assert [(row["run"], row["optimizer"]) for row in rows(tmp_path / "zoo")] == [("trial-\\udcff", "ad\\ud800am")]


def test_the_record_says_where_the_zoo_came_from(trial: Write, tmp_path: Path) -> None:
    trial(tmp_path / "tune_zoo_mnist_uniform", 0)
    where = {"model::type": "CNN"}
    import_model_zoo(tmp_path / "tune_zoo_mnist_uniform", tmp_path / "zoo", Selection(last=True), where)
    assert yaml.safe_load((tmp_path / "zoo" / "zoo.yaml").read_text()) == {
        "recipe": "imported",
        "source": "model zoo of Ray Tune trials (Schürholt et al. 2022, modelzoos.cc)",
        "folder": "tune_zoo_mnist_uniform",
        "data": "tune_zoo_mnist_uniform",
        "activation": "relu",
        "where": {"model::type": "CNN"},
        "epochs": "last",
        "count": None,
        "seed": 0,
        "dropped": 0,
        "skipped": 0,
        "networks": 1,
        "runs": 1,
    }
