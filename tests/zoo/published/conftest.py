"""Published zoos in miniature, written in exactly their layouts."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

# sequential/... as Keras names and orders them: biases before kernels, axes height, width, in, out.
VARIABLES = {
    "sequential/conv2d/bias:0": (16,),
    "sequential/conv2d/kernel:0": (3, 3, 1, 16),
    "sequential/conv2d_1/bias:0": (16,),
    "sequential/conv2d_1/kernel:0": (3, 3, 16, 16),
    "sequential/conv2d_2/bias:0": (16,),
    "sequential/conv2d_2/kernel:0": (3, 3, 16, 16),
    "sequential/dense/bias:0": (10,),
    "sequential/dense/kernel:0": (16, 10),
}
WIDTH = 4970
COLUMNS = [
    "config.activation",
    "config.b_init",
    "config.dataset",
    "config.dropout",
    "config.epochs",
    "config.init_std",
    "config.l2reg",
    "config.learning_rate",
    "config.num_layers",
    "config.num_units",
    "config.optimizer",
    "config.random_seed",
    "config.train_fraction",
    "config.w_init",
    "modeldir",
    "step",
    "test_accuracy",
    "test_loss",
    "train_accuracy",
    "train_loss",
]


def write_small_cnn_zoo(
    folder: Path, runs: Sequence[str] = ("relu", "relu", "tanh"), steps: Sequence[int] = (0, 20, 86)
) -> NDArray[np.float32]:
    """Write a zoo with one run for each activation; returns its weights, [runs × steps, 4970]."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(len(runs) * len(steps), WIDTH), scale=0.3).astype(np.float32)
    np.save(folder / "weights.npy", weights)
    with (folder / "layout.csv").open("w", newline="") as file:
        layout = csv.writer(file)
        layout.writerow(["varname", "start_idx", "end_idx", "size", "shape"])
        start = 0
        for name, shape in VARIABLES.items():
            size = int(np.prod(shape))
            layout.writerow([name, start, start + size, size, shape])
            start += size
    with gzip.open(folder / "metrics.csv.gz", "wt", newline="") as file:
        metrics = csv.DictWriter(file, COLUMNS)
        metrics.writeheader()
        for run, activation in enumerate(runs):
            for step in steps:
                accuracy = round(0.1 + 0.8 * rng.random(), 4)
                row = ["zeros", "cifar10", 0.2, 86, 0.01, 1e-6, 5e-3, 3, 16, "adam", 42, 0.25, "RandomNormal"]
                cells = [activation, *row, f"/zoo/cifar10/{run}", step, accuracy, 1.5, accuracy, 1.25]
                metrics.writerow(dict(zip(COLUMNS, cells, strict=True)))
    return weights


@pytest.fixture
def small_cnn_zoo() -> Callable[..., NDArray[np.float32]]:
    """Write a Small CNN Zoo."""
    return write_small_cnn_zoo


class Cnn(nn.Module):
    """The small CNN of the model zoos (`CNN` in def_net.py)."""

    def __init__(self, channels: int = 1, nonlinearity: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.module_list = nn.ModuleList(
            [
                nn.Conv2d(channels, 8, 5),
                nn.MaxPool2d(2, 2),
                nonlinearity(),
                nn.Conv2d(8, 6, 5),
                nn.MaxPool2d(2, 2),
                nonlinearity(),
                nn.Conv2d(6, 4, 2),
                nonlinearity(),
                nn.Flatten(),
                nn.Linear(36, 20),
                nonlinearity(),
                nn.Linear(20, 10),
            ]
        )

    def forward(self, images: Tensor) -> Tensor:
        for layer in self.module_list:
            images = layer(images)
        return images


NONLINEARITIES = {"relu": nn.ReLU, "tanh": nn.Tanh, "gelu": nn.GELU}


def write_trial(
    folder: Path,
    number: int,
    epochs: Sequence[int] = (0, 1, 2),
    activation: str = "relu",
    channels: int = 1,
    **config: object,
) -> Path:
    """Write a trial as Ray Tune does; returns its folder."""
    trial = folder / f"NN_tune_trainable_ff43b_{number:05d}_{number}_seed={number}_2021-07-12_12-44-44"
    trial.mkdir(parents=True)
    settings = {
        "model::type": "CNN",
        "model::channels_in": channels,
        "model::o_dim": 10,
        "model::nlin": activation,
        "model::dropout": 0.0,
        "model::init_type": "uniform",
        "optim::optimizer": "adam",
        "optim::lr": 3e-4,
        "optim::wd": 0.0,
        "seed": number,
        "training::batchsize": 8,
        "training::epochs_train": 50,
        "training::checkpoint_dir": None,
        "cuda": False,
    } | config
    (trial / "params.json").write_text(json.dumps(settings))
    (trial / "params.pkl").write_bytes(b"cos\nsystem\n(S'touch executed'\ntR.")
    (trial / "progress.csv").write_text("train_loss,test_acc\n")
    torch.manual_seed(number)
    lines = []
    for epoch in epochs:
        model = Cnn(channels, NONLINEARITIES[activation])
        checkpoint = trial / f"checkpoint_{epoch:06d}"
        checkpoint.mkdir()
        torch.save(model.state_dict(), checkpoint / "checkpoints")
        torch.save(torch.optim.Adam(model.parameters()).state_dict(), checkpoint / "optimizer")
        figures = {"train_loss": 1.5, "train_acc": 0.4} if epoch else {"train_loss": -999, "train_acc": -999}
        accuracy = 0.1 + 0.7 * torch.rand(1).item()
        lines.append(
            figures | {"test_loss": 1.6, "test_acc": accuracy, "training_iteration": epoch, "config": settings}
        )
    (trial / "result.json").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return trial


@pytest.fixture
def trial() -> Callable[..., Path]:
    """Write a trial of a model zoo."""
    return write_trial
