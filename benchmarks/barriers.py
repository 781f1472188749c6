"""Loss barriers between small CNNs that were trained apart, before and after alignment, by width.

`python benchmarks/align.py --barrier` prints the table. The barrier is that of definition 2.2 of Git Re-Basin
(arXiv 2209.04836): the largest loss on the line between two networks, less the mean of both losses. Beside `nfn align`
stands that paper's algorithm 1 (weight matching by permutations, layers in random order), written here on its own.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import save_file
from scipy.optimize import linear_sum_assignment
from torch import Tensor, nn
from torch.nn import functional

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.symmetry.aligning import align_to
from nfn_cli.symmetry.sources import read_any, transformed_by
from nfn_cli.zoo.images import ImageSet, load_images

POINTS = 11  # of the line, both ends among them
TEST = 4_000  # images
LAYERS = ("conv1", "conv2", "conv3")

State = dict[str, Tensor]


class Wide(nn.Module):
    """Three strided convolutions of w, 2w and 2w channels, a flatten, and a linear layer."""

    def __init__(self, width: int, pictures: Tensor) -> None:
        super().__init__()
        channels, sides = pictures.shape[1], [-(-side // 8) for side in pictures.shape[2:]]
        self.conv1 = nn.Conv2d(channels, width, 3, 2, 1)
        self.conv2 = nn.Conv2d(width, 2 * width, 3, 2, 1)
        self.conv3 = nn.Conv2d(2 * width, 2 * width, 3, 2, 1)
        self.fc = nn.Linear(2 * width * math.prod(sides), 10)

    def forward(self, x: Tensor) -> Tensor:
        for name in LAYERS:
            x = functional.relu(getattr(self, name)(x))
        return self.fc(x.flatten(1))


@dataclass(frozen=True)
class Barriers:
    """Of one pair of networks.

    Attributes:
        loss, accuracy: the mean of both, on test images.
        plain, aligned, permuted, matched: barriers as they lie, after `nfn align`, after `nfn align --no-scale`, and
            after algorithm 1 of Git Re-Basin.
    """

    loss: float
    accuracy: float
    plain: float
    aligned: float
    permuted: float
    matched: float


def barriers(images: ImageSet, width: int, seed: int, folder: Path, *, epochs: int) -> Barriers:
    """Train two networks from two seeds and measure what is between them."""
    states = [_trained(images, width, 2 * seed + own, epochs) for own in (0, 1)]
    files = []
    for own, state in enumerate(states):
        files.append(folder / f"{width}-{seed}-{own}.safetensors")
        save_file(state, files[-1], metadata={"activation": "relu", "pool": "none"})
    one, two = states
    ends = [_measured(images, width, state) for state in states]
    return Barriers(
        statistics.mean(loss for loss, _ in ends),
        statistics.mean(accuracy for _, accuracy in ends),
        _barrier(images, width, one, two),
        _barrier(images, width, one, _aligned(*files, scaled=True)),
        _barrier(images, width, one, _aligned(*files, scaled=False)),
        _barrier(images, width, one, weight_matched(one, two, torch.Generator().manual_seed(seed))),
    )


def weight_matched(one: State, two: State, generator: torch.Generator) -> State:
    """Algorithm 1 of Git Re-Basin: two's neurons permuted to make its inner product with one large."""
    orders = [torch.arange(len(one[f"{name}.weight"])) for name in LAYERS]
    below = [*LAYERS[1:], "fc"]

    def permuted(skipped: int | None) -> State:
        """Two under all permutations but one."""
        found = dict(two)
        for own, order in enumerate(orders):
            if own != skipped:
                name, reader = LAYERS[own], f"{below[own]}.weight"
                found |= {f"{name}.{part}": found[f"{name}.{part}"][order] for part in ("weight", "bias")}
                blocks = found[reader].unflatten(1, (len(order), -1))  # of positions, behind the flatten
                found[reader] = blocks[:, order].flatten(1, 2)
        return found

    changed = True
    while changed:
        changed = False
        for own in torch.randperm(len(LAYERS), generator=generator).tolist():
            moved, reader = permuted(own), f"{below[own]}.weight"
            count = len(orders[own])
            ours, theirs = (state[reader].unflatten(1, (count, -1)).transpose(0, 1) for state in (one, moved))
            product = ours.flatten(1) @ theirs.flatten(1).T
            for part in ("weight", "bias"):
                name = f"{LAYERS[own]}.{part}"
                product = product + one[name].reshape(count, -1) @ moved[name].reshape(count, -1).T
            found = torch.from_numpy(linear_sum_assignment(product.numpy(), maximize=True)[1])
            rows = torch.arange(count)
            if product[rows, found].sum() > product[rows, orders[own]].sum() + 1e-6:
                orders[own], changed = found, True
    return permuted(None)


def _aligned(one: Path, two: Path, *, scaled: bool) -> State:
    reference, source = (read_any(file, Stated(), NetworkTracer()) for file in (one, two))
    moved = transformed_by(source, align_to(reference, source, scaled=scaled).element)
    return {name: moved[name] for name in moved}


def _trained(images: ImageSet, width: int, seed: int, epochs: int) -> State:
    torch.manual_seed(seed)
    module = Wide(width, images.train_images)
    steps = epochs * -(-len(images.train_images) // 128)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for _ in range(epochs):
        for batch in torch.randperm(len(images.train_images)).split(128):
            optimizer.zero_grad()
            functional.cross_entropy(module(images.train_images[batch]), images.train_labels[batch]).backward()
            optimizer.step()
            schedule.step()
    return {name: tensor.detach() for name, tensor in module.state_dict().items()}


def _measured(images: ImageSet, width: int, state: State) -> tuple[float, float]:
    module = Wide(width, images.train_images)
    module.load_state_dict(state)
    with torch.no_grad():
        answers = torch.cat([module(part) for part in images.test_images[:TEST].split(1_000)])
    labels = images.test_labels[:TEST]
    return functional.cross_entropy(answers, labels).item(), (answers.argmax(1) == labels).double().mean().item()


def _barrier(images: ImageSet, width: int, one: State, two: State) -> float:
    losses = []
    for share in torch.linspace(0, 1, POINTS).tolist():
        losses.append(_measured(images, width, {key: torch.lerp(one[key], two[key], share) for key in one})[0])
    return max(losses) - (losses[0] + losses[-1]) / 2


def print_barriers(data: str, folder: Path, seeds: range, widths: list[int], limit: int, epochs: int) -> None:
    """Print the table."""
    images = load_images(data, limit=limit)
    print(f"{images.name}, {len(images.train_images)} training images, {epochs} epochs")
    print("| width | loss | accuracy | barrier | aligned | without scales | Git Re-Basin, algorithm 1 |")
    print("|---|---|---|---|---|---|---|")
    for width in widths:
        found = [barriers(images, width, seed, folder, epochs=epochs) for seed in seeds]
        columns = [[getattr(own, column) for own in found] for column in ("plain", "aligned", "permuted", "matched")]
        shown = [f"{statistics.median(own):.3f} [{min(own):.3f}, {max(own):.3f}]" for own in columns]
        loss = statistics.median(own.loss for own in found)
        accuracy = statistics.median(own.accuracy for own in found)
        print(f"| {width} | {loss:.3f} | {accuracy:.1%} | {' | '.join(shown)} |", flush=True)
