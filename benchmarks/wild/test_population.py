"""Make the population of wild classifiers in `tests/wild`, on which anybody can measure the shipped head.

    python benchmarks/wild/test_population.py wild-mnist wild-gray wild-color --out tests/wild [--megabytes 7.5]

Runs are drawn from zoos of `nfn zoo wild`, a family and a task in turn, until the folder is as large as it may be; a
run comes with all its checkpoints. Most are small, so that there are many: of six drawn runs the smallest is taken.
`--runs` names a file of the runs that may be taken, `ZOO/run-000012` a line, such as those that fitting never saw.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from nfn_cli.architectures.config_file import CONFIG_NAME
from nfn_cli.zoo import LABELS_FILE
from nfn_cli.zoo.wild.labels import WildRow, read_wild_rows, write_wild_rows

_MOST_PARAMETERS = 60_000
_COMPARED = 6
_RESIDUAL = ("residual", "wild-park")  # families with sums; the second one has them in most runs
_README = """# Wild classifiers to measure heads on

{checkpoints} checkpoints of {runs} training runs, {megabytes:.1f} MB: {families},
on {tasks} tasks made of {sources}.

Each run has a folder with its checkpoints (float32) and a `config.json`, which records the forward pass. `labels.csv`
has a row a checkpoint, with its accuracies on all test images and on those at even and at odd places.

Made with `nfn zoo wild` and `benchmarks/wild/test_population.py` (seed {seed}): {runs} of the {all_runs} runs of at
most {most:,} parameters, a family and a task in turn, the smallest of six drawn runs each time.

The weights were trained for this repository and stand under its licence (`LICENSE`). The images are not here.
"""


@dataclass(frozen=True)
class Run:
    """A run of a zoo, with its rows and its size in bytes."""

    zoo: Path
    rows: tuple[WildRow, ...]
    size: int

    @property
    def folder(self) -> Path:
        return self.zoo / Path(self.rows[0].file).parent

    @property
    def kind(self) -> tuple[str, str]:
        """Its family and its task."""
        return self.rows[0].family, self.rows[0].task


def runs_of(zoo: Path, allowed: set[str] | None) -> list[Run]:
    """The runs of a zoo that are small enough, and allowed."""
    rows = defaultdict(list)
    for row in read_wild_rows(zoo / LABELS_FILE):
        name = Path(row.file).parent.name
        if row.parameters <= _MOST_PARAMETERS and (allowed is None or f"{zoo.name}/{name}" in allowed):
            rows[row.run].append(row)
    found = []
    for own in rows.values():
        files = [zoo / row.file for row in own] + [zoo / Path(own[0].file).parent / CONFIG_NAME]
        found.append(Run(zoo, tuple(own), sum(file.stat().st_size for file in files)))
    return found


def drawn(runs: list[Run], seed: int) -> Iterator[Run]:
    """All runs, the kinds in turn: first a family, then a task of it, then the smallest of six runs of both."""
    rng = random.Random(seed)
    left: dict[str, dict[str, list[Run]]] = defaultdict(lambda: defaultdict(list))
    for run in runs:
        family, task = run.kind
        left[family][task].append(run)
    taken: dict[str, int] = defaultdict(int)  # by task
    while left:
        for family in sorted(left):
            tasks = left[family]
            task = min(sorted(tasks), key=lambda own: (taken[own], rng.random()))
            own = min(rng.sample(tasks[task], min(_COMPARED, len(tasks[task]))), key=lambda run: run.size)
            yield own
            taken[task] += 1
            tasks[task].remove(own)
            if not tasks[task]:
                del tasks[task]
            if not tasks:
                del left[family]


def chosen(runs: list[Run], seed: int, most_bytes: int) -> list[Run]:
    """As many drawn runs as fit; one that does not fit is passed over."""
    total, taken = 0, []
    for run in drawn(runs, seed):
        if total + run.size <= most_bytes:
            taken.append(run)
            total += run.size
    return taken


def write(runs: list[Run], out: Path, seed: int, all_runs: int) -> None:
    """Copy runs into a folder, numbered anew, with their table and a README."""
    rows: list[WildRow] = []
    for number, run in enumerate(runs):
        folder = out / f"run-{number:06d}"
        folder.mkdir(parents=True)
        shutil.copyfile(run.folder / CONFIG_NAME, folder / CONFIG_NAME)
        for row in run.rows:
            shutil.copyfile(run.zoo / row.file, folder / Path(row.file).name)
            rows.append(replace(row, file=f"{folder.name}/{Path(row.file).name}", run=number))
    write_wild_rows(out, rows)
    families = sorted({row.family for row in rows})
    tasks = {row.task for row in rows}
    text = _README.format(
        checkpoints=len(rows),
        runs=len(runs),
        megabytes=sum(run.size for run in runs) / 1e6,
        families=", ".join(families),
        tasks=len(tasks),
        sources=", ".join(sorted({task.split("/")[0] for task in tasks})),
        seed=seed,
        all_runs=all_runs,
        most=_MOST_PARAMETERS,
    )
    (out / "README.md").write_text(text, encoding="utf-8")


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoos", type=Path, nargs="+", metavar="ZOO")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="a folder that is not there yet")
    parser.add_argument("--megabytes", type=float, default=7.5, help="of weights and configurations, at most (7.5)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--runs", type=Path, metavar="FILE", help="runs that may be taken, one ZOO/run-... a line")
    options = parser.parse_args(arguments)
    if options.out.exists():
        print(f"{options.out}: is there already; remove it, or choose another place", file=sys.stderr)
        return 2
    allowed = set(options.runs.read_text(encoding="utf-8").split()) if options.runs else None
    runs = [run for zoo in options.zoos for run in runs_of(zoo, allowed)]
    taken = chosen(runs, options.seed, int(options.megabytes * 1e6))
    families, tasks = ({run.kind[place] for run in taken} for place in (0, 1))
    if not families.intersection(_RESIDUAL) or len(tasks) < 3:
        cause = f"{len(runs)} runs of at most {_MOST_PARAMETERS:,} parameters, of {len(tasks)} tasks"
        print(
            f"{', '.join(map(str, options.zoos))}: {cause}; give zoos of 3 tasks, with residual networks",
            file=sys.stderr,
        )
        return 3
    write(taken, options.out, options.seed, len(runs))
    size = sum(file.stat().st_size for file in options.out.rglob("*") if file.is_file())
    checkpoints = sum(len(run.rows) for run in taken)
    print(f"{options.out}: {checkpoints} networks of {len(taken)} runs, {len(tasks)} tasks, {size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
