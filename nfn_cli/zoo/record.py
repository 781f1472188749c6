"""What a zoo's folder says of itself: its settings or its origin in `zoo.yaml`, and which of its runs are finished."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from nfn_cli.checkpoints import write_text_atomically
from nfn_cli.errors import DataError
from nfn_cli.records import read_yaml as read_yaml_file
from nfn_cli.records import yaml_text
from nfn_cli.zoo.hyperparameters import SCHEDULES
from nfn_cli.zoo.labels import LABELS_FILE, ZooRow, read_zoo_rows
from nfn_cli.zoo.small_cnn import WIDTH

SETTINGS_FILE = "zoo.yaml"
# What stands under `recipe` where the networks were trained elsewhere.
_IMPORTED = "imported"
_OTHERS = ("siren",)
# What older records do not say.
_SINCE: dict[str, Any] = {"width": WIDTH, "schedule": SCHEDULES[0]}


def part_name(number: int) -> str:
    """The packed file of this number in a zoo."""
    return f"part-{number:05d}.safetensors"


@dataclass(frozen=True)
class ZooSettings:
    """What a zoo is made of. Two sittings with the same settings add up; `count` alone may grow between them."""

    data: str
    activation: str
    count: int
    seed: int = 0
    epochs: tuple[int, ...] = (1, 2, 4, 8)
    batch_size: int = 64
    image_limit: int | None = None
    packed: bool = False
    precision: str = "bfloat16"
    width: int = WIDTH
    schedule: str = SCHEDULES[0]


@dataclass(frozen=True)
class ZooState:
    """What a folder holds: the rows of finished runs, and which runs diverged."""

    rows: list[ZooRow] = field(default_factory=list)
    diverged: frozenset[int] = frozenset()

    @property
    def finished(self) -> frozenset[int]:
        """Runs that need no training any more."""
        return self.diverged.union(row.hyperparameters.run for row in self.rows)


def write_record(folder: Path, settings: ZooSettings, diverged: Iterable[int]) -> None:
    """Write `zoo.yaml` in `folder`, replacing it in one step."""
    record = {
        "recipe": "small-cnn",
        **_comparable(settings),
        "count": settings.count,
        "diverged": sorted(diverged),
    }
    write_text_atomically(folder / SETTINGS_FILE, yaml_text(record), overwrite=True)


def write_origin(folder: Path, origin: Mapping[str, Any]) -> None:
    """Write `zoo.yaml` of a zoo that was imported: where its networks come from, and which were chosen."""
    record = {"recipe": _IMPORTED, **origin}
    write_text_atomically(folder / SETTINGS_FILE, yaml_text(record), overwrite=True)


def read_record(folder: Path) -> dict[str, Any] | None:
    """`zoo.yaml` of a zoo of CNNs, None where there is none, the zoo was imported, or it is of another recipe.

    Raises:
        DataError: it is damaged.
    """
    record = read_yaml(folder)
    if record is None or _is_other(record):
        return None
    if not _is_record(record):
        raise DataError(folder / SETTINGS_FILE, "not a zoo's record", "restore it, or remove it")
    return _SINCE | record


def recipe_of(folder: Path) -> str | None:
    """The recipe that a zoo's networks were trained by: `small-cnn`, an imported zoo's title, or None.

    Raises:
        DataError: `zoo.yaml` is unreadable.
    """
    record = read_yaml(folder)
    told = record.get("source" if _is_imported(record) else "recipe") if isinstance(record, dict) else None
    return told if isinstance(told, str) else None


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


def _is_imported(record: Any) -> bool:
    return isinstance(record, dict) and record.get("recipe") == _IMPORTED


def _is_other(record: Any) -> bool:
    """Whether it is a zoo's of another recipe than that of CNNs."""
    return isinstance(record, dict) and record.get("recipe") in (_IMPORTED, *_OTHERS)


def _is_record(record: Any) -> bool:
    return (
        isinstance(record, dict)
        and {field.name for field in fields(ZooSettings)} <= set(_SINCE | record)
        and isinstance(record["count"], int)
        and isinstance(record["epochs"], list)
        and isinstance(record.get("diverged"), list)
        and all(isinstance(number, int) for number in record["epochs"] + record["diverged"])
        and bool(record["epochs"])
    )


def read_state(folder: Path, settings: ZooSettings) -> ZooState:
    """What `folder` holds of the zoo of `settings`.

    A run some of whose rows are missing, and which did not diverge, counts as not begun.

    Raises:
        DataError: the folder holds another zoo, a larger one, or damaged records.
    """
    if _is_imported(read_yaml(folder)):
        raise DataError(folder, "holds an imported zoo", "choose another folder")
    if _is_other(read_yaml(folder)):
        raise DataError(folder, "holds another kind of zoo", "choose another folder")
    record = read_record(folder)
    if record is None:
        if (folder / LABELS_FILE).exists():
            raise DataError(folder, f"holds a {LABELS_FILE} but no {SETTINGS_FILE}", "choose an empty folder")
        return ZooState()
    changed = [name for name, value in _comparable(settings).items() if record[name] != value]
    if changed:
        raise DataError(folder, f"holds a zoo of another {', '.join(changed)}", "choose another folder")
    diverged = frozenset(record["diverged"])
    rows = read_zoo_rows(folder / LABELS_FILE) if (folder / LABELS_FILE).exists() else []
    saved = Counter(row.hyperparameters.run for row in rows)
    whole = diverged.union(run for run, checkpoints in saved.items() if checkpoints == len(settings.epochs))
    state = ZooState([row for row in rows if row.hyperparameters.run in whole], diverged)
    last = max(state.finished, default=-1)
    if last >= settings.count:
        raise DataError(folder, f"holds run {last} of a larger zoo", f"give a --count of at least {last + 1}")
    return state


def _comparable(settings: ZooSettings) -> dict[str, Any]:
    """The settings that two sittings of one zoo must share."""
    return {
        "data": Path(settings.data).name,
        "activation": settings.activation,
        "seed": settings.seed,
        "epochs": list(settings.epochs),
        "batch_size": settings.batch_size,
        "image_limit": settings.image_limit,
        "packed": settings.packed,
        "precision": settings.precision,
        "width": settings.width,
        "schedule": settings.schedule,
    }
