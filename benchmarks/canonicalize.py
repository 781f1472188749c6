"""Time and memory of `nfn canonicalize`, against loading and saving the same files with safetensors.

Two loads: one multilayer perceptron of about a gigabyte, and many small files in one call. Every side runs in a process
of its own, start-up included on both; memory is the largest resident set. Only `nfn` waits for the disk.

    python benchmarks/canonicalize.py [--gigabytes 1] [--files 1000]
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

WIDTH = 4096

LOAD_AND_SAVE = """
import sys
from pathlib import Path
import torch
from safetensors.torch import load_file, save_file
source, target = map(Path, sys.argv[1:])
for path in [source] if source.is_file() else sorted(source.iterdir()):
    save_file(load_file(path), target if source.is_file() else target / path.name)
"""
CANONICALIZE = "import sys; from nfn_cli.cli.app import main; sys.argv = ['nfn', *sys.argv[1:]]; main()"
# The child reports its own peak: that of all children would be the largest so far.
REPORT = "\nimport resource; print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr)"


def make_large(path: Path, gigabytes: float) -> None:
    layers = max(2, round(gigabytes * 2**30 / (4 * WIDTH * WIDTH)))
    tensors = {f"{i}.weight": torch.randn(WIDTH, WIDTH) / 64 for i in range(layers)}
    tensors |= {f"{i}.bias": torch.randn(WIDTH) / 64 for i in range(layers)}
    save_file(tensors, path, metadata={"activation": "relu"})


def make_small(folder: Path, files: int) -> None:
    shapes = {"conv1": (16, 1, 3, 3), "conv2": (16, 16, 3, 3), "conv3": (16, 16, 3, 3), "fc": (10, 16)}
    folder.mkdir()
    for number in range(files):
        tensors = {f"{name}.weight": torch.randn(shape) for name, shape in shapes.items()}
        tensors |= {f"{name}.bias": torch.randn(shape[0]) for name, shape in shapes.items()}
        save_file(tensors, folder / f"{number:05d}.safetensors", metadata={"activation": "relu"})


def run(program: str, *arguments: str) -> tuple[float, float]:
    """Seconds of wall time and peak memory in bytes."""

    start = time.perf_counter()
    code = f"import sys, atexit\natexit.register(lambda: exec({REPORT!r}))\n{program}"
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    peak = next(line for line in done.stderr.splitlines() if line.startswith("peak"))
    return seconds, int(peak.split()[1]) * 1024


def compare(title: str, source: Path, folder: Path, repeats: int, size: int | None) -> None:
    plain, ours = [], []
    for number in range(repeats):
        for name, found in (("plain", plain), ("ours", ours)):
            target = folder / f"{name}-{number}"
            if source.is_dir():
                target.mkdir()
            found.append(
                run(LOAD_AND_SAVE, str(source), str(target))
                if name == "plain"
                else run(CANONICALIZE, "canonicalize", str(source), "-o", str(target))
            )
            subprocess.run(["rm", "-r", str(target)], check=True)
    times = [statistics.median(seconds for seconds, _ in found) for found in (plain, ours)]
    print(f"{title}: load and save {times[0]:.2f} s, canonicalize {times[1]:.2f} s, ratio {times[1] / times[0]:.2f}")
    if size is not None:
        peaks = [max(peak for _, peak in found) / size for found in (plain, ours)]
        print(f"{' ' * len(title)}  peak memory {peaks[0]:.2f} and {peaks[1]:.2f} times the file's size")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--files", type=int, default=1_000)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = folder / "large.safetensors"
        make_large(large, arguments.gigabytes)
        compare("one large file", large, folder, arguments.repeats, large.stat().st_size)
        large.unlink()
        make_small(folder / "small", arguments.files)
        compare(f"{arguments.files:,} small files", folder / "small", folder, arguments.repeats, None)


if __name__ == "__main__":
    main()
