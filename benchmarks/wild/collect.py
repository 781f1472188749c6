"""Read the statistics of zoos and store them, so that heads can be fitted where the weights are not.

    python benchmarks/wild/collect.py wild-mnist wild-cifar10 --out benchmarks/wild/statistics/wild-3.npz --workers 2

    python benchmarks/wild/collect.py wild-mnist wild-cifar10 --out wild.npz --workers 2
so that no split parts them.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from statistics_file import write_statistics

from nfn_cli.errors import NfnError
from nfn_cli.zoo.listed_classifiers import LabelledClassifiers, Place, listed_classifiers, read_classifiers


def collected(zoos: list[Path], per_network: int, workers: int) -> LabelledClassifiers:
    """The networks of some zoos, with runs that no two of these share.

    Raises:
        NfnError: a zoo cannot be read.
    """
    rows = [(zoo, row) for zoo in zoos for row in listed_classifiers([zoo])]
    found = read_classifiers([row for _, row in rows], workers=workers)
    runs = tuple(f"{zoo.resolve().name}/{int(row.label.run) // per_network}" for zoo, row in rows)
    places = tuple(Place(Path(zoo.resolve().name) / row.place.path.relative_to(zoo), None) for zoo, row in rows)
    return replace(found, runs=runs, places=places)


def main() -> int:
    """Write the archive."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoos", nargs="+", type=Path, metavar="ZOO")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.npz")
    parser.add_argument("--per-network", type=int, default=1, metavar="K", help="runs of each network (1)")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    try:
        networks = collected(arguments.zoos, arguments.per_network, arguments.workers)
    except NfnError as error:
        print(f"collect: {error}", file=sys.stderr)
        return error.exit_code
    write_statistics(arguments.out, networks)
    print(f"{arguments.out}: {len(networks):,} networks of {len(set(networks.runs)):,} runs")
    return 0


if __name__ == "__main__":
    sys.exit(main())
