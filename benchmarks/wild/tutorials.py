"""Train 100 networks as tutorials have them, by good and bad recipes, for measuring heads on real networks.

    python benchmarks/wild/tutorials.py --data mnist.npz --data gray.npz --data color.npz --out tutorials --workers 16

`TABLE` lists them: `data/architecture/recipe`, one network each, but two of `early-and-late`. Archives are known by
their pictures: 28×28 is `mnist`, 32×32 of one channel `gray`, of three `color` (CIFAR-10). Every run has a folder with
its checkpoints and a `config.json` that records the forward pass; `labels.csv` has a row a checkpoint, and `model.py`
the modules (`--model model.py:NAME`, the name is in the column `model`). A run follows from its place in the table and
the archives. The same command goes on where it ended.

Where a tutorial's own length would take many minutes of one core, fewer images or epochs are taken, and PyTorch's CIFAR
tutorial has batches of 32 at eight times its rate instead of batches of 4.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
import tutorial_models
from archive import Images, read_archive
from pixels import ToPixels, augmented
from runs import COLUMNS, OutOfTime, Plan, Row, do_runs, exit_code, log_to
from saving import Kept
from torch import Tensor, nn

_PICTURES = {(1, 28, 28): "mnist", (1, 32, 32): "gray", (3, 32, 32): "color"}
_QUICK_IMAGES = 200
_REMEMBERED = 20  # steps between copies of the weights


@dataclass(frozen=True)
class Training:
    """How a network is trained.

    Attributes:
        optimizer: a name of torch.optim.
        options: of the optimizer, but the rate.
        decay: the rate is multiplied by it behind every epoch.
        shuffled: share of the training labels that are permuted among themselves.
        dropout: of all its dropout layers, where it is not the architecture's own.
        early: an epoch behind which a first checkpoint is kept; 0 for none.
    """

    optimizer: str
    learning_rate: float
    options: tuple[tuple[str, Any], ...]
    batch: int
    epochs: int
    images: int
    pixels: str
    decay: float = 1.0
    augmentation: str = "none"
    shuffled: float = 0.0
    dropout: float | None = None
    early: int = 0


_TOO_HIGH = 200
_MOMENTUM = (("momentum", 0.9),)
_RESNET = (("momentum", 0.9), ("nesterov", True), ("weight_decay", 5e-4))
# What each tutorial does.
USUAL: dict[str, Training] = {
    "pytorch_mnist": Training("Adadelta", 1.0, (), 64, 3, 10_000, "data", decay=0.7),
    "lenet5": Training("SGD", 0.01, _MOMENTUM, 64, 5, 30_000, "signed"),
    "keras_mnist": Training("Adam", 1e-3, (), 128, 5, 15_000, "unit"),
    "mlp_512": Training("RMSprop", 1e-3, (("alpha", 0.9),), 128, 5, 20_000, "unit"),
    "mlp_128": Training("Adam", 1e-3, (), 32, 5, 30_000, "unit"),
    "mlp_300_100": Training("SGD", 0.01, (), 32, 6, 30_000, "unit"),
    "pytorch_cifar": Training("SGD", 0.008, _MOMENTUM, 32, 2, 20_000, "signed"),
    "keras_cifar": Training("RMSprop", 5e-4, (("alpha", 0.9),), 32, 4, 5_000, "unit"),
    "resnet8": Training("SGD", 0.05, _RESNET, 64, 5, 5_000, "data", decay=0.6),
    "resnet14": Training("SGD", 0.05, _RESNET, 64, 5, 8_000, "data", decay=0.6),
    "resnet20": Training("SGD", 0.05, _RESNET, 64, 5, 5_000, "data", decay=0.6),
}
FAMILIES = {
    **dict.fromkeys(("mlp_512", "mlp_128", "mlp_300_100"), "mlp"),
    **dict.fromkeys(("lenet5", "pytorch_cifar"), "lenet"),
    **dict.fromkeys(("pytorch_mnist", "keras_mnist", "keras_cifar"), "pooled"),
    **dict.fromkeys(("resnet8", "resnet14", "resnet20"), "residual"),
}


def _recipe(usual: Training, name: str) -> Training:
    """The tutorial's training, changed by a recipe."""
    changes: dict[str, dict[str, Any]] = {
        "usual": {},
        "one-epoch": {"epochs": 1},
        "early-and-late": {"epochs": 2 * usual.epochs, "early": 1},
        "unit-pixels": {"pixels": "unit"},
        "raw-pixels": {"pixels": "raw"},
        "heavy-dropout": {"dropout": 0.8},
        "rate-too-high": {"learning_rate": _TOO_HIGH * usual.learning_rate},
        "rate-too-low": {"learning_rate": usual.learning_rate / 100},
        "plain-sgd": {"optimizer": "SGD", "options": (), "learning_rate": 0.01},
        "overfit-1000": {"images": 1_000, "epochs": 20},
        "labels-shuffled": {"shuffled": 1.0},
        "labels-half-shuffled": {"shuffled": 0.5},
        "flips-and-crops": {"augmentation": "crop-flip", "epochs": usual.epochs + 1},
    }
    return replace(usual, **changes[name])


_OF_CIFAR = {
    "pytorch_cifar": "usual one-epoch early-and-late raw-pixels plain-sgd rate-too-low rate-too-high overfit-1000 "
    "labels-half-shuffled flips-and-crops",
    "keras_cifar": "usual one-epoch heavy-dropout overfit-1000 labels-shuffled",
    "mlp_512": "usual heavy-dropout overfit-1000 labels-shuffled",
    "resnet8": "usual one-epoch flips-and-crops rate-too-high overfit-1000 labels-half-shuffled",
    "resnet14": "usual one-epoch",
    "resnet20": "usual flips-and-crops",
}
# By data and architecture: the recipes.
TABLE: dict[str, dict[str, str]] = {
    "mnist": {
        "pytorch_mnist": "usual one-epoch heavy-dropout rate-too-high overfit-1000 labels-shuffled",
        "lenet5": "usual one-epoch early-and-late unit-pixels raw-pixels plain-sgd rate-too-low overfit-1000 "
        "labels-half-shuffled",
        "keras_mnist": "usual one-epoch raw-pixels heavy-dropout rate-too-high overfit-1000 labels-half-shuffled",
        "mlp_512": "usual early-and-late heavy-dropout rate-too-low overfit-1000 labels-shuffled",
        "mlp_128": "usual one-epoch raw-pixels plain-sgd labels-half-shuffled",
        "mlp_300_100": "usual rate-too-high rate-too-low overfit-1000 labels-shuffled",
    },
    "gray": _OF_CIFAR,
    "color": _OF_CIFAR,
}


@dataclass(frozen=True)
class Spec:
    """A run of the table."""

    run: int
    data: str
    architecture: str
    recipe: str

    @property
    def name(self) -> str:
        return f"{self.data}/{self.architecture}/{self.recipe}"

    @property
    def model(self) -> str:
        """Its factory in `model.py`."""
        return f"{self.architecture}_{self.data}"

    @property
    def training(self) -> Training:
        return _recipe(USUAL[self.architecture], self.recipe)


def specs() -> list[Spec]:
    """All runs, in the order of the table."""
    listed = [
        (data, architecture, recipe)
        for data, architectures in TABLE.items()
        for architecture, recipes in architectures.items()
        for recipe in recipes.split()
    ]
    return [Spec(run, *own) for run, own in enumerate(listed)]


def train(kept: Kept, training: Training, seed: int, deadline: float) -> None:
    """Train a network and keep its checkpoints.

    Where the loss is no longer finite it ends early, with the weights of at most 40 steps before.

    Raises:
        OutOfTime: it is not done by the deadline.
    """
    network, images = kept.network, kept.images
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(len(images.y_train))[: training.images]
    pictures, labels = images.x_train[chosen], torch.from_numpy(images.y_train[chosen])
    some = torch.from_numpy(rng.permutation(len(labels))[: round(training.shuffled * len(labels))])
    labels[some] = labels[some[torch.from_numpy(rng.permutation(len(some)))]]
    options = dict(training.options)
    optimizer = getattr(torch.optim, training.optimizer)(network.parameters(), lr=training.learning_rate, **options)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=1, gamma=training.decay)
    remembered = [_copy(network)] * 2
    step = 0
    for epoch in range(1, training.epochs + 1):
        network.train()
        order = rng.permutation(len(labels))
        for start in range(0, len(order), training.batch):
            if time.time() > deadline:
                raise OutOfTime
            own = order[start : start + training.batch]
            optimizer.zero_grad()
            logits = network(kept.pixels(augmented(pictures[own], training.augmentation, rng)))
            loss = F.cross_entropy(logits, labels[own])
            if not torch.isfinite(loss):
                network.load_state_dict(remembered[0])
                kept.add(epoch, pictures, labels)
                return
            if step % _REMEMBERED == 0:
                remembered = [remembered[1], _copy(network)]
            step += 1
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        scheduler.step()
        if epoch in (training.early, training.epochs) and not kept.add(epoch, pictures, labels):
            return


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


_archives: dict[str, Images] = {}  # of this process, by the kind of their pictures


def start(paths: list[Path]) -> None:
    """Read the archives, once a process.

    Raises:
        ValueError: one has pictures of another kind.
    """
    _archives.clear()
    for path in paths:
        images = read_archive(path)
        kind = _PICTURES.get(images.picture)
        if kind is None or images.classes != 10:
            raise ValueError(f"{path}: {images.classes} classes of pictures {images.picture}; give MNIST or CIFAR-10")
        _archives[kind] = replace(images, name=f"{images.name}/all")


def do_run(folder: Path, quick: bool, run: int, deadline: float) -> list[Row]:
    """Train the network of a run, write it, and return its rows."""
    spec = specs()[run]
    training, images = spec.training, _archives[spec.data]
    if quick:
        training = replace(training, images=_QUICK_IMAGES, epochs=1, early=0)
    torch.manual_seed(1_000 + run)
    network, _ = getattr(tutorial_models, spec.model)()
    for module in network.modules():
        if isinstance(module, nn.Dropout) and training.dropout is not None:
            module.p = training.dropout
    facts = {
        "task": images.name,
        "family": FAMILIES[spec.architecture],
        "images": training.images,
        "epochs": training.epochs,
        "optimizer": training.optimizer.lower(),
        "learning_rate": training.learning_rate,
        "noise": training.shuffled,
        "augmentation": training.augmentation,
        "recipe": spec.recipe,
        "architecture": spec.architecture,
        "model": spec.model,
    }
    kept = Kept(network, images, ToPixels(training.pixels, images.x_train), facts)
    train(kept, training, 1_000 + run, deadline)
    return kept.write(folder, run)


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, action="append", required=True, metavar="NPZ", help="repeatable")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="such as 'mnist/*' or '*/resnet*'")
    parser.add_argument("--list", action="store_true", help="print the names of the runs, and do none")
    parser.add_argument("--quick", action="store_true", help="a trial: 200 images, one epoch")
    parser.add_argument("--workers", type=int, default=1, help="processes of one thread each (1)")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--time-limit", type=float, metavar="SECONDS", help="runs not done by then are given up")
    options = parser.parse_args(arguments)
    chosen = [spec for spec in specs() if fnmatch(spec.name, options.only)]
    if options.list:
        print("\n".join(spec.name for spec in chosen))
        return 0

    def do() -> int:
        start(options.data)
        missing = sorted({spec.data for spec in chosen} - set(_archives))
        if missing or not chosen:
            raise ValueError(f"--data: no archive for {', '.join(missing) or options.only}; give it, or another --only")
        log_to(options.out)
        shutil.copyfile(tutorial_models.__file__, options.out / "model.py")
        columns = [*COLUMNS, "recipe", "architecture", "model"]
        work, begin = partial(do_run, options.out, options.quick), partial(start, options.data)
        plan = Plan(options.out, columns, [spec.run for spec in chosen], work, begin)
        return do_runs(plan, options.workers, options.time_limit)

    return exit_code(do)


if __name__ == "__main__":
    sys.exit(main())
