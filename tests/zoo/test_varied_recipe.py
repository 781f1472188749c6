"""A varied zoo: what is drawn for blocks and for runs, and that it is made, recorded and continued as any other."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import stats

from nfn_cli.architectures import functional_forward, read_weights
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import DataError
from nfn_cli.zoo import ZooReport, ZooSettings, draw_hyperparameters, load_images
from nfn_cli.zoo.hyperparameters import AUGMENTATIONS, PREPROCESSINGS, SCHEDULES
from nfn_cli.zoo.labels import read_zoo_rows
from nfn_cli.zoo.recipes import recipe_for
from nfn_cli.zoo.varied_recipe import BATCH_SIZES, BLOCK, MOST_EPOCHS, draw_varied, saved_epochs

Generate = Callable[..., ZooReport]
RUNS = 4_000


@pytest.fixture
def broad(archive: Path, tmp_path: Path) -> ZooSettings:
    """Settings of a varied zoo of 400 images: no run of it takes more than 20 epochs of them."""
    with np.load(archive) as images:
        parts = {name: np.concatenate([images[name]] * (5 if "train" in name else 1)) for name in images}
    np.savez(tmp_path / "quadrants.npz", **parts)
    data = str(tmp_path / "quadrants.npz")
    return ZooSettings(data=data, activation="relu", count=3, precision="float32", varied=True)


def test_all_that_a_block_shares_is_drawn_once() -> None:
    runs = [draw_varied(seed=2, run=run, activation="relu") for run in range(RUNS)]
    for start in range(0, RUNS, BLOCK):
        shared = {
            (run.train_fraction, run.image_share, run.epochs, run.batch_size, run.augmentation)
            for run in runs[start : start + BLOCK]
        }
        assert len(shared) == 1
    blocks = runs[::BLOCK]
    assert all(0.1 <= run.image_share <= 1 for run in blocks)
    assert stats.kstest([1 + np.log10(run.image_share) for run in blocks], "uniform").pvalue > 0.01
    assert {run.epochs for run in blocks} == set(range(1, MOST_EPOCHS + 1))
    assert {run.batch_size for run in blocks} == set(BATCH_SIZES)
    assert {run.augmentation for run in blocks} == set(AUGMENTATIONS)
    assert 0.4 < sum(run.augmentation == "none" for run in blocks) / len(blocks) < 0.6
    for name, values in {"schedule": SCHEDULES, "preprocessing": PREPROCESSINGS}.items():
        counts = Counter(getattr(run, name) for run in runs)
        assert set(counts) == set(values) and stats.chisquare(list(counts.values())).pvalue > 0.01


def test_all_else_is_as_the_recipe_draws_it() -> None:
    for run in (0, 5, 21):
        drawn, usual = (draw(seed=4, run=run, activation="tanh") for draw in (draw_varied, draw_hyperparameters))
        names = ("train_fraction", "image_share", "epochs", "batch_size", "augmentation", "schedule", "preprocessing")
        assert replace(drawn, **{name: getattr(usual, name) for name in names}) == usual


@pytest.mark.parametrize("epochs", range(1, MOST_EPOCHS + 1))
def test_a_run_is_saved_at_most_three_times_and_last_at_its_end(epochs: int) -> None:
    saved = saved_epochs(epochs)
    assert len(saved) == min(3, epochs) and list(saved) == sorted(set(saved)) and saved[-1] == epochs


def test_groups_are_those_of_blocks_whatever_their_size(broad: ZooSettings) -> None:
    recipe = recipe_for(broad)
    groups = recipe.batches(range(3 * BLOCK), 256)
    assert [[run.run for run in group] for group in groups] == [
        list(range(start, start + BLOCK)) for start in range(0, 3 * BLOCK, BLOCK)
    ]


def test_a_varied_zoo_is_made_and_may_grow(generate: Generate, broad: ZooSettings, tmp_path: Path) -> None:
    folder = tmp_path / "zoo"
    generate(folder, broad)
    rows = read_zoo_rows(folder / "labels.csv")
    for run in range(3):
        drawn = draw_varied(seed=0, run=run, activation="relu")
        own = [row for row in rows if row.hyperparameters.run == run]
        assert {row.hyperparameters for row in own} == {drawn}
        assert drawn.epochs is not None and tuple(row.epoch for row in own) == saved_epochs(drawn.epochs)
    before = {path.name: path.read_bytes() for path in folder.glob("*.safetensors")}
    report = generate(folder, replace(broad, count=BLOCK + 1))
    assert (report.found, report.trained) == (3, BLOCK - 2)
    assert all((folder / name).read_bytes() == content for name, content in before.items())
    with pytest.raises(DataError, match="holds a zoo of another varied"):
        generate(folder, replace(broad, varied=False))


def test_steps_announced_are_those_taken(generate: Generate, broad: ZooSettings, tmp_path: Path) -> None:
    announced: list[int] = []
    told: list[int] = []
    generate(tmp_path / "zoo", broad, on_start=announced.append, on_steps=told.append)
    assert announced == [sum(told)]


@pytest.mark.parametrize("preprocessing", ["unit", "standard"])
def test_the_accuracy_of_a_row_is_that_of_its_checkpoint_on_such_pixels(
    preprocessing: str, generate: Generate, broad: ZooSettings, tmp_path: Path
) -> None:
    settings = replace(broad, varied=False, preprocessing=preprocessing, augmentation="shift", epochs=(2,), count=4)
    generate(tmp_path / "zoo", settings)
    images = load_images(settings.data)
    if preprocessing == "unit":
        pixels = (images.test_images + 1) / 2
    else:
        pixels = (images.test_images - images.train_images.mean()) / images.train_images.std()
    for row in read_zoo_rows(tmp_path / "zoo" / "labels.csv"):
        point = read_weights(read_checkpoint(tmp_path / "zoo" / row.file)).weights
        right = functional_forward(point, pixels, stride=2).argmax(1) == images.test_labels
        assert row.hyperparameters.preprocessing == preprocessing
        assert row.test_accuracy == pytest.approx(right.float().mean().item())


def test_too_few_images_for_the_smallest_share_are_refused(broad: ZooSettings) -> None:
    with pytest.raises(DataError, match="a hundredth; use at least 100"):
        recipe_for(replace(broad, image_limit=99)).load_images()
    assert len(recipe_for(replace(broad, image_limit=100)).load_images().train_labels) == 100


def test_runs_that_are_augmented_otherwise_form_no_group(archive: Path) -> None:
    from nfn_cli.zoo.small_cnn import SmallCnn
    from nfn_cli.zoo.trainer import TrainingImages, train_group

    loaded = load_images(str(archive))
    images = TrainingImages.cut(loaded, dtype=torch.float32, device=torch.device("cpu"), whole=True)
    run = draw_hyperparameters(seed=0, run=3, activation="relu", batch_size=8)
    with pytest.raises(ValueError, match="augmented alike"):
        next(train_group(SmallCnn(1, 4), [run, replace(run, augmentation="flip")], images, [1]))
