"""A group trains as each of its networks would train alone, in plain PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.zoo import Hyperparameters, ImageSet, load_images
from nfn_cli.zoo.small_cnn import SmallCnn
from nfn_cli.zoo.trainer import TrainingImages, train_group

Plain = Callable[[dict[str, Tensor], str], nn.Module]
Runs = Callable[..., list[Hyperparameters]]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def image_set(archive: Path) -> ImageSet:
    return load_images(str(archive))


@pytest.fixture(scope="module")
def images(image_set: ImageSet) -> TrainingImages:
    return TrainingImages.cut(image_set, dtype=torch.float32, device=CPU)


@pytest.fixture
def network(image_set: ImageSet) -> SmallCnn:
    return SmallCnn(1, image_set.classes)


@pytest.fixture
def group(runs: Runs) -> list[Hyperparameters]:
    """One run of each optimizer, without dropout, with an L2 that shows."""
    return [
        replace(run, optimizer=name, learning_rate=rate, dropout=0.0, l2=0.03, initialiser="he_normal")
        for run, name, rate in zip(runs(3), ["adam", "rmsprop", "sgd"], [3e-3, 1e-3, 5e-2], strict=True)
    ]


def optimizer_of(run: Hyperparameters, model: nn.Module) -> torch.optim.Optimizer:
    if run.optimizer == "adam":
        return torch.optim.Adam(model.parameters(), lr=run.learning_rate, eps=1e-7)
    if run.optimizer == "rmsprop":
        return torch.optim.RMSprop(model.parameters(), lr=run.learning_rate, alpha=0.9, eps=1e-7)
    return torch.optim.SGD(model.parameters(), lr=run.learning_rate)


def train_plainly(model: nn.Module, run: Hyperparameters, data: ImageSet, epochs: int) -> nn.Module:
    """The recipe for one network: its share of the images in random order, L2 on kernels as a term of the loss."""
    generator = torch.Generator().manual_seed(run.seed)
    count = len(data.train_labels)
    size = int(count * run.train_fraction)
    own = torch.randperm(count, generator=generator)[:size]
    optimizer = optimizer_of(run, model)
    for _ in range(epochs):
        order = own[torch.randperm(size, generator=generator)]
        for chosen in order[: size // run.batch_size * run.batch_size].split(run.batch_size):
            loss = F.cross_entropy(model(data.train_images[chosen]), data.train_labels[chosen])
            kernels = [parameter for parameter in model.parameters() if parameter.ndim > 1]
            (loss + run.l2 * sum(kernel.square().sum() for kernel in kernels)).backward()
            optimizer.step()
            optimizer.zero_grad()
    return model


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_training_is_that_of_plain_pytorch(
    activation: str,
    group: list[Hyperparameters],
    network: SmallCnn,
    image_set: ImageSet,
    images: TrainingImages,
    plain: Plain,
) -> None:
    group = [replace(run, activation=activation, batch_size=12) for run in group]  # 40 images: the last 4 are dropped
    start = network.split(network.initial_parameters(group))
    (snapshot,) = train_group(network, group, images, [2])
    for position, run in enumerate(group):
        model = plain({name: tensor[position] for name, tensor in start.items()}, activation)
        before = torch.cat([parameter.detach().flatten().clone() for parameter in model.parameters()])
        train_plainly(model, run, image_set, 2)
        after = torch.cat([parameter.detach().flatten() for parameter in model.parameters()])
        assert (after - before).abs().max() > 1e-3
        torch.testing.assert_close(snapshot.parameters[position], after, atol=2e-4, rtol=2e-3)


def test_a_network_is_not_changed_by_its_neighbours(
    group: list[Hyperparameters], network: SmallCnn, images: TrainingImages
) -> None:
    (together,) = train_group(network, group, images, [1])
    for position, run in enumerate(group):
        (alone,) = train_group(network, [run], images, [1])
        torch.testing.assert_close(together.parameters[position], alone.parameters[0], atol=1e-4, rtol=1e-3)


def test_a_diverging_network_does_not_change_its_neighbours(
    group: list[Hyperparameters], network: SmallCnn, images: TrainingImages
) -> None:
    (sound,) = train_group(network, group, images, [1])
    (broken,) = train_group(network, [*group[:2], replace(group[2], learning_rate=1e30)], images, [1])
    assert not broken.parameters[2].isfinite().all()
    torch.testing.assert_close(broken.parameters[:2], sound.parameters[:2])


def test_snapshots_come_after_the_asked_epochs_and_stay_as_they_are(
    group: list[Hyperparameters], network: SmallCnn, images: TrainingImages
) -> None:
    snapshots = list(train_group(network, group, images, [1, 3]))
    assert [snapshot.epoch for snapshot in snapshots] == [1, 3]
    (first,) = train_group(network, group, images, [1])
    assert torch.equal(snapshots[0].parameters, first.parameters)
    assert not torch.equal(snapshots[0].parameters, snapshots[1].parameters)


def test_figures_of_a_snapshot_are_those_of_the_plain_network_without_dropout(
    runs: Runs, network: SmallCnn, image_set: ImageSet, images: TrainingImages, plain: Plain
) -> None:
    group = [replace(run, dropout=0.5, initialiser="he_normal") for run in runs(3)]
    (snapshot,) = train_group(network, group, images, [2])
    tensors = network.split(snapshot.parameters)
    for position, run in enumerate(group):
        model = plain({name: tensor[position] for name, tensor in tensors.items()}, "relu")
        logits = model(image_set.test_images)
        right = (logits.argmax(1) == image_set.test_labels).float().mean().item()
        assert snapshot.test_accuracy[position] == pytest.approx(right)
        loss = F.cross_entropy(logits, image_set.test_labels).item()
        assert snapshot.test_loss[position] == pytest.approx(loss, rel=1e-4)
        own = torch.randperm(80, generator=torch.Generator().manual_seed(run.seed))[:40]
        right = (model(image_set.train_images[own]).argmax(1) == image_set.train_labels[own]).float().mean().item()
        assert snapshot.train_accuracy[position] == pytest.approx(right)


@pytest.mark.parametrize("fraction", [0.1, 0.25, 1.0])
def test_a_run_sees_no_more_than_its_share_of_the_images(
    fraction: float, group: list[Hyperparameters], network: SmallCnn, images: TrainingImages
) -> None:
    run = replace(group[0], train_fraction=fraction)
    own = torch.randperm(80, generator=torch.Generator().manual_seed(run.seed))[: int(80 * fraction)]
    others = torch.ones(80, dtype=torch.bool).index_fill_(0, own, False)
    poisoned = images.train_patches.clone()
    poisoned[others] = torch.nan
    (snapshot,) = train_group(network, [run], replace(images, train_patches=poisoned), [1])
    assert snapshot.parameters.isfinite().all()


def test_training_with_dropout_repeats_exactly(runs: Runs, network: SmallCnn, images: TrainingImages) -> None:
    one, other = (list(train_group(network, runs(3), images, [1, 2])) for _ in range(2))
    for before, after in zip(one, other, strict=True):
        assert torch.equal(before.parameters, after.parameters)
        assert before.test_accuracy == after.test_accuracy


def test_dropout_changes_training(group: list[Hyperparameters], network: SmallCnn, images: TrainingImages) -> None:
    (without,) = train_group(network, group, images, [1])
    (with_,) = train_group(network, [replace(run, dropout=0.5) for run in group], images, [1])
    assert not torch.allclose(without.parameters, with_.parameters, atol=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_a_network_learns(
    dtype: torch.dtype, group: list[Hyperparameters], network: SmallCnn, image_set: ImageSet
) -> None:
    images = TrainingImages.cut(image_set, dtype=dtype, device=CPU)
    adam = replace(group[0], train_fraction=1.0, l2=1e-8, dropout=0.1, learning_rate=1e-2)
    (snapshot,) = train_group(network, [adam], images, [12])
    assert snapshot.test_accuracy[0] > 0.9


def test_every_sample_is_reported(group: list[Hyperparameters], network: SmallCnn, images: TrainingImages) -> None:
    told: list[int] = []
    list(train_group(network, group, images, [2], told.append))
    assert told == [3 * 8] * (2 * 40 // 8)


@pytest.mark.parametrize("change", [{"train_fraction": 0.1}, {"batch_size": 4}])
def test_runs_of_different_length_form_no_group(
    change: dict[str, float], group: list[Hyperparameters], network: SmallCnn, images: TrainingImages
) -> None:
    other = replace(group[0], **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="equally many steps"):
        next(train_group(network, [*group, other], images, [1]))


def test_accuracies_on_halves_are_those_at_even_and_at_odd_places(
    runs: Runs,
    network: SmallCnn,
    image_set: ImageSet,
    plain: Plain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("nfn_cli.zoo.trainer._EVALUATION_BATCH", 4)
    # An odd number of images, some with the labels of others.
    labels = image_set.test_labels[torch.randperm(40, generator=torch.Generator().manual_seed(0))]
    mixed = replace(image_set, test_images=image_set.test_images[:39], test_labels=labels[:39])
    group = [replace(run, initialiser="he_normal") for run in runs(3)]
    (snapshot,) = train_group(network, group, TrainingImages.cut(mixed, dtype=torch.float32, device=CPU), [2])
    assert snapshot.even_accuracy is not None and snapshot.odd_accuracy is not None
    assert snapshot.even_accuracy != snapshot.odd_accuracy
    for position, tensors in enumerate(snapshot.parameters):
        model = plain({name: own[0] for name, own in network.split(tensors[None]).items()}, "relu")
        right = (model(mixed.test_images).argmax(1) == mixed.test_labels).float()
        assert snapshot.even_accuracy[position] == pytest.approx(right[::2].mean().item())
        assert snapshot.odd_accuracy[position] == pytest.approx(right[1::2].mean().item())


def test_a_single_test_image_has_no_halves(runs: Runs, network: SmallCnn, image_set: ImageSet) -> None:
    single = replace(image_set, test_images=image_set.test_images[:1], test_labels=image_set.test_labels[:1])
    (snapshot,) = train_group(network, runs(1), TrainingImages.cut(single, dtype=torch.float32, device=CPU), [1])
    assert (snapshot.even_accuracy, snapshot.odd_accuracy) == (None, None)
