"""Heads, fits and zoos on a device that is not there: no operator mixes its tensors with the CPU's, and none needs
float64 where the device has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from foreign_device import FOREIGN, MissingDtypeError, MixedDevicesError, foreign_device
from torch import Tensor

from nfn_cli import precision
from nfn_cli.architectures import NetworkWeights, read_weights
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.learning import EditFit, FitSettings, accuracy_calibration, class_calibration
from nfn_cli.learning.edit_report import edit_all
from nfn_cli.learning.editor_fit import editor_stages
from nfn_cli.learning.fitting import ensemble_stages, fit_stages
from nfn_cli.learning.member_fit import class_loss
from nfn_cli.nn import (
    Accepted,
    AccuracyDetails,
    ClassDetails,
    EditDetails,
    ForwardPass,
    Head,
    HeadConfig,
    read_head,
    shipped_heads_of,
    sizes_of,
)
from nfn_cli.nn.calibrated_accuracy import Calibration, curved
from nfn_cli.nn.names import HEAD_KINDS, kinds_of
from nfn_cli.nn.probes import Probes
from nfn_cli.shipped import models_folder
from nfn_cli.zoo import LabelledNetworks
from nfn_cli.zoo.hyperparameters import draw_hyperparameters
from nfn_cli.zoo.images import ImageSet
from nfn_cli.zoo.inr.siren_recipe import InrSettings, SharedPictures, fit_job
from nfn_cli.zoo.listed_classifiers import listed_classifiers, read_classifiers
from nfn_cli.zoo.recipe import Job
from nfn_cli.zoo.small_cnn import SmallCnn
from nfn_cli.zoo.trainer import TrainingImages, train_group

# What a module is told when zeros of the CPU are put into it.
pytestmark = pytest.mark.filterwarnings("ignore:.*non-meta parameter.*")

TESTS = Path(__file__).parents[1]
NETWORKS = 6
ANY = "any-classifier"  # a kind of head, and the shipped one of it
ANY_KINDS = (ANY, "monomial-any")  # which read no chains


@pytest.fixture(params=["with float64", "without float64"])
def float64(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the device has float64, as MPS has not."""
    has = bool(request.param == "with float64")
    if not has:
        monkeypatch.setattr(precision, "_WITHOUT_FLOAT64", {FOREIGN})
    return has


def several(path: Path, activation: str | None = None) -> NetworkWeights:
    """Networks near that of a file, [6, *shape]."""
    own = read_weights(read_checkpoint(path), default_activation=activation).weights
    generator = torch.Generator().manual_seed(0)
    return NetworkWeights(
        own.architecture,
        {
            name: tensor + 0.01 * torch.randn(NETWORKS, *tensor.shape, generator=generator)
            for name, tensor in own.tensors.items()
        },
    )


def read_by(name: str) -> NetworkWeights:
    """Networks that a shipped head reads."""
    if "mnist" in name or "cifar10" in name:
        return several(TESTS / "inrs" / f"{'mnist' if 'mnist' in name else 'cifar10'}-1.safetensors")
    return several(TESTS / "samples" / f"{name.rpartition('-')[2]}-1.safetensors")


def inrs() -> LabelledNetworks:
    point = several(TESTS / "inrs" / "mnist-1.safetensors")
    names = tuple(map(str, range(NETWORKS)))
    return LabelledNetworks(point, torch.arange(NETWORKS) % 2, names, names, ("train",) * NETWORKS)


@pytest.mark.parametrize("name", [own for own in shipped_heads_of("predict-accuracy") if own != ANY])
def test_a_head_predicts_on_one_device(name: str, float64: bool) -> None:
    with foreign_device(float64=float64) as device:
        head = read_head(models_folder() / name, FOREIGN)
        found = head.predict(read_by(name))
    assert device.operators > 100 and device.moved >= 3  # logits, curve and radii, whether it is known
    for values in (found.accuracy, found.low, found.high, found.in_distribution):
        assert values.shape == (NETWORKS,) and values.device.type == "cpu"


def test_a_head_for_any_classifier_predicts_on_one_device(float64: bool) -> None:
    rows = listed_classifiers([TESTS / "wild"])
    statistics = read_classifiers([row for row in rows if row.family == "mlp"][:2]).statistics
    with foreign_device(float64=float64) as device:
        head = read_head(models_folder() / ANY, FOREIGN)
        found = head.predict(statistics)
    assert device.operators > 100 and device.moved >= 3
    for values in (found.accuracy, found.low, found.high, found.in_distribution, found.distance):
        assert values.shape == (2,) and values.device.type == "cpu"


@pytest.mark.parametrize("name", shipped_heads_of("classify-inr"))
def test_a_head_classifies_on_one_device(name: str, float64: bool) -> None:
    with foreign_device(float64=float64) as device:
        head = read_head(models_folder() / name, FOREIGN)
        found = head.predict(read_by(name))
    assert device.operators > 100 and device.moved >= 3
    for values in (found.probabilities, found.in_distribution, found.distance):
        assert len(values) == NETWORKS and values.device.type == "cpu"


@pytest.mark.parametrize("name", shipped_heads_of("edit-inr"))
def test_a_head_edits_on_one_device(name: str, float64: bool) -> None:
    with foreign_device(float64=float64) as device:
        head = read_head(models_folder() / name, FOREIGN)
        found = head.predict(read_by(name))
    assert device.operators > 100 and device.moved >= 3
    assert {tensor.device.type for tensor in found.tensors.values()} == {"cpu"}
    own = next(head.model.parameters())
    assert own.dtype is (torch.float64 if float64 else torch.float32)


@pytest.mark.parametrize("kind", [own for own in kinds_of("predict-accuracy") if own not in ANY_KINDS])
def test_a_head_is_fitted_and_calibrated_on_one_device(
    kind: str, float64: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = read_by("relu")
    runs = tuple(map(str, range(NETWORKS)))
    networks = LabelledNetworks(point, torch.linspace(0.1, 0.9, NETWORKS, dtype=torch.float64), runs, runs, runs)
    space = ForwardPass((28, 28), 2, 0) if HEAD_KINDS[kind].runs else ForwardPass()
    config = HeadConfig(Accepted.of(point.architecture), sizes_of(kind), AccuracyDetails(forward_pass=space), members=2)
    with foreign_device(float64=float64) as device:
        model = config.new_model().to(FOREIGN)
        settings = FitSettings(epochs=1, batch_size=3)
        targets = networks.targets.to(FOREIGN, torch.float32)
        fit_stages(ensemble_stages(model, model.encode(point), targets, settings, left_out=[[0, 1], [2]]))
        head = Head("own", config, model.eval())
        before = device.moved
        # What is fitted to zeros is no curve; that it is put onto the device is what is tested.
        monkeypatch.setattr(accuracy_calibration, "fitted_curve", lambda *_: torch.zeros(3))
        accuracy_calibration.calibrate(head, networks, networks, [[0, 1], [2]], 0)
        head.predict(point)
    assert device.moved > before and {buffer.device.type for buffer in model.buffers()} == {FOREIGN}


@pytest.mark.parametrize("kind", kinds_of("classify-inr"))
def test_a_classifier_is_fitted_and_calibrated_on_one_device(kind: str, float64: bool) -> None:
    networks = inrs()
    accepted = Accepted.of(networks.point.architecture)
    config = HeadConfig(accepted, sizes_of(kind, channels=4), ClassDetails(("a", "b")), members=2)
    with foreign_device(float64=float64) as device:
        model = config.new_model().to(FOREIGN)
        inputs, targets = model.encode(networks.point), networks.targets.to(FOREIGN)
        settings = FitSettings(epochs=1, batch_size=3)
        fit_stages(ensemble_stages(model, inputs, targets, settings, loss=class_loss))
        head = Head("own", config, model.eval())
        class_calibration.calibrate(head, networks, networks, 0)
        head.predict(networks.point)
    assert device.operators > 1_000 and {buffer.device.type for buffer in model.buffers()} == {FOREIGN}


@pytest.mark.parametrize("kind", kinds_of("edit-inr"))
def test_an_editor_is_fitted_and_measured_on_one_device(kind: str, float64: bool) -> None:
    networks = inrs()
    accepted = Accepted.of(networks.point.architecture)
    config = HeadConfig(accepted, sizes_of(kind, channels=4), EditDetails("erode", (8, 8)))
    fit = EditFit(epochs=1, batch_size=3, tuning=1, tuning_batch=2)
    with foreign_device(float64=float64) as device:
        model = config.new_model().to(FOREIGN)
        fit_stages(editor_stages(model, networks, "erode", (8, 8), fit, FOREIGN))
        head = Head("own", config, model.eval())
        measured = edit_all(head, networks)
    assert device.operators > 500 and measured.after.device.type == "cpu"
    assert {parameter.device.type for parameter in head.model.parameters()} == {FOREIGN}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_zoo_is_trained_on_one_device(activation: str, dtype: torch.dtype, float64: bool) -> None:
    pictures, labels = torch.rand(24, 1, 15, 15), torch.arange(24) % 3
    runs = [draw_hyperparameters(seed=0, run=4 * n + 2, activation=activation, batch_size=8) for n in range(6)]
    with foreign_device(float64=float64) as device:
        own = ImageSet("own", pictures, labels, pictures, labels)
        images = TrainingImages.cut(own, dtype=dtype, device=torch.device(FOREIGN))
        (snapshot,) = train_group(SmallCnn(1, 3), runs, images, (1,))
    assert device.operators > 100 and snapshot.parameters.device.type == "cpu"


def test_a_zoo_of_inrs_is_fitted_on_one_device(float64: bool) -> None:
    settings = InrSettings("own", 3, width=8, steps=2, learning_rate=1e-3)
    pictures = {"train": torch.rand(3, 1, 16)}
    shared = SharedPictures(settings, settings.siren(1), FOREIGN, 2, torch.rand(16, 2), pictures)
    with foreign_device(float64=float64) as device:
        parameters, psnr = fit_job(shared, Job(0, tuple(("train", n, 0) for n in range(3))), lambda steps: None)
    assert device.operators > 20 and parameters.device.type == psnr.device.type == "cpu"


def test_a_constant_left_on_the_cpu_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Probes.forward

    def forward(self: Probes) -> Tensor:
        return plain(self) * torch.ones(self.space)  # of the CPU

    monkeypatch.setattr(Probes, "forward", forward)
    with foreign_device(), pytest.raises(MixedDevicesError, match=r"aten::mul\S*: tensors on two devices"):
        read_head(models_folder() / "small-cnn-relu", FOREIGN).predict(read_by("small-cnn-relu"))


def test_answers_that_are_not_brought_back_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def accuracy(self: Calibration, logits: Tensor) -> Tensor:
        return curved(self.curve.cpu(), logits).sigmoid()

    monkeypatch.setattr(Calibration, "accuracy", accuracy)
    with foreign_device():
        head = read_head(models_folder() / "monomial-nfn-relu", FOREIGN)
        # The curve's numbers are of no dimension, and may mix; the interval's places may not.
        with pytest.raises(MixedDevicesError):
            head.predict(read_by("monomial-nfn-relu"))


def test_float64_is_refused_where_the_device_has_none() -> None:
    with foreign_device(float64=False), pytest.raises(MissingDtypeError, match=r"no torch\.float64"):
        read_head(models_folder() / "erode-mnist", FOREIGN)  # nobody has told that this device has none


@pytest.mark.parametrize(
    "mixed",
    [
        lambda there, here: there + here,
        lambda there, here: torch.stack([there, here]),
        lambda there, here: torch.where(there > 0, there, here),
        lambda there, here: here[there.long()],
        lambda there, here: there.index_select(0, here.long()),
        lambda there, here: torch.nn.functional.linear(there, here[None]),
        lambda there, here: here.add_(there),
    ],
)
def test_operators_that_mix_devices_are_refused(mixed: Any) -> None:
    with foreign_device():
        there = torch.ones(4, device=FOREIGN)
        with pytest.raises(MixedDevicesError):
            mixed(there, torch.ones(4))


def test_what_a_gpu_mixes_is_let_through() -> None:
    with foreign_device() as device:
        there = torch.ones(4, device=FOREIGN)
        assert (there * torch.tensor(2.0)).is_meta  # a number
        assert there[torch.tensor([0, 2])].is_meta  # places
        assert there.copy_(torch.ones(4)).is_meta
        assert torch.zeros(4).copy_(there).tolist() == there.cpu().tolist() == [0.0] * 4
        assert there.to("cpu", torch.float64).dtype is torch.float64 and there.sum().item() == 1.0
    assert device.moved == 3
