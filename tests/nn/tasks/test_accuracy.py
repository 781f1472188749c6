"""Heads on disk: what is saved comes back, and a folder from a stranger is refused in one line."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from nfn_cli.architectures import NetworkWeights
from nfn_cli.errors import HeadError
from nfn_cli.nn import Accepted, AccuracyDetails, Head, HeadConfig, MonomialNFNSizes, read_head
from nfn_cli.records import LARGEST_YAML
from nfn_cli.symmetry import act, sample_element

SIZES = MonomialNFNSizes(channels=4, invariants=3, hidden=8)


@pytest.fixture
def population(random_point, small_cnn) -> NetworkWeights:  # type: ignore[no-untyped-def]
    """Sixty networks that differ: each has its weights shifted by a number of its own."""
    point = random_point(small_cnn("relu"), 60)
    shifts = torch.randn(60, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    shifted = {name: tensor + shifts.view(-1, *[1] * (tensor.ndim - 1)) for name, tensor in point.tensors.items()}
    return NetworkWeights(point.architecture, {name: tensor.float() for name, tensor in shifted.items()})


@pytest.fixture
def head(population: NetworkWeights) -> Head:
    """A head with random weights that tells the networks of its population apart."""
    config = HeadConfig(
        Accepted.of(population.architecture),
        SIZES,
        AccuracyDetails(),
        members=2,
        fitted={"data": "zoo", "split_seed": 3},
    )
    torch.manual_seed(0)
    model = config.new_model().eval()
    with torch.no_grad():
        fields = model.encode(population)
        for member in model.members:
            # A fresh network says nearly the same of everything; a fitted one does not.
            logits, last = member(fields), member.readout[-1]
            last.bias.copy_((last.bias - logits.mean()) / logits.std())
            last.weight.div_(logits.std())
        _, invariants = model(fields)
        model.ood_detector.fit(invariants[:40], invariants[40:])
        model.calibration.radii.fill_(0.125)
    return Head("mine", config, model)


def test_a_saved_head_predicts_as_before(head: Head, tmp_path: Path, random_point, small_cnn) -> None:  # type: ignore[no-untyped-def]
    head.save(tmp_path / "mine", "# card\n")
    loaded = read_head(tmp_path / "mine")
    point = random_point(small_cnn("relu"), 7, seed=9)
    for ours, theirs in zip(vars(loaded.predict(point)).values(), vars(head.predict(point)).values(), strict=True):
        assert torch.equal(ours, theirs)
    assert (loaded.name, loaded.config) == (head.name, head.config)
    # Where a factor begins decides how some processors sum a product.
    assert all(tensor.data_ptr() % 64 == 0 for tensor in loaded.model.state_dict().values())
    assert (tmp_path / "mine" / "README.md").read_text() == "# card\n"
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == [
        "README.md",
        "config.yaml",
        "model.safetensors",
    ]


def test_predictions_are_fractions_inside_their_interval(head: Head, random_point, small_cnn) -> None:  # type: ignore[no-untyped-def]
    found = head.predict(random_point(small_cnn("relu"), 20))
    assert ((found.low >= 0) & (found.low <= found.accuracy)).all()
    assert ((found.high <= 1) & (found.high >= found.accuracy)).all()
    assert torch.allclose((found.accuracy - found.low).max(), torch.tensor(0.125, dtype=torch.float64))


def test_nothing_a_head_says_changes_along_an_orbit(head: Head, population: NetworkWeights) -> None:
    element = sample_element(population.architecture, torch.Generator().manual_seed(0), batch=(60,))
    before, after = head.predict(population), head.predict(act(element, population))
    spread = before.accuracy.std()
    assert ((after.accuracy - before.accuracy).abs() / spread).max() < 1e-5
    assert torch.equal(after.in_distribution, before.in_distribution)


def test_networks_alone_and_in_a_batch_get_the_same(head: Head, random_point, small_cnn) -> None:  # type: ignore[no-untyped-def]
    point = random_point(small_cnn("relu"), 5)
    whole = head.predict(point).accuracy
    for i in range(5):
        alone = type(point)(point.architecture, {name: tensor[i : i + 1] for name, tensor in point.tensors.items()})
        assert torch.allclose(head.predict(alone).accuracy, whole[i : i + 1], atol=1e-6)


@pytest.mark.parametrize("width", [1, 3, 40])
def test_any_hidden_width_is_read(head: Head, width: int, random_point, small_cnn) -> None:  # type: ignore[no-untyped-def]
    assert head.predict(random_point(small_cnn("relu", width), 2)).accuracy.isfinite().all()


def with_widths(head: Head, widths: tuple[int, ...] | None) -> Head:
    details = replace(head.config.details, widths=widths)
    return replace(head, config=replace(head.config, details=details))


@pytest.mark.parametrize("widths", [None, (16, 16, 16)], ids=str)
def test_networks_of_the_widths_that_were_fitted_to_are_told_by_their_invariants_alone(
    head: Head, widths: tuple[int, ...] | None, population: NetworkWeights
) -> None:
    told = with_widths(head, widths).predict(population).in_distribution
    assert told.any()
    assert torch.equal(told, head.model.ood_detector.contains(head.model(head.model.encode(population))[1]))


@pytest.mark.parametrize("widths", [(8, 16, 16), (16, 16, 17)], ids=str)
def test_networks_of_other_widths_are_read_and_outside_the_population(
    head: Head, widths: tuple[int, ...], population: NetworkWeights
) -> None:
    found = with_widths(head, widths).predict(population)
    assert torch.equal(found.accuracy, head.predict(population).accuracy)
    assert found.in_distribution.dtype is torch.bool and found.in_distribution.shape == (60,)
    assert not found.in_distribution.any()


def test_widths_are_saved_where_they_are_known(head: Head, tmp_path: Path) -> None:
    for widths in (None, (16, 16, 16)):
        with_widths(head, widths).save(tmp_path / "mine", "")
        assert read_head(tmp_path / "mine").config.details.widths == widths
        record = yaml.safe_load((tmp_path / "mine" / "config.yaml").read_text())
        assert record.get("widths") == (None if widths is None else [16, 16, 16])


def test_another_activation_is_refused(head: Head, random_point, small_cnn) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(HeadError, match="the activation is tanh, the head reads relu"):
        head.predict(random_point(small_cnn("tanh"), 2))


def test_networks_unlike_the_population_are_found(head: Head, population: NetworkWeights) -> None:
    assert head.predict(population).in_distribution.double().mean() > 0.8
    # The same directions of every neuron's weights in every network: nothing like sixty random draws.
    strange = {
        name: torch.ones_like(tensor) * (-1) ** torch.arange(tensor.shape[-1])
        for name, tensor in population.tensors.items()
    }
    assert not head.predict(NetworkWeights(population.architecture, strange)).in_distribution.any()


def change(record: dict[str, Any], *path: str, to: Any) -> dict[str, Any]:
    """The record with one entry replaced."""
    first, *rest = path
    return record | {first: change(record[first], *rest, to=to) if rest else to}


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "no mapping": lambda record: ["a", "b"],
    "another kind": lambda record: change(record, "kind", to="transformer"),
    "no layers": lambda record: change(record, "accepts", to={"activation": "relu"}),
    "unknown size": lambda record: change(record, "sizes", "wings", to=2),
    "negative size": lambda record: change(record, "sizes", "channels", to=-1),
    "a size that is text": lambda record: change(record, "sizes", "channels", to="many"),
    "a huge size": lambda record: change(record, "sizes", "hidden", to=10**9),
    "too many members": lambda record: change(record, "members", to=10**9),
    "no member": lambda record: change(record, "members", to=0),
    "too many layers": lambda record: change(record, "sizes", "equivariant_layers", to=10**8),
    "a huge input": lambda record: change(
        record, "accepts", "layers", to=[{**record["accepts"]["layers"][0], "inputs": 10**12}]
    ),
    "an input size that is text": lambda record: change(
        record, "accepts", "layers", to=[{**record["accepts"]["layers"][0], "inputs": "many", "outputs": 3}]
    ),
    "a layer that nfn does not know": lambda record: change(
        record, "accepts", "layers", to=[{**record["accepts"]["layers"][0], "kind": "attention", "outputs": 3}]
    ),
    "a last layer without outputs": lambda record: change(
        record, "accepts", "layers", to=record["accepts"]["layers"][:2]
    ),
    "an activation without a group": lambda record: change(record, "accepts", "activation", to="gelu"),
    "an unknown activation": lambda record: change(record, "accepts", "activation", to="rm -rf"),
    "no layer at all": lambda record: change(record, "accepts", "layers", to=[]),
    "widths of too few layers": lambda record: record | {"widths": [16, 16]},
    "a width that is text": lambda record: record | {"widths": [16, "16", 16]},
    "a width that is a truth": lambda record: record | {"widths": [16, True, 16]},
    "no neurons": lambda record: record | {"widths": [16, 0, 16]},
    "widths that are a number": lambda record: record | {"widths": 16},
    "other sizes than the tensors": lambda record: change(record, "sizes", "hidden", to=9),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_configuration_that_is_wrong_is_refused_in_one_line(head: Head, tmp_path: Path, name: str) -> None:
    head.save(tmp_path / "mine", "")
    config = tmp_path / "mine" / "config.yaml"
    config.write_text(yaml.safe_dump(HOSTILE[name](yaml.safe_load(config.read_text()))))
    with pytest.raises(HeadError) as refused:
        read_head(tmp_path / "mine")
    assert str(refused.value).count("\n") == 0
    assert str(tmp_path / "mine") in str(refused.value)


def test_yaml_that_would_build_an_object_is_refused(head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "")
    (tmp_path / "mine" / "config.yaml").write_text(f"!!python/object/apply:os.mkdir ['{tmp_path / 'payload'}']\n")
    with pytest.raises(HeadError, match="not a head's configuration"):
        read_head(tmp_path / "mine")
    assert not (tmp_path / "payload").exists()


def test_a_large_configuration_is_refused_unread(head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "")
    config = tmp_path / "mine" / "config.yaml"
    text = config.read_text()
    config.write_text(text + "#" * (LARGEST_YAML - len(text.encode())))
    assert read_head(tmp_path / "mine").config == head.config
    config.write_text(config.read_text() + "#")
    with pytest.raises(HeadError, match="larger than 1,048,576 bytes"):
        read_head(tmp_path / "mine")


def test_tensors_that_do_not_fit_are_refused(head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "")
    file = tmp_path / "mine" / "model.safetensors"
    tensors = load_file(file)
    tensors.pop("calibration.radii")
    save_file(tensors, file)
    with pytest.raises(HeadError, match="unreadable tensors"):
        read_head(tmp_path / "mine")
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(HeadError, match="unreadable tensors"):
        read_head(tmp_path / "mine")
    file.unlink()
    with pytest.raises(HeadError, match="unreadable tensors"):
        read_head(tmp_path / "mine")


@pytest.mark.parametrize("change", [lambda tensor: tensor.double(), lambda tensor: tensor * float("nan")])
def test_tensors_of_another_kind_are_refused(
    head: Head, tmp_path: Path, change: Callable[[torch.Tensor], torch.Tensor]
) -> None:
    head.save(tmp_path / "mine", "")
    file = tmp_path / "mine" / "model.safetensors"
    tensors = load_file(file)
    save_file(tensors | {"calibration.radii": change(tensors["calibration.radii"])}, file)
    with pytest.raises(HeadError, match=r"tensor 'calibration\.radii' is not finite float32"):
        read_head(tmp_path / "mine")


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("curve", [99.0, 0.0, 0.0]),
        ("knots", [0.5, 0.4, 0.3, 0.2, 0.1]),
        ("radii", [0.1, 0.1, -0.1, 0.1, 0.1]),
    ],
)
def test_a_calibration_that_no_fit_gives_is_refused(head: Head, name: str, values: list[float], tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "")
    file = tmp_path / "mine" / "model.safetensors"
    save_file(load_file(file) | {f"calibration.{name}": torch.tensor(values)}, file)
    with pytest.raises(HeadError, match="its calibration is not one that a fit gives"):
        read_head(tmp_path / "mine")


def test_a_folder_without_a_head_is_refused(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match=r"no head here \(there is no config.yaml\)"):
        read_head(tmp_path)


def test_a_folder_of_an_earlier_version_is_read(head: Head, population: NetworkWeights, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "")
    config, file = tmp_path / "mine" / "config.yaml", tmp_path / "mine" / "model.safetensors"
    record, tensors = yaml.safe_load(config.read_text()), load_file(file)
    assert record.pop("task") == "predict-accuracy"
    config.write_text(yaml.safe_dump(record))
    former = {name.replace("ood_detector.", "population."): tensor for name, tensor in tensors.items()}
    assert former.keys() != tensors.keys()
    save_file(former, file)
    loaded = read_head(tmp_path / "mine", task="predict-accuracy")
    assert loaded.config == head.config
    assert torch.equal(loaded.predict(population).in_distribution, head.predict(population).in_distribution)
    save_file(former | {"population.limit": torch.tensor(float("inf"))}, file)
    with pytest.raises(HeadError, match=r"tensor 'population\.limit' is not finite float32"):
        read_head(tmp_path / "mine")


def test_a_task_that_nfn_has_not_is_refused(head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "mine", "")
    config = tmp_path / "mine" / "config.yaml"
    config.write_text(config.read_text().replace("predict-accuracy", "predict-weather"))
    with pytest.raises(HeadError, match="a head for `nfn predict-weather`, which this nfn has not; update nfn-cli"):
        read_head(tmp_path / "mine")


def test_a_head_in_float64_is_saved_in_float32(head: Head, tmp_path: Path) -> None:
    head.to(torch.float64).save(tmp_path / "mine", "")
    assert read_head(tmp_path / "mine").model.calibration.radii.dtype is torch.float32


def test_options_that_the_task_does_not_have_are_refused(head: Head, population: NetworkWeights) -> None:
    with pytest.raises(TypeError, match="takes no options, not gamma"):
        head.predict(population, gamma=0.5)
