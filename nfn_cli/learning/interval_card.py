"""What a model card says of an interval that was set again by several populations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from nfn_cli.learning.accuracy_card import column_options, half_widths
from nfn_cli.learning.card import ensemble_of, option, table, wrapped
from nfn_cli.learning.zoo_card import zoo_command
from nfn_cli.nn import Head

if TYPE_CHECKING:
    from nfn_cli.learning.populations import PopulationReport

SECTION = "## Interval on several populations"
_INTERVAL = re.compile(r"^A curve, fitted to .*?(?=\n\n|\Z)", re.DOTALL | re.MULTILINE)
_COVERAGE = re.compile(r"^\| (coverage of the \S+ interval) \|.*$", re.MULTILINE)
_MEMBERS = re.compile(r"An\s+ensemble\s+of\s+\d+\s+(networks\s+)?with\s+\S+\s+parameters\s+in\s+all\.")
_MEASURED = re.compile(r"^(## Measured on (?:(?!, all \d+ members).)*)$", re.MULTILINE)
_OWN = re.compile(rf"^{SECTION}\n.*?(?=^## |\Z)", re.DOTALL | re.MULTILINE)


def with_interval(
    card: str,
    before: str,
    head: Head,
    reports: Sequence[PopulationReport],
    zoos: Mapping[str, dict[str, Any] | None],
) -> str:
    """A head's card with its new interval: the paragraph on it, its coverage, and the commands that set it.

    All else stays: neither predictions nor flags have changed. Where some of its members are left out, predictions
    have: the card says of how many members the figures are.

    Args:
        card: Markdown of the card before; empty for none.
        before: the name or folder of the head that the interval was set for.
        head: with the new interval, and under `fitted` what set it.
        reports: what it does on each population.
        zoos: how each population was made, where its folder says so.
    """
    paragraph, own = _paragraph(head, reports), _section(head, reports, zoos, before)
    card = _OWN.sub("", card) or f"# {head.name}\n\n"
    if (fitted := len(head.config.fitted.get("kept_epochs", ()))) > head.config.members:
        now = f"{ensemble_of(head)}, the first of {fitted} that were fitted."
        card = "\n\n".join(
            wrapped(_MEMBERS.sub(now, block)) if _MEMBERS.search(block) else block for block in card.split("\n\n")
        )
        card = _MEASURED.sub(rf"\1, all {fitted} members", card)
    card = _COVERAGE.sub(r"| \1 | see *Interval on several populations* | |", card)
    if _INTERVAL.search(card):
        card = _INTERVAL.sub(lambda _: paragraph, card, count=1)
    else:
        own = own.replace("\n\n", f"\n\n{paragraph}\n\n", 1)
    head_, mark, tail = card.partition("## Reproduce\n")
    return f"{head_.rstrip()}\n\n{own}\n{mark}{tail}" if mark else f"{card.rstrip()}\n\n{own}"


def _paragraph(head: Head, reports: Sequence[PopulationReport]) -> str:
    networks, runs = sum(own.networks for own in reports), sum(own.runs for own in reports)
    return wrapped(f"""A curve, fitted to what members say of the training runs that they left out, is laid through the
predictions. The interval around them is conformal: as wide as the {head.config.details.level:.0%} quantile of the
absolute error on each of {len(reports)} populations asks for ({networks:,} checkpoints of {runs:,} runs), cut to
[0, 1]:
± {half_widths(head)}.""")


def _section(
    head: Head, reports: Sequence[PopulationReport], zoos: Mapping[str, dict[str, Any] | None], before: str
) -> str:
    record = head.config.fitted["interval"]
    columns = ("population", "networks", "flagged", "before", "taken in", "left out")
    folders = record["populations"]
    commands = [zoo_command(zoo, quote(folders[name])) for name, zoo in zoos.items() if zoo]
    named = " ".join(f"--population {quote(f'{name}={folder}')}" for name, folder in folders.items())
    replaced = " --overwrite" if Path(before).name == head.name else ""
    out = f"--output {quote(head.name)}{replaced}"
    options = column_options(record) + option("seed", record["seed"]) + option("members", record.get("members"))
    commands.append(f"nfn calibrate {quote(Path(before).name)} {named}{options} {out}")
    listed = "\n".join(commands)
    return (
        wrapped(f"""{SECTION}

Share of true accuracies inside the {head.config.details.level:.0%} interval, with 95 % bootstrap intervals over runs,
and the interval's mean width. *Before*: with the interval that the head had. *Taken in*: set by all of these
populations but for a tenth of their runs, and tried on that tenth, ten times. *Left out*: set by the other populations
alone, which is what to expect of networks of yet another one. *Flagged*: found out of distribution.

{table(columns, [_row(own) for own in reports])}

```
{listed}
```""")
        + "\n"
    )


def _row(own: PopulationReport) -> list[str]:
    covered = [str(covered or "") for covered in (own.before, own.taken_in, own.left_out)]
    return [own.name, f"{own.networks:,} ({own.runs:,} runs)", str(own.flagged), *covered]
