"""Train wild classifiers with a second trainer: other networks, another loop, other defaults and other preprocessing
than `nfn zoo wild`, of which it uses nothing. What it makes is for measuring heads, never for fitting them.

    python benchmarks/wild/second_trainer.py --data mnist.npz --data cifar10.npz --count 500 --out second --workers 16

Every run has a folder of one or two checkpoints and a `config.json` that records the forward pass; `labels.csv` has
a row a checkpoint. A run follows from the seed, its number and the archives. The same command goes on where it ended.
"""

from __future__ import annotations

import argparse
import math
import random
import sys
import time
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from archive import Images, read_archive, task_of, tasks_of
from pixels import ToPixels, augmented
from recording import products
from runs import COLUMNS, OutOfTime, Plan, Row, do_runs, exit_code, log_to
from saving import Kept
from second_networks import MOST_PARAMETERS, draw_network
from torch import nn
from torch.optim import lr_scheduler

_RATES = {
    "sgd-nesterov": (1e-3, 0.3),
    "adam": (1e-4, 1e-2),
    "adamw": (1e-4, 2e-2),
    "nadam": (1e-4, 1e-2),
    "adagrad": (1e-3, 0.1),
}
_FEWEST_IMAGES = 500
_BUDGET = 80e9  # products of a run's training: about 10 s of one core


@dataclass(frozen=True)
class Recipe:
    """How a run trains.

    Attributes:
        half_way: the epoch behind which a first checkpoint is kept; 0 for none.
        pixels: `imagenet` or `data` (mean 0, deviation 1 a channel), or `unit` (in [0, 1]).
    """

    seed: int
    images: int
    epochs: int
    half_way: int
    batch: int
    optimizer: str
    learning_rate: float
    weight_decay: float
    schedule: str
    smoothing: float
    augmentation: str
    pixels: str
    initialiser: str


def draw_recipe(rng: random.Random, available: int) -> Recipe:
    """A recipe for so many training images."""
    optimizer = rng.choice(sorted(_RATES))
    epochs = rng.randint(1, 15)
    images = round(math.exp(rng.uniform(math.log(min(_FEWEST_IMAGES, available)), math.log(available))))
    return Recipe(
        seed=rng.getrandbits(31),
        images=images,
        epochs=epochs,
        half_way=rng.choice((0, epochs // 3)),
        batch=rng.choice((24, 50, 100, 128, 200)),
        optimizer=optimizer,
        learning_rate=math.exp(rng.uniform(*map(math.log, _RATES[optimizer]))),
        weight_decay=rng.choice((0.0, 0.0, 1e-4, 5e-4, 1e-2)),
        schedule=rng.choice(("one-cycle", "step", "cosine", "none")),
        smoothing=rng.choice((0.0, 0.0, 0.05, 0.1)),
        augmentation=rng.choice(("none", "none", "crop-flip", "blur")),
        pixels=rng.choice(("imagenet", "data", "unit")),
        initialiser=rng.choice(("default", "kaiming", "xavier")),
    )


def within_budget(recipe: Recipe, each: int) -> Recipe:
    """Fewer images, then fewer epochs, where a run would take more than `_BUDGET` products at so many a picture."""
    seen = int(_BUDGET / (3 * each))
    images = min(recipe.images, max(_FEWEST_IMAGES, seen // recipe.epochs))
    epochs = max(1, min(recipe.epochs, seen // images))
    return replace(recipe, images=images, epochs=epochs, half_way=recipe.half_way if recipe.half_way < epochs else 0)


def initialise(network: nn.Module, how: str) -> None:
    """PyTorch's default, or Kaiming's or Xavier's weights with biases of 0."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d) and how != "default":
            if how == "kaiming":
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            else:
                nn.init.xavier_normal_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def optimizer_of(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    own, rate, decay = network.parameters(), recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "sgd-nesterov":
        return torch.optim.SGD(own, rate, momentum=0.9, nesterov=True, weight_decay=decay)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "nadam": torch.optim.NAdam}
    return kinds.get(recipe.optimizer, torch.optim.Adagrad)(own, lr=rate, weight_decay=decay)


def schedule_of(optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int) -> lr_scheduler.LRScheduler | None:
    """Stepped behind every batch."""
    if recipe.schedule == "one-cycle":
        rate, momentum = recipe.learning_rate, recipe.optimizer != "adagrad"
        return lr_scheduler.OneCycleLR(optimizer, rate, total_steps=max(steps, 2), cycle_momentum=momentum)
    if recipe.schedule == "step":
        return lr_scheduler.MultiStepLR(optimizer, [steps // 2, steps * 3 // 4], 0.1)
    return lr_scheduler.CosineAnnealingLR(optimizer, steps) if recipe.schedule == "cosine" else None


def train(kept: Kept, recipe: Recipe, deadline: float) -> None:
    """Train a network and keep its checkpoints; ends early where the loss is no longer finite.

    Raises:
        OutOfTime: it is not done by the deadline.
    """
    network, images = kept.network, kept.images
    rng = np.random.default_rng(recipe.seed)
    chosen = rng.permutation(len(images.y_train))[: recipe.images]
    pictures, labels = images.x_train[chosen], torch.from_numpy(images.y_train[chosen])
    batch = min(recipe.batch, len(labels))
    batches = len(labels) // batch
    optimizer = optimizer_of(network, recipe)
    schedule = schedule_of(optimizer, recipe, recipe.epochs * batches)
    network.train()
    for epoch in range(1, recipe.epochs + 1):
        order = rng.permutation(len(labels))
        for number in range(batches):
            if time.time() > deadline:
                raise OutOfTime
            own = order[number * batch : (number + 1) * batch]
            logits = network(kept.pixels(augmented(pictures[own], recipe.augmentation, rng)))
            loss = F.cross_entropy(logits, labels[own], label_smoothing=recipe.smoothing)
            if not torch.isfinite(loss):
                return
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            if schedule is not None:
                schedule.step()
        if epoch in (recipe.half_way, recipe.epochs) and not kept.add(epoch, pictures, labels):
            return


_archives: list[Images] = []  # of this process


def start(paths: list[Path]) -> None:
    """Read the archives, once a process."""
    _archives[:] = [read_archive(path) for path in paths]


def do_run(folder: Path, seed: int, most_parameters: int, run: int, deadline: float) -> list[Row]:
    """Train the network of a run, write it, and return its rows."""
    rng = random.Random(f"second trainer {seed} {run}")
    archive = _archives[run % len(_archives)]
    images = task_of(archive, rng.choice(tasks_of(archive)))
    recipe = draw_recipe(rng, len(images.y_train))
    torch.manual_seed(recipe.seed)
    family, network = draw_network(rng, images.picture, images.classes, most_parameters)
    initialise(network, recipe.initialiser)
    recipe = within_budget(recipe, products(network, images.picture))
    own = {name: value for name, value in asdict(recipe).items() if name not in ("seed", "half_way")}
    facts = {"task": images.name, "family": family, "noise": 0.0, **own}
    kept = Kept(network, images, ToPixels(recipe.pixels, images.x_train), facts)
    train(kept, recipe, deadline)
    return kept.write(folder, run)


_OWN_COLUMNS = [own.name for own in fields(Recipe) if own.name not in (*COLUMNS, "seed", "half_way")]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="NPZ", help="repeatable")
    parser.add_argument("--count", type=int, default=500, help="runs, taking turns over the archives (500)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--most-parameters", type=int, default=MOST_PARAMETERS, help=f"of a network ({MOST_PARAMETERS:,})"
    )
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each (1)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--time-limit", type=float, metavar="SECONDS", help="runs not done by then are given up")
    options = parser.parse_args(arguments)
    for path in options.data:
        if not path.is_file():
            print(f"{path}: no such file; give an archive in the Keras layout", file=sys.stderr)
            return 2
    log_to(options.out)
    columns = [*COLUMNS, *_OWN_COLUMNS]
    work = partial(do_run, options.out, options.seed, options.most_parameters)
    begin = partial(start, options.data)
    plan = Plan(options.out, columns, range(options.count), work, begin)
    return exit_code(lambda: do_runs(plan, options.workers, options.time_limit))


if __name__ == "__main__":
    sys.exit(main())
