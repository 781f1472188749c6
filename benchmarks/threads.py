"""Small networks beside busy processes: `nfn predict-accuracy` as it decides, against one thread set by hand.

    python benchmarks/threads.py [--rounds 5] [--busy 2] [--other ../before] [--quick]

Writes single files of the networks in tests/population/relu, moved by random elements of their group. While as many
processes as `--busy` do nothing but run, each round scores 256 of them with no setting and with OMP_NUM_THREADS=1, in
turn the one and the other first. Then the same with 300, 600 and 2,000 files, and 2,000 files by `xargs -n 500 -P 2`
against one call. `--other` sets a second checkout beside this one instead of the thread set by hand, and adds 2,000
files without busy processes.

Printed are mean wall and processor seconds, and the ratio of the means of wall time with its range: the smallest and
the largest ratio of a round.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file

from nfn_cli.architectures import NetworkWeights
from nfn_cli.symmetry import act, sample_element
from nfn_cli.zoo import read_networks
from nfn_cli.zoo.listed_networks import selected

ROOT = Path(__file__).resolve().parent.parent
BY_HAND = {"OMP_NUM_THREADS": "1"}


@dataclass(frozen=True)
class Way:
    """A checkout, and what the environment says."""

    name: str
    checkout: Path
    changes: dict[str, str]

    def environment(self) -> dict[str, str]:
        """The environment of its commands."""
        plain = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_", "GOMP_"))}
        return plain | {"PYTHONPATH": str(self.checkout)} | self.changes


def write_files(folder: Path, count: int) -> None:
    """Networks in files of their own; every time the population is through, it is moved anew."""
    point = read_networks(ROOT / "tests" / "population" / "relu").point
    networks = len(next(iter(point.tensors.values())))
    generator = torch.Generator().manual_seed(0)
    for start in range(0, count, networks):
        some = selected(point, list(range(min(networks, count - start))))
        exact = NetworkWeights(some.architecture, {name: tensor.double() for name, tensor in some.tensors.items()})
        size = len(next(iter(some.tensors.values())))
        moved = act(sample_element(some.architecture, generator, batch=(size,)), exact)
        for place in range(size):
            own = {name: tensor[place].float().contiguous() for name, tensor in moved.tensors.items()}
            save_file(own, folder / f"net-{start + place:06d}.safetensors", {"activation": "relu"})


@contextmanager
def busy(processes: int) -> Iterator[None]:
    """Processes that do nothing but run."""
    command = [sys.executable, "-c", "while True: pass"]
    running = [subprocess.Popen(command) for _ in range(processes)]
    try:
        yield
    finally:
        for process in running:
            process.kill()
            process.wait()


def seconds(command: list[str], way: Way, given: bytes = b"") -> tuple[float, float]:
    """Wall and processor seconds of a command and of what it starts."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=way.checkout, env=way.environment(), input=given, capture_output=True, check=True)
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def compare(what: str, rounds: int, one: Callable[[], tuple[float, float]], other: Callable[[], tuple[float, float]]):
    """Run both in turn and print what they took."""
    found: dict[int, list[tuple[float, float]]] = {0: [], 1: []}
    for number in range(rounds):
        for which in (0, 1) if number % 2 == 0 else (1, 0):
            found[which].append((one, other)[which]())
    means = [[statistics.mean(run[kind] for run in found[which]) for kind in (0, 1)] for which in (0, 1)]
    ratios = [mine[0] / theirs[0] for mine, theirs in zip(found[0], found[1], strict=True)]
    walls, processors = ([f"{means[which][kind]:.1f}" for which in (0, 1)] for kind in (0, 1))
    ratio = f"{means[0][0] / means[1][0]:.2f} [{min(ratios):.2f}, {max(ratios):.2f}]"
    print(what, " / ".join(walls), " / ".join(processors), ratio, sep="\t", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--busy", type=int, default=2, help="processes beside")
    parser.add_argument("--other", type=Path, help="a second checkout, instead of the thread set by hand")
    parser.add_argument("--quick", action="store_true", help="256 files only")
    options = parser.parse_args()
    now = Way("now", ROOT, {})
    other = Way("by hand", ROOT, BY_HAND) if options.other is None else Way("other", options.other.resolve(), {})
    nfn = [sys.executable, "-m", "nfn_cli", "predict-accuracy", "-q", "--format", "csv"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        write_files(folder, 256 if options.quick else 2_000)
        names = sorted(str(path) for path in folder.iterdir())
        listed = "\n".join(names).encode()

        def scored(way: Way, count: int) -> Callable[[], tuple[float, float]]:
            return lambda: seconds([*nfn, "-"], way, "\n".join(names[:count]).encode())

        print(f"what\twall, now / {other.name}\tprocessor, now / {other.name}\tratio of wall time [range]")
        with busy(options.busy):
            for count in (256,) if options.quick else (256, 300, 600, 2_000):
                compare(f"{count:,} files", options.rounds, scored(now, count), scored(other, count))
            if options.quick:
                return
            parallel = ["xargs", "-n", "500", "-P", "2", *nfn]
            compare(
                "2,000 files, xargs -n 500 -P 2 / one call",
                options.rounds,
                lambda: seconds(parallel, now, listed),
                scored(now, 2_000),
            )
        if options.other is not None:
            compare("2,000 files, nothing beside", options.rounds, scored(now, 2_000), scored(other, 2_000))


if __name__ == "__main__":
    main()
