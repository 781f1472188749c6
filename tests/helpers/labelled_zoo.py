"""A small table of residual networks and vision transformers, whose accuracies follow from what their groups leave."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.architectures.families.recorded import RecordedNetwork, read_steps
from nfn_cli.architectures.families.vit import from_config

CLASSES = 3
VIT = {
    "model_type": "vit",
    "hidden_size": 8,
    "intermediate_size": 6,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "image_size": 8,
    "patch_size": 4,
    "num_channels": 1,
}


def residual_config(width: int = 4) -> dict[str, Any]:
    """What config.json says of a residual network of one block."""

    def conv(name: str, ins: int, **more: Any) -> dict[str, Any]:
        step = {"op": "conv", "name": name, "ins": ins, "outs": width, "kernel": 3, "stride": 1, "padding": 1}
        return step | {"bias": False} | more

    def norm(name: str) -> dict[str, Any]:
        return {"op": "batchnorm2d", "name": name, "size": width}

    relu = {"op": "relu"}
    steps = [conv("conv1", 1), norm("bn1"), relu, conv("block.conv1", width), norm("block.bn1"), relu]
    steps += [conv("block.conv2", width), norm("block.bn2"), {"op": "add", "with": [2], "from": 7}, relu]
    steps += [{"op": "mean"}, {"op": "linear", "name": "fc", "ins": width, "outs": CLASSES, "bias": True}]
    return {"model_type": "nfn-steps", "input": [1, 8, 8], "steps": steps}


def network(config: dict[str, Any], part: float, generator: torch.Generator) -> dict[str, Tensor]:
    """Tensors of a network. Its matrices are noise, with more or less of a matrix of one number."""
    if config["model_type"] == "vit":
        reference = from_config(config, {"classifier.weight": (CLASSES, 8), "vit.embeddings.cls_token": (1, 1, 8)})
        assert reference is not None
        module = reference.make()
    else:
        module = RecordedNetwork(read_steps(config["steps"]))
    state = {}
    for name, old in module.state_dict().items():
        noise = torch.randn(old.shape, generator=generator) if old.is_floating_point() else old
        if name.endswith("running_var"):
            noise = 0.5 + noise.abs()
        elif name.endswith("bias") or name.endswith("running_mean"):
            noise = 0.3 * noise + 2 * part
        elif old.ndim > 1:
            noise = (1 - part) * noise + part
        state[name] = noise
    return state


def write_zoo(folder: Path, runs: int, configs: tuple[dict[str, Any], ...] | None = None) -> Path:
    """Write checkpoints, one a run with its config.json, and labels.csv."""
    configs = configs or (residual_config(), VIT)
    generator = torch.Generator().manual_seed(0)
    rows = []
    for run in range(runs):
        part = torch.rand(1, generator=generator).item()
        config = configs[run % len(configs)]
        own = folder / f"run-{run}"
        own.mkdir(parents=True)
        (own / "config.json").write_text(json.dumps(config))
        save_file(network(config, part, generator), own / "model.safetensors")
        family = "transformer" if config["model_type"] == "vit" else "residual"
        rows.append(
            {"file": f"run-{run}/model.safetensors", "run": run, "test_accuracy": 0.3 + 0.6 * part, "family": family}
        )
    with (folder / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return folder
