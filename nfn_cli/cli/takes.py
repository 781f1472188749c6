"""A command's options, written once as a dataclass and handed over as one value."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields, is_dataclass
from enum import Enum
from functools import wraps
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

import typer

_NAMES_OF_VALUES = {int: "N", float: "X", Path: "PATH", str: "TEXT"}
LONGEST_CHOICES = 18


@dataclass(frozen=True)
class Hidden:
    """Beside an option in `Annotated`: names that it answers to as well, and that no help shows."""

    names: tuple[str, ...]

    def __init__(self, *names: str) -> None:
        object.__setattr__(self, "names", names)


@dataclass(frozen=True)
class TwoNumbers:
    """Beside an option in `Annotated`: `--size 28 28` is read as `--size 28x28`."""


def option(panel: str, help: str, *names: str, **settings: Any) -> Any:
    """An option that the help shows under the heading `panel`.

    Args:
        names: by default the field's own. settings: as `typer.Option` takes them.
    """
    return typer.Option(*names, help=help, rich_help_panel=panel, **settings)


def argument(metavar: str, help: str, **settings: Any) -> Any:
    """An argument, shown as `metavar`."""
    return typer.Argument(metavar=metavar, help=help, show_default=False, **settings)


def takes(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose parameters of dataclasses are expanded: each field is an option, as its annotation says.

    >>> from dataclasses import make_dataclass
    >>> from typing import Annotated
    >>> Where = make_dataclass("Where", [("output", Annotated[Path, option("Output", "File to write.")])])
    >>> @takes
    ... def write(where: Where, often: int = 1) -> None:
    ...     print(where.output, often)
    >>> write(output=Path("a.csv"), often=2)
    a.csv 2
    """
    expanded: dict[str, type] = {}
    parameters: list[inspect.Parameter] = []
    hints = get_type_hints(command, include_extras=True)
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if isinstance(kind, type) and is_dataclass(kind):
            expanded[parameter.name] = kind
            parameters += _parameters_of(kind)
        else:
            parameters.append(
                parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=_with_metavar(kind, parameter.name))
            )

    @wraps(command)
    def call(**values: Any) -> None:
        made = {
            name: kind(**{field.name: values.pop(field.name) for field in fields(kind)})  # type: ignore[arg-type]
            for name, kind in expanded.items()
        }
        command(**made, **values)

    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call


def beside(command: Callable[..., None] | None, kind: type) -> dict[str, Any]:
    """What stands beside a command's options in `Annotated`, of one kind such as `Hidden`, by the option's name."""
    annotations = getattr(command, "__annotations__", {})
    return {
        name: extra
        for name, annotation in annotations.items()
        for extra in getattr(annotation, "__metadata__", ())
        if isinstance(extra, kind)
    }


def _parameters_of(kind: type) -> Iterator[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    for field in fields(kind):  # type: ignore[arg-type]
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        annotation = _with_metavar(hints[field.name], field.name)
        yield inspect.Parameter(field.name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


def _with_metavar(annotation: Any, name: str) -> Any:
    """The annotation, whose option says what it takes in plain words (`N`, `PATH`) unless it does already."""
    for extra in getattr(annotation, "__metadata__", ()):
        if isinstance(extra, typer.models.OptionInfo) and extra.metavar is None:
            extra.metavar = _metavar(get_args(annotation)[0], name)
    return annotation


def _metavar(kind: Any, name: str) -> str | None:
    own = plain_type(kind)
    if own is bool:
        return None
    if choices := choices_of(kind):
        joined = "|".join(choices)
        return joined if len(joined) <= LONGEST_CHOICES else "CHOICE"
    return _NAMES_OF_VALUES[own]


def plain_type(kind: Any) -> Any:
    """Of `int | None`, `list[int]` and their like: `int`."""
    while get_origin(kind) is not None:
        kind = next(own for own in get_args(kind) if own is not type(None))
    return kind


def choices_of(kind: Any) -> tuple[str, ...]:
    """What may be chosen, of an option whose values are an enum's."""
    own = plain_type(kind)
    return tuple(str(choice.value) for choice in own) if isinstance(own, type) and issubclass(own, Enum) else ()
