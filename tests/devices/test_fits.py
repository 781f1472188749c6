"""Heads that are fitted on a GPU: by each fitting command, read on the CPU as there; and a fit without dropout ends
where the CPU's ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from on_devices import MEASURES, TESTS, Nfn, assert_alike, both
from wild_tables import write_classifiers

from nfn_cli.architectures import NetworkWeights
from nfn_cli.learning import EditFit, FitSettings
from nfn_cli.learning.editor_fit import editor_stages
from nfn_cli.learning.fitting import ensemble_stages, fit_stages
from nfn_cli.learning.member_fit import accuracy_loss, class_loss
from nfn_cli.nn import Accepted, AccuracyDetails, ClassDetails, EditDetails, ForwardPass, Head, HeadConfig, sizes_of
from nfn_cli.nn.names import HEAD_KINDS, kinds_of
from nfn_cli.zoo import LabelledNetworks, read_inrs, read_networks
from nfn_cli.zoo.listed_networks import selected

ANY = "any-classifier"
ANY_KINDS = (ANY, "monomial-any")  # which read no chains
# Adam divides by the gradient's size: rounding shows in weights that hardly matter, less in what the head says.
FITTED = 1e-2

Population = Callable[..., Path]
QUICK = ["--epochs", "1"]


@pytest.mark.parametrize("kind", [own for own in kinds_of("predict-accuracy") if own not in ANY_KINDS])
def test_a_fitted_head_predicts_alike(kind: str, device: str, population: Population, nfn: Nfn, tmp_path: Path) -> None:
    options = ["--kind", kind, *QUICK, "--members", "1"]
    if HEAD_KINDS[kind].runs:
        options += ["--input-size", "16x16", "--stride", "2"]
    out = tmp_path / "head"
    fitted(nfn, device, "train", population("relu", 60), *options, "--out", out)
    assert_alike(*both(nfn, device, "predict-accuracy", TESTS / "samples" / "relu-1.safetensors", "--head", out))


def test_a_fitted_head_for_any_classifier_predicts_alike(device: str, nfn: Nfn, tmp_path: Path) -> None:
    data, out = write_classifiers(tmp_path / "data", 24), tmp_path / "head"
    fitted(nfn, device, "train", data, "--kind", ANY, *QUICK, "--members", "1", "--workers", "1", "--out", out)
    assert_alike(*both(nfn, device, "predict-accuracy", data / "run-0.safetensors", "--head", out))


@pytest.mark.parametrize("kind", kinds_of("classify-inr"))
def test_a_fitted_head_classifies_alike(kind: str, device: str, inr_zoo: Path, nfn: Nfn, tmp_path: Path) -> None:
    out = tmp_path / "head"
    fitted(nfn, device, "train-inr", inr_zoo, "--kind", kind, "--channels", "4", *QUICK, "--members", "1", "--out", out)
    assert_alike(*both(nfn, device, "classify-inr", TESTS / "inrs" / "mnist-1.safetensors", "--head", out))


@pytest.mark.parametrize("kind", kinds_of("edit-inr"))
def test_a_fitted_head_edits_alike(kind: str, device: str, inr_zoo: Path, nfn: Nfn, tmp_path: Path) -> None:
    out = tmp_path / "head"
    options = ["--edit", "erode", "--kind", kind, "--size", "8x8", "--limit", "8", "--test-count", "8", *QUICK]
    if kind == "function-editor":
        options += ["--tuning", "1"]
    fitted(nfn, device, "train-editor", inr_zoo, *options, "--out", out)
    assert_alike(*both(nfn, device, "evaluate-inr", out, inr_zoo, "--count", "2"), close=MEASURES)


def fitted(nfn: Nfn, device: str, *arguments: object) -> None:
    finished = nfn(*arguments, "--device", device)
    assert finished.code == 0, finished.err


@pytest.mark.parametrize("kind", [own for own in kinds_of("predict-accuracy") if own not in ANY_KINDS])
def test_a_fit_of_accuracies_ends_where_the_cpus_ends(kind: str, device: str, population: Population) -> None:
    networks = read_networks(population("relu"))
    space = ForwardPass((16, 16), 2, 0) if HEAD_KINDS[kind].runs else ForwardPass()
    details = AccuracyDetails(forward_pass=space)
    assert_same_fit(networks, kind, details, networks.targets.float(), accuracy_loss, device)


@pytest.mark.parametrize("kind", kinds_of("classify-inr"))
def test_a_fit_of_classes_ends_where_the_cpus_ends(kind: str, device: str, inr_zoo: Path) -> None:
    networks = read_inrs(inr_zoo)
    details = ClassDetails(tuple(map(str, range(10))))
    assert_same_fit(networks, kind, details, networks.targets.long(), class_loss, device, channels=4)


def assert_same_fit(
    networks: LabelledNetworks, kind: str, details: Any, targets: torch.Tensor, loss: Any, device: str, **sizes: Any
) -> None:
    """What members say that were fitted on the CPU and on a device, from the same weights, without dropout."""
    point = selected(networks.point, list(range(12)))
    sizes = sizes_of(kind, dropout=0.0, **sizes)
    config = HeadConfig(Accepted.of(point.architecture), sizes, details)
    said, before = [], []
    for own in ("cpu", device):
        torch.manual_seed(0)
        model = config.new_model().to(own)
        inputs = model.encode(point)
        before.append(logits(model, inputs))
        settings = FitSettings(epochs=2, batch_size=4, seed=1)
        fit_stages(ensemble_stages(model, inputs, targets[:12].to(own), settings, loss=loss))
        said.append(logits(model.eval(), inputs))
    assert not torch.allclose(said[0], before[0], atol=FITTED), "nothing was learned, so nothing is compared"
    torch.testing.assert_close(said[0], said[1], atol=FITTED, rtol=FITTED)


@torch.no_grad()
def logits(model: Any, inputs: Any) -> torch.Tensor:
    return model(inputs)[0].float().cpu()


@pytest.mark.parametrize("kind", kinds_of("edit-inr"))
def test_a_fit_of_edits_ends_where_the_cpus_ends(kind: str, device: str, inr_zoo: Path) -> None:
    networks = read_inrs(inr_zoo).select(range(6))
    config = HeadConfig(
        Accepted.of(networks.point.architecture), sizes_of(kind, channels=4), EditDetails("erode", (8, 8))
    )
    edited: list[NetworkWeights] = []
    for own in ("cpu", device):
        torch.manual_seed(0)
        model = config.new_model().to(own)
        fit = EditFit(epochs=1, batch_size=3, tuning=1, tuning_batch=2)
        fit_stages(editor_stages(model, networks, "erode", (8, 8), fit, own))
        edited.append(Head("own", config, model.eval()).predict(networks.point))
    for name, tensor in edited[0].tensors.items():
        other = edited[1].tensors[name]
        assert (tensor - other).abs().max() <= FITTED * (1 + tensor.abs().max()), name
