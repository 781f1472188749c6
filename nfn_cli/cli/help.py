"""How help looks: plain text as wide as the terminal, options under headings, examples."""

from __future__ import annotations

import os
import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import typer

from nfn_cli.cli.options import FIT, HEAD, INPUT, MEASURE, OUTPUT, READING, SPEED
from nfn_cli.cli.takes import LONGEST_CHOICES, choices_of

AnyCommand: TypeAlias = Any  # Click's, of which Typer has a copy of its own or not
Sections: TypeAlias = Mapping[str, Sequence[tuple[str, str]]]  # by their headings, names and what they mean

_INDENT = "  "
_WIDEST_NAMES = 28
_EXAMPLES = "Examples:"
_OTHER = "Other"
# Headings of options in the order in which they are shown; a command's own come between the two parts.
_FIRST = ("Arguments", INPUT, READING, HEAD)
_LAST = (FIT, MEASURE, OUTPUT, SPEED, _OTHER)
_SHORT_NOTE = re.compile(r"\[[^]]{1,30}\]$")  # is not broken between lines
_GLUE = "\0"
_LARGE = 1_000_000  # a bound that need not be shown


def summary_and_rest(text: str) -> tuple[str, str, list[str]]:
    """A docstring's first paragraph, the others, and its examples, a line each.

    >>> summary_and_rest("Do it.\\n\\nSlowly.\\n\\nExamples:\\n    nfn do it")
    ('Do it.', 'Slowly.', ['nfn do it'])
    """
    prose, _, examples = text.partition(_EXAMPLES)
    summary, _, rest = prose.strip().partition("\n\n")
    return " ".join(summary.split()), rest.strip(), [line.strip() for line in examples.splitlines() if line.strip()]


def usage_of(command: AnyCommand, ctx: Any) -> str:
    """Such as `nfn verify [OPTIONS] A [B]`."""
    pieces = [ctx.command_path, "[OPTIONS]"]
    for param in command.params:
        if param.param_type_name == "argument":
            name = f"{_value(param)}..." if param.nargs == -1 else _value(param)
            pieces.append(name if param.required else f"[{name}]")
    if hasattr(command, "commands"):
        pieces.append("COMMAND ...")
    return " ".join(pieces)


def options_of(command: AnyCommand, ctx: Any) -> Sections:
    """The arguments, and the options by their headings."""
    first: dict[str, list[tuple[str, str]]] = {heading: [] for heading in _FIRST}
    last: dict[str, list[tuple[str, str]]] = {heading: [] for heading in _LAST}
    annotations = getattr(command.callback, "__annotations__", {})
    for param in command.get_params(ctx):
        if getattr(param, "hidden", False):
            continue
        if param.param_type_name == "argument":
            first["Arguments"].append((_value(param), param.help or ""))
            continue
        panel = getattr(param, "rich_help_panel", None) or _OTHER
        rows = last[panel] if panel in last else first.setdefault(panel, [])
        rows.append((_names(param), _meaning(param, annotations.get(param.name))))
    return first | last


def help_page(
    usage: str, summary: str, rest: str, examples: Sequence[str], parts: Sequence[Sections], width: int
) -> str:
    """The whole text.

    Args:
        parts: sections whose texts stand below one another.
    """
    blocks = [f"{_bold('Usage:')} {usage}", *_paragraphs(f"{summary}\n\n{rest}", width)]
    if examples:
        blocks.append("\n".join([_bold(_EXAMPLES), *(f"{_INDENT}{line}" for line in examples)]))
    for sections in parts:
        longest = max((len(name) for rows in sections.values() for name, _ in rows), default=0)
        column = len(_INDENT) + min(longest, _WIDEST_NAMES) + 2
        for heading, rows in sections.items():
            lines = [line for name, meaning in rows for line in _entry(name, meaning, column, width)]
            if lines:
                blocks.append("\n".join([_bold(f"{heading}:"), *lines]))
    return "\n\n".join(blocks) + "\n"


def _paragraphs(text: str, width: int) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        if paragraph.strip():
            yield textwrap.fill(" ".join(paragraph.split()), width, break_on_hyphens=False)


def _entry(name: str, meaning: str, column: int, width: int) -> Iterator[str]:
    """A name with its meaning beside it, or below it where the name is long."""
    whole = _SHORT_NOTE.sub(lambda note: note[0].replace(" ", _GLUE), meaning)
    wrapped = textwrap.wrap(whole, max(20, width - column), break_on_hyphens=False) or [""]
    lines = [line.replace(_GLUE, " ") for line in wrapped]
    first = f"{_INDENT}{name}"
    if len(first) + 2 > column:
        yield first
    else:
        yield f"{first:{column}}{lines.pop(0)}".rstrip()
    yield from (f"{' ' * column}{line}" for line in lines)


def _names(param: Any) -> str:
    """Such as `-o, --output PATH` or `--sign/--no-sign`."""
    names = ", ".join(sorted(param.opts, key=len))
    if param.secondary_opts:
        return f"{names}/{', '.join(param.secondary_opts)}"
    return names if param.is_flag or param.count else f"{names} {_value(param)}"


def _value(param: Any) -> str:
    return str(param.metavar or param.name.upper())


def _meaning(param: Any, annotation: Any) -> str:
    """What an option does, with its choices, bounds and default where they are not plain from its name."""
    notes = []
    choices = "|".join(choices_of(annotation))
    if len(choices) > LONGEST_CHOICES:
        notes.append(choices)
    for info in getattr(annotation, "__metadata__", ()):
        if getattr(info, "max", None) is not None and info.max < _LARGE:
            notes.append(f"{info.min:g} to {info.max:g}")
    default = _default(param)
    if param.required:
        notes.append("required")
    elif default:
        notes.append(f"default: {default}")
    return f"{param.help or ''} [{'; '.join(notes)}]".strip() if notes else param.help or ""


def _default(param: Any) -> str:
    """The default as a user would type it; nothing of a flag, which is off, and of an option whose help says it."""
    value = param.default
    if value is None or param.show_default is False or callable(value) or "[default:" in (param.help or ""):
        return ""
    if isinstance(value, bool):
        return "" if not param.secondary_opts else (param.opts if value else param.secondary_opts)[0]
    values = value if isinstance(value, list | tuple) else [value]
    return " ".join(f"{own:g}" if isinstance(own, float) else str(getattr(own, "value", own)) for own in values)


def _bold(text: str) -> str:
    return text if "NO_COLOR" in os.environ else typer.style(text, bold=True)
