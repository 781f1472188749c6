"""Train residual networks of the wild recipe alone, every one of a run of its own: a fresh test set for heads.

    python benchmarks/wild/residual_runs.py residual-31 mnist.npz cifar10_gray.npz cifar10_color.npz --seed 31

The runs are those of `nfn zoo wild --seed 31` whose family is `residual`; image sets take turns, so that no two have a
run of one number. The folder has one zoo for each image set. Runs go on until the time is over; the command continues.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

from nfn_cli.zoo.labels import LABELS_FILE
from nfn_cli.zoo.recipe import Job
from nfn_cli.zoo.wild.labels import WildRow, read_wild_rows, write_wild_rows
from nfn_cli.zoo.wild.wild_recipe import SharedImages, WildRecipe, WildSettings, plan_run, train_job


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="FOLDER")
    parser.add_argument("data", nargs="+", metavar="DATA")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, default=400, help="runs that are planned, of all families (400)")
    parser.add_argument("--budget", type=int, default=30, help="10^9 multiplications a run (30)")
    parser.add_argument("--minutes", type=float, default=60.0, help="begin no run later (60)")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    end = time.monotonic() + 60 * arguments.minutes
    recipes = [
        WildRecipe(WildSettings(data, arguments.count, arguments.seed, arguments.budget)) for data in arguments.data
    ]
    images = [recipe.load_images() for recipe in recipes]
    for run in range(arguments.count):
        turn = run % len(recipes)
        recipe, pictures = recipes[turn], images[turn]
        folder = arguments.out / Path(arguments.data[turn]).stem
        folder.mkdir(parents=True, exist_ok=True)
        rows: list[WildRow] = read_wild_rows(folder / LABELS_FILE) if (folder / LABELS_FILE).exists() else []
        if plan_run(recipe.settings, run, pictures).family != "residual" or run in {row.run for row in rows}:
            continue
        if time.monotonic() > end:
            break
        job = Job(0, (run,))
        result = train_job(SharedImages(recipe.settings, pictures, "cpu"), job, lambda epochs: None)
        made = recipe.made(job.items, result, pictures)
        rows += recipe.write(folder, made, result, None)
        write_wild_rows(folder, rows)
        print(f"run {run}: {[round(row.test_accuracy, 3) for row in made.rows]}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
