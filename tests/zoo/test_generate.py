"""What a generated zoo holds."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

import nfn_cli.zoo.generate
import nfn_cli.zoo.small_cnn_recipe
from nfn_cli.architectures import NetworkWeights, functional_forward, read_weights
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import DataError
from nfn_cli.zoo import Hyperparameters, ZooReport, ZooSettings, draw_hyperparameters, load_images, read_networks
from nfn_cli.zoo.recipe import Job
from nfn_cli.zoo.small_cnn import SmallCnn
from nfn_cli.zoo.trainer import Snapshot

Generate = Callable[..., ZooReport]
Settings = Callable[..., ZooSettings]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "labels.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_every_run_and_epoch_has_a_row_with_all_that_was_drawn(
    generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path, settings())
    rows = rows_of(tmp_path)
    assert [(int(row["run"]), int(row["epoch"])) for row in rows] == [
        (run, epoch) for run in range(8) for epoch in (1, 3)
    ]
    for row in rows:
        run = draw_hyperparameters(seed=0, run=int(row["run"]), activation="relu", batch_size=8)
        for field in fields(Hyperparameters):
            value = getattr(run, field.name)
            cell = row[field.name]
            assert cell == "" if value is None else type(value)(cell) == value
    columns = ["file", "index", "epoch", "test_accuracy", "train_accuracy", "test_loss"]
    assert list(rows[0]) == [*columns, "even_accuracy", "odd_accuracy"] + [
        field.name for field in fields(Hyperparameters)
    ]


def test_every_row_has_a_checkpoint_of_its_own_and_nothing_else_is_written(
    generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path, settings(count=3))
    names = {row["file"] for row in rows_of(tmp_path)}
    assert names == {f"run-00000{run}-epoch-00{epoch}.safetensors" for run in range(3) for epoch in (1, 3)}
    assert {path.name for path in tmp_path.iterdir()} == names | {"labels.csv", "zoo.yaml"}


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_accuracy_of_a_row_is_that_of_its_checkpoint(
    activation: str, generate: Generate, settings: Settings, archive: Path, tmp_path: Path
) -> None:
    generate(tmp_path, settings(activation=activation, epochs=(1, 8)))
    images = load_images(str(archive))
    accuracies = []
    for row in rows_of(tmp_path):
        point = read_weights(read_checkpoint(tmp_path / row["file"])).weights
        assert point.architecture.activation == activation
        logits = functional_forward(point, images.test_images, stride=2)
        accuracies.append((logits.argmax(1) == images.test_labels).float().mean().item())
        assert float(row["test_accuracy"]) == pytest.approx(accuracies[-1])
        loss = torch.nn.functional.cross_entropy(logits, images.test_labels).item()
        assert float(row["test_loss"]) == pytest.approx(loss, rel=1e-4, abs=1e-5)
    assert max(accuracies) > 0.5 > min(accuracies)


def test_accuracies_in_bfloat16_are_close_to_those_of_the_checkpoint(
    generate: Generate, settings: Settings, archive: Path, tmp_path: Path
) -> None:
    generate(tmp_path, settings(epochs=(4,), precision="bfloat16"))
    images = load_images(str(archive))
    for row in rows_of(tmp_path):
        point = read_weights(read_checkpoint(tmp_path / row["file"])).weights
        logits = functional_forward(point, images.test_images, stride=2)
        loss = torch.nn.functional.cross_entropy(logits, images.test_labels).item()
        assert float(row["test_loss"]) == pytest.approx(loss, rel=0.05)


def test_packed_and_single_files_hold_the_same_networks(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    generate(tmp_path / "single", settings())
    generate(tmp_path / "packed", settings(packed=True))
    single, packed = (read_networks(tmp_path / name) for name in ("single", "packed"))
    assert torch.equal(single.targets, packed.targets)
    assert single.runs == packed.runs
    for name, tensor in single.point.tensors.items():
        assert torch.equal(tensor, packed.point.tensors[name])


def test_a_packed_file_holds_a_group_along_its_population_axis(
    generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path, settings(packed=True))
    rows = rows_of(tmp_path)
    parts = sorted(path.name for path in tmp_path.glob("*.safetensors"))
    assert parts == [f"part-0000{part}.safetensors" for part in range(4)]
    for part in parts:
        assert sorted(int(row["index"]) for row in rows if row["file"] == part) == [0, 1, 2, 3]
        tensors = load_file(tmp_path / part)
        assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {
            name: (4, *shape) for name, shape in SmallCnn(1, 4).shapes.items()
        }
        with safe_open(tmp_path / part, framework="pt") as file:
            assert file.metadata() == {"activation": "relu", "arch": "small-cnn", "nfn.population": "4"}


def test_zoo_yaml_tells_the_settings(generate: Generate, settings: Settings, archive: Path, tmp_path: Path) -> None:
    generate(tmp_path, settings(seed=4, image_limit=50))
    assert yaml.safe_load((tmp_path / "zoo.yaml").read_text()) == {
        "recipe": "small-cnn",
        "data": archive.name,
        "activation": "relu",
        "seed": 4,
        "epochs": [1, 3],
        "batch_size": 8,
        "image_limit": 50,
        "packed": False,
        "precision": "float32",
        "width": 16,
        "count": 8,
        "schedule": "constant",
        "augmentation": "none",
        "preprocessing": "signed",
        "varied": False,
        "diverged": [],
    }


def test_a_run_does_not_depend_on_how_many_there_are(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    generate(tmp_path / "few", settings(count=4), group_size=1)
    generate(tmp_path / "many", settings(count=8), group_size=1)
    assert rows_of(tmp_path / "few") == rows_of(tmp_path / "many")[:8]


def test_another_seed_is_another_zoo(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    generate(tmp_path / "0", settings(count=1))
    generate(tmp_path / "1", settings(count=1, seed=1))
    one, other = (load_file(tmp_path / seed / "run-000000-epoch-001.safetensors") for seed in "01")
    assert not torch.allclose(one["conv1.weight"], other["conv1.weight"])


def test_progress_adds_up_to_what_was_announced(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    announced: list[int] = []
    told: list[int] = []
    report = generate(tmp_path, settings(), on_start=announced.append, on_steps=told.append)
    # 3 epochs of 80 images in whole batches of 8, in shares of 1/10, 1/4, 1/2 and 1, two runs each.
    assert announced == [sum(told)] == [3 * (8 + 16 + 40 + 80) * 2]
    assert report == ZooReport(trained=8, found=0, diverged=0, networks=16, steps=sum(told))


def test_a_run_that_diverges_is_dropped_and_counted(
    generate: Generate, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def draw(**arguments: object) -> Hyperparameters:
        run = draw_hyperparameters(**arguments)  # type: ignore[arg-type]
        return Hyperparameters(**{**run.__dict__, "learning_rate": 1e30}) if run.run in (1, 6) else run

    monkeypatch.setattr(nfn_cli.zoo.small_cnn_recipe, "draw_hyperparameters", draw)
    report = generate(tmp_path, settings())
    assert (report.trained, report.diverged, report.networks) == (8, 2, 12)
    assert {row["run"] for row in rows_of(tmp_path)} == set("023457")
    assert yaml.safe_load((tmp_path / "zoo.yaml").read_text())["diverged"] == [1, 6]
    assert not list(tmp_path.glob("run-00000[16]*"))
    assert "nan" not in (tmp_path / "labels.csv").read_text()


@pytest.fixture
def snapshots(monkeypatch: pytest.MonkeyPatch) -> dict[int, tuple[Tensor, float]]:
    """Replace training: parameters and loss of every network after each epoch. Starts with sound ones."""
    network = SmallCnn(1, 4)
    sound = torch.linspace(-1, 1, network.parameter_count)
    given = {1: (sound, 1.0), 3: (sound, 1.0)}

    def train(
        work: object, shared: object, jobs: Sequence[Job[Hyperparameters]], *_: object
    ) -> Iterator[tuple[Job[Hyperparameters], list[Snapshot]]]:
        for job in jobs:
            many = len(job.items)
            yield (
                job,
                [
                    Snapshot(epoch, parameters.repeat(many, 1), [0.5] * many, [loss] * many, [0.5] * many)
                    for epoch, (parameters, loss) in given.items()
                ],
            )

    monkeypatch.setattr(nfn_cli.zoo.generate, "in_processes", train)
    return given


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("packed", [False, True])
def test_checkpoints_from_before_divergence_are_kept(
    packed: bool,
    value: float,
    snapshots: dict[int, tuple[Tensor, float]],
    settings: Settings,
    tmp_path: Path,
) -> None:
    broken = snapshots[3][0].clone()
    broken[17] = value
    snapshots[3] = (broken, 1.0)
    report = nfn_cli.zoo.generate_zoo(tmp_path, settings(packed=packed, count=4))
    assert (report.diverged, report.networks) == (4, 4)
    assert [row["epoch"] for row in rows_of(tmp_path)] == ["1"] * 4
    assert torch.isfinite(read_networks(tmp_path).point.tensors["conv1.weight"]).all()


@pytest.mark.parametrize("loss", [float("nan"), float("inf")])
def test_finite_weights_without_a_finite_loss_count_as_diverged(
    loss: float, snapshots: dict[int, tuple[Tensor, float]], settings: Settings, tmp_path: Path
) -> None:
    snapshots[3] = (snapshots[3][0], loss)
    report = nfn_cli.zoo.generate_zoo(tmp_path, settings(count=4))
    assert (report.diverged, report.networks) == (4, 4)
    assert [row["test_loss"] for row in rows_of(tmp_path)] == ["1.0"] * 4


def test_groups_are_runs_of_equal_length_and_the_first_runs_come_first(
    in_this_process: None, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    groups: list[list[int]] = []
    true = nfn_cli.zoo.generate.in_processes

    def spy(work: Any, shared: Any, jobs: Sequence[Job[Hyperparameters]], *others: Any) -> Any:
        groups.extend([run.run for run in job.items] for job in jobs)
        return true(work, shared, jobs, *others)

    monkeypatch.setattr(nfn_cli.zoo.generate, "in_processes", spy)
    nfn_cli.zoo.generate_zoo(tmp_path, settings(count=11, epochs=(1,)), group_size=2)
    assert groups == [[0, 4], [1, 5], [2, 6], [3, 7], [8], [9], [10]]


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"activation": "gelu"}, "gelu: the recipe has no such activation; use relu or tanh"),
        ({"image_limit": 9}, "only 9 training images"),
        ({"data": "no-such-file.npz"}, "no-such-file.npz: no such file"),
    ],
)
def test_what_cannot_be_trained_is_refused_and_nothing_written(
    changes: dict[str, object], cause: str, generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=cause):
        generate(tmp_path / "zoo", settings(**changes))
    assert not (tmp_path / "zoo").exists()


def test_a_file_where_the_folder_should_be_is_refused(generate: Generate, settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "zoo").write_text("precious")
    with pytest.raises(DataError, match="cannot be made a folder"):
        generate(tmp_path / "zoo", settings())
    assert (tmp_path / "zoo").read_text() == "precious"


def test_a_checkpoint_is_a_point_of_the_published_architecture(
    generate: Generate, settings: Settings, tmp_path: Path
) -> None:
    generate(tmp_path, settings(count=1))
    point = read_weights(read_checkpoint(tmp_path / "run-000000-epoch-001.safetensors")).weights
    assert isinstance(point, NetworkWeights)
    assert point.architecture.describe() == "conv 1->16 3x3, conv 16->16 3x3, conv 16->16 3x3, linear 16->4 (relu)"
