"""Train a group of small CNNs side by side, each with its own hyperparameters, data order and dropout rate."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.zoo.augmentation import augmented
from nfn_cli.zoo.hyperparameters import AUGMENTATIONS, Hyperparameters
from nfn_cli.zoo.images import ImageSet
from nfn_cli.zoo.optimizer import PopulationOptimizer
from nfn_cli.zoo.preprocessing import Preprocessing
from nfn_cli.zoo.small_cnn import PopulationDropout, SmallCnn, image_patches, population_logits, strided_patches

_EVALUATION_BATCH = 250  # even, so that a batch begins at an even place
_TRAIN_ACCURACY_IMAGES = 5_000


@dataclass(frozen=True)
class TrainingImages:
    """An image set cut into the first layer's patches, in the dtype of the computation.

    Attributes:
        mean, deviation: of the training pixels, float32 [channels].
        train_images: [count, channels, height, width], to augment; empty where nothing will.
    """

    train_patches: Tensor  # [count, rows, columns, patch]
    train_labels: Tensor  # int64 [count]
    test_patches: Tensor
    test_labels: Tensor
    mean: Tensor
    deviation: Tensor
    train_images: Tensor

    @classmethod
    def cut(cls, images: ImageSet, *, dtype: torch.dtype, device: torch.device, whole: bool = False) -> TrainingImages:
        """Patches of an image set.

        Args:
            whole: keep the images too, for augmentation.
        """
        kept = images.train_images if whole else images.train_images[:0]
        return cls(
            image_patches(images.train_images.to(dtype)).to(device),
            images.train_labels.to(device),
            image_patches(images.test_images.to(dtype)).to(device),
            images.test_labels.to(device),
            images.train_images.mean((0, 2, 3)).to(device),
            images.train_images.std((0, 2, 3)).to(device),
            kept.to(device, dtype),
        )


@dataclass(frozen=True)
class Snapshot:
    """A group of P networks after some epoch.

    `even_accuracy` and `odd_accuracy` are those on the test images at even and at odd places; None of fewer than two.
    """

    epoch: int
    parameters: Tensor  # float32 [P, parameter_count], a copy on the CPU
    test_accuracy: list[float]
    test_loss: list[float]
    train_accuracy: list[float]
    even_accuracy: list[float] | None = None
    odd_accuracy: list[float] | None = None


@dataclass(frozen=True)
class Tested:
    """P networks on the test images; `even_accuracy` and `odd_accuracy` as in `Snapshot`."""

    test_accuracy: list[float]
    test_loss: list[float]
    even_accuracy: list[float] | None
    odd_accuracy: list[float] | None

    def rows(self) -> list[dict[str, float | None]]:
        """The figures of each network by their names."""
        columns = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return [
            {name: own and own[number] for name, own in columns.items()} for number in range(len(self.test_accuracy))
        ]


def train_group(
    network: SmallCnn,
    runs: Sequence[Hyperparameters],
    images: TrainingImages,
    epochs: Sequence[int],
    on_samples: Callable[[int], None] = lambda samples: None,
) -> Iterator[Snapshot]:
    """Train runs of equal length together and yield a snapshot after each of `epochs`, ascending.

    Weights and optimizer are float32; activations and gradients have the images' dtype. L2 acts on kernels, not on
    biases, with gradient 2·l2·w as in Keras. Incomplete batches are dropped. Accuracy on training data is measured on
    at most 5,000 of a run's own images, as they are.

    Args:
        on_samples: called after every step with how many network-samples it processed.
    """
    device = images.train_patches.device
    group, count = len(runs), len(images.train_labels)
    batch, size, augmentation = runs[0].batch_size, runs[0].images_of(count), runs[0].augmentation
    if any(run.images_of(count) != size or run.batch_size != batch for run in runs):
        raise ValueError("the runs of a group must take equally many steps")
    if any(run.augmentation != augmentation for run in runs):
        raise ValueError("the runs of a group must be augmented alike")
    batch = min(batch, size)
    generators = [torch.Generator().manual_seed(run.seed) for run in runs]
    subsets = torch.stack([torch.randperm(count, generator=generator)[:size] for generator in generators])

    parameters = network.initial_parameters(runs).to(device)
    optimizer = PopulationOptimizer(parameters, runs, max(epochs) * (size // batch))
    mask_generator = torch.Generator(device).manual_seed(runs[0].seed)
    dropout = PopulationDropout([run.dropout for run in runs], mask_generator, device, network.width)
    decay = _kernel_decay(network, runs).to(device)
    taken = Preprocessing.of([run.preprocessing for run in runs], images.mean, images.deviation)
    picture_generator = torch.Generator(device).manual_seed(runs[-1].seed)

    for epoch in range(1, max(epochs) + 1):
        order = torch.stack([torch.randperm(size, generator=generator) for generator in generators])
        indices = subsets.gather(1, order).to(device)  # [P, size]
        for start in range(0, size - batch + 1, batch):
            chosen = indices[:, start : start + batch].flatten()
            if augmentation == AUGMENTATIONS[0]:
                patches = images.train_patches.index_select(0, chosen)
            else:
                patches = strided_patches(augmented(images.train_images[chosen], augmentation, picture_generator))
            patches = patches.unflatten(0, (group, batch))
            leaf = parameters.detach().requires_grad_()
            logits = population_logits(network.split(leaf), patches, runs[0].activation, dropout, taken)
            loss = F.cross_entropy(logits.flatten(0, 1), images.train_labels[chosen], reduction="sum") / batch
            (gradient,) = torch.autograd.grad(loss, leaf)
            optimizer.step(gradient.addcmul_(parameters, decay))
            on_samples(group * batch)
        if epoch in epochs:
            shown = subsets[:, :_TRAIN_ACCURACY_IMAGES].to(device)
            yield _snapshot(network, runs[0].activation, epoch, parameters, images, shown, taken)


def _kernel_decay(network: SmallCnn, runs: Sequence[Hyperparameters]) -> Tensor:
    decay = torch.zeros(len(runs), network.parameter_count)
    strengths = torch.tensor([2 * run.l2 for run in runs])
    for name, tensor in network.split(decay).items():
        if name.endswith("weight"):
            tensor.copy_(strengths.view(-1, *[1] * (tensor.ndim - 1)).expand_as(tensor))
    return decay


@torch.no_grad()
def _snapshot(
    network: SmallCnn,
    activation: str,
    epoch: int,
    parameters: Tensor,
    images: TrainingImages,
    shown: Tensor,
    taken: Preprocessing | None,
) -> Snapshot:
    tensors = network.split(parameters)
    on_tests = tested(network, activation, parameters, images.test_patches, images.test_labels, taken)
    train_hits = torch.zeros(len(parameters), device=parameters.device)
    for chosen in shown.split(_EVALUATION_BATCH, dim=1):
        patches = images.train_patches.index_select(0, chosen.flatten()).unflatten(0, chosen.shape)
        logits = population_logits(tensors, patches, activation, preprocessing=taken)
        train_hits += (logits.argmax(2) == images.train_labels[chosen]).sum(1)
    return Snapshot(
        epoch=epoch,
        parameters=parameters.detach().cpu().clone(),
        train_accuracy=(train_hits / shown.shape[1]).tolist(),
        test_accuracy=on_tests.test_accuracy,
        test_loss=on_tests.test_loss,
        even_accuracy=on_tests.even_accuracy,
        odd_accuracy=on_tests.odd_accuracy,
    )


@torch.no_grad()
def tested(
    network: SmallCnn,
    activation: str,
    parameters: Tensor,
    patches: Tensor,
    labels: Tensor,
    taken: Preprocessing | None = None,
) -> Tested:
    """How networks do on the test images.

    Args:
        parameters: float32 [P, parameter_count].
        patches, labels: of the images, on the same device.
        taken: what the networks are given for a pixel.
    """
    tensors = network.split(parameters)
    hits = torch.zeros(len(parameters), device=parameters.device)
    loss = torch.zeros_like(hits)
    even_hits = torch.zeros_like(hits)
    for some, own in zip(patches.split(_EVALUATION_BATCH), labels.split(_EVALUATION_BATCH), strict=True):
        logits = population_logits(tensors, some[None], activation, preprocessing=taken)  # [P, batch, classes]
        hits += (logits.argmax(2) == own).sum(1)
        loss += F.cross_entropy(logits.transpose(1, 2), own.expand(len(logits), -1), reduction="none").sum(1)
        even_hits += (logits[:, ::2].argmax(2) == own[::2]).sum(1)
    count = len(labels)
    return Tested(
        test_accuracy=(hits / count).tolist(),
        test_loss=(loss / count).tolist(),
        even_accuracy=(even_hits / (count - count // 2)).tolist() if count > 1 else None,
        odd_accuracy=((hits - even_hits) / (count // 2)).tolist() if count > 1 else None,
    )
