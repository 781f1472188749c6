"""A command on the CPU and on another device, and whether both say the same."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from nfn_cli.checkpoints import POPULATION_KEY

TESTS = Path(__file__).parents[1]
POPULATION = TESTS / "population"
PART = "part-00000.safetensors"
GPU = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else None

# float32 sums of another order, through heads of a few layers; and what convolutions by TensorFloat-32 leave.
CLOSE = 2e-3
# Measures that count networks, or sort them: one of some hundred may change sides.
MEASURES = 2e-2

Nfn = Callable[..., Any]


def numbers(value: Any) -> list[float]:
    """All numbers of a report, but for times."""
    if isinstance(value, dict):
        return [number for name, own in sorted(value.items()) if name != "seconds" for number in numbers(own)]
    if isinstance(value, list):
        return [number for own in value for number in numbers(own)]
    return [float(value)] if isinstance(value, int | float) and not isinstance(value, bool) else []


def shapes(value: Any) -> Any:
    """The same without its numbers."""
    if isinstance(value, dict):
        return {name: shapes(own) for name, own in value.items()}
    if isinstance(value, list):
        return [shapes(own) for own in value]
    return None if isinstance(value, int | float) else value


def both(nfn: Nfn, device: str, *arguments: object) -> tuple[Any, Any]:
    """The JSON of a command on the CPU and on a device."""
    found = []
    for own in ("cpu", device):
        finished = nfn(*arguments, "--format", "json", "--device", own)
        assert finished.code == 0, finished.err
        found.append(json.loads(finished.out))
    return found[0], found[1]


def assert_alike(first: Any, second: Any, close: float = CLOSE) -> None:
    """Two reports that say the same, with numbers that are equal but for rounding."""
    assert shapes(first) == shapes(second)
    assert numbers(first), "a report without a number"
    assert numbers(first) == pytest.approx(numbers(second), abs=close, rel=close)


def assert_tensors_alike(first: Path, second: Path, close: float = CLOSE) -> None:
    """Two files whose tensors are equal but for rounding, each relative to its largest number."""
    one, other = load_file(first), load_file(second)
    assert one.keys() == other.keys() and one
    for name, tensor in one.items():
        assert (other[name] - tensor).abs().max() <= close * (1 + tensor.abs().max()), name


def part_of(source: Path, folder: Path, count: int, rename: Callable[[dict[str, str]], None] | None = None) -> Path:
    """The first networks of a packed population of the tests, as one of its own.

    Args:
        rename: changes a row of the table in place.
    """
    folder.mkdir()
    with (source / "labels.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:count]
    for row in rows:
        if rename is not None:
            rename(row)
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    tensors = {name: tensor[:count] for name, tensor in load_file(source / PART).items()}
    with safe_open(source / PART, "pt") as opened:
        metadata = dict(opened.metadata())
    metadata[POPULATION_KEY] = str(count)
    save_file(tensors, folder / PART, metadata)
    return folder
