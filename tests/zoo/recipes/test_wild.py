"""Zoos of wild classifiers: seeded, resumable, and each network with its forward pass beside it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file

import nfn_cli.zoo.generate
from nfn_cli.architectures.families.recorded import RecordedNetwork, read_steps
from nfn_cli.errors import DataError
from nfn_cli.zoo import WildSettings, ZooReport, generate_zoo, read_labels
from nfn_cli.zoo.images import ImageSet
from nfn_cli.zoo.recipe import Job
from nfn_cli.zoo.wild import wild_recipe
from nfn_cli.zoo.wild.building import Steps
from nfn_cli.zoo.wild.labels import read_wild_rows
from nfn_cli.zoo.wild.tasks import TASKS, task_images, task_shape
from nfn_cli.zoo.wild.wild_recipe import plan_run

Make = Callable[..., ZooReport]
SETTINGS = WildSettings("far/away.npz", count=4, budget=1)


def images(count: int = 300) -> ImageSet:
    """Bars of five classes on noise."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(count) % 5
    pictures = torch.randn(count, 1, 8, 8, generator=generator) * 0.2
    pictures[torch.arange(count), 0, labels] += 1
    return ImageSet("bars", pictures, labels, pictures[:50].flip(3), labels[:50])


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Make:
    """Generates in this process."""
    monkeypatch.setattr(wild_recipe, "load_images", lambda data: images())

    def here(work: Any, shared: Any, jobs: Any, workers: int, on_steps: Any) -> Any:
        for job in jobs:
            yield job, work(shared, job, on_steps)

    monkeypatch.setattr(nfn_cli.zoo.generate, "in_processes", here)
    return generate_zoo


def contents(folder: Path) -> dict[str, Any]:
    files = {str(path.relative_to(folder)): load_file(path) for path in folder.rglob("*.safetensors")}
    return {name: {key: value.tolist() for key, value in tensors.items()} for name, tensors in files.items()}


def test_each_checkpoint_is_what_its_row_says(make: Make, tmp_path: Path) -> None:
    report = make(tmp_path, SETTINGS)
    rows = read_wild_rows(tmp_path / "labels.csv")
    assert report.networks == len(rows) and {row.run for row in rows} == {0, 1, 2, 3}
    for row in rows:
        config = json.loads((tmp_path / row.file).with_name("config.json").read_text())
        network = RecordedNetwork(read_steps(config["steps"])).eval()
        network.load_state_dict(load_file(tmp_path / row.file))
        planned = plan_run(SETTINGS, row.run, images())
        task = task_images(images(), planned.task)
        assert (row.task, row.family) == (task.name, planned.family)
        assert row.parameters == sum(parameter.numel() for parameter in network.parameters())
        pictures = task.test_images
        if planned.recipe.preprocessing == "unit":
            pictures = (pictures + 1) / 2
        elif planned.recipe.preprocessing == "standard":
            train = task.train_images
            pictures = (pictures - train.mean((0, 2, 3), keepdim=True)) / train.std((0, 2, 3), keepdim=True)
        with torch.no_grad():
            logits = network(pictures).double()
        right = (logits.argmax(1) == task.test_labels).double()
        assert row.test_accuracy == pytest.approx(right.mean().item(), abs=0.05)
        assert row.test_loss == pytest.approx(F.cross_entropy(logits, task.test_labels).item(), rel=1e-3)
        evens = (len(right) + 1) // 2
        whole = row.even_accuracy * evens + row.odd_accuracy * (len(right) - evens)
        assert whole == pytest.approx(row.test_accuracy * len(right))
    assert {label.run for label in read_labels(tmp_path / "labels.csv")} == {"0", "1", "2", "3"}


def test_a_seed_decides_everything(make: Make, tmp_path: Path) -> None:
    for name, settings in {"a": SETTINGS, "b": SETTINGS, "c": replace(SETTINGS, seed=1)}.items():
        make(tmp_path / name, settings)
    assert contents(tmp_path / "a") == contents(tmp_path / "b") != contents(tmp_path / "c")


def test_a_zoo_may_grow_and_goes_on(make: Make, tmp_path: Path) -> None:
    make(tmp_path / "once", replace(SETTINGS, count=5))
    make(tmp_path / "grown", replace(SETTINGS, count=2))
    report = make(tmp_path / "grown", replace(SETTINGS, count=5))
    assert (report.found, report.trained) == (2, 3)
    assert contents(tmp_path / "once") == contents(tmp_path / "grown")
    assert (tmp_path / "once" / "labels.csv").read_text() == (tmp_path / "grown" / "labels.csv").read_text()
    with pytest.raises(DataError, match="larger zoo"):
        make(tmp_path / "grown", replace(SETTINGS, count=2))
    with pytest.raises(DataError, match="another seed"):
        make(tmp_path / "grown", replace(SETTINGS, count=5, seed=3))


def test_a_run_that_diverges_is_recorded_and_not_made_again(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wild_recipe, "train_network", lambda *arguments: iter(()))
    report = make(tmp_path, SETTINGS)
    assert (report.trained, report.diverged, report.networks) == (4, 4, 0)
    monkeypatch.undo()
    monkeypatch.setattr(wild_recipe, "load_images", lambda data: images())
    assert generate_zoo(tmp_path, SETTINGS).trained == 0


def test_the_plans_of_one_run_a_network_stay_as_they_are() -> None:
    labels = torch.arange(300) % 5
    blank = ImageSet("bars", torch.zeros(300, 1, 8, 8), labels, torch.zeros(50, 1, 8, 8), labels[:50])
    plans = [plan_run(replace(SETTINGS, seed=seed), run, blank) for seed in (0, 7) for run in range(40)]
    said = json.dumps([[own.run, own.task, own.family, own.steps.listed, asdict(own.recipe)] for own in plans])
    digest = "12042dafff4e8e6eb755d5a847863138c71746685378eb733bfb5ed15ae69c3d"
    assert hashlib.sha256(said.encode()).hexdigest() == digest


OWN = {"run", "seed", "learning_rate", "weight_decay", "noise", "averaging", "initialiser", "scale", "preprocessing"}


def test_runs_of_a_network_share_what_they_must() -> None:
    settings = replace(SETTINGS, per_network=4, budget=1_000)
    for network in range(60):
        plans = [plan_run(settings, 4 * network + member, images()) for member in range(4)]
        assert len({json.dumps([own.task, own.family, own.steps.listed]) for own in plans}) == 1
        recipes = [asdict(own.recipe) for own in plans]
        assert all(len({own[name] for own in recipes}) == 1 for name in recipes[0].keys() - OWN)
        assert all(len({own[name] for own in recipes}) == 4 for name in ("run", "seed", "learning_rate"))
        common = plans[0].recipe
        assert not common.early_stopping and common.saved[-1] == common.epochs
        taken = min(common.images, len(task_images(images(), plans[0].task).train_labels))
        assert common.epochs * max(1, taken // common.batch_size) >= 100
        assert common.epochs * taken <= max(20_000 * common.batch_size, 100 * taken)


def test_few_shared_networks_are_large() -> None:
    settings = replace(SETTINGS, per_network=2)
    families = [plan_run(settings, 2 * network, images()).family for network in range(200)]
    assert 2 <= families.count("resnet20") <= 25 and len(set(families)) == 8


def test_runs_of_a_network_are_made_in_one_job(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wild_recipe, "_FEWEST_STEPS", 4)
    settings = replace(SETTINGS, per_network=3, seed=2)
    jobs = wild_recipe.WildRecipe(settings).batches([1, 2, 3, 4, 5, 9], 2)
    assert jobs == [(1, 2), (3, 4, 5), (9,)]
    make(tmp_path / "once", replace(settings, count=5))
    make(tmp_path / "grown", replace(settings, count=4))
    report = make(tmp_path / "grown", replace(settings, count=5))
    assert (report.found, report.trained) == (4, 1)
    rows = read_wild_rows(tmp_path / "once" / "labels.csv")
    assert len(rows) == sum(len(plan_run(settings, run, images()).recipe.saved) for run in range(5))
    assert [row.file for row in rows] == [row.file for row in read_wild_rows(tmp_path / "grown" / "labels.csv")]
    with pytest.raises(DataError, match="another per_network"):
        make(tmp_path / "once", replace(settings, count=5, per_network=2))


def test_mlps_are_trained_side_by_side_on_a_cpu_as_alone(make: Make, tmp_path: Path) -> None:
    shared = wild_recipe.SharedImages(replace(SETTINGS, per_network=2), images(), "cpu")
    networks = (own for own in range(100) if plan_run(shared.settings, 2 * own, images()).family == "mlp")
    network = next(own for own in networks if _is_plain(plan_run(shared.settings, 2 * own, images())))
    epochs: list[int] = []
    pair = wild_recipe.train_job(shared, Job(0, (2 * network, 2 * network + 1)), epochs.append)
    assert sum(epochs) == 2 * pair[0].planned.recipe.epochs
    for together in pair:
        alone = wild_recipe._trained_alone(shared, together.planned, lambda steps: None)
        assert [row.file for row in together.rows] == [row.file for row in alone.rows] != []
        for one, other in zip(together.rows, alone.rows, strict=True):
            assert one.test_loss == pytest.approx(other.test_loss, rel=1e-2)


def _is_plain(planned: wild_recipe.Planned) -> bool:
    dropout = any(step["op"] == "dropout" for step in planned.steps.listed)
    return not dropout and planned.recipe.augmentation == "none"


def test_what_torch_cannot_batch_is_trained_one_by_one(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = replace(SETTINGS, per_network=2)
    monkeypatch.setattr(wild_recipe, "_side_by_side", lambda steps, device: False)
    make(tmp_path / "alone", settings)

    def refuse(*args: Any) -> Any:
        raise RuntimeError("NYI: querying is_contiguous inside of vmap")

    monkeypatch.setattr(wild_recipe, "_side_by_side", lambda steps, device: True)
    monkeypatch.setattr(wild_recipe, "train_group", refuse)
    make(tmp_path / "zoo", settings)
    assert contents(tmp_path / "zoo") == contents(tmp_path / "alone")


def test_a_gpu_takes_as_many_as_it_has_room_for() -> None:
    settings = replace(SETTINGS, per_network=5)
    group = [plan_run(settings, run, images()) for run in range(5)]
    wide = Steps((3, 32, 32)).conv("conv", 512, 3)
    large = [replace(own, steps=wide, recipe=replace(own.recipe, batch_size=256)) for own in group]
    assert wild_recipe._parts(group, "cuda") == [group] and wild_recipe._parts(large, "cpu") == [large]
    parts = wild_recipe._parts(large, "cuda")
    assert [len(part) for part in parts] == [3, 2] and [own for part in parts for own in part] == large


def test_a_process_keeps_the_last_tasks() -> None:
    shared = wild_recipe.SharedImages(SETTINGS, images(), "cpu")
    first = shared.task("all")
    assert shared.task("all") is first
    for name in ("small", "pair", "inverted"):
        shared.task(name)
    assert shared.task("all") is not first and len(shared.cut) == 3


def test_processes_share_a_gpu(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[int] = []

    def here(work: Any, shared: Any, jobs: Any, workers: int, on_steps: Any) -> Any:
        started.append(workers)
        for job in jobs:
            yield job, work(shared, job, on_steps)

    monkeypatch.setattr(nfn_cli.zoo.generate, "in_processes", here)
    monkeypatch.setattr(wild_recipe, "train_network", lambda *arguments: iter(()))
    make(tmp_path / "one", SETTINGS, device="cuda", workers=1)
    assert started == []
    make(tmp_path / "three", SETTINGS, device="cuda", workers=3)
    assert started == [3]


def test_a_zoo_of_before_goes_on(make: Make, tmp_path: Path) -> None:
    make(tmp_path, replace(SETTINGS, count=1))
    record = tmp_path / "zoo.yaml"
    record.write_text("".join(line for line in record.read_text().splitlines(True) if "per_network" not in line))
    assert make(tmp_path, replace(SETTINGS, count=2)).found == 1


def test_a_larger_network_sees_fewer_images() -> None:
    small, large = (plan_run(replace(SETTINGS, budget=budget), 11, images()) for budget in (1, 1_000))
    assert small.steps.listed == large.steps.listed
    spent = [3 * own.steps.products * own.recipe.images * own.recipe.epochs for own in (small, large)]
    assert spent[0] <= max(10**9, 3 * small.steps.products * 200) and spent[0] < spent[1] <= 10**12


@pytest.mark.parametrize("task", TASKS)
def test_tasks_have_classes_from_zero_on(task: str) -> None:
    cut = task_images(images(), task)
    assert (cut.picture, cut.classes) == task_shape(images(), task)
    for pictures, labels in ((cut.train_images, cut.train_labels), (cut.test_images, cut.test_labels)):
        assert len(pictures) == len(labels) > 0
        assert labels.unique().tolist() == list(range(cut.classes))


def test_packed_files_are_refused(make: Make, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="files of their own"):
        make(tmp_path, replace(SETTINGS, packed=True))
