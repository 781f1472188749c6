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
# The first one is the recipe's.
SCHEDULES = ("constant", "cosine")

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


def draw_hyperparameters(
    *, seed: int, run: int, activation: str, batch_size: int = 64, schedule: str = SCHEDULES[0]
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
        learning_rate=_log_uniform(rng, *LEARNING_RATE_RANGE),
        l2=_log_uniform(rng, *L2_RANGE),
        dropout=rng.uniform(*DROPOUT_RANGE),
        optimizer=rng.choice(OPTIMIZERS),
        initialiser=rng.choice(INITIALISERS),
        initialiser_scale=_log_uniform(rng, *INITIALISER_SCALE_RANGE),
        train_fraction=TRAIN_FRACTIONS[run % len(TRAIN_FRACTIONS)],
        batch_size=batch_size,
        schedule=schedule,
    )


def _log_uniform(rng: random.Random, low: float, high: float) -> float:
    return math.exp(rng.uniform(math.log(low), math.log(high)))
