"""Train networks of one architecture side by side, each by its own recipe, as `train_network` trains one.

Members share what decides the shape of the work: images, epochs, batch size, optimizer, schedule, augmentation. Every
member takes the draws that it would take alone, but for augmentation and dropout.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.zoo.wild.flat_optimizers import FlatOptimizer
from nfn_cli.zoo.wild.schedules import learning_rates, momenta
from nfn_cli.zoo.wild.stacked import StackedNetworks
from nfn_cli.zoo.wild.tasks import TaskImages
from nfn_cli.zoo.wild.train import SHIFT, TRAIN_MEASURED, Saved, centre_and_spread, decay_of, initialise
from nfn_cli.zoo.wild.training_recipe import TrainingRecipe

# Pictures that are measured in one pass, over all members. A CPU wants them in its cache.
_MEASURED_TOGETHER = {"cpu": 500}
_MEASURED_ON_GPU = 2_048


def train_group(
    network: nn.Module,
    recipes: Sequence[TrainingRecipe],
    images: TaskImages,
    on_epoch: Callable[[int], None] = lambda members: None,
) -> Iterator[tuple[int, Saved]]:
    """Train copies of a network on the device that the images are on, and yield each member and what it is behind each
    epoch that the recipes save.

    A member whose loss stops being finite is not yielded any more; the others go on.

    Args:
        recipes: of the members; alike in images, epochs, saved, batch_size, optimizer, schedule and augmentation, and
            without early stopping.
        on_epoch: called behind each epoch with the number of members.
    """
    device, common = images.train_images.device, recipes[0]
    members, generators, chosen, labels = [], [], [], []
    for recipe in recipes:
        generator = torch.Generator().manual_seed(recipe.seed % 2**31)
        initialise(network, recipe, generator)
        members.append(copy.deepcopy(network))
        own, given = _drawn(recipe, images, generator)
        chosen.append(own)
        labels.append(given)
        generators.append(generator)
    stack = StackedNetworks(members, device)
    places, targets = torch.stack(chosen).to(device), torch.stack(labels).to(device)
    pixels = _pixels(recipes, images)
    batch = min(common.batch_size, places.shape[1])
    steps = places.shape[1] // batch
    factors = learning_rates(common.schedule, common.epochs * steps)
    moments = momenta(common.schedule, common.epochs * steps)
    optimizer = FlatOptimizer(
        common.optimizer,
        stack.each(torch.tensor([recipe.learning_rate for recipe in recipes], device=device)),
        stack.each(torch.tensor([decay_of(recipe) for recipe in recipes], device=device)),
    )
    average, news = None, None
    if any(recipe.averaging for recipe in recipes):
        average = stack.numbers.detach().clone()
        news = stack.each(torch.tensor([1 - recipe.averaging for recipe in recipes], device=device))
    torch.manual_seed(common.seed % 2**31)  # dropout
    noise = torch.Generator(device).manual_seed(common.seed % 2**31)
    sound = torch.ones(len(recipes), dtype=torch.bool, device=device)
    done = 0
    for epoch in range(1, common.epochs + 1):
        order = torch.stack([torch.randperm(places.shape[1], generator=own) for own in generators]).to(device)
        shuffled, wanted = places.gather(1, order), targets.gather(1, order)
        for start in range(0, steps * batch, batch):
            part = slice(start, start + batch)
            pictures = _augmented(pixels(images.train_images[shuffled[:, part]]), common.augmentation, noise)
            logits = stack.logits(stack.numbers, pictures, training=True)
            losses = F.cross_entropy(logits.flatten(0, 1), wanted[:, part].flatten(), reduction="none")
            loss = losses.view(len(recipes), batch).mean(1)
            # The sum's gradient for a member is that of the member's own loss.
            (gradient,) = torch.autograd.grad(loss.sum(), stack.numbers)
            sound &= loss.detach().isfinite()
            optimizer.step(stack.numbers, gradient, factors[done], moments[done])
            if average is not None and news is not None:
                average.lerp_(stack.numbers.detach(), news)
            done += 1
        on_epoch(len(recipes))
        if not bool(sound.any()):
            return
        if epoch in common.saved:
            kept = stack.numbers.detach() if average is None else average
            yield from _saved(stack, kept, epoch, images, (places, targets), pixels, sound)


def _drawn(recipe: TrainingRecipe, images: TaskImages, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Places of a member's training images, and their labels with noise, on the CPU."""
    chosen = torch.randperm(len(images.train_labels), generator=generator)[: recipe.images]
    labels = images.train_labels[chosen.to(images.train_labels.device)].cpu()
    wrong = torch.rand(len(labels), generator=generator) < recipe.noise
    labels[wrong] = torch.randint(images.classes, (int(wrong.sum()),), generator=generator)
    return chosen, labels


def _pixels(recipes: Sequence[TrainingRecipe], images: TaskImages) -> Callable[[Tensor], Tensor]:
    """Each member's preprocessing, of pictures [members, batch, channels, height, width]."""
    pairs = [centre_and_spread(images, recipe.preprocessing) for recipe in recipes]
    centre, spread = (torch.stack([pair[side] for pair in pairs]) for side in range(2))
    return lambda pictures: (pictures - centre) / spread


def _augmented(pictures: Tensor, how: str, generator: torch.Generator) -> Tensor:
    """As `train_network` does it; a shift is that of a member's batch."""
    device, (members, batch, channels, height, width) = pictures.device, pictures.shape
    if how == "shift":
        moved = torch.randint(-SHIFT, SHIFT + 1, (2, members, 1), generator=generator, device=device)
        rows = (torch.arange(height, device=device) - moved[0]) % height
        columns = (torch.arange(width, device=device) - moved[1]) % width
        rows, columns = rows.view(members, 1, 1, height, 1), columns.view(members, 1, 1, 1, width)
        pictures = pictures.gather(3, rows.expand(-1, batch, channels, -1, width))
        return pictures.gather(4, columns.expand(-1, batch, channels, height, -1))
    if how == "flip":
        flipped = torch.rand(members, batch, 1, 1, 1, generator=generator, device=device) < 0.5
        return torch.where(flipped, pictures.flip(4), pictures)
    if how == "noise":
        return pictures + 0.1 * torch.randn(pictures.shape, generator=generator, device=device)
    return pictures


def _saved(
    stack: StackedNetworks,
    numbers: Tensor,
    epoch: int,
    images: TaskImages,
    training: tuple[Tensor, Tensor],
    pixels: Callable[[Tensor], Tensor],
    sound: Tensor,
) -> Iterator[tuple[int, Saved]]:
    """The sound members as they are now; those that are not become unsound."""
    count, (places, targets) = len(images.test_labels), training
    right, losses = _measured(
        stack,
        numbers,
        lambda part: pixels(images.test_images[part].expand(stack.members, -1, -1, -1, -1)),
        images.test_labels.expand(stack.members, count),
    )
    learned, _ = _measured(
        stack,
        numbers,
        lambda part: pixels(images.train_images[places[:, part]]),
        targets[:, :TRAIN_MEASURED],
    )
    states = stack.states(numbers)
    finite = losses.isfinite().all(1).tolist()
    for member, state in enumerate(states):
        finite[member] &= all(bool(value.isfinite().all()) for value in state.values())
    sound &= torch.tensor(finite, device=sound.device)
    alive = sound.tolist()
    whole, even, odd, train, loss = (
        values.mean(1).tolist() for values in (right, right[:, ::2], right[:, 1::2], learned, losses)
    )
    for member, state in enumerate(states):
        if alive[member]:
            halves = even[member], odd[member]
            yield member, Saved(epoch, state, whole[member], halves, train[member], loss[member])


@torch.no_grad()
def _measured(
    stack: StackedNetworks, numbers: Tensor, take: Callable[[slice], Tensor], labels: Tensor
) -> tuple[Tensor, Tensor]:
    """Whether each picture is classified right, as 0 and 1, and its cross entropy; float64 [members, pictures].

    Args:
        take: pictures of places, for each member.
        labels: [members, pictures].
    """
    together = max(1, _MEASURED_TOGETHER.get(labels.device.type, _MEASURED_ON_GPU) // stack.members)
    right, losses = [], []
    for start in range(0, labels.shape[1], together):
        part = slice(start, min(start + together, labels.shape[1]))
        own = labels[:, part]
        logits = stack.logits(numbers, take(part), training=False).double()
        right.append((logits.argmax(2) == own).double())
        losses.append(F.cross_entropy(logits.flatten(0, 1), own.flatten(), reduction="none").view(own.shape))
    return torch.cat(right, 1), torch.cat(losses, 1)
