"""Zoos of SIRENs: what their recipe plans."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from nfn_cli.zoo import InrSettings
from nfn_cli.zoo.recipes import recipe_for

SETTINGS = InrSettings("far/away.npz", 3)


def test_each_run_is_made_once(tmp_path: Path) -> None:
    path = tmp_path / "images.npz"
    images, labels = np.zeros((20, 15, 15), np.uint8), np.arange(20) % 2
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    recipe = recipe_for(replace(SETTINGS, data=str(path)))
    loaded = recipe.load_images()
    runs = recipe.runs(loaded)
    items = [item for batch in recipe.batches(runs, 2) for item in batch]
    assert len(runs) == len(set(runs)) == len(items) == 3
    assert recipe.steps(items, loaded) > 0 and recipe.metadata["activation"] == "sin"
