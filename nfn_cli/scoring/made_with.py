"""What rows were made with, in one text that stands in each of them: a later run knows whether it would make the same.

>>> difference("head=a@1f dtype=float32", "head=a@2e dtype=float32 activation=relu")
'head a@1f and not a@2e, no activation and not relu'
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

from nfn_cli.nn import contents_of, folder_of_head
from nfn_cli.nn.choose import asked_heads
from nfn_cli.nn.tasks import RowTask
from nfn_cli.scoring.work import EngineSettings

# Of a digest; enough to tell one head from another.
_DIGITS = 12
_AUTOMATIC = "shipped"


def made_with(task: RowTask[Any], settings: EngineSettings) -> str:
    """The head with a hash of its contents, and every setting that changes rows, such as `head=a@1f dtype=float32`.

    Where no head was named it is a hash over all that may be chosen: another one among them may choose another.
    How the work is done (device, batches, processes, engine) is left out: it moves the last digit at most.

    Raises:
        HeadError: there is no such head.
    """
    facts = {"head": _head(task, settings.head), "dtype": settings.dtype}
    if settings.activation is not None:
        facts["activation"] = settings.activation
    if settings.model is not None:
        facts["model"] = _model(settings.model)
    if settings.input_shape is not None:
        facts["input_shape"] = "x".join(map(str, settings.input_shape))
    facts |= task.options()
    return " ".join(f"{name}={quote(value, safe='@')}" for name, value in facts.items())


def difference(old: str, new: str) -> str:
    """What rows were made with that would be made otherwise now, in words."""
    before, now = _facts(old), _facts(new)
    return ", ".join(
        f"{_named(name, before)} and not {now.get(name, f'no {name}')}"
        for name in dict.fromkeys([*now, *before])
        if before.get(name) != now.get(name)
    )


def _head(task: RowTask[Any], named: str | None) -> str:
    if named is not None:
        folder = folder_of_head(named)
        return f"{folder.resolve().name}@{contents_of(folder)[:_DIGITS]}"
    all_of_them = hashlib.sha256()
    for name in asked_heads(task):
        all_of_them.update(f"{name}@{contents_of(folder_of_head(name))}\n".encode())
    return f"{_AUTOMATIC}@{all_of_them.hexdigest()[:_DIGITS]}"


def _model(spec: str) -> str:
    """The user's module, with a hash of its file."""
    path = Path(spec.rpartition(":")[0])
    contents = path.read_bytes() if path.is_file() else b""
    return f"{spec}@{hashlib.sha256(contents).hexdigest()[:_DIGITS]}" if contents else spec


def _facts(text: str) -> Mapping[str, str]:
    pairs = (part.partition("=") for part in text.split())
    return {name: unquote(value) for name, _, value in pairs}


def _named(name: str, facts: Mapping[str, str]) -> str:
    return f"{name} {facts[name]}" if name in facts else f"no {name}"
