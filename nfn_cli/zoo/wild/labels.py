"""`labels.csv` of a zoo of wild classifiers: one row a checkpoint, with its accuracy, task, family and recipe."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from nfn_cli.zoo.labels import parsed_rows, typed_cells, write_table
from nfn_cli.zoo.wild.training_recipe import TrainingRecipe


@dataclass(frozen=True)
class WildRow:
    """One checkpoint.

    Attributes:
        file: below the zoo's folder.
        run: of which it is a checkpoint.
        epoch: behind which it was saved.
        task: what it was tested on, such as `mnist/pair`.
        family: of its architecture.
        parameters: how many numbers were learned.
        test_accuracy, train_accuracy: shares.
        even_accuracy, odd_accuracy: of the test images at even and at odd places. How far they agree over networks
            bounds what any prediction can reach.
        test_loss: mean cross entropy, in nats.
        images, epochs, optimizer, learning_rate, noise, augmentation: of the recipe.
    """

    file: str
    run: int
    epoch: int
    task: str
    family: str
    parameters: int
    test_accuracy: float
    even_accuracy: float
    odd_accuracy: float
    train_accuracy: float
    test_loss: float
    images: int
    epochs: int
    optimizer: str
    learning_rate: float
    noise: float
    augmentation: str


_OF_RECIPE = ("images", "epochs", "optimizer", "learning_rate", "noise", "augmentation")


def of_recipe(recipe: TrainingRecipe) -> dict[str, Any]:
    """The columns that a recipe gives."""
    return {name: getattr(recipe, name) for name in _OF_RECIPE}


def write_wild_rows(folder: Path, rows: Sequence[WildRow]) -> None:
    """Write `labels.csv` in a folder, replacing it in one step."""
    write_table(folder, [field.name for field in fields(WildRow)], map(asdict, rows))


def read_wild_rows(path: Path) -> list[WildRow]:
    """Read what `write_wild_rows` wrote.

    Raises:
        DataError: the file is unreadable, or a row is not one of such a zoo.
    """
    return parsed_rows(path, lambda row: WildRow(**typed_cells(WildRow, row)), "a zoo of wild classifiers")
