"""A broader recipe than the published one: how long, on how many images and in what way a run is trained is drawn too.

Sixteen neighbouring runs make a block. What decides the number of steps, and the augmentation, is drawn for a block,
so that its runs can be trained side by side; schedule and preprocessing are drawn for every run.

>>> draw_varied(seed=0, run=3, activation="relu").epochs == draw_varied(seed=0, run=12, activation="relu").epochs
True
"""

from __future__ import annotations

import random
from dataclasses import replace

from nfn_cli.zoo.hyperparameters import (
    AUGMENTATIONS,
    PREPROCESSINGS,
    SCHEDULES,
    TRAIN_FRACTIONS,
    Hyperparameters,
    draw_hyperparameters,
    log_uniform,
)

BLOCK = 16
IMAGE_SHARE_RANGE = (0.1, 1.0)  # 5,000 to 50,000 images of CIFAR-10
MOST_EPOCHS = 20
BATCH_SIZES = (32, 64, 128, 256, 512)
# Half of the blocks are trained without augmentation.
_AUGMENTATION_WEIGHTS = (3, 1, 1, 1)


def draw_varied(*, seed: int, run: int, activation: str) -> Hyperparameters:
    """Draw the hyperparameters of run number `run`; what is drawn depends on `(seed, run)` alone.

    The share of the images is log-uniform in 0.1 to 1; on top of it the train fraction follows from the block's
    number, in turn. Epochs are 1 to 20, log-uniform and rounded down from below 21.
    """
    block = run // BLOCK
    own = random.Random(f"nfn small-cnn varied {seed} run {run}")
    rng = random.Random(f"nfn small-cnn varied {seed} block {block}")
    return replace(
        draw_hyperparameters(seed=seed, run=run, activation=activation),
        train_fraction=TRAIN_FRACTIONS[block % len(TRAIN_FRACTIONS)],
        image_share=log_uniform(rng, *IMAGE_SHARE_RANGE),
        epochs=min(MOST_EPOCHS, int(log_uniform(rng, 1, MOST_EPOCHS + 1))),
        batch_size=rng.choice(BATCH_SIZES),
        augmentation=rng.choices(AUGMENTATIONS, _AUGMENTATION_WEIGHTS)[0],
        schedule=own.choice(SCHEDULES),
        preprocessing=own.choice(PREPROCESSINGS),
    )


def saved_epochs(epochs: int) -> tuple[int, ...]:
    """After which epochs a run of so many is saved: a quarter, a half and all of them, rounded up.

    >>> saved_epochs(10), saved_epochs(2), saved_epochs(1)
    ((3, 5, 10), (1, 2), (1,))
    """
    return tuple(sorted({-(-epochs // 4), -(-epochs // 2), epochs}))
