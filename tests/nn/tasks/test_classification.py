"""Classifying heads on disk: what is saved comes back, and a folder from a stranger is refused in one line."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.errors import HeadError
from nfn_cli.nn import (
    Accepted,
    AccuracyDetails,
    ClassDetails,
    Classification,
    CoordinateProbeSizes,
    Head,
    HeadConfig,
    MonomialNFNSizes,
    load_head,
    read_head,
    sizes_of,
)
from nfn_cli.symmetry import act, sample_element

Inr = Callable[..., Architecture]
RandomInrs = Callable[..., NetworkWeights]

SIZES = CoordinateProbeSizes(side=8, channels=2)


@pytest.fixture
def head(inr: Inr) -> Head:
    """A head of two members with random weights, and a temperature."""
    config = HeadConfig(
        Accepted.of(inr(8, 8)), SIZES, ClassDetails(("cat", "dog", "owl")), members=2, fitted={"data": "zoo"}
    )
    torch.manual_seed(0)
    model = config.new_model().eval()
    with torch.no_grad():
        model.temperature.fill_(0.25)
        for member in model.members:
            member.moved.normal_(0, 0.1)  # type: ignore[operator, union-attr]
    return Head("mine", config, model)


def test_a_saved_head_classifies_as_before(head: Head, random_inrs: RandomInrs, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "# card\n")
    loaded, point = read_head(tmp_path / "mine"), random_inrs(7)
    for ours, theirs in zip(vars(loaded.predict(point)).values(), vars(head.predict(point)).values(), strict=True):
        assert torch.equal(ours, theirs)
    assert (loaded.name, loaded.config) == (head.name, head.config)
    assert (tmp_path / "mine" / "README.md").read_text() == "# card\n"
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "README.md",
        "config.yaml",
        "model.safetensors",
    ]
    assert yaml.safe_load((tmp_path / "mine" / "config.yaml").read_text())["task"] == "classify-inr"


def test_logits_are_the_mean_over_members_and_probabilities_follow_the_temperature(
    head: Head, random_inrs: RandomInrs
) -> None:
    point = random_inrs(5)
    found = head.predict(point)
    with torch.no_grad():
        inputs = head.model.encode(point)
        first, second = (member(inputs) for member in head.model.members)
    assert not torch.allclose(first, second, atol=1e-3)
    assert torch.allclose(found.logits, ((first + second) / 2).double(), atol=1e-6)
    assert torch.allclose(found.probabilities, (found.logits / 0.25).softmax(1), atol=1e-12)
    assert found.logits.dtype is found.probabilities.dtype is torch.float64


def test_entropy_is_in_bits() -> None:
    shares = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.25] * 4, [0.5, 0.5, 0.0, 0.0]], dtype=torch.float64)
    found = Classification(**{**dict.fromkeys(Classification.__dataclass_fields__, shares), "probabilities": shares})
    assert found.entropy.tolist() == pytest.approx([0, 2, 1])


def test_nothing_a_head_says_changes_along_an_orbit(head: Head, random_inrs: RandomInrs) -> None:
    point = random_inrs(40)
    element = sample_element(point.architecture, torch.Generator().manual_seed(0), batch=(40,), phase=True)
    before, after = head.predict(point), head.predict(act(element, point))
    assert (after.logits - before.logits).abs().max() < 1e-5
    assert (after.probabilities - before.probabilities).abs().max() < 1e-5


@pytest.mark.parametrize("width", [1, 3, 40])
def test_any_hidden_width_is_read(head: Head, width: int, random_inrs: RandomInrs) -> None:
    assert head.predict(random_inrs(2, width=width)).probabilities.sum(1).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize(
    ("shape", "cause"),
    [
        ({"hidden_layers": 1}, r"layer layers\.1 is linear to 1, the head reads linear;"),
        ({"hidden_layers": 3}, r"layer layers\.2 is linear, the head reads linear to 1;"),
        ({"channels": 3}, r"layer layers\.2 is linear to 3, the head reads linear to 1;"),
        ({"omega_0": 10.0}, "omega_0 is 10, the head reads 30;"),
    ],
)
def test_other_architectures_are_refused_by_what_differs(
    shape: dict[str, int], cause: str, head: Head, random_inrs: RandomInrs
) -> None:
    with pytest.raises(HeadError, match=f"{cause} choose another head than mine"):
        head.predict(random_inrs(2, **shape))


def test_another_activation_is_refused(head: Head, inr: Inr, random_inrs: RandomInrs) -> None:
    point = NetworkWeights(inr(8, 8, activation="tanh"), random_inrs(2).tensors)
    with pytest.raises(HeadError, match="the activation is tanh, the head reads sin"):
        head.predict(point)


def test_sizes_that_a_command_chooses_reach_the_kind() -> None:
    assert sizes_of("coordinate-probe", side=9, channels=None, mirror=True) == CoordinateProbeSizes(side=9, mirror=True)
    assert sizes_of("coordinate-probe", side=8, channels=3, mirror=False).channels == 3


# --- heads for something else --------------------------------------------------------------------------------------


def test_a_head_for_another_command_is_refused(head: Head, inr: Inr, tmp_path: Path) -> None:
    head.save(tmp_path / "classes", "")
    with pytest.raises(HeadError) as refused:
        load_head(str(tmp_path / "classes"), task="predict-accuracy")
    folder = tmp_path / "classes"
    assert str(refused.value) == f"{folder}: a head for `nfn classify-inr`; give one for `nfn predict-accuracy`"
    config = HeadConfig(
        Accepted.of(inr(8, 8, activation="tanh")),
        MonomialNFNSizes(channels=2, invariants=2, hidden=4),
        AccuracyDetails(),
    )
    Head("other", config, config.new_model()).save(tmp_path / "accuracy", "")
    with pytest.raises(HeadError) as refused:
        load_head(str(tmp_path / "accuracy"), task="classify-inr")
    folder = tmp_path / "accuracy"
    assert str(refused.value) == f"{folder}: a head for `nfn predict-accuracy`; give one for `nfn classify-inr`"


# --- folders from strangers ----------------------------------------------------------------------------------------


def refusal(folder: Path) -> str:
    with pytest.raises(HeadError) as refused:
        read_head(folder, task="classify-inr")
    assert str(refused.value).count("\n") == 0
    assert str(folder) in str(refused.value)
    return str(refused.value)


def change(record: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    """The record with one entry replaced."""
    first, *rest = path
    return record | {first: change(record[first], *rest, to=to) if rest else to}


def layer(record: dict[str, Any], place: int, **changes: Any) -> dict[str, Any]:
    """The record with another layer."""
    layers = [dict(own) for own in record["accepts"]["layers"]]
    layers[place] |= changes
    return change(record, "accepts", "layers", to=layers)


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no mapping": lambda record: ["a", "b"],
    "nothing": lambda record: None,
    "another task": lambda record: change(record, "task", to="rm -rf"),
    "a task that is a list": lambda record: change(record, "task", to=["classify-inr"]),
    "another kind": lambda record: change(record, "kind", to="monomial-nfn"),
    "a kind that is a list": lambda record: change(record, "kind", to=["coordinate-probe"]),
    "no layers": lambda record: change(record, "accepts", to={"activation": "sin"}),
    "no layer at all": lambda record: change(record, "accepts", "layers", to=[]),
    "three coordinates": lambda record: layer(record, 0, inputs=3),
    "a convolution": lambda record: layer(record, 0, kind="conv", kernel=[3]),
    "an unknown layer": lambda record: layer(record, 0, kind="attention"),
    "a huge output": lambda record: layer(record, 2, outputs=10**12),
    "an output beyond 64 bits": lambda record: layer(record, 2, outputs=10**30),
    "an unknown activation": lambda record: change(record, "accepts", "activation", to="rm -rf"),
    "a frequency of nan": lambda record: change(record, "accepts", "omega_0", to=math.nan),
    "unknown size": lambda record: change(record, "sizes", "wings", to=2),
    "negative size": lambda record: change(record, "sizes", "channels", to=-1),
    "a size that is text": lambda record: change(record, "sizes", "side", to="many"),
    "a huge size": lambda record: change(record, "sizes", "channels", to=10**9),
    "a share that is text": lambda record: change(record, "sizes", "dropout", to="half"),
    "other sizes than the tensors": lambda record: change(record, "sizes", "channels", to=3),
    "the largest sizes": lambda record: change(record, "sizes", to=record["sizes"] | {"side": 256, "channels": 1024}),
    "too many members": lambda record: change(record, "members", to=10**9),
    "no member": lambda record: change(record, "members", to=0),
    "endlessly many members": lambda record: change(record, "members", to=math.inf),
    "more members than tensors": lambda record: change(record, "members", to=3),
    "no classes": lambda record: change(record, "classes", to=[]),
    "one class": lambda record: change(record, "classes", to=["cat"]),
    "classes that are text": lambda record: change(record, "classes", to="cat"),
    "classes that are numbers": lambda record: change(record, "classes", to=[1, 2, 3]),
    "classes of one name": lambda record: change(record, "classes", to=["cat", "cat", "owl"]),
    "a class without a name": lambda record: change(record, "classes", to=["cat", "", "owl"]),
    "a class that breaks the line": lambda record: change(record, "classes", to=["cat", "dog\nowl", "owl"]),
    "a class that commands a terminal": lambda record: change(record, "classes", to=["cat", "\x1b[31mdog", "owl"]),
    "too many classes": lambda record: change(record, "classes", to=[str(number) for number in range(10_001)]),
    "another number of classes": lambda record: change(record, "classes", to=["cat", "dog"]),
    "classes that are a mapping": lambda record: change(record, "classes", to={"cat": 1, "dog": 2, "owl": 3}),
    "no record of the fit": lambda record: change(record, "fitted", to=None),
    "nothing but a kind": lambda record: {"task": record["task"], "kind": record["kind"]},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_configuration_that_is_wrong_is_refused_in_one_line(head: Head, tmp_path: Path, name: str) -> None:
    head.save(tmp_path / "mine", "")
    config = tmp_path / "mine" / "config.yaml"
    config.write_text(yaml.safe_dump(HOSTILE[name](yaml.safe_load(config.read_text()))))
    refusal(tmp_path / "mine")


@pytest.mark.parametrize(
    "text",
    [
        "kind: [",
        "kind: " + "9" * 6000,
        "[" * 1100,
        "kind: &a [*a]",
        "? {a: b}\n: c",
        "\x00",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_yaml_that_cannot_be_read_is_refused(text: str, head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "")
    (tmp_path / "mine" / "config.yaml").write_text(text)
    assert "not a head's configuration" in refusal(tmp_path / "mine")


def test_text_that_is_none_is_refused(head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "")
    (tmp_path / "mine" / "config.yaml").write_bytes(b"\xff\xfe\x00")
    assert "not a head's configuration" in refusal(tmp_path / "mine")


def test_yaml_that_would_build_an_object_is_refused(head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "")
    (tmp_path / "mine" / "config.yaml").write_text(f"!!python/object/apply:os.mkdir ['{tmp_path / 'payload'}']\n")
    assert "not a head's configuration" in refusal(tmp_path / "mine")
    assert not (tmp_path / "payload").exists()


def retype(name: str, to: Callable[[Tensor], Tensor]) -> Callable[[dict[str, Tensor]], dict[str, Tensor]]:
    return lambda tensors: tensors | {name: to(tensors[name])}


WEIGHT, VARIANCE = "members.0.reader.0.weight", "members.1.reader.1.running_var"
TENSORS: dict[str, Callable[[dict[str, Tensor]], dict[str, Tensor]]] = {
    "one is missing": lambda tensors: {name: tensor for name, tensor in tensors.items() if name != WEIGHT},
    "one too many": lambda tensors: tensors | {"payload": torch.zeros(1)},
    "another shape": retype(WEIGHT, lambda tensor: tensor[:1].clone()),
    "float64": retype(WEIGHT, Tensor.double),
    "float16": retype(WEIGHT, Tensor.half),
    "nan": retype(WEIGHT, lambda tensor: tensor * math.nan),
    "infinite": retype(VARIANCE, lambda tensor: tensor / 0),
    "whole numbers as weights": retype(WEIGHT, Tensor.long),
    "whole numbers as statistics": retype(VARIANCE, Tensor.long),
    "truth values": retype(VARIANCE, Tensor.bool),
    "complex numbers": retype("members.0.moved", lambda tensor: torch.complex(tensor, tensor)),
    "a count that is none": retype("members.0.reader.1.num_batches_tracked", Tensor.float),
    "no temperature": lambda tensors: {name: tensor for name, tensor in tensors.items() if name != "temperature"},
    "a temperature of zero": retype("temperature", torch.zeros_like),
    "a negative temperature": retype("temperature", torch.neg),
    "a temperature of nan": retype("temperature", lambda tensor: tensor * math.nan),
    "a list of one temperature": retype("temperature", lambda tensor: tensor[None].clone()),
    "two temperatures": retype("temperature", lambda tensor: tensor.expand(2).clone()),
}


@pytest.mark.parametrize("name", TENSORS)
def test_tensors_that_are_wrong_are_refused_in_one_line(head: Head, tmp_path: Path, name: str) -> None:
    head.save(tmp_path / "mine", "")
    file = tmp_path / "mine" / "model.safetensors"
    tensors = load_file(file)
    save_file(TENSORS[name](tensors), file)
    refusal(tmp_path / "mine")


@pytest.mark.parametrize("damage", ["cut", "empty", "gone", "folder"])
def test_a_damaged_file_of_tensors_is_refused(damage: str, head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "")
    file = tmp_path / "mine" / "model.safetensors"
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-10])
    elif damage == "empty":
        file.write_bytes(b"")
    else:
        file.unlink()
        if damage == "folder":
            file.mkdir()
    assert "unreadable tensors" in refusal(tmp_path / "mine")


def test_a_folder_without_a_head_is_refused(tmp_path: Path) -> None:
    assert "no head here (there is no config.yaml)" in refusal(tmp_path)
    with pytest.raises(HeadError, match="no such head"):
        load_head(str(tmp_path / "none"), task="classify-inr")


@pytest.mark.parametrize("members", [65, 0])
def test_a_head_of_no_or_too_many_members_cannot_be_made(head: Head, members: int) -> None:
    with pytest.raises(ValueError, match="members"):
        replace(head.config, members=members)


@pytest.mark.parametrize("classes", [("one",), ("a", "a")], ids=str)
def test_classes_that_make_no_sense_cannot_be_made(classes: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="classes"):
        ClassDetails(classes)
