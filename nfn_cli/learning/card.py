"""The model card of a head: what it reads, its data, what was measured, and the commands that repeat it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

from nfn_cli.learning.zoo_card import zoo_command, zoo_paragraph
from nfn_cli.nn import Head

_WIDTH = 120
# A heading, a table, and code.
_AS_THEY_ARE = ("#", "|", "```")
ACTIVATIONS_WITH_SCALES = ("relu", "leaky_relu", "prelu")


@dataclass(frozen=True)
class CardParts:
    """What a task says in its own words: Markdown, which is wrapped afterwards.

    Attributes:
        does: what the head does, and its kind.
        reads: of the networks it reads, beside their layers.
        data: what it was fitted to.
        measured: the title of the measurements, such as `500 networks of 500 test pictures`.
        method: how it was measured.
        columns: of the table of figures.
        figures: its rows.
        notes: on the figures.
        sections: on the interval and the like.
        out_of_distribution: when a network is flagged, and what the table shows.
        ood_columns, ood_rows: of the table of shares flagged; without rows there is none.
        commands: that fit and measure the head again.
    """

    does: str
    data: str
    measured: str
    method: str
    columns: Sequence[str]
    figures: Sequence[Sequence[str]]
    notes: str
    commands: Sequence[str]
    reads: str = ""
    sections: str = ""
    out_of_distribution: str = ""
    ood_columns: Sequence[str] = ()
    ood_rows: Sequence[Sequence[str]] = ()


def model_card(head: Head, parts: CardParts) -> str:
    """Markdown for `README.md` in the head's folder."""
    accepted, fitted = head.config.accepted, head.config.fitted
    layers = ", ".join(map(str, accepted.layers))
    omega_0 = f", ω₀ = {accepted.omega_0:g}," if accepted.omega_0 else ""
    commands = "\n".join([*_zoo_commands(fitted), *parts.commands])
    ood = table(parts.ood_columns, parts.ood_rows) if parts.ood_rows else ""
    blocks = [
        f"# {head.name}",
        parts.does,
        f"**Reads** {accepted.activation} networks{omega_0} of these layers, with any hidden widths: {layers}.",
        parts.reads,
        "## Data",
        parts.data,
        zoo_paragraph(fitted["zoo"]) if fitted.get("zoo") else "",
        f"## Measured on {parts.measured}",
        parts.method,
        table(parts.columns, parts.figures),
        parts.notes,
        parts.sections,
        "## Out of distribution" if parts.out_of_distribution else "",
        parts.out_of_distribution,
        ood,
        f"## Reproduce\n\n```\n{commands}\n```",
    ]
    return "\n\n".join(wrapped(block) for block in blocks if block.strip()) + "\n"


def wrapped(text: str) -> str:
    """Markdown with its paragraphs and lists wrapped; headings, tables and code stay as they are.

    >>> print(wrapped("One\\ntwo.\\n\\n- three\\n  four\\n- five"))
    One two.
    <BLANKLINE>
    - three four
    - five
    """
    return "\n\n".join(map(_wrapped_paragraph, text.strip().split("\n\n")))


def _wrapped_paragraph(text: str) -> str:
    if text.startswith(_AS_THEY_ARE):
        return text
    mark = "- " if text.startswith("- ") else ""
    items = f"\n{text}".split(f"\n{mark}")[1:] if mark else [text]
    return "\n".join(
        textwrap.fill(
            mark + re.sub(r"[ \n]+", " ", item),
            _WIDTH,
            subsequent_indent=" " * len(mark),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for item in items
    )


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table in Markdown."""
    shown = [f"| {' | '.join(line)} |".replace("|  ", "| ") for line in (columns, *rows)]
    shown.insert(1, f"|{'---|' * len(columns)}")
    return "\n".join(shown)


def parameters_of(head: Head) -> str:
    """How many there are, such as `123,456 parameters`."""
    return f"{sum(parameter.numel() for parameter in head.model.parameters()):,} parameters"


def ensemble_of(head: Head) -> str:
    """Such as `An ensemble of 4 networks with 123,456 parameters in all`."""
    members = head.config.members
    several = "One network" if members == 1 else f"An ensemble of {members} networks"
    return f"{several} with {parameters_of(head)} in all"


def option(name: str, value: Any, usual: Any = None) -> str:
    """An option of a command with a blank before it; empty for the usual value, and for None, 0 and ''."""
    if not value or value == usual:
        return ""
    return f" --{name} {quote(f'{value:g}' if isinstance(value, float) else str(value))}"


def ood_options(fitted: dict[str, Any]) -> str:
    """The options that name other populations."""
    return "".join(option("ood", f"{name}={own['data']}") for name, own in ood_record(fitted).items())


def ood_record(fitted: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The other populations that a head was measured on: by name, their folder's name under `data`, and `zoo`.

    Heads of earlier versions call them `outsiders`, and some give the folder's name alone.
    """
    record = fitted.get("out_of_distribution", fitted.get("outsiders", {}))
    return {name: own if isinstance(own, dict) else {"data": own, "zoo": None} for name, own in record.items()}


def _zoo_commands(fitted: dict[str, Any]) -> Iterator[str]:
    for own in (fitted, *fitted.get("also", ()), *ood_record(fitted).values()):
        if own.get("zoo"):
            yield zoo_command(own["zoo"], quote(own["data"]))
