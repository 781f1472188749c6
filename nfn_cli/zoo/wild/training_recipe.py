"""Draw how a network is trained: optimizer, schedule, data, augmentation, averaging, as people do, well or badly.

>>> draw_recipe(seed=0, run=3) == draw_recipe(seed=0, run=3)
True
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass, replace

OPTIMIZERS = ("sgd", "momentum", "adam", "adamw", "rmsprop")
SCHEDULES = ("constant", "constant", "cosine", "step", "one-cycle")
INITIALISERS = ("default", "default", "xavier", "he", "orthogonal", "normal")
AUGMENTATIONS = ("none", "none", "none", "shift", "flip", "noise")
PREPROCESSING = ("signed", "signed", "unit", "standard")
# Of each optimizer: learning rates that work, with room for too little and too much.
_RATES = {
    "sgd": (3e-3, 0.5),
    "momentum": (1e-3, 0.2),
    "adam": (1e-4, 2e-2),
    "adamw": (1e-4, 2e-2),
    "rmsprop": (1e-4, 1e-2),
}
_NOISES = (0.0, 0.0, 0.0, 0.1, 0.3, 0.6)
_AVERAGINGS = (0.0, 0.0, 0.0, 0.99)
_IMAGES = (200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000)
_EPOCHS = (1, 2, 3, 5, 8, 12, 20, 40)


@dataclass(frozen=True)
class TrainingRecipe:
    """How one run trains.

    Attributes:
        images: training images, drawn at random; at most as many as there are.
        epochs: passes over them.
        saved: the epochs behind which a checkpoint is written.
        noise: share of training labels that are replaced by random ones.
        averaging: decay a step of an exponential moving average of the weights, which is what is saved; 0 for none.
        early_stopping: whether a tenth of the images validates, and the last checkpoint has the best epoch's weights.
        preprocessing: pixels in [-1, 1], in [0, 1], or of mean 0 and deviation 1.
        scale: standard deviation of the `normal` initialiser.
    """

    run: int
    seed: int
    images: int
    epochs: int
    saved: tuple[int, ...]
    optimizer: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    schedule: str
    augmentation: str
    noise: float
    averaging: float
    early_stopping: bool
    initialiser: str
    scale: float
    preprocessing: str


def draw_recipe(*, seed: int, run: int) -> TrainingRecipe:
    """The recipe of a run, which depends on `(seed, run)` alone."""
    rng = random.Random(f"nfn wild recipe {seed} {run}")
    optimizer = rng.choice(OPTIMIZERS)
    epochs = rng.choice(_EPOCHS)
    first = max(1, round(epochs * rng.choice((0.1, 0.25, 0.5))))
    return TrainingRecipe(
        run=run,
        seed=rng.getrandbits(48),
        images=rng.choice(_IMAGES),
        epochs=epochs,
        saved=tuple(sorted({first, epochs})),
        optimizer=optimizer,
        learning_rate=_log_uniform(rng, *_RATES[optimizer]),
        weight_decay=rng.choice((0.0, _log_uniform(rng, 1e-5, 1e-2))),
        batch_size=rng.choice((16, 32, 64, 64, 128, 256)),
        schedule=rng.choice(SCHEDULES),
        augmentation=rng.choice(AUGMENTATIONS),
        noise=rng.choice(_NOISES),
        averaging=rng.choice(_AVERAGINGS),
        early_stopping=rng.random() < 0.15,
        initialiser=rng.choice(INITIALISERS),
        scale=_log_uniform(rng, 1e-2, 0.3),
        preprocessing=rng.choice(PREPROCESSING),
    )


def draw_member(common: TrainingRecipe, *, seed: int, run: int) -> TrainingRecipe:
    """The recipe of one of several runs of a network, which depends on `(common, seed, run)` alone.

    It differs from the network's in what can differ between networks trained side by side.
    """
    rng = random.Random(f"nfn wild member {seed} {run}")
    return replace(
        common,
        run=run,
        seed=rng.getrandbits(48),
        learning_rate=_log_uniform(rng, *_RATES[common.optimizer]),
        weight_decay=rng.choice((0.0, _log_uniform(rng, 1e-5, 1e-2))),
        noise=rng.choice(_NOISES),
        averaging=rng.choice(_AVERAGINGS),
        early_stopping=False,
        initialiser=rng.choice(INITIALISERS),
        scale=_log_uniform(rng, 1e-2, 0.3),
        preprocessing=rng.choice(PREPROCESSING),
    )


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))
