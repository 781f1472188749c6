"""Hyperparameters of one training run, drawn as in the Small CNN Zoo.

Source: Unterthiner et al. 2020, *Predicting Neural Network Accuracy from Weights* (arXiv 2002.11448), with the
corrected ranges of its second version: learning rate at most 5e-2.

>>> draw_hyperparameters(seed=0, run=7, activation="relu").train_fraction
1.0
"""

from __future__ import annotations

import math
import random
from dataclasses import dataclass

OPTIMIZERS = ("adam", "sgd", "rmsprop")
INITIALISERS = ("normal", "truncated_normal", "orthogonal", "glorot_normal", "he_normal")
TRAIN_FRACTIONS = (0.1, 0.25, 0.5, 1.0)
# Of these three, the first one is the recipe's.
SCHEDULES = ("constant", "cosine")
AUGMENTATIONS = ("none", "shift", "flip", "shift-flip")
PREPROCESSINGS = ("signed", "unit", "standard")

LEARNING_RATE_RANGE = (5e-4, 5e-2)
L2_RANGE = (1e-8, 1e-2)
DROPOUT_RANGE = (0.0, 0.7)
INITIALISER_SCALE_RANGE = (1e-3, 0.5)


@dataclass(frozen=True)
class Hyperparameters:
    """What distinguishes one training run from another.

    `initialiser_scale` is the standard deviation of the `normal` and `truncated_normal` initialisers; the other
    three fix their own scale, so there it is drawn but has no effect, as in the published recipe. `schedule` says how
    the learning rate falls over a run: not at all, or along half a cosine to 0.

    Attributes:
        train_fraction: of the images, those that the run is trained on.
        augmentation: of training images, see `nfn_cli.zoo.augmentation`.
        preprocessing: of pixels, see `nfn_cli.zoo.preprocessing`.
        image_share: of the training images of the set, those that the run takes its fraction of.
        epochs: of the run; None as the zoo has them.
    """

    run: int
    seed: int
    activation: str
    learning_rate: float
    l2: float
    dropout: float
    optimizer: str
    initialiser: str
    initialiser_scale: float
    train_fraction: float
    batch_size: int
    schedule: str = SCHEDULES[0]
    augmentation: str = AUGMENTATIONS[0]
    preprocessing: str = PREPROCESSINGS[0]
    image_share: float = 1.0
    epochs: int | None = None

    def images_of(self, count: int) -> int:
        """The number of images that the run is trained on, of `count` training images in the set.

        >>> draw_hyperparameters(seed=0, run=1, activation="relu").images_of(1000)
        250
        """
        return int(int(count * self.image_share) * self.train_fraction)


def draw_hyperparameters(
    *,
    seed: int,
    run: int,
    activation: str,
    batch_size: int = 64,
    schedule: str = SCHEDULES[0],
    augmentation: str = AUGMENTATIONS[0],
    preprocessing: str = PREPROCESSINGS[0],
) -> Hyperparameters:
    """Draw the hyperparameters of run number `run`; what is drawn depends on `(seed, run)` alone.

    The train fraction follows from the run's number, in turn, instead of being drawn. Its distribution is the same
    uniform one, and runs of equal length can then be trained side by side whatever the size of a group.
    """
    # A string seed is hashed with SHA-512, so neighbouring runs share nothing.
    rng = random.Random(f"nfn small-cnn {seed} {run}")
    return Hyperparameters(
        run=run,
        seed=rng.getrandbits(48),
        activation=activation,
        learning_rate=log_uniform(rng, *LEARNING_RATE_RANGE),
        l2=log_uniform(rng, *L2_RANGE),
        dropout=rng.uniform(*DROPOUT_RANGE),
        optimizer=rng.choice(OPTIMIZERS),
        initialiser=rng.choice(INITIALISERS),
        initialiser_scale=log_uniform(rng, *INITIALISER_SCALE_RANGE),
        train_fraction=TRAIN_FRACTIONS[run % len(TRAIN_FRACTIONS)],
        batch_size=batch_size,
        schedule=schedule,
        augmentation=augmentation,
        preprocessing=preprocessing,
    )


def log_uniform(rng: random.Random, low: float, high: float) -> float:
    """A number whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))
