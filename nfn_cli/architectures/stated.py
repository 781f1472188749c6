"""What is stated of a network: by the caller, by a sidecar beside its file or for its folder, or by the file itself.

A fact is taken from the first of these places that has it. A sidecar is YAML: `model.safetensors.yaml` or `model.yaml`
for one file, `nfn.yaml` for all files of its folder.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError, shown
from nfn_cli.records import read_yaml

Source = Literal["option", "sidecar", "metadata", "found", "assumed"]

FOLDER_SIDECAR = "nfn.yaml"
FREQUENCIES = ("omega_0", "first_omega_0", "hidden_omega_0", "w0_initial", "w0")
_KNOWN = ("activation", *FREQUENCIES, "pool", "value_range", "chain", "prefix", "entry")
_MOST_FACTS = 1_000
_SUCH = {"activation": "relu", "prefix": "actor.", "entry": "actor"}


@dataclass(frozen=True)
class Stated:
    """What the caller says of networks, over what sidecars and files say.

    Attributes:
        activation, pool: names.
        omega_0: frequencies of sines: one for all layers, or one a layer but the last.
        chain: the layers are one plain chain, whatever else they may seem to be.
        prefix: of the names of one network's tensors; the rest of the file belongs to others.
        entry: of a PyTorch file, the name of the state dict to read.
        strict: refuse what is only recognised by names and shapes.
    """

    activation: str | None = None
    pool: str | None = None
    omega_0: tuple[float, ...] = ()
    chain: bool = False
    prefix: str | None = None
    entry: str | None = None
    strict: bool = False

    @classmethod
    def of(
        cls,
        activation: str | None = None,
        pool: str | None = None,
        omega_0: float | Sequence[float] | None = None,
        chain: bool = False,
        prefix: str | None = None,
    ) -> Stated:
        """What a Python program says, where one frequency may be a number."""
        omegas = () if omega_0 is None else tuple(omega_0) if isinstance(omega_0, Sequence) else (float(omega_0),)
        return cls(activation, pool, omegas, chain, prefix)

    def and_of(self, activation: str | None, pool: str | None) -> Stated:
        """The same with another activation and pooling, where they are not None."""
        stated = self if activation is None else replace(self, activation=activation)
        return stated if pool is None else replace(stated, pool=pool)


@dataclass(frozen=True)
class Fact:
    """A fact, where it stands, and what that place is called."""

    value: Any
    place: str
    source: Source


@dataclass(frozen=True)
class Facts:
    """All that sidecars and the file tell, the nearest place first."""

    places: tuple[Mapping[str, Fact], ...]

    def get(self, key: str) -> Fact | None:
        """The fact of the first place that has it. A fact of null is none."""
        return next((place[key] for place in self.places if key in place), None)

    def first_with(self, keys: tuple[str, ...]) -> Mapping[str, Fact]:
        """All facts of the first place that has any of these."""
        return next((place for place in self.places if any(key in place for key in keys)), {})


def gather_facts(checkpoint: Checkpoint) -> Facts:
    """What the sidecars of a checkpoint and its metadata tell. One in memory has none beside it.

    Raises:
        ArchitectureError: an unreadable sidecar.
    """
    places = (
        []
        if checkpoint.format == "memory"
        else [_facts(stated, str(path), "sidecar") for path, stated in sidecars(checkpoint.path)]
    )
    return Facts((*places, _facts(checkpoint.metadata, str(checkpoint.path), "metadata")))


def sidecars(path: Path) -> list[tuple[Path, dict[str, Any]]]:
    """The sidecar of a file, and then that of its folder, each with its known facts.

    Raises:
        ArchitectureError: one that is not readable.
    """
    own = next((p for p in (path.with_name(f"{path.name}.yaml"), path.with_suffix(".yaml")) if os.path.isfile(p)), None)
    folder = path.with_name(FOLDER_SIDECAR)
    found = [] if own is None else [own]
    if folder != own and os.path.isfile(folder):
        found.append(folder)
    return [(sidecar, _read_once(sidecar, os.stat(sidecar).st_mtime_ns)) for sidecar in found]


def stated_entry(path: Path) -> str | None:
    """The entry of a PyTorch file that a sidecar names, before the file is read.

    Raises:
        ArchitectureError: an unreadable sidecar, or an entry that is no name.
    """
    for sidecar, stated in sidecars(path):
        if (value := stated.get("entry")) is not None:
            return text_fact("entry", Fact(value, str(sidecar), "sidecar"))
    return None


def text_fact(key: str, fact: Fact) -> str:
    """The value of a fact that is a text.

    Raises:
        ArchitectureError: it is none.
    """
    if not isinstance(fact.value, str) or not fact.value:
        raise ArchitectureError(fact.place, f"{key} is {shown(fact.value)}", f"name it, such as `{key}: {_SUCH[key]}`")
    return fact.value


def truth_fact(key: str, fact: Fact) -> bool:
    """The value of a fact that is true or false.

    Raises:
        ArchitectureError: it is neither.
    """
    value = {"true": True, "false": False}.get(str(fact.value).lower())
    if value is None:
        raise ArchitectureError(fact.place, f"{key} is {shown(fact.value)}", f"write `{key}: true` or leave it out")
    return value


def _facts(stated: Mapping[str, Any], place: str, source: Source) -> dict[str, Fact]:
    return {key: Fact(value, place, source) for key, value in stated.items() if value is not None}


@lru_cache(maxsize=64)
def _read_once(path: Path, modified: int) -> dict[str, Any]:
    """A sidecar, which is asked for twice a file, and a folder's with every file of it; `modified` tells its state."""
    return _read(path)


def _read(path: Path) -> dict[str, Any]:
    try:
        facts = read_yaml(path)
    except (OSError, ValueError) as error:
        raise ArchitectureError(path, f"not readable YAML ({error})", "mend or remove it") from error
    if not isinstance(facts, dict):
        raise ArchitectureError(path, "holds no facts", "write lines such as `activation: relu`")
    _require_known(path, facts)
    return {key: facts[key] for key in _KNOWN if key in facts}


def _require_known(path: Path, facts: Mapping[Any, Any]) -> None:
    """Check that no key of a sidecar is a misspelt one; a file of one network's own name may hold other things, too."""
    for key in facts:
        if key in _KNOWN:
            continue
        # Comparing takes time, and such a large file is none of facts.
        alike = difflib.get_close_matches(str(key), _KNOWN, n=1, cutoff=0.8) if len(facts) <= _MOST_FACTS else []
        if alike or path.name == FOLDER_SIDECAR:
            remedy = f"write {alike[0]}" if alike else f"write one of: {', '.join(_KNOWN)}"
            raise ArchitectureError(path, f"{shown(key)} is no fact that nfn knows", remedy)
