"""What a model card says of an interval that was set anew by several populations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from nfn_cli.learning.card import half_widths, zoo_command
from nfn_cli.nn import Head

if TYPE_CHECKING:
    from nfn_cli.learning.populations import PopulationReport

SECTION = "## Interval on several populations"
_INTERVAL = re.compile(r"^A curve, fitted to .*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)
_COVERAGE = re.compile(r"^\| (coverage of the \S+ interval) \|.*$", re.MULTILINE)
_OWN = re.compile(rf"^{SECTION}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def with_interval(
    card: str,
    before: str,
    head: Head,
    reports: Sequence[PopulationReport],
    zoos: Mapping[str, dict[str, Any] | None],
) -> str:
    """A head's card with its new interval: the paragraph on it, its coverage, and the commands that set it.

    All else stays: neither predictions nor flags have changed.

    Args:
        card: Markdown of the card before; empty for none.
        before: the name or folder of the head that the interval was set for.
        head: with the new interval, and under `fitted` what set it.
        reports: what it does on each population.
        zoos: how each population was made, where its folder says so.
    """
    paragraph, own = _paragraph(head, reports), _section(head, reports, zoos, before)
    card = _OWN.sub("", card) or f"# {head.name}\n\n"
    card = _COVERAGE.sub(r"| \1 | see *Interval on several populations* | |", card)
    if _INTERVAL.search(card):
        card = _INTERVAL.sub(lambda _: paragraph, card, count=1)
    else:
        own = own.replace("\n\n", f"\n\n{paragraph}\n\n", 1)
    head_, mark, tail = card.partition("## Reproduce\n")
    return f"{head_.rstrip()}\n\n{own}\n{mark}{tail}" if mark else f"{card.rstrip()}\n\n{own}"


def _paragraph(head: Head, reports: Sequence[PopulationReport]) -> str:
    networks, runs = sum(own.networks for own in reports), sum(own.runs for own in reports)
    level = head.config.details.level
    return f"""A curve, fitted to what members say of the training runs that they left out, is laid through the
predictions. The interval around them is conformal: as wide as the {level:.0%} quantile of the absolute
error on each of {len(reports)} populations asks for ({networks:,} checkpoints of {runs:,} runs), cut to [0, 1]:
± {half_widths(head)}."""


def _section(
    head: Head, reports: Sequence[PopulationReport], zoos: Mapping[str, dict[str, Any] | None], before: str
) -> str:
    record = head.config.fitted["interval"]
    rows = "\n".join(_row(own) for own in reports)
    folders = record["populations"]
    commands = [zoo_command(zoo, quote(folders[name])) for name, zoo in zoos.items() if zoo]
    named = " ".join(f"--population {quote(f'{name}={folder}')}" for name, folder in folders.items())
    replaced = " --overwrite" if Path(before).name == head.name else ""
    out = f"--out {quote(head.name)}{replaced}"
    commands.append(f"nfn calibrate {quote(Path(before).name)} {named}{_options(record)} {out}")
    listed = "\n".join(commands)
    level = head.config.details.level
    return f"""{SECTION}

Share of true accuracies inside the {level:.0%} interval, with 95 % bootstrap intervals over runs, and the
interval's mean width. *Before*: with the interval that the head had. *Taken in*: set by all of these populations but
for a tenth of their runs, and tried on that tenth, ten times. *Left out*: set by the other populations alone, which is
what to expect of networks of yet another one. *Flagged*: called outside the population.

| population | networks | flagged | before | taken in | left out |
|---|---|---|---|---|---|
{rows}

```
{listed}
```
"""


def _row(own: PopulationReport) -> str:
    covered = " | ".join(str(covered or "") for covered in (own.before, own.taken_in, own.left_out))
    return f"| {own.name} | {own.networks:,} ({own.runs:,} runs) | {own.flagged} | {covered} |"


def _options(record: dict[str, Any]) -> str:
    target = f" --target {quote(record['column'])}" if record["column"] != "test_accuracy" else ""
    runs = f" --run-column {quote(record['run_column'])}" if record["run_column"] != "run" else ""
    activation = f" --activation {record['activation']}" if record["activation"] else ""
    seed = f" --seed {record['seed']}" if record["seed"] else ""
    return f"{target}{runs}{activation}{seed}"
