"""Make the population in `tests/population` on which anybody can measure the heads that read INRs: test networks of a
zoo, drawn at random.

    python benchmarks/inr_test_population.py zoo-mnist tests/population/inr-mnist [--networks 500]
    python benchmarks/inr_test_population.py second-trainer tests/population/inr-mnist-second-trainer --networks 100
"""

from __future__ import annotations

import argparse
import random
import shutil
from dataclasses import replace
from pathlib import Path

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors
from nfn_cli.zoo import LABELS_FILE, SETTINGS_FILE, read_inrs
from nfn_cli.zoo.inr.labels import read_inr_rows, write_inr_rows
from nfn_cli.zoo.inr.siren_recipe import METADATA

PART = "part-00000.safetensors"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--networks", type=int, default=500)
    options = parser.parse_args()

    networks = read_inrs(options.zoo)
    rows = read_inr_rows(options.zoo / LABELS_FILE)
    places = [place for place, row in enumerate(rows) if row.split == "test"]
    random.Random(0).shuffle(places)
    places = sorted(places[: options.networks])
    chosen = networks.select(places)
    options.out.mkdir(parents=True, exist_ok=True)
    omega_0 = {"omega_0": f"{chosen.point.architecture.omega_0:g}"}
    metadata = METADATA | omega_0 | {POPULATION_KEY: str(len(chosen))}
    save_tensors(options.out / PART, chosen.point.tensors, metadata, overwrite=True)
    write_inr_rows(options.out, [replace(rows[old], file=PART, index=new) for new, old in enumerate(places)])
    if (options.zoo / SETTINGS_FILE).exists():  # networks of another trainer have none
        shutil.copyfile(options.zoo / SETTINGS_FILE, options.out / SETTINGS_FILE)
    print(f"{options.out}: {len(chosen)} networks")


if __name__ == "__main__":
    main()
