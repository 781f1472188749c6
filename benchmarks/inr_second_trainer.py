"""Fit SIRENs to test pictures with a second trainer, apart from `nfn zoo inr`: what heads meet that were fitted to
networks of the first.

Nothing but the architecture and the files is shared: autograd and optimisers of torch, other initial weights, learning
rates, steps and losses, random pixels in place of all; a way (`WAYS`) for every tenth part of the networks. Heads are
measured on them and never fitted to them.

    python benchmarks/inr_second_trainer.py mnist.npz second-trainer [--networks 600]
    nfn evaluate-inr monomial-inr-mnist second-trainer
    python benchmarks/inr_second_trainer.py --heads monomial-inr-mnist,inr-mnist second-trainer
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors
from nfn_cli.learning.metrics import bootstrap, share
from nfn_cli.nn import load_head
from nfn_cli.zoo import load_images, read_inrs
from nfn_cli.zoo.inr.labels import InrRow, write_inr_rows

OMEGA_0 = 30.0
WIDTHS = (32, 32)
PART = "part-00000.safetensors"


@dataclass(frozen=True)
class Way:
    """How some of the networks are fitted.

    Attributes:
        optimizer: a class of `torch.optim`.
        pixels: drawn for each step, of each network its own; None takes all.
        first, inner: initial weights relative to those of the SIREN paper, of the first layer and of the others.
        zero_bias: whether biases start at zero; else as in `torch.nn.Linear`.
        loss: "mse", "l1" or "huber".
        decay: the learning rate falls to this share of itself, exponentially.
    """

    name: str
    optimizer: str
    rate: float
    steps: int
    pixels: int | None = None
    first: float = 1.0
    inner: float = 1.0
    zero_bias: bool = False
    loss: str = "mse"
    decay: float = 1.0


WAYS = (
    Way("Adam", "Adam", 1e-3, 300),
    Way("Adam, random pixels", "Adam", 2e-3, 400, pixels=196, decay=0.1),
    Way("Adam, few steps", "Adam", 5e-3, 60),
    Way("Adam, larger start", "Adam", 2e-3, 200, inner=1.5, decay=0.1),
    Way("Adam, smaller start", "Adam", 2e-3, 250, first=0.7, inner=0.7),
    Way("AdamW, zero biases", "AdamW", 3e-3, 150, zero_bias=True, decay=0.1),
    Way("RMSprop", "RMSprop", 5e-4, 300),
    Way("NAdam, L1", "NAdam", 2e-3, 250, loss="l1", decay=0.1),
    Way("Adam, Huber, wide first layer", "Adam", 1e-3, 250, first=1.4, loss="huber"),
    Way("Adam, long", "Adam", 1e-3, 800, pixels=256, decay=0.05),
)


class Sirens(nn.Module):
    """Many SIRENs side by side, from places [networks, pixels, 2] to values [networks, pixels, channels]."""

    def __init__(self, networks: int, channels: int, way: Way) -> None:
        super().__init__()
        sizes = (2, *WIDTHS, channels)
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for layer, (inputs, outputs) in enumerate(pairwise(sizes)):
            bound = way.first / inputs if layer == 0 else way.inner * (6 / inputs) ** 0.5 / OMEGA_0
            self.weights.append(nn.Parameter(torch.empty(networks, outputs, inputs).uniform_(-bound, bound)))
            reach = 0.0 if way.zero_bias else inputs**-0.5
            self.biases.append(nn.Parameter(torch.empty(networks, outputs).uniform_(-reach, reach)))

    def forward(self, places: Tensor) -> Tensor:
        """Values at places."""
        values = places
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = values @ weight.mT + bias[:, None]
            if layer < len(WIDTHS):
                values = torch.sin(OMEGA_0 * values)
        return values


def fit(pictures: Tensor, places: Tensor, way: Way) -> Sirens:
    """A network for each of pictures [networks, pixels, channels]."""
    sirens = Sirens(len(pictures), pictures.shape[2], way)
    optimizer = getattr(torch.optim, way.optimizer)(sirens.parameters(), lr=way.rate)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, way.decay ** (1 / way.steps))
    everywhere = places.expand(len(pictures), -1, -1)
    for _ in range(way.steps):
        asked, wanted = everywhere, pictures
        if way.pixels is not None:
            chosen = torch.randint(len(places), (len(pictures), way.pixels))
            asked, wanted = places[chosen], pictures.take_along_dim(chosen[..., None], 1)
        errors = _errors(sirens(asked), wanted, way.loss)
        optimizer.zero_grad()
        errors.sum().backward()  # each network's own error, so that they do not share a step
        optimizer.step()
        schedule.step()
    return sirens


def _errors(values: Tensor, wanted: Tensor, loss: str) -> Tensor:
    """Mean error of each network."""
    of = {"mse": F.mse_loss, "l1": F.l1_loss, "huber": F.smooth_l1_loss}[loss]
    return of(values, wanted, reduction="none").mean((1, 2))


def print_by_way(folder: Path, names: Sequence[str]) -> None:
    """A Markdown table: of every way, and of all, the share that each head classifies right, and the share flagged."""
    networks = read_inrs(folder)
    rows: dict[str, list[str]] = {way.name: [] for way in WAYS} | {"all": []}
    for name in names:
        found = load_head(name).predict(networks.point)
        right = (found.logits.argmax(1) == networks.targets).double()
        flagged = (~found.in_distribution).double()
        for way, *own in zip(WAYS, right.chunk(len(WAYS)), flagged.chunk(len(WAYS)), strict=False):
            rows[way.name] += [f"{part.mean():.3f}" for part in own]
        rows["all"] += [str(bootstrap(share, networks.targets, of, networks.runs)) for of in (right, flagged)]
    print("| fitted by | " + " | ".join(f"{name}, right | flagged" for name in names) + " |")
    print("|---" * (1 + 2 * len(names)) + "|")
    for way_name, cells in rows.items():
        print(f"| {way_name} | " + " | ".join(cells) + " |")


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", help="image set, as for `nfn zoo inr`")
    parser.add_argument("out", type=Path, help="folder of the networks")
    parser.add_argument("--heads", metavar="NAME,NAME", help="print what they are worth on the folder's networks")
    parser.add_argument("--networks", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--share", type=float, default=1.0, help="of the steps of every way (1)")
    options = parser.parse_args(arguments)

    torch.set_num_threads(1)
    if options.heads:
        print_by_way(options.out, options.heads.split(","))
        return
    if options.data is None:
        parser.error("give an image set, or --heads")
    torch.manual_seed(1_000_003 + options.seed)
    images = load_images(options.data)
    numbers = torch.randperm(len(images.test_labels))[: options.networks]
    height, width = images.test_images.shape[2:]
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    places = torch.stack([rows.flatten(), columns.flatten()], dim=1)

    table: list[InrRow] = []
    tensors: dict[str, list[Tensor]] = {}
    for way, own in zip(WAYS, numbers.chunk(len(WAYS)), strict=False):
        pictures = images.test_images[own].flatten(2).mT
        steps = max(1, round(way.steps * options.share))
        sirens = fit(pictures, places, Way(**{**vars(way), "steps": steps}))
        with torch.no_grad():
            error = (sirens(places.expand(len(own), -1, -1)) - pictures).square().mean((1, 2))
        psnr = 10 * (4 / error).log10()
        print(f"{way.name}: {len(own)} networks, {psnr.mean():.1f} dB", file=sys.stderr)
        for place, image in enumerate(own.tolist()):
            label, found = int(images.test_labels[image]), round(psnr[place].item(), 3)
            table.append(InrRow(PART, len(table), "test", image, 0, label, found))
        for layer, (weight, bias) in enumerate(zip(sirens.weights, sirens.biases, strict=True)):
            tensors.setdefault(f"layers.{layer}.weight", []).append(weight.detach())
            tensors.setdefault(f"layers.{layer}.bias", []).append(bias.detach())
    options.out.mkdir(parents=True, exist_ok=True)
    metadata = {"activation": "sin", "omega_0": f"{OMEGA_0:g}", "value_range": "-1 1", POPULATION_KEY: str(len(table))}
    packed = {name: torch.cat(parts) for name, parts in tensors.items()}
    save_tensors(options.out / PART, packed, metadata, overwrite=True)
    write_inr_rows(options.out, table)
    print(f"{options.out}: {len(table)} networks")


if __name__ == "__main__":
    main()
