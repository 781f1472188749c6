"""What callers, sidecars, folders and files tell of a network, and who is believed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from nfn_cli.architectures import ReadNetwork, Stated, functional_forward, parsed_frequencies, read_network
from nfn_cli.errors import ArchitectureError, CheckpointError, UsageError

Save = Callable[..., Path]


def square(*names: str) -> dict[str, Tensor]:
    """Layers 4->4 that nothing but the caller tells to be a chain."""
    generator = torch.Generator().manual_seed(0)
    return {f"{name}.weight": torch.randn(4, 4, generator=generator) for name in names}


def sines(count: int = 3) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(0)
    sizes = [2, *[5] * count, 1]
    tensors = {}
    for place in range(count + 1):
        tensors[f"{place}.weight"] = torch.randn(sizes[place + 1], sizes[place], generator=generator)
        tensors[f"{place}.bias"] = torch.randn(sizes[place + 1], generator=generator)
    return tensors


def read(path: Path, **told: object) -> ReadNetwork:
    return read_network(path, Stated(**told))[1]  # type: ignore[arg-type]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    save_file(sines(), tmp_path / "a.safetensors", {"activation": "sin"})
    return tmp_path / "a.safetensors"


def omegas(network: ReadNetwork) -> list[float]:
    return [group.omega_0 for group in network.weights.architecture.groups]


def has_phases(network: ReadNetwork) -> bool:
    return any(role.bias for spec in network.weights.architecture.tensors for role in spec.roles)


def test_a_frequency_that_nobody_tells_is_an_assumption_without_phases(path: Path) -> None:
    network = read(path)
    assert omegas(network) == [30.0] * 3 and not has_phases(network) and network.assumes_frequency
    assert network.reading.assumed is not None and "--omega-0" in network.reading.assumed
    assert network.reading.text.endswith(", sin")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({"omega_0": "12"}, [12.0] * 3),
        ({"omega_0": "30, 1 2"}, [30.0, 1.0, 2.0]),
        ({"omega_0": "[30, 1, 1]"}, [30.0, 1.0, 1.0]),
        ({"first_omega_0": "20", "hidden_omega_0": "3"}, [20.0, 3.0, 3.0]),
        ({"w0_initial": "30.", "w0": "1."}, [30.0, 1.0, 1.0]),
        ({"omega_0": "5", "first_omega_0": "20"}, [20.0, 5.0, 5.0]),
    ],
)
@pytest.mark.parametrize("place", ["metadata", "sidecar", "folder"])
def test_frequencies_are_told_for_all_layers_or_for_each(
    place: str, facts: dict[str, str], expected: list[float], tmp_path: Path
) -> None:
    path = tmp_path / "a.safetensors"
    save_file(sines(), path, {"activation": "sin", **(facts if place == "metadata" else {})})
    lines = "\n".join(f"{key}: {value if '[' in value else repr(value)}" for key, value in facts.items())
    if place != "metadata":
        (tmp_path / {"sidecar": "a.yaml", "folder": "nfn.yaml"}[place]).write_text(lines)
    network = read(path)
    assert omegas(network) == expected
    assert has_phases(network) and not network.assumes_frequency
    assert f"ω₀ = {expected[0]:g}" in network.reading.text


@pytest.mark.parametrize("facts", [{"w0": "3"}, {"first_omega_0": "3"}, {"hidden_omega_0": "3"}])
def test_what_is_told_for_some_layers_is_not_enough(facts: dict[str, str], tmp_path: Path) -> None:
    save_file(sines(), tmp_path / "a.safetensors", {"activation": "sin", **facts})
    network = read(tmp_path / "a.safetensors")
    assert network.assumes_frequency and not has_phases(network)
    assert 3.0 in omegas(network)


def test_the_nearest_place_tells(path: Path) -> None:
    path.with_name("nfn.yaml").write_text("omega_0: 3\npool: avg")
    assert (omegas(read(path)), read(path).activation.pool) == ([3.0] * 3, "avg")
    path.with_suffix(".yaml").write_text("omega_0: 4")
    assert (omegas(read(path)), read(path).activation.pool) == ([4.0] * 3, "avg")
    assert omegas(read(path, omega_0=(5.0,))) == [5.0] * 3
    path.with_name("nfn.yaml").write_text("omega_0: [1, 2]")
    path.with_suffix(".yaml").unlink()
    with pytest.raises(ArchitectureError, match="omega_0 has 2 values, the network 3 layers of sines") as refused:
        read(path)
    assert refused.value.subject.endswith("nfn.yaml")


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "1,,-2", "nan"])
def test_frequencies_of_the_command_line_are_positive_numbers(text: str) -> None:
    assert parsed_frequencies("30, 1,2") == (30.0, 1.0, 2.0)
    with pytest.raises(UsageError, match="omega_0 is") as refused:
        parsed_frequencies(text)
    assert refused.value.subject == "--omega-0"


def test_each_layer_is_run_with_its_frequency(path: Path) -> None:
    point = read(path, omega_0=(3.0, 2.0, 0.5)).weights
    values = torch.rand(7, 2, generator=torch.Generator().manual_seed(1))
    tensors, expected = sines(), values
    for place, omega in enumerate((3.0, 2.0, 0.5)):
        expected = torch.sin(omega * (expected @ tensors[f"{place}.weight"].T + tensors[f"{place}.bias"]))
    expected = expected @ tensors["3.weight"].T + tensors["3.bias"]
    assert torch.allclose(functional_forward(point, values), expected, atol=1e-5)


@pytest.mark.parametrize("place", ["option", "metadata", "sidecar", "folder"])
def test_a_chain_is_told(place: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    config = {"activation": "relu", **({"chain": True} if place == "metadata" else {})}
    torch.save({"state_dict": square("conv", "map", "out"), "config": config}, path)
    if place != "metadata":
        with pytest.raises(ArchitectureError, match="not read as a chain"):
            read(path)
    if place in ("sidecar", "folder"):
        path.with_name({"sidecar": "a.pt.yaml", "folder": "nfn.yaml"}[place]).write_text("chain: true")
    network = read(path, chain=place == "option")
    assert network.reading.is_stated and network.reading.network == "conv → map → out"
    assert network.reading.assumed is None


@pytest.mark.parametrize(("text", "cause"), [("chain: maybe", "chain is 'maybe'"), ("prefix: 3", "prefix is 3")])
def test_facts_of_another_kind_are_refused(text: str, cause: str, path: Path) -> None:
    path.with_name("nfn.yaml").write_text(text)
    with pytest.raises(ArchitectureError, match=cause) as refused:
        read(path)
    assert refused.value.subject.endswith("nfn.yaml")


@pytest.mark.parametrize(
    ("name", "text", "cause"),
    [
        ("nfn.yaml", "chian: true", "'chian' is no fact that nfn knows; write chain"),
        ("a.yaml", "omega0: 30", "'omega0' is no fact that nfn knows; write omega_0"),
        ("nfn.yaml", "epochs: 3", "'epochs' is no fact that nfn knows; write one of: activation, omega_0"),
    ],
)
def test_a_key_that_is_misspelt_is_not_passed_over(name: str, text: str, cause: str, path: Path) -> None:
    path.with_name(name).write_text(text)
    with pytest.raises(ArchitectureError) as refused:
        read(path)
    assert str(refused.value).startswith(f"{path.with_name(name)}: {cause}")


def test_a_networks_own_sidecar_may_hold_other_things(path: Path) -> None:
    path.with_suffix(".yaml").write_text("epochs: 3\nomega_0: 4")
    assert omegas(read(path)) == [4.0] * 3


def test_a_chain_of_false_is_not_told(tmp_path: Path) -> None:
    save_file(square("fc1", "fc2"), tmp_path / "a.safetensors", {"activation": "relu", "chain": "false"})
    assert not read(tmp_path / "a.safetensors").reading.is_stated


def test_strict_takes_what_is_told_alone(path: Path) -> None:
    with pytest.raises(ArchitectureError, match=r"read as 0 → 1 → 2 → 3, sin .*--strict") as refused:
        read(path, strict=True)
    assert "--chain" in refused.value.remedy
    assert read(path, strict=True, chain=True).reading.is_stated
    path.with_name("nfn.yaml").write_text("chain: true")
    assert read(path, strict=True).reading.is_stated


@pytest.mark.parametrize("arch", ["small-cnn", "siren"])
def test_networks_of_the_tools_own_zoos_are_told_to_be_chains(arch: str, tmp_path: Path) -> None:
    save_file(sines(), tmp_path / "a.safetensors", {"activation": "sin", "arch": arch})
    assert read(tmp_path / "a.safetensors", strict=True).reading.is_stated
    save_file(sines(), tmp_path / "a.safetensors", {"activation": "sin", "arch": "resnet18"})
    assert not read(tmp_path / "a.safetensors").reading.is_stated


def two_networks() -> dict[str, Tensor]:
    module = nn.ModuleDict(
        {
            "actor": nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 2)),
            "critic": nn.ModuleDict({"fc1": nn.Linear(3, 5), "fc2": nn.Linear(5, 1)}),
        }
    )
    return dict(module.state_dict())


@pytest.mark.parametrize("prefix", ["critic", "critic."])
@pytest.mark.parametrize("place", ["option", "sidecar"])
def test_a_prefix_names_one_network_of_several(prefix: str, place: str, tmp_path: Path) -> None:
    path = tmp_path / "a.safetensors"
    save_file(two_networks(), path, {"activation": "tanh"})
    if place == "sidecar":
        path.with_suffix(".yaml").write_text(f"prefix: {prefix}")
    network = read(path, prefix=prefix if place == "option" else None)
    assert network.reading.network == "critic.fc1 → critic.fc2"
    assert network.stored().tensors[0].name == "critic.fc1.weight"


def test_a_prefix_of_no_tensor_is_refused_with_those_that_there_are(tmp_path: Path) -> None:
    save_file(two_networks(), tmp_path / "a.safetensors", {"activation": "tanh"})
    with pytest.raises(ArchitectureError, match=r"begins with 'policy\.'") as refused:
        read(tmp_path / "a.safetensors", prefix="policy")
    assert "actor, critic" in refused.value.remedy


@pytest.mark.parametrize("place", ["option", "sidecar"])
def test_an_entry_names_one_network_of_a_pytorch_file(place: str, tmp_path: Path) -> None:
    path = tmp_path / "a.pt"
    torch.save({name: nn.Linear(3, size).state_dict() for name, size in (("q1", 2), ("q2", 4))}, path)
    with pytest.raises(CheckpointError, match="--entry"):
        read(path, activation="relu")
    if place == "sidecar":
        path.with_suffix(".yaml").write_text("entry: q2")
    network = read(path, activation="relu", entry="q2" if place == "option" else None)
    assert network.weights.architecture.layers[0].out_features == 4


@pytest.mark.parametrize(
    ("spelling", "slope"),
    [
        ("LeakyReLU(negative_slope=0.2)", 0.2),
        ("nn.LeakyReLU(0.3, inplace=True)", 0.3),
        ("leaky_relu_0.1", 0.1),
        ("leaky_relu", None),
        ("<class 'torch.nn.modules.activation.LeakyReLU'>", None),
    ],
)
def test_the_slope_of_a_leaky_relu_is_read_and_run(spelling: str, slope: float | None, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 6), nn.LeakyReLU(slope or 0.01), nn.Linear(6, 2))
    save_file(module.state_dict(), tmp_path / "a.safetensors", {"activation": spelling})
    network = read(tmp_path / "a.safetensors")
    assert (network.activation.name, network.activation.slope) == ("leaky_relu", slope)
    values = torch.randn(9, 3)
    assert torch.allclose(functional_forward(network.weights, values), module(values), atol=1e-6)


@pytest.mark.parametrize("size", [1, 6])
def test_the_slopes_of_a_prelu_are_read_and_run(size: int, tmp_path: Path) -> None:
    module = nn.Sequential(nn.Linear(3, 6), nn.PReLU(size), nn.Linear(6, 2))
    with torch.no_grad():
        module[1].weight.copy_(torch.linspace(0.1, 0.9, size))
    save_file(module.state_dict(), tmp_path / "a.safetensors", {} if size == 1 else {"activation": "PReLU()"})
    network = read(tmp_path / "a.safetensors")
    assert (network.activation.name, network.activation.source) == ("prelu", "found" if size == 1 else "metadata")
    values = torch.randn(9, 3)
    assert torch.allclose(functional_forward(network.weights, values), module(values), atol=1e-6)


def test_a_prelu_without_slopes_is_refused(tmp_path: Path) -> None:
    save_file(square("fc1", "fc2"), tmp_path / "a.safetensors", {"activation": "prelu"})
    with pytest.raises(ArchitectureError, match="holds no slopes"):
        read(tmp_path / "a.safetensors")
