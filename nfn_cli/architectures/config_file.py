"""The configuration beside a checkpoint, as Hugging Face writes it. Nothing that it names is opened or run."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

from nfn_cli.checkpoints.printable import printable
from nfn_cli.errors import CheckpointError, shown
from nfn_cli.records import each_once, read_text

CONFIG_NAME = "config.json"
_LARGEST = 1 << 20  # bytes; large ones, with the names of thousands of classes, have 100 kB
_DEEPEST = 64
_LONGEST_NUMBER = 64  # characters; those of a whole number take time that grows with their square
_REMEDY = "repair it, or move it away"


def read_config(path: Path) -> dict[str, Any] | None:
    """What `config.json` says in the folder of a checkpoint.

    Args:
        path: of the checkpoint's file, of its index, or of the folder.

    Returns:
        Plain values; None if there is no such file.

    Raises:
        CheckpointError: it cannot be read, is not strict JSON with each name once, or no mapping.
    """
    config = (path if path.is_dir() else path.parent) / CONFIG_NAME
    if not os.path.lexists(config):
        return None
    try:
        text = read_text(config, _LARGEST)
        made: Any = json.loads(
            text, object_pairs_hook=each_once("gives"), parse_int=_whole, parse_float=_finite, parse_constant=_refused
        )
        _check_depth(made)
    except OSError as error:
        raise CheckpointError(config, f"cannot be read ({error.strerror})", "check its permissions") from error
    except UnicodeDecodeError as error:
        raise CheckpointError(config, "not in UTF-8", _REMEDY) from error
    except RecursionError as error:
        raise CheckpointError(config, f"nested more than {_DEEPEST} deep", _REMEDY) from error
    except ValueError as error:
        raise CheckpointError(config, f"no readable configuration ({printable(error)})", _REMEDY) from error
    if not isinstance(made, dict):
        raise CheckpointError(config, f"holds a {type(made).__name__} where names and values should be", _REMEDY)
    return made


def _whole(text: str) -> int:
    if len(text) > _LONGEST_NUMBER:
        raise ValueError(f"a number of {len(text):,} characters")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{shown(text)} is no number that is stated here")
    return value


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _check_depth(value: Any) -> None:
    waiting = [(value, 1)]
    while waiting:
        now, depth = waiting.pop()
        if depth > _DEEPEST:
            raise ValueError(f"nested more than {_DEEPEST} deep")
        parts = now.values() if isinstance(now, dict) else now if isinstance(now, list) else ()
        waiting += [(part, depth + 1) for part in parts]


class UnreadableConfigError(CheckpointError):
    """What lies beside a checkpoint as its configuration cannot be read."""


def config_beside(path: Path) -> dict[str, Any] | None:
    """The configuration beside a checkpoint, if it tells a kind of model.

    Raises:
        UnreadableConfigError: it cannot be read.
    """
    try:
        config = read_config(path)
    except CheckpointError as error:
        raise UnreadableConfigError(error.subject, error.cause, error.remedy) from error
    return config if config is not None and ("model_type" in config or "architecture" in config) else None
