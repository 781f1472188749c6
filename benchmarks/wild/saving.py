"""Measure a trained network, and write its run: checkpoints with a `config.json` that records the forward pass."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from archive import Array, Images
from recording import configuration, require_same_logits
from runs import Row, run_folder
from torch import Tensor, nn

from nfn_cli.checkpoints import save_tensors, write_text_atomically

Pixels = Callable[[Array], Tensor]  # uint8 [count, height, width, channels] -> float32 [count, channels, height, width]
_TOGETHER = 500
_TRAIN_MEASURED = 2_000


@dataclass
class Kept:
    """The checkpoints of a run, with what was measured of each.

    Attributes:
        facts: columns that are the same for all of them.
    """

    network: nn.Module
    images: Images
    pixels: Pixels
    facts: Mapping[str, Any]
    rows: list[Row] = field(default_factory=list)
    states: list[dict[str, Tensor]] = field(default_factory=list)

    def add(self, epoch: int, train_pictures: Array, train_labels: Tensor) -> bool:
        """Measure the network and keep it; False, and nothing is kept, where it is not finite.

        Args:
            train_pictures, train_labels: what it was trained on; the first 2,000 are measured.
        """
        training = self.network.training
        self.network.eval()
        right, losses = self._measured(self.images.x_test, torch.from_numpy(self.images.y_test))
        seen, _ = self._measured(train_pictures[:_TRAIN_MEASURED], train_labels[:_TRAIN_MEASURED])
        self.network.train(training)
        state = {name: value.detach().clone() for name, value in self.network.state_dict().items()}
        if not math.isfinite(float(losses.mean())) or not all(bool(own.isfinite().all()) for own in state.values()):
            return False
        measured = {
            "epoch": epoch,
            "parameters": sum(own.numel() for own in self.network.parameters()),
            "test_accuracy": float(right.mean()),
            "even_accuracy": float(right[::2].mean()),
            "odd_accuracy": float(right[1::2].mean()),
            "train_accuracy": float(seen.mean()),
            "test_loss": float(losses.mean()),
        }
        self.rows.append({**self.facts, **measured})
        self.states.append(state)
        return True

    def write(self, folder: Path, run: int) -> list[Row]:
        """Write the run below a folder and return its rows, with their files and its number.

        Raises:
            ValueError: the recorded steps give other logits than the network.
        """
        if not self.rows:
            return []
        config = configuration(self.network, self.images.picture)
        rows = []
        place = folder / run_folder(run)
        place.mkdir(exist_ok=True)
        for row, state in zip(self.rows, self.states, strict=True):
            self.network.load_state_dict(state)
            require_same_logits(self.network, config, self.pixels(self.images.x_test[:16]))
            file = f"{run_folder(run)}/epoch-{row['epoch']:03d}.safetensors"
            save_tensors(folder / file, state, {"arch": "wild"}, overwrite=True)
            rows.append({**row, "file": file, "run": run})
        write_text_atomically(place / "config.json", json.dumps(config) + "\n", overwrite=True)
        return rows

    @torch.no_grad()
    def _measured(self, pictures: Array, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Whether each picture is classified right, as 0 and 1, and its cross entropy; float64 [pictures]."""
        right, losses = [], []
        for start in range(0, len(labels), _TOGETHER):
            logits = self.network(self.pixels(pictures[start : start + _TOGETHER])).double()
            own = labels[start : start + _TOGETHER]
            right.append((logits.argmax(1) == own).double())
            losses.append(F.cross_entropy(logits, own, reduction="none"))
        return torch.cat(right), torch.cat(losses)
