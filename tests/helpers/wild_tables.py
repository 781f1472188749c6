"""Small tables of classifiers of three architectures. Their accuracies follow from what their groups leave alone."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

SIDE = 8
WIDTHS = ((10,), (12, 8), (16,))
TASKS = ("all", "few")
FAMILIES = ("wide", "deep", "wider")


def write_classifiers(
    folder: Path, runs: int = 48, *, columns: bool = True, known: bool = False, run: bool = False
) -> Path:
    """Write checkpoints, one a run, and labels.csv.

    Every matrix is noise with more or less of a matrix of rank one; the more, the higher the accuracy. No permutation
    and no scaling of neurons changes how much of it there is.

    Args:
        columns: whether the table says task, family and the accuracies on halves.
        known: whether the files say their activation, so that their group is known.
        run: whether a configuration beside each says how it is run.
    """
    folder.mkdir(parents=True)
    generator = torch.Generator().manual_seed(0)
    rows = []
    for number in range(runs):
        part = torch.rand(1, generator=generator).item()
        kind = number % len(WIDTHS)
        tensors = _network((SIDE * SIDE, *WIDTHS[kind], 4), part, generator)
        name = f"run-{number}.safetensors"
        if run:
            name = f"run-{number}/model.safetensors"
            (folder / name).parent.mkdir()
            (folder / name).with_name("config.json").write_text(json.dumps(steps_of(SIDE * SIDE, *WIDTHS[kind], 4)))
        save_file(tensors, folder / name, {"activation": "relu"} if known else None)
        accuracy = 0.25 + 0.7 * part
        noise = 0.01 * (2 * torch.rand(2, generator=generator) - 1)
        more = {
            "task": TASKS[number // 3 % len(TASKS)],
            "family": FAMILIES[kind],
            "even_accuracy": accuracy + noise[0].item(),
            "odd_accuracy": accuracy + noise[1].item(),
        }
        rows.append({"file": name, "run": number, "test_accuracy": accuracy} | (more if columns else {}))
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder


def steps_of(*sizes: int) -> dict[str, object]:
    """What config.json says of a network of linear layers with relu between them."""
    layers = [
        {"op": "linear", "name": str(2 * number), "ins": inputs, "outs": outputs, "bias": True}
        for number, (inputs, outputs) in enumerate(pairwise(sizes))
    ]
    steps: list[dict[str, object]] = [{"op": "flatten"}]
    for layer in layers:
        steps += [layer, {"op": "relu"}]
    return {"model_type": "nfn-steps", "input": [1, SIDE, SIDE], "steps": steps[:-1]}


def _network(sizes: tuple[int, ...], part: float, generator: torch.Generator) -> dict[str, Tensor]:
    tensors = {}
    for number, (inputs, outputs) in enumerate(pairwise(sizes)):
        noise = torch.randn(outputs, inputs, generator=generator)
        first = torch.randn(outputs, 1, generator=generator) @ torch.randn(1, inputs, generator=generator)
        tensors[f"{2 * number}.weight"] = (1 - part) * noise + part * first
        tensors[f"{2 * number}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    return tensors
