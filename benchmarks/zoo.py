"""Speed of `nfn zoo cnn` against training one network after the other, and what bfloat16 does to the accuracies.

Speed: network-samples a second (images seen by a network in training), end to end with start-up and evaluation, over
all cores; the other side is a plain PyTorch loop over one module, its optimizer and the same batches, also over all
cores. Accuracies: the same runs trained in float32 and in bfloat16, compared by the two-sample Kolmogorov-Smirnov test.

    python benchmarks/zoo.py --data mnist.npz [--runs 64] [--epochs 2] [--images 20000] [--accuracies]
"""

from __future__ import annotations

import argparse
import csv
import multiprocessing
import os
import tempfile
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from scipy.stats import ks_2samp
from torch import nn

from nfn_cli.precision import fastest_precision
from nfn_cli.zoo import ZooSettings, generate_zoo, load_images
from nfn_cli.zoo.small_cnn import SMALLEST_IMAGE

BATCH = 64
STEPS = 200


def plain(data: str, images: int, activation: str) -> float:
    """Network-samples a second of a plain training loop in one process with one thread."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    loaded = load_images(data, smallest=SMALLEST_IMAGE, limit=images)
    nonlinearity = {"relu": nn.ReLU, "tanh": nn.Tanh}[activation]
    layers: list[nn.Module] = []
    channels = loaded.train_images.shape[1]
    for _ in range(3):
        layers += [nn.Conv2d(channels, 16, 3, stride=2), nonlinearity(), nn.Dropout(0.3)]
        channels = 16
    network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, loaded.classes))
    optimizer = torch.optim.Adam(network.parameters())
    for step in range(STEPS + 20):
        if step == 20:
            start = time.perf_counter()
        chosen = torch.randint(len(loaded.train_labels), (BATCH,))
        loss = F.cross_entropy(network(loaded.train_images[chosen]), loaded.train_labels[chosen])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return STEPS * BATCH / (time.perf_counter() - start)


def generate(folder: Path, arguments: argparse.Namespace, precision: str) -> tuple[float, list[float]]:
    """Network-samples a second, and the final test accuracies by run."""
    settings = ZooSettings(
        data=arguments.data,
        activation=arguments.activation,
        count=arguments.runs,
        epochs=(arguments.epochs,),
        image_limit=arguments.images,
        packed=True,
        precision=precision,
    )
    start = time.perf_counter()
    report = generate_zoo(folder / precision, settings, workers=os.cpu_count() or 1)
    rate = report.steps / (time.perf_counter() - start)
    with (folder / precision / "labels.csv").open(newline="") as file:
        return rate, [float(row["test_accuracy"]) for row in csv.DictReader(file)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--activation", choices=("relu", "tanh"), default="relu")
    parser.add_argument("--runs", type=int, default=64)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--accuracies", action="store_true")
    arguments = parser.parse_args()
    cores = os.cpu_count() or 1
    with multiprocessing.get_context("spawn").Pool(cores) as pool:
        work = [(arguments.data, arguments.images, arguments.activation)] * cores
        one_by_one = sum(pool.starmap(plain, work))
    fastest = fastest_precision("cpu")
    with tempfile.TemporaryDirectory() as name:
        rate, accuracies = generate(Path(name), arguments, fastest)
        print(f"{cores} cores; {arguments.runs} runs, {arguments.activation}, network-samples a second")
        print(f"plain loops, one network each     {one_by_one:>9,.0f}")
        print(f"nfn zoo cnn, {fastest:<20} {rate:>9,.0f}   × {rate / one_by_one:.1f}")
        if arguments.accuracies and fastest != "float32":
            rate, exact = generate(Path(name), arguments, "float32")
            print(f"nfn zoo cnn, {'float32':<20} {rate:>9,.0f}   × {rate / one_by_one:.1f}")
            quantiles = torch.tensor([0.1, 0.25, 0.5, 0.75, 0.9], dtype=torch.float64)
            for label, values in ((fastest, accuracies), ("float32", exact)):
                shown = torch.quantile(torch.tensor(values, dtype=torch.float64), quantiles).tolist()
                print(f"accuracies, {label:<10} 10/25/50/75/90 % at " + " ".join(f"{value:.3f}" for value in shown))
            test = ks_2samp(accuracies, exact)
            print(f"Kolmogorov-Smirnov statistic {test.statistic:.3f}, p = {test.pvalue:.2f}")


if __name__ == "__main__":
    main()
