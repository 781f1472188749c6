"""INRs through a classifying head: which head reads which file, and what the rows say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

import nfn_cli.shipped
from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.checkpoints import POPULATION_KEY
from nfn_cli.errors import HeadError
from nfn_cli.nn import (
    Accepted,
    AccuracyDetails,
    ClassDetails,
    CoordinateProbeSizes,
    Head,
    HeadConfig,
    MonomialNFNSizes,
)
from nfn_cli.scoring import ClassRow, classify
from nfn_cli.symmetry import act, sample_element

Save = Callable[..., Path]
CLASSES = ("cat", "dog", "owl", "fox")


def inr(width: int = 5, hidden_layers: int = 2, activation: str = "sin", omega_0: float = 30.0) -> Architecture:
    sizes = [2, *[width] * hidden_layers, 1]
    layers = [Layer(f"fc{i}", "linear", sizes[i], sizes[i + 1]) for i in range(hidden_layers + 1)]
    return chain(layers, activation=activation, omega_0=omega_0)


def random_point(architecture: Architecture, networks: int, seed: int = 0) -> NetworkWeights:
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        spec.name: torch.randn(networks, *spec.shape, generator=generator) / (15 if "0" not in spec.name else 2)
        for spec in architecture.tensors
    }
    tensors[architecture.tensors[-2].name] *= 10
    return NetworkWeights(architecture, tensors)


def make_head(name: str, activation: str = "sin", classes: tuple[str, ...] = CLASSES) -> Head:
    """A head that nobody trained, whose answers differ."""
    torch.manual_seed(0)
    sizes = CoordinateProbeSizes(side=8, channels=4)
    config = HeadConfig(Accepted.of(inr(activation=activation)), sizes, ClassDetails(classes))
    model = config.new_model()
    with torch.no_grad():
        inputs = model.encode(random_point(inr(activation=activation), 60, 9))
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.momentum = None
        model.train()(inputs)
        model.temperature.fill_(0.2)
    return Head(name, config, model.eval())


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`models/` with a head that classifies sines, and one that predicts the accuracy of the same architectures."""
    package = tmp_path_factory.mktemp("package")
    make_head("animals").save(package / "models" / "animals", "")
    sizes = MonomialNFNSizes(channels=2, equivariant_layers=1, invariants=2, hidden=4)
    config = HeadConfig(Accepted.of(inr()), sizes, AccuracyDetails())
    Head("a-accuracy", config, config.new_model()).save(package / "models" / "a-accuracy", "")
    return package / "models"


@pytest.fixture(autouse=True)
def shipped(models: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ship those heads."""
    monkeypatch.setattr(nfn_cli.shipped, "_PACKAGE", models.parent)
    return models


@pytest.fixture
def write(tmp_path: Path) -> Save:
    """Save a random INR."""

    def call(
        name: str,
        *,
        seed: int = 0,
        metadata: dict[str, str] | None = None,
        change: Callable[[dict[str, Tensor]], dict[str, Tensor]] = lambda tensors: tensors,
        **shape: Any,
    ) -> Path:
        point = random_point(inr(**shape), 1, seed)
        told = {"activation": "sin", "omega_0": "30", "chain": "true"} if metadata is None else metadata
        save_file(change({key: tensor[0].clone() for key, tensor in point.tensors.items()}), tmp_path / name, told)
        return tmp_path / name

    return call


def read(paths: list[Path], **options: Any) -> tuple[list[ClassRow], list[str]]:
    """Rows and notes."""
    notes: list[str] = []
    return list(classify(paths, device="cpu", on_note=notes.append, **options)), notes


def one_error(path: Path, **options: Any) -> str:
    (row,), _ = read([path], **options)
    known = {"path", "error"}
    assert all(getattr(row, own.name) is None for own in fields(row) if own.name not in known)
    assert row.error is not None and len(row.error.splitlines()) == 1 and row.error.startswith(str(path))
    return row.error


def test_rows_say_what_the_head_says(write: Save) -> None:
    paths = [write(f"{seed}.safetensors", seed=seed) for seed in range(6)]
    rows, notes = read(paths)
    assert notes == [] and [row.path for row in rows] == [str(path) for path in paths]
    head = make_head("animals")
    for seed, row in enumerate(rows):
        found = head.predict(random_point(inr(), 1, seed))
        shares = found.probabilities[0]
        assert (row.label, row.head, row.error) == (CLASSES[int(shares.argmax())], "animals", None)
        assert row.probability == pytest.approx(shares.max().item(), abs=1e-5)
        assert row.entropy == pytest.approx(found.entropy[0].item(), abs=1e-4)
        assert row.in_distribution is bool(found.in_distribution[0])
    assert len({row.label for row in rows}) > 1


@pytest.mark.parametrize("top", [1, 2, 4, 100])
def test_the_most_probable_classes_are_told_falling(top: int, write: Save) -> None:
    (row,), _ = read([write("a.safetensors")], top=top)
    assert row.probabilities is not None
    names, shares = list(row.probabilities), list(row.probabilities.values())
    assert len(names) == min(top, 4) and names[0] == row.label
    assert shares == sorted(shares, reverse=True)
    assert top < 4 or sum(shares) == pytest.approx(1, abs=1e-5)


def test_moved_networks_get_the_same_rows(write: Save, tmp_path: Path) -> None:
    point = random_point(inr(), 4)
    point = NetworkWeights(point.architecture, {name: tensor.double() for name, tensor in point.tensors.items()})
    element = sample_element(point.architecture, torch.Generator().manual_seed(3), batch=(4,), phase=True)
    paths = []
    for name, own in {"plain": point, "moved": act(element, point)}.items():
        for place in range(4):
            paths.append(tmp_path / f"{name}-{place}.safetensors")
            tensors = {key: tensor[place].clone() for key, tensor in own.tensors.items()}
            save_file(tensors, paths[-1], {"activation": "sin", "omega_0": "30"})
    rows, _ = read(paths)
    for plain, moved in zip(rows[:4], rows[4:], strict=True):
        assert plain.label == moved.label
        assert plain.probability == pytest.approx(moved.probability, abs=1e-4)


@pytest.mark.parametrize("width", [1, 3, 40])
def test_another_width_works(width: int, write: Save) -> None:
    (row,), _ = read([write("a.safetensors", width=width)])
    assert row.error is None and row.label in CLASSES


def test_widths_may_be_mixed_in_one_call(write: Save) -> None:
    paths = [write(f"{number}.safetensors", width=3 + number % 2, seed=number) for number in range(6)]
    rows, _ = read(paths)
    assert [row.path for row in rows] == list(map(str, paths))
    for path, row in zip(paths, rows, strict=True):
        (alone,), _ = read([path])
        assert alone.label == row.label and alone.probability == pytest.approx(row.probability, abs=1e-5)


def test_a_packed_file_has_a_row_for_each_network(write: Save, tmp_path: Path) -> None:
    singles = [write(f"{seed}.safetensors", seed=seed) for seed in range(5)]
    stacked = [random_point(inr(), 1, seed).tensors for seed in range(5)]
    packed = {name: torch.cat([tensors[name] for tensors in stacked]) for name in stacked[0]}
    path = tmp_path / "zoo.safetensors"
    save_file(packed, path, {"activation": "sin", "omega_0": "30", POPULATION_KEY: "5"})
    rows, _ = read([path])
    assert [row.path for row in rows] == [f"{path}#{place}" for place in range(5)]
    alone, _ = read(singles)
    assert [row.label for row in rows] == [row.label for row in alone]


def test_heads_that_predict_accuracies_are_not_asked(write: Save, models: Path) -> None:
    (row,), _ = read([write("a.safetensors")])
    assert row.head == "animals"
    with pytest.raises(HeadError, match="a head for `nfn predict-accuracy`; give one for `nfn classify-inr`"):
        read([write("a.safetensors")], head="a-accuracy")


def test_a_head_may_be_a_folder(write: Save, tmp_path: Path) -> None:
    make_head("mine", classes=("yes", "no")).save(tmp_path / "mine", "")
    (row,), _ = read([write("a.safetensors")], head=str(tmp_path / "mine"))
    assert row.head == "mine" and row.label in ("yes", "no")


def test_an_activation_that_nobody_tells_is_assumed_and_noted(write: Save) -> None:
    rows, notes = read([write(f"{number}.safetensors", metadata={}, seed=number) for number in range(2)])
    assert all(row.error is None for row in rows)
    assert notes == [
        "assumed: activation sin, as head animals reads it (2 files do not say); see --activation",
        "assumed: omega_0 30, as head animals reads it (2 files do not say); "
        "say it in a file nfn.yaml beside them (omega_0: 30)",
        "assumed: one chain of layers, as head animals reads it (2 files do not say); "
        "say it in a file nfn.yaml beside them (chain: true)",
    ]
    told, notes = read([write("0.safetensors", metadata={"chain": "true", "omega_0": "30"})], activation="sin")
    assert notes == [] and told[0].label == rows[0].label


# --- what is refused -----------------------------------------------------------------------------------------------


def test_a_cnn_is_refused_clearly(tmp_path: Path) -> None:
    path = tmp_path / "cnn.safetensors"
    tensors = {"conv.weight": torch.zeros(4, 1, 3, 3), "conv.bias": torch.zeros(4)}
    save_file(tensors | {"fc.weight": torch.zeros(2, 4), "fc.bias": torch.zeros(2)}, path, {"activation": "relu"})
    assert "layer conv is conv 3x3 from 1, the head reads linear from 2" in one_error(path)


@pytest.mark.parametrize(
    ("hidden_layers", "cause"),
    [
        (1, "layer fc1 is linear to 1, the head reads linear"),
        (3, "layer fc2 is linear, the head reads linear to 1"),
    ],
)
@pytest.mark.parametrize("named", [False, True])
def test_another_depth_is_refused_by_the_layer(named: bool, hidden_layers: int, cause: str, write: Save) -> None:
    error = one_error(write("a.safetensors", hidden_layers=hidden_layers), **({"head": "animals"} if named else {}))
    assert cause in error


def test_another_activation_or_frequency_is_refused(write: Save) -> None:
    assert "the activation is tanh, the head reads sin" in one_error(
        write("a.safetensors", metadata={"activation": "tanh"})
    )
    other = write("b.safetensors", metadata={"activation": "sin", "omega_0": "10"})
    assert "omega_0 is 10, the head reads 30" in one_error(other)
    assert "the activation is relu" in one_error(write("c.safetensors"), activation="relu")


def test_weights_beyond_float32_are_an_error_of_that_file_alone(write: Save) -> None:
    huge = write("b.safetensors", change=lambda tensors: {name: t.double() * 1e200 for name, t in tensors.items()})
    rows, _ = read([write("a.safetensors"), huge, write("c.safetensors")])
    assert [row.error is None for row in rows] == [True, False, True]
    assert "the weights are too large for the head, which computes in float32" in (rows[1].error or "")


def test_broken_files_are_errors_of_their_own(write: Save, tmp_path: Path) -> None:
    (tmp_path / "empty.safetensors").touch()
    (tmp_path / "cut.safetensors").write_bytes(write("a.safetensors").read_bytes()[:200])
    bad = write("nan.safetensors", change=lambda tensors: tensors | {"fc0.bias": torch.full((5,), math.nan)})
    paths = [tmp_path / "empty.safetensors", tmp_path / "cut.safetensors", bad, tmp_path / "none.safetensors"]
    for path in paths:
        one_error(path)
    rows, _ = read([*paths, tmp_path / "a.safetensors"])
    assert [row.error is None for row in rows] == [False] * 4 + [True]


def test_where_no_head_is_shipped_files_are_refused(
    write: Save, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(nfn_cli.shipped, "_PACKAGE", tmp_path)
    assert "no head is shipped" in one_error(write("a.safetensors"))
