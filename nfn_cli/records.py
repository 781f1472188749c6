"""Records that are text: YAML, as nfn reads and writes every such file, and small files.

A stranger may have written them: reading one takes time and memory that grow with its size, which is bounded, builds
plain values (text, numbers, truth values, None, lists, dictionaries), and runs nothing.

>>> parse_yaml("activation: relu\\nwidths: [16, 8]")
{'activation': 'relu', 'widths': [16, 8]}
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from nfn_cli.errors import shown

# Of one file. The largest that nfn writes are those of zoos, a line for each network that diverged; a head's has 2 kB.
LARGEST_YAML = 1 << 20  # bytes, and characters with what aliases stand for
_MOST_VALUES = 100_000  # with those that aliases stand for
_DEEPEST = 64
_LONGEST_NUMBER = 64  # characters; those of one in base 60 take time that grows with their square
# Dictionaries find whole numbers by their remainder by 2⁶¹ − 1: many of one remainder would be looked through in turn.
_LARGEST_KEY = 1 << 53

_TAG = "tag:yaml.org,2002:"
_MERGE = f"{_TAG}merge"
_TEXTS = {f"{_TAG}{name}" for name in ("str", "timestamp", "value")}
_NUMBERS = {f"{_TAG}{name}" for name in ("int", "float")}

# In C, where PyYAML was built with it: ten times as fast.
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Dumper(yaml.SafeDumper):
    """Writes a repeated list out in full, in place of a YAML reference such as `&id001`."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def read_yaml(path: Path) -> Any:
    """What a YAML file holds, in plain values; None if nothing.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is not such a file; with the cause in few words.
    """
    return parse_yaml(read_text(path, LARGEST_YAML))


def yaml_text(record: Mapping[str, Any]) -> str:
    """Plain values as YAML that `read_yaml` reads, in the order that they have."""
    return yaml.dump(dict(record), Dumper=_Dumper, sort_keys=False)


def read_text(path: Path, largest: int) -> str:
    """The text of a file of at most so many bytes.

    Raises:
        OSError: it is not there, or cannot be read.
        ValueError: it is no file, larger, or not in UTF-8.
    """
    with open(path, "rb", opener=_without_waiting) as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("not a regular file")
        content = file.read(largest + 1)
    if len(content) > largest:
        raise ValueError(f"larger than {largest:,} bytes")
    return content.decode("utf-8")


def parse_yaml(text: str) -> Any:
    """The plain values of a text that is one YAML document; None if it is empty.

    A date is the text that it is. An alias is what it stands for, and counts as that.

    Raises:
        ValueError: it is none, or one that no record of ours needs to be: too large or deep, with a name twice in one
            mapping, or with types other than the plain ones.
    """
    if text.startswith("%") or "\n%" in text or "\r%" in text:
        raise ValueError("it holds directives")  # each is compared with all before it
    try:
        loader = _Loader(text)
        try:
            return _Reading(loader).document()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        place = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise ValueError(f"{error.problem or error.context}{place}") from error
    except (yaml.YAMLError, RecursionError, OverflowError) as error:
        raise ValueError(shown(str(error))) from error


def _without_waiting(path: str, flags: int) -> int:
    # Opening a pipe would wait for a writer.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


@dataclass(frozen=True)
class _Value:
    """A value with how many it is made of, the characters in them, and how deep they lie."""

    value: Any
    count: int = 1
    characters: int = 0
    depth: int = 0


@dataclass
class _Open:
    """A list or a mapping that is being read; of a mapping, keys and values in turn."""

    anchor: str | None
    is_mapping: bool
    parts: list[_Value] = field(default_factory=list)


class _Merge:
    """The key `<<`: what it leads to belongs to the mapping that it is in."""


class _Reading:
    """Builds values from the events of a loader, so that nothing is built that is not wanted.

    All that aliases stand for is counted where they stand: a value's text is never longer than the bounds.
    """

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._anchors: dict[str, _Value] = {}
        self._open: list[_Open] = []
        self._count = self._characters = 0

    def document(self) -> Any:
        """The value of the only document."""
        found: list[Any] = []
        while (event := self._loader.get_event()) is not None:
            if isinstance(event, yaml.DocumentStartEvent) and found:
                raise ValueError("it holds more than one document")
            if isinstance(event, yaml.SequenceStartEvent | yaml.MappingStartEvent):
                self._begin(event)
                continue
            if isinstance(event, yaml.SequenceEndEvent | yaml.MappingEndEvent):
                anchor, value = self._end()
            elif isinstance(event, yaml.ScalarEvent):
                anchor, value = event.anchor, _Value(self._scalar(event), characters=len(event.value))
                self._add(value)
            elif isinstance(event, yaml.AliasEvent):
                anchor, value = None, self._named(event.anchor)
                self._add(value)
            else:
                continue
            if anchor is not None:
                self._anchors[anchor] = value
            if self._open:
                self._open[-1].parts.append(value)
            else:
                found.append(value.value)
        return found[0] if found else None

    def _begin(self, event: Any) -> None:
        is_mapping = isinstance(event, yaml.MappingStartEvent)
        if event.tag not in (None, "!", f"{_TAG}{'map' if is_mapping else 'seq'}"):
            raise ValueError(f"the type {shown(event.tag)} is none that is read")
        self._open.append(_Open(event.anchor, is_mapping))
        if len(self._open) > _DEEPEST:
            raise ValueError(f"nested more than {_DEEPEST} deep")
        self._add(_Value(None))

    def _end(self) -> tuple[str | None, _Value]:
        now = self._open.pop()
        count, characters, depth = 1, 0, 0
        for part in now.parts:
            count, characters, depth = count + part.count, characters + part.characters, max(depth, part.depth)
        if len(self._open) + depth + 1 > _DEEPEST:
            raise ValueError(f"nested more than {_DEEPEST} deep")
        values = [part.value for part in now.parts]
        made: Any = _mapping(values[::2], values[1::2]) if now.is_mapping else values
        return now.anchor, _Value(made, count, characters, depth + 1)

    def _named(self, anchor: str | None) -> _Value:
        found = self._anchors.get(anchor or "")
        if found is None:
            raise ValueError(f"the alias {shown(anchor)} stands for nothing before it")
        return found

    def _add(self, value: _Value) -> None:
        self._count += value.count
        self._characters += value.characters
        if self._count > _MOST_VALUES or self._characters > LARGEST_YAML:
            raise ValueError(f"it stands for more than {_MOST_VALUES:,} values or {LARGEST_YAML:,} characters")

    def _scalar(self, event: Any) -> Any:
        tag = event.tag
        if tag in (None, "!"):
            implicit = event.implicit if tag is None else (False, True)
            tag = self._loader.resolve(yaml.ScalarNode, event.value, implicit)
        if tag in _TEXTS:
            return event.value
        if tag in _NUMBERS and len(event.value) > _LONGEST_NUMBER:
            raise ValueError(f"a number of {len(event.value):,} characters")
        node = yaml.ScalarNode(tag, event.value)
        try:
            if tag == f"{_TAG}int":
                return self._loader.construct_yaml_int(node)
            if tag == f"{_TAG}float":
                return self._loader.construct_yaml_float(node)
            if tag == f"{_TAG}bool":
                return self._loader.construct_yaml_bool(node)
        except (ValueError, LookupError, OverflowError) as error:  # also from a stated type
            raise ValueError(f"{shown(event.value)} is not of the type {shown(tag)}") from error
        if tag == f"{_TAG}null":
            return None
        if tag == _MERGE:
            return _Merge
        raise ValueError(f"the type {shown(tag)} is none that is read")


def _mapping(keys: list[Any], values: list[Any]) -> dict[Any, Any]:
    made: dict[Any, Any] = {}
    merged: dict[Any, Any] = {}
    for key, value in zip(keys, values, strict=True):
        if key is _Merge:
            others = value if isinstance(value, list) else [value]
            if merged or not all(isinstance(other, dict) for other in others):
                raise ValueError("<< leads to no mapping, or stands twice in one")
            for other in reversed(others):
                merged.update(other)
            continue
        if isinstance(key, list | dict) or (isinstance(key, int) and abs(key) > _LARGEST_KEY):
            raise ValueError(f"{shown(key)} is no name")
        if key in made:
            raise ValueError(f"it gives {shown(key)} twice")
        made[key] = value
    return merged | made


def each_once(says: str) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    """A hook for `json.loads`, which would take the last of two values of one name; which one is meant is unknown.

    Args:
        says: what a file does, in the message: `lists` or `gives`.

    Raises:
        ValueError: by the hook, a name stands twice.
    """

    def hook(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        record: dict[str, Any] = {}
        for name, value in pairs:
            if name in record:
                raise ValueError(f"it {says} {shown(name)} twice")
            record[name] = value
        return record

    return hook
