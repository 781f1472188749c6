"""How well the weights of an INR tell its picture's class: Coordinate-Probe against what one would otherwise take.

One table: the accuracy of every method (rows) on test networks as they are and moved along their orbits (columns), what
it costs, and by how much ours is ahead.

- Population: a zoo of SIRENs, one a picture, made by `nfn zoo inr`. All methods are fitted to the networks of the first
  `--networks` training pictures; those of a tenth as many further ones validate. All test networks are measured on.
- Moved: each test network after a random element of its symmetry group (permutations, signs, phases), the same for all
  methods, in float64.
- Budget: the same epochs, batch size, optimiser (AdamW), schedule (one cycle) and bound on gradients for all; the
  weights of the epoch with the least loss on the validating networks are kept. Each method has one learning rate:
  for the MLP and NP the better of two in a trial on 5,000 networks, for HNP that of NP, else the usual one of 3e-3.
- Augmented: Coordinate-Probe asks each network on a grid that is turned, stretched and moved at random. A change of
  coordinates is a change of the first layer, so the baselines can have the same: their rows "augmented" see a training
  network each time with its first layer changed in that way, exactly, and then moved by a random element of the group.
- Cost: with 10,000 training networks less than half an hour on one core, nearly all of it for NP and HNP.
- Results are kept in the folder `--out`: a line of `results.jsonl` and a file of predictions for every method and seed.
  What is there is not done again; `--table` prints from it alone.

    nfn zoo inr --data mnist --count 60000 --test-count 10000 --packed --out zoo-mnist
    pip install 'nfn-cli[bench]'
    python benchmarks/inr --zoo zoo-mnist --out results
    python benchmarks/inr --table --out results
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch
from fitting import Budget
from measuring import measure
from methods import METHODS, OURS
from population import read_parts
from results import Cache
from table import print_table

from nfn_cli.errors import NfnError, UsageError


def fill(cache: Cache, arguments: argparse.Namespace) -> None:
    """Make every result that was asked for and is not there."""
    if arguments.zoo is None:
        raise UsageError("--zoo", "there is no zoo", "give one, or --table to print what is kept")
    parts = read_parts(arguments.zoo, arguments.networks)
    budget = Budget(arguments.epochs, arguments.batch_size, arguments.mirror)
    cache.require_same(parts.fingerprint, budget.record)
    for seed in arguments.seeds:
        for name in arguments.methods:
            if (name, seed) not in cache.results:
                measure(cache, parts, name, budget, seed)


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="inr", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--zoo", type=Path, metavar="DIR", help="zoo of INRs")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results, made if missing")
    parser.add_argument("--table", action="store_true", help="only print what is in the folder")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS), help="by default all")
    parser.add_argument("--ours", choices=METHODS, default=OURS, help="the row compared with all others")
    parser.add_argument("--networks", type=_positive, default=10_000, help="training pictures (10000)")
    parser.add_argument("--epochs", type=_positive, default=6, help="passes over the training networks (6)")
    parser.add_argument("--batch-size", type=_positive, default=32, help="networks a step (32)")
    parser.add_argument("--mirror", action="store_true", help="a picture mirrored left to right keeps its class")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of weights and order, one fit each (0)")
    return parser.parse_args(arguments)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def main() -> int:
    """Run the benchmark; exit codes as those of `nfn`."""
    arguments = parse()
    torch.set_num_threads(1)
    try:
        cache = Cache(arguments.out)
        if not arguments.table:
            fill(cache, arguments)
        print_table(cache, arguments.ours, sys.stdout)
    except NfnError as error:
        print(f"inr: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
