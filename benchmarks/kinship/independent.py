"""Networks trained apart, by recipe: FOLDER/null or FOLDER/fresh / family / recipe / number.safetensors."""

from __future__ import annotations

import sys
import time
from functools import cache
from pathlib import Path

import torch
from files import config_of, tensors_of, write
from recipes import RECIPES, Recipe
from tasks import Pictures, Split, pictures, text
from training import loss_of, train

_SEEDS = 1_000  # between recipes


def place(folder: Path, recipe: Recipe, number: int) -> Path:
    """Where a network lies."""
    return folder / recipe.part / recipe.family / recipe.name / f"{number:03d}.safetensors"


def members(folder: Path, recipe: Recipe) -> list[Path]:
    """The networks of a recipe that are there."""
    paths = (place(folder, recipe, number) for number in range(recipe.count))
    return [path for path in paths if path.exists()]


@cache
def task_of(family: str, source: str) -> Split:
    """What networks of a family are trained on."""
    if family == "lm":
        return text()
    found = pictures(source)
    if family == "mlp":
        return found
    parts = (found.first, found.second, found.held_out)
    return Split(*(part.halved() for part in parts if isinstance(part, Pictures)))


def make(folder: Path, names: list[str], sources: list[str]) -> None:
    """Train what is not there.

    Args:
        names: of recipes.
        sources: one or two sets of pictures.
    """
    for name in names:
        recipe = RECIPES[name]
        start, losses = time.process_time(), []
        for number in range(recipe.count):
            target = place(folder, recipe, number)
            if target.exists():
                continue
            task = task_of(recipe.family, sources[-1 if recipe.other else 0])
            torch.manual_seed(_SEEDS * (1 + list(RECIPES).index(name)) + number)
            shown = task.first if isinstance(task.first, Pictures) else None
            network = train(recipe.build(shown), task.first, recipe.training)
            losses.append(loss_of(network, task.held_out))
            write(target, tensors_of(network), config_of(network))
        if losses:
            taken = (time.process_time() - start) / len(losses)
            print(
                f"{name}: {len(losses)} networks, loss {min(losses):.3f} to {max(losses):.3f},"
                f" {taken:.1f} s of processor time each",
                file=sys.stderr,
                flush=True,
            )
