"""Train one network by a drawn recipe, and measure it where it is saved."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.zoo.wild.schedules import MOMENTUM
from nfn_cli.zoo.wild.tasks import TaskImages
from nfn_cli.zoo.wild.training_recipe import TrainingRecipe

_MEASURED_TOGETHER = 500
TRAIN_MEASURED = 2_000
SHIFT = 2  # pixels


@dataclass(frozen=True)
class Saved:
    """A network behind an epoch.

    Attributes:
        state: its tensors, on the CPU.
        test_accuracy: share of the test images that it gets right.
        halves: the same of the test images at even and at odd places.
        train_accuracy: of the first 2,000 training images, as they are.
        test_loss: mean cross entropy, in nats.
    """

    epoch: int
    state: dict[str, Tensor]
    test_accuracy: float
    halves: tuple[float, float]
    train_accuracy: float
    test_loss: float


def train_network(
    network: nn.Module, recipe: TrainingRecipe, images: TaskImages, on_epoch: Callable[[], None] = lambda: None
) -> Iterator[Saved]:
    """Train a freshly made network and yield it behind each epoch that the recipe saves.

    Ends early, without a word, where the loss is no longer finite: what was saved before stays.
    """
    generator = torch.Generator().manual_seed(recipe.seed % 2**31)
    initialise(network, recipe, generator)
    pixels = _prepared(images, recipe.preprocessing)
    chosen = torch.randperm(len(images.train_labels), generator=generator)[: recipe.images]
    pictures, labels = pixels(images.train_images[chosen]), images.train_labels[chosen].clone()
    wrong = torch.rand(len(labels), generator=generator) < recipe.noise
    labels[wrong] = torch.randint(images.classes, (int(wrong.sum()),), generator=generator)
    held = len(labels) // 10 if recipe.early_stopping and len(labels) >= 100 else 0
    validation, (pictures, labels) = (pictures[:held], labels[:held]), (pictures[held:], labels[held:])
    test = pixels(images.test_images)
    batch = min(recipe.batch_size, len(labels))
    steps = len(labels) // batch
    optimizer = _optimizer(network, recipe)
    schedule = _schedule(optimizer, recipe, recipe.epochs * steps)
    average = copy.deepcopy(network) if recipe.averaging else None
    best: tuple[float, dict[str, Tensor]] | None = None
    for epoch in range(1, recipe.epochs + 1):
        network.train()
        order = torch.randperm(len(labels), generator=generator)
        for part in order[: steps * batch].split(batch):
            loss = F.cross_entropy(network(_augmented(pictures[part], recipe, generator)), labels[part])
            if not math.isfinite(loss.item()):
                return
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
            if average is not None:
                _follow(average, network, recipe.averaging)
        on_epoch()
        kept = network if average is None else average
        kept.eval()
        if held:
            accuracy, _ = _measured(kept, *validation)
            if best is None or accuracy.mean() > best[0]:
                best = (float(accuracy.mean()), {name: value.clone() for name, value in kept.state_dict().items()})
        if epoch in recipe.saved:
            if best is not None and epoch == recipe.epochs:
                kept.load_state_dict(best[1])
            right, losses = _measured(kept, test, images.test_labels)
            state = {name: value.detach().clone() for name, value in kept.state_dict().items()}
            if not all(bool(value.isfinite().all()) for value in state.values()) or not losses.isfinite().all():
                return
            train, _ = _measured(kept, pictures[:TRAIN_MEASURED], labels[:TRAIN_MEASURED])
            halves = float(right[::2].mean()), float(right[1::2].mean())
            yield Saved(epoch, state, float(right.mean()), halves, float(train.mean()), float(losses.mean()))


def initialise(network: nn.Module, recipe: TrainingRecipe, generator: torch.Generator) -> None:
    """Set the weights of linear and convolution layers; biases become 0, but for PyTorch's own initialiser."""
    torch.manual_seed(recipe.seed % 2**31)
    for module in network.modules():
        if not isinstance(module, nn.Linear | nn.Conv2d):
            continue
        module.reset_parameters()
        if recipe.initialiser == "default":
            continue
        weight = module.weight
        if recipe.initialiser == "xavier":
            nn.init.xavier_uniform_(weight, generator=generator)
        elif recipe.initialiser == "he":
            nn.init.kaiming_normal_(weight, generator=generator)
        elif recipe.initialiser == "orthogonal":
            nn.init.orthogonal_(weight, generator=generator)
        else:
            nn.init.normal_(weight, std=recipe.scale, generator=generator)
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def centre_and_spread(images: TaskImages, how: str) -> tuple[Tensor, Tensor]:
    """What a preprocessing subtracts from pixels, and what it divides them by then; float32 [1, channels, 1, 1]."""
    train = images.train_images
    if how == "standard":
        return train.mean((0, 2, 3), keepdim=True), train.std((0, 2, 3), keepdim=True)
    centre, spread = (-1.0, 2.0) if how == "unit" else (0.0, 1.0)
    shape = (1, train.shape[1], 1, 1)
    return train.new_full(shape, centre), train.new_full(shape, spread)


def _prepared(images: TaskImages, how: str) -> Callable[[Tensor], Tensor]:
    if how == "signed":
        return lambda pictures: pictures
    centre, spread = centre_and_spread(images, how)
    return lambda pictures: (pictures - centre) / spread


def decay_of(recipe: TrainingRecipe) -> float:
    """The optimizer's weight decay."""
    return 10 * recipe.weight_decay if recipe.optimizer == "adamw" else recipe.weight_decay


def _augmented(pictures: Tensor, recipe: TrainingRecipe, generator: torch.Generator) -> Tensor:
    if recipe.augmentation == "shift":
        rows, columns = torch.randint(-SHIFT, SHIFT + 1, (2,), generator=generator).tolist()
        return pictures.roll((rows, columns), (2, 3))
    if recipe.augmentation == "flip":
        flipped = torch.rand(len(pictures), 1, 1, 1, generator=generator) < 0.5
        return torch.where(flipped, pictures.flip(3), pictures)
    if recipe.augmentation == "noise":
        return pictures + 0.1 * torch.randn(pictures.shape, generator=generator)
    return pictures


def _optimizer(network: nn.Module, recipe: TrainingRecipe) -> torch.optim.Optimizer:
    parameters, rate, decay = network.parameters(), recipe.learning_rate, decay_of(recipe)
    if recipe.optimizer == "adam":
        return torch.optim.Adam(parameters, lr=rate, weight_decay=decay)
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(parameters, lr=rate, weight_decay=decay)
    if recipe.optimizer == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=rate, weight_decay=decay)
    return torch.optim.SGD(
        parameters, lr=rate, weight_decay=decay, momentum=MOMENTUM if recipe.optimizer == "momentum" else 0.0
    )


def _schedule(
    optimizer: torch.optim.Optimizer, recipe: TrainingRecipe, steps: int
) -> torch.optim.lr_scheduler.LRScheduler:
    if recipe.schedule == "cosine":
        return torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    if recipe.schedule == "step":
        return torch.optim.lr_scheduler.StepLR(optimizer, max(1, steps // 3), 0.2)
    if recipe.schedule == "one-cycle":
        moves = recipe.optimizer == "momentum"
        return torch.optim.lr_scheduler.OneCycleLR(
            optimizer, recipe.learning_rate, total_steps=steps + 1, cycle_momentum=moves
        )
    return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1.0)


@torch.no_grad()
def _follow(average: nn.Module, network: nn.Module, decay: float) -> None:
    """An exponential moving average of parameters; the statistics of norms are the network's own."""
    for ours, theirs in zip(average.parameters(), network.parameters(), strict=True):
        ours.lerp_(theirs, 1 - decay)
    for mean, newest in zip(average.buffers(), network.buffers(), strict=True):
        mean.copy_(newest)


@torch.no_grad()
def _measured(network: nn.Module, pictures: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Whether each picture is classified right, as 0 and 1, and its cross entropy; float64 [pictures]."""
    right, losses = [], []
    for part, own in zip(pictures.split(_MEASURED_TOGETHER), labels.split(_MEASURED_TOGETHER), strict=True):
        logits = network(part).double()
        right.append((logits.argmax(1) == own).double())
        losses.append(F.cross_entropy(logits, own, reduction="none"))
    return torch.cat(right), torch.cat(losses)
