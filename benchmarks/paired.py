"""This checkout against another one, such as that of the commit before, in one run: processor time of whole commands.

    git worktree add ../before HEAD^
    python benchmarks/paired.py ../before [--rounds 9] [--files 1000] [--gigabytes 0.25] [--only scoring]

Commands: a prediction for one file (start-up), a prediction for many small files in one process (scoring),
`nfn canonicalize` of one large file and of many small ones. Each round runs both checkouts one after the other, in turn
the one and the other first, so that what else the machine does hits both; the interval is the 95 % one of the median
of the rounds' ratios, by bootstrap over rounds.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parent.parent
WIDTH = 2048
_RESAMPLES = 2_000


def small_cnn(path: Path, seed: int) -> None:
    """A file of the kind that the shipped heads read."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, shape in {
        "conv1": (16, 1, 3, 3),
        "conv2": (16, 16, 3, 3),
        "conv3": (16, 16, 3, 3),
        "fc": (10, 16),
    }.items():
        tensors[f"{name}.weight"] = torch.randn(shape, generator=generator) / 5
        tensors[f"{name}.bias"] = torch.randn(shape[0], generator=generator) / 5
    save_file(tensors, path, {"activation": "relu", "arch": "small-cnn"})


def make_files(folder: Path, files: int, gigabytes: float) -> None:
    (folder / "many").mkdir()
    for number in range(files):
        small_cnn(folder / "many" / f"{number}.safetensors", number)
    layers = max(2, round(gigabytes * 2**30 / (4 * WIDTH * WIDTH)))
    tensors = {f"{layer}.weight": torch.randn(WIDTH, WIDTH) / 45 for layer in range(layers)}
    save_file(tensors, folder / "large.safetensors", {"activation": "relu"})


def processor_seconds(checkout: Path, arguments: list[str]) -> float:
    """User and system time of a command in a checkout."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "nfn_cli", *arguments]
    subprocess.run(command, cwd=checkout, env=environment, capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def interval(ratios: list[float]) -> tuple[float, float]:
    """95 % interval of the median."""
    rng = random.Random(0)
    medians = sorted(statistics.median(rng.choices(ratios, k=len(ratios))) for _ in range(_RESAMPLES))
    return medians[int(0.025 * _RESAMPLES)], medians[int(0.975 * _RESAMPLES)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--gigabytes", type=float, default=0.25)
    parser.add_argument("--only", nargs="+", metavar="COMMAND", help="some of the commands, such as start-up scoring")
    options = parser.parse_args()
    other = options.other.resolve()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        make_files(folder, options.files, options.gigabytes)
        many, large, out = str(folder / "many"), str(folder / "large.safetensors"), str(folder / "out")
        commands = {
            "start-up": ["predict-accuracy", f"{many}/0.safetensors"],
            "scoring": ["predict-accuracy", many, "--jobs", "0", "--output", f"{out}.csv", "--overwrite"],
            "canonicalize, large": ["canonicalize", large, "-o", f"{out}.safetensors", "--overwrite"],
            "canonicalize, many": ["canonicalize", many, "-o", out, "--overwrite"],
        }
        print("command\tbefore\tnow\tratio\t95 % interval")
        for what, arguments in commands.items():
            if options.only and what not in options.only:
                continue
            seconds: dict[Path, list[float]] = {ROOT: [], other: []}
            for number in range(options.rounds):
                for checkout in (ROOT, other) if number % 2 else (other, ROOT):
                    seconds[checkout].append(processor_seconds(checkout, arguments))
            ratios = [now / before for now, before in zip(seconds[ROOT], seconds[other], strict=True)]
            low, high = interval(ratios)
            times = (f"{statistics.median(seconds[checkout]):.2f} s" for checkout in (other, ROOT))
            print(what, *times, f"{statistics.median(ratios):.3f}", f"[{low:.3f}, {high:.3f}]", sep="\t", flush=True)


if __name__ == "__main__":
    main()
