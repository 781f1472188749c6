"""How fast INRs are drawn: 1,000 at 28 × 28, from one packed file and from 1,000 files, against a torch module each.

    python benchmarks/rendering.py [--networks 1000] [--threads 2]

Random SIRENs 2→32→32→1; each way once to warm up and then three times, the best counts. All read, draw, and leave the
pixels in memory.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from nfn_cli.architectures import pixel_grid
from nfn_cli.checkpoints import POPULATION_KEY, find_checkpoints, save_tensors
from nfn_cli.pictures import DrawSettings, drawn
from nfn_cli.zoo import Siren
from nfn_cli.zoo.inr.siren_recipe import METADATA


class Sine(nn.Module):
    """What one would write: a SIREN as a module."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(2, 32), nn.Linear(32, 32), nn.Linear(32, 1)])

    def forward(self, places: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            places = torch.sin(30 * layer(places))
        return self.layers[-1](places)


def best(work: Callable[[], object]) -> float:
    """Seconds of the fastest of three runs."""
    work()
    times = []
    for _ in range(3):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return min(times)


def refuse(path: Path, error: Exception) -> None:
    raise error


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    siren = Siren(1)
    starts = torch.stack([siren.initial(torch.Generator().manual_seed(seed)) for seed in range(options.networks)])
    metadata = METADATA | {"omega_0": "30"}
    with tempfile.TemporaryDirectory() as place:
        packed, single = Path(place) / "packed.safetensors", Path(place) / "single"
        single.mkdir()
        tensors = {name: value.contiguous() for name, value in siren.split(starts).items()}
        save_tensors(packed, tensors, metadata | {POPULATION_KEY: str(options.networks)})
        for number in range(options.networks):
            own = {name: value[number].clone() for name, value in tensors.items()}
            save_tensors(single / f"{number:06d}.safetensors", own, metadata)
        files = find_checkpoints([single])

        def loop() -> None:
            places = pixel_grid(28, 28)
            for file in files:
                module = Sine()
                module.load_state_dict(load_file(file))
                with torch.inference_mode():
                    module(places)

        ours = {
            "one packed file": lambda: list(drawn([packed], DrawSettings(), on_error=refuse)),
            f"{options.networks:,} files": lambda: list(drawn(files, DrawSettings(), on_error=refuse)),
        }
        plain = best(loop)
        print(f"a module each, {options.networks:,} files: {plain:.2f} s, {options.networks / plain:,.0f} INRs/s")
        for name, work in ours.items():
            seconds = best(work)
            rate = options.networks / seconds
            print(f"nfn, {name}: {seconds:.2f} s, {rate:,.0f} INRs/s, {plain / seconds:.1f} times as fast")


if __name__ == "__main__":
    main()
