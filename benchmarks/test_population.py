"""Make the population in `tests/population` on which anybody can measure the shipped heads: held-out runs of a zoo.

The first runs of the test part of the heads' split (seed 0) are taken, all checkpoints of each, until the file is as
large as it may be. Runs are drawn independently, so the first are as good as any, and they stay when a zoo grows.

    python benchmarks/test_population.py zoo-relu tests/population/relu [--megabytes 3.9]
"""

from __future__ import annotations

import argparse
import csv
from pathlib import Path

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors
from nfn_cli.learning.splits import positions
from nfn_cli.zoo import LABELS_FILE, read_networks

PART = "part-00000.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--megabytes", type=float, default=3.9)
    options = parser.parse_args()

    networks = read_networks(options.zoo)
    held_out = positions(networks.runs, "test", 0)
    bytes_each = 4 * networks.point.architecture.parameter_count
    checkpoints = max(networks.runs.count(networks.runs[position]) for position in held_out)
    count = int(options.megabytes * 1e6) // (bytes_each * checkpoints)
    runs = sorted({networks.runs[position] for position in held_out}, key=int)
    chosen = [position for position in held_out if networks.runs[position] in set(runs[:count])]

    with (options.zoo / LABELS_FILE).open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    options.out.mkdir(parents=True, exist_ok=True)
    tensors = networks.select(chosen).point.tensors
    activation = networks.point.architecture.activation
    metadata = {"activation": activation, "arch": "small-cnn", POPULATION_KEY: str(len(chosen))}
    save_tensors(options.out / PART, tensors, metadata, overwrite=True)
    with (options.out / LABELS_FILE).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        for index, position in enumerate(chosen):
            writer.writerow(rows[position] | {"file": PART, "index": index})
    print(f"{options.out}: {len(chosen)} networks of {min(count, len(runs))} runs")


if __name__ == "__main__":
    main()
