"""Score small CNNs from disk to CSV: `nfn predict-accuracy` against what one would write, with the same head.

    python benchmarks/scoring.py ZOO [--files 20000] [--sample 1000]

Writes networks of a packed zoo, moved by random permutations, one a file, into a temporary folder. Then, in one run:

- nfn: all files, from listing to CSV, as a command of its own (start included), and its peak memory with a tenth;
- a loop: `load_file` and one forward pass each, on `--sample` files;
- a DataLoader with two workers and batches of 8, as in the reference code of arXiv 2409.11697, on `--sample` files;
- the stages alone: reading in as many processes, and the head's forward pass on networks in memory.
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch.utils.data import DataLoader, Dataset

from nfn_cli.architectures import Layer, NetworkWeights, chain
from nfn_cli.checkpoints import save_tensors
from nfn_cli.nn import load_head
from nfn_cli.scoring.reading import ReadSettings, Source, read_chunk
from nfn_cli.symmetry import act, sample_element
from nfn_cli.zoo import read_networks
from nfn_cli.zoo.listed_networks import selected

HEAD = "small-cnn-relu"
PROCESSES = os.cpu_count() or 1


def write_files(zoo: Path, folder: Path, count: int) -> None:
    """Files of one network each."""
    point = read_networks(zoo).point
    networks = len(next(iter(point.tensors.values())))
    generator = torch.Generator().manual_seed(0)
    for start in range(0, count, networks):
        some = selected(point, list(range(min(networks, count - start))))
        element = sample_element(some.architecture, generator, batch=(len(some.tensors["conv1.weight"]),), scale=False)
        moved = act(element, NetworkWeights(some.architecture, {k: v.double() for k, v in some.tensors.items()}))
        for place in range(len(moved.tensors["conv1.weight"])):
            own = {name: tensor[place].float() for name, tensor in moved.tensors.items()}
            path = folder / f"{(start + place) // 1000:03d}" / f"net-{start + place:06d}.safetensors"
            path.parent.mkdir(exist_ok=True)
            save_tensors(path, own, {"activation": some.architecture.activation})


def ours(folder: Path, count: int) -> tuple[float, float]:
    """Seconds of the command, and the largest peak memory of one of its processes in MiB."""
    program = "import resource, runpy, sys; sys.argv = ['nfn', *sys.argv[1:]]\n"
    program += "try:\n    runpy.run_module('nfn_cli', run_name='__main__')\nfinally:\n"
    # Not ru_maxrss of its own, which still counts what this process held when it started the command.
    program += "    status = open('/proc/self/status').read()\n"
    program += "    own = int(status.split('VmHWM:')[1].split()[0])\n"
    program += "    print(max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss), file=sys.stderr)"
    out = folder.parent / f"rows-{count}.csv"
    command = [
        sys.executable,
        "-c",
        program,
        "predict-accuracy",
        str(folder),
        "--limit",
        str(count),
        "-q",
        "-o",
        str(out),
    ]
    started = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    with out.open(newline="") as file:
        assert sum(1 for _ in csv.DictReader(file)) == count
    return seconds, int(done.stderr.split()[-1]) / 1024


def loop(files: list[Path]) -> float:
    """Seconds of a plain loop."""
    head = load_head(HEAD)
    started = time.perf_counter()
    for file in files:
        head.predict(_point(load_file(file)))
    return time.perf_counter() - started


class Files(Dataset):
    """What one would write for a DataLoader."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, place: int) -> dict[str, torch.Tensor]:
        return load_file(self.files[place])


def loader(files: list[Path]) -> float:
    """Seconds of a DataLoader pipeline."""
    head = load_head(HEAD)
    started = time.perf_counter()
    for batch in DataLoader(Files(files), batch_size=8, num_workers=PROCESSES):
        head.predict(_point(batch, batched=True))
    return time.perf_counter() - started


def _point(tensors: dict[str, torch.Tensor], batched: bool = False) -> NetworkWeights:
    names = ["conv1", "conv2", "conv3", "fc"]
    layers = []
    for name in names:
        shape = tensors[f"{name}.weight"].shape[1 if batched else 0 :]
        kind = "conv" if len(shape) == 4 else "linear"
        layers.append(Layer(name, kind, shape[1], shape[0], tuple(shape[2:])))
    architecture = chain(layers, activation="relu")
    order = [spec.name for spec in architecture.tensors]
    return NetworkWeights(architecture, {name: tensors[name] if batched else tensors[name][None] for name in order})


def read_some(paths: list[str]) -> int:
    torch.set_num_threads(1)
    settings = ReadSettings({HEAD: load_head(HEAD).config.accepted})
    return sum(
        len(read_chunk([Source(path) for path in paths[i : i + 64]], settings).names) for i in range(0, len(paths), 64)
    )


def forward_some(repeats: int) -> int:
    torch.set_num_threads(1)
    head = load_head(HEAD)
    point = selected(read_networks(Path(os.environ["NFN_BENCH_ZOO"])).point, list(range(64)))
    started = time.perf_counter()
    for _ in range(repeats):
        head.predict(point)
    return int(64 * repeats / (time.perf_counter() - started))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("zoo", type=Path)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--sample", type=int, default=1_000)
    options = parser.parse_args()
    os.environ["NFN_BENCH_ZOO"] = str(options.zoo)
    context = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "zoo"
        folder.mkdir()
        write_files(options.zoo, folder, options.files)
        files = sorted(folder.rglob("*.safetensors"))
        _, few = ours(folder, options.files // 10)
        seconds, many = ours(folder, options.files)
        rate = options.files / seconds
        print(f"nfn: {options.files:,} files in {seconds:.1f} s, {rate:,.0f} a second")
        print(f"peak memory of a process: {few:,.0f} MiB with {options.files // 10:,} files, {many:,.0f} MiB with all")
        for name, way in (("a loop", loop), ("a DataLoader, batch 8", loader)):
            own = options.sample / way(files[: options.sample])
            print(f"{name}: {own:,.0f} a second; nfn is {rate / own:.1f} times as fast")
        with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
            list(pool.map(read_some, [[str(files[0])]] * PROCESSES))  # starts them
            parts = [[str(file) for file in files[i::PROCESSES]][:4000] for i in range(PROCESSES)]
            started = time.perf_counter()
            read = sum(pool.map(read_some, parts))
            reading = read / (time.perf_counter() - started)
        with ProcessPoolExecutor(PROCESSES, mp_context=context) as pool:
            list(pool.map(forward_some, [1] * PROCESSES))
            forward = sum(pool.map(forward_some, [20] * PROCESSES))
        slowest = min(reading, forward)
        print(f"stages alone, {PROCESSES} processes: reading {reading:,.0f}, head {forward:,.0f} a second")
        print(f"nfn reaches {rate / slowest:.0%} of the slower one")


if __name__ == "__main__":
    main()
