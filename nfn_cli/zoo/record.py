"""What a zoo's folder says of itself: its settings or its origin in `zoo.yaml`, and which of its runs are finished."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Generic

from nfn_cli.checkpoints import write_text_atomically
from nfn_cli.errors import DataError
from nfn_cli.records import read_yaml as read_yaml_file
from nfn_cli.records import yaml_text
from nfn_cli.zoo.labels import LABELS_FILE
from nfn_cli.zoo.recipe import Recipe, Row, Run
from nfn_cli.zoo.settings import ZooSettingsBase
from nfn_cli.zoo.small_cnn_recipe import ZooSettings

SETTINGS_FILE = "zoo.yaml"
# What stands under `recipe` where the networks were trained elsewhere.
_IMPORTED = "imported"
# What YAML makes of the settings' types.
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "int | None": (int, type(None)),
}


@dataclass(frozen=True)
class ZooState(Generic[Run, Row]):
    """What a folder holds: the rows of finished runs, which runs diverged, and all that need not be made any more."""

    rows: list[Row] = field(default_factory=list)
    diverged: frozenset[Run] = frozenset()
    finished: frozenset[Run] = frozenset()


def write_record(folder: Path, settings: ZooSettingsBase, diverged: Collection[Any]) -> None:
    """Write `zoo.yaml` in `folder`, replacing it in one step."""
    runs = [list(run) if isinstance(run, tuple) else run for run in sorted(diverged)]
    _write(folder, {"recipe": settings.recipe, **settings.record(), "diverged": runs})


def write_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    """Write `zoo.yaml` of a zoo that was imported: where its networks come from, and which were chosen."""
    _write(folder, {"recipe": _IMPORTED, **origin})


def read_record(folder: Path, kind: type[ZooSettingsBase] = ZooSettings) -> dict[str, Any] | None:
    """`zoo.yaml` of a zoo that was generated, None where there is none, or it is of another kind or imported.

    Args:
        kind: the settings of the kind of zoo.

    Raises:
        DataError: it is damaged.
    """
    record = read_yaml(folder)
    return _checked(folder, record, kind) if record is not None and _recipe(record) == kind.recipe else None


def recipe_of(folder: Path) -> str | None:
    """The recipe that a zoo's networks were trained by: `small-cnn`, an imported zoo's title, or None.

    Raises:
        DataError: `zoo.yaml` is unreadable.
    """
    record = read_yaml(folder)
    if not isinstance(record, dict):
        return None
    name = record.get("source" if record.get("recipe") == _IMPORTED else "recipe")
    return name if isinstance(name, str) else None


def read_state(folder: Path, recipe: Recipe[Run, Any, Row, Any]) -> ZooState[Run, Row]:
    """What `folder` holds of the zoo of a recipe.

    Raises:
        DataError: the folder holds another zoo, a larger one, or damaged records.
    """
    record, labels, kind = read_yaml(folder), folder / LABELS_FILE, type(recipe.settings)
    if record is None:
        if os.path.exists(labels):
            raise DataError(folder, f"holds a {LABELS_FILE} but no {SETTINGS_FILE}", "choose an empty folder")
        return ZooState()
    if (name := _recipe(record)) != kind.recipe:
        what = "an imported zoo" if name == _IMPORTED else "another kind of zoo"
        raise DataError(folder, f"holds {what}", "choose another folder")
    record = _checked(folder, record, kind)
    wanted = recipe.settings.record()
    changed = [name for name, value in wanted.items() if name not in kind.growing and record[name] != value]
    if changed:
        raise DataError(folder, f"holds a zoo of another {', '.join(changed)}", "choose another folder")
    try:
        diverged = frozenset(recipe.diverged_run(run) for run in record["diverged"])
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise _damaged(folder) from error
    rows = recipe.read_rows(labels) if os.path.exists(labels) else []
    rows = recipe.whole(folder, rows, diverged)
    return ZooState(rows, diverged, diverged.union(map(recipe.run_of, rows)))


def read_yaml(folder: Path) -> Any:
    """What `zoo.yaml` of a folder holds, None where there is none.

    Raises:
        DataError: it is unreadable.
    """
    path = folder / SETTINGS_FILE
    try:
        record = read_yaml_file(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError) as error:
        raise DataError(path, f"not a readable zoo record ({error})", "restore it, or remove it") from error
    return {} if record is None else record  # an empty file is a damaged one


def _write(folder: Path, record: Mapping[str, Any]) -> None:
    write_text_atomically(folder / SETTINGS_FILE, yaml_text(record), overwrite=True)


def _recipe(record: Any) -> Any:
    """What a record says under `recipe`; the first recipe where it says nothing."""
    return record.get("recipe", ZooSettings.recipe) if isinstance(record, dict) else ZooSettings.recipe


def _checked(folder: Path, record: Any, kind: type[ZooSettingsBase]) -> dict[str, Any]:
    """The record, with what older ones do not say.

    Raises:
        DataError: a setting is missing, or of another type.
    """
    whole = {**kind.unsaid, **record} if isinstance(record, dict) else {}
    if not all(_is(whole.get(own.name, ...), str(own.type)) for own in fields(kind)):  # type: ignore[arg-type]
        raise _damaged(folder)
    return whole


def _is(value: Any, kind: str) -> bool:
    """Whether YAML makes such a value of a setting's type."""
    if kind == "tuple[int, ...]":
        return isinstance(value, list) and bool(value) and all(type(number) is int for number in value)
    return type(value) in _TYPES[kind]


def _damaged(folder: Path) -> DataError:
    return DataError(folder / SETTINGS_FILE, "not a zoo's record", "restore it, or remove it")
