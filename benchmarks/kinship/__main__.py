"""Kinship: families of networks made by one command, and what statistics of kinship find in them.

- `make`: families of small CNNs, ResNets and language models (Hugging Face's Llama and GPT-2, on the text of Python's
  standard library), each a base and its kin, plain and disguised; and networks trained apart, of recipes that the null
  is read off and of others. All in one folder; what is there is not made again. About an hour on one core.
- `measure`: every statistic on every pair of which it has not been measured.
- `table`: areas under the curve with bootstrap intervals over families, kin found and false positives at the verdict's
  threshold, replaced layers named.
- `null`: the null that ships with the tool (`nfn_cli/symmetry/kinship/null.json`), from what was measured.

    pip install 'nfn-cli[bench,match]' transformers
    python benchmarks/kinship make --folder kin --data mnist --data cifar10
    python benchmarks/kinship measure --folder kin
    python benchmarks/kinship table --folder kin
    python benchmarks/kinship null --folder kin > null.json
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from pathlib import Path

import torch
from independent import make
from judging import judged
from kinds import KINDS
from make import families, make_families
from measures import NAMES
from pairs import Pair, disjoint_pairs, independent_pairs, kin_pairs
from recipes import RECIPES
from results import measure_all, read_results
from table import print_all

from nfn_cli.errors import NfnError

_RESULTS = "results.jsonl"
_GROUPS = ("null", "fresh", "independent", "kin")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="kinship", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("do", choices=("make", "measure", "table", "null"), help="what to do")
    parser.add_argument("--folder", type=Path, required=True, metavar="DIR", help="of networks and results")
    parser.add_argument(
        "--data", action="append", metavar="NAME", help="pictures, as of `nfn zoo cnn`; a second set for some (digits)"
    )
    parser.add_argument("--kinds", nargs="*", choices=KINDS, default=list(KINDS), help="of families, by default all")
    parser.add_argument("--recipes", nargs="*", choices=RECIPES, default=list(RECIPES), help="by default all")
    parser.add_argument("--measures", nargs="+", choices=NAMES, default=list(NAMES), help="by default all")
    parser.add_argument("--groups", nargs="+", choices=_GROUPS, default=list(_GROUPS), help="of pairs, by default all")
    parser.add_argument("--full", action="store_true", help="all statistics by change and disguise, too")
    return parser.parse_args(arguments)


def pairs_of(arguments: argparse.Namespace) -> Iterable[Pair]:
    """The pairs to be measured: those that the null and the false positives need come first."""
    every = families(arguments.folder, arguments.kinds)
    for group in arguments.groups:
        if group == "kin":
            yield from kin_pairs(every)
        elif group == "independent":
            yield from independent_pairs(every)
        else:
            found = disjoint_pairs(arguments.folder, group)
            yield from (pair for pair in found if pair.kind in arguments.recipes)


def print_null(folder: Path) -> None:
    """The null as it ships with the tool: scores of disjoint pairs by family of networks."""
    found: dict[str, dict[str, object]] = {}
    results = read_results(folder / _RESULTS).values()
    own = [result for result in results if (result.measure, result.group) == ("ours", "null")]
    for family in sorted({result.family for result in own}):
        chosen = [result for result in own if result.family == family]
        scores = sorted(round(result.score, 5) for result in chosen if result.score is not None)
        recipes = sorted({result.kind for result in chosen})
        found[family] = {"recipes": recipes, "models": 2 * len(scores), "scores": scores}
    print(json.dumps(found))


def run(arguments: argparse.Namespace) -> None:
    """Do what was asked for."""
    folder, results = arguments.folder, arguments.folder / _RESULTS
    if arguments.do == "make":
        sources = arguments.data or ["digits"]
        make(folder, arguments.recipes, sources)
        make_families(folder, arguments.kinds, sources[0])
    elif arguments.do == "measure":
        folder.mkdir(parents=True, exist_ok=True)
        for count, result in enumerate(measure_all(results, pairs_of(arguments), arguments.measures), 1):
            if count % 100 == 0:
                print(f"{count} measured, now {result.key}", file=sys.stderr, flush=True)
    elif arguments.do == "table":
        print_all(judged(read_results(results)), folder, sys.stdout, full=arguments.full)
    else:
        print_null(folder)


def main() -> int:
    """Run the benchmark; exit codes as those of `nfn`."""
    arguments = parse()
    torch.set_num_threads(1)
    try:
        run(arguments)
    except NfnError as error:
        print(f"kinship: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
