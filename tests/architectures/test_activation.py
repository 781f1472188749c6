"""Who tells the activation, in order: the option, the sidecar, the file, the default."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml

from nfn_cli import records
from nfn_cli.architectures import FUNCTIONS, Activation, canonical_activation, read_weights
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import ArchitectureError
from nfn_cli.records import LARGEST_YAML

Save = Callable[..., Path]
Known = Callable[..., Activation]

TENSORS = {"0.weight": torch.ones(3, 2), "2.weight": torch.ones(1, 3)}


@pytest.fixture
def known(save: Save) -> Known:
    """What is known of a network's activation, by the text beside it and the metadata in it."""

    def read(
        *,
        format: str = "safetensors",
        option: str | None = None,
        sidecar: str | bytes | None = None,
        metadata: dict[str, str] | None = None,
        default: str | None = None,
        sidecar_name: str = "model.yaml",
    ) -> Activation:
        path = save(TENSORS, format, metadata=metadata)
        if sidecar is not None:
            content = sidecar if isinstance(sidecar, bytes) else sidecar.encode()
            path.with_name(sidecar_name).write_bytes(content)
        network = read_weights(read_checkpoint(path), activation=option, default_activation=default)
        architecture = network.weights.architecture
        assert (architecture.activation, architecture.omega_0, architecture.pool) == (
            network.activation.name,
            network.activation.omega_0,
            network.activation.pool,
        )
        assert [group.activation for group in architecture.groups] == [network.activation.name]
        return network.activation

    return read


@pytest.mark.parametrize("format", ["safetensors", "torch"])
@pytest.mark.parametrize(
    ("option", "sidecar", "metadata", "expected"),
    [
        ("tanh", "activation: relu", {"activation": "gelu"}, ("tanh", "option")),
        (None, "activation: relu", {"activation": "gelu"}, ("relu", "sidecar")),
        (None, None, {"activation": "gelu"}, ("gelu", "metadata")),
        (None, "omega_0: 2", {"activation": "gelu"}, ("gelu", "metadata")),
        (None, None, None, ("silu", "assumed")),
        (None, "other: facts", {"unknown": "facts"}, ("silu", "assumed")),
    ],
)
def test_the_nearest_source_tells_and_is_recorded(
    option: str | None,
    sidecar: str | None,
    metadata: dict[str, str] | None,
    expected: tuple[str, str],
    format: str,
    known: Known,
) -> None:
    found = known(format=format, option=option, sidecar=sidecar, metadata=metadata, default="silu")
    assert (found.name, found.source) == expected


@pytest.mark.parametrize("name", ["model.yaml", "model.safetensors.yaml"])
def test_a_sidecar_is_named_like_the_checkpoint(name: str, known: Known) -> None:
    assert known(sidecar="activation: erf", sidecar_name=name).source == "sidecar"


def test_nobody_knowing_is_an_error_that_says_where_to_tell_it(known: Known) -> None:
    with pytest.raises(ArchitectureError, match="does not state its activation") as refused:
        known()
    assert "--activation" in refused.value.remedy
    assert "a file of its name that ends in .yaml" in refused.value.remedy


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *((name, name) for name in FUNCTIONS),
        ("nn.ReLU()", "relu"),
        ("torch.nn.Tanh", "tanh"),
        (" LeakyReLU ", "leaky_relu"),
        ("leaky-relu", "leaky_relu"),
        ("GELU", "gelu"),
        ("Sine", "sin"),
        ("SiLU", "silu"),
        ("swish", "silu"),
        ("linear", "identity"),
        ("ReLU(inplace=True)", "relu"),
        ("<class 'torch.nn.modules.activation.ReLU'>", "relu"),
        ("<function relu at 0x7f3a5c0de0d0>", "relu"),
        ("<built-in method tanh of type object at 0x7f3a>", "tanh"),
        ("torch.nn.functional.relu", "relu"),
        ("LeakyReLU(negative_slope=0.2)", "leaky_relu"),
        ("leaky_relu_0.1", "leaky_relu"),
        ("PReLU(num_parameters=1)", "prelu"),
        ("P-ReLU", "prelu"),
        ("GELU(approximate='tanh')", "gelu"),
    ],
)
def test_spellings_of_an_activation_are_one_name(name: str, expected: str) -> None:
    assert canonical_activation(name, "here") == expected


@pytest.mark.parametrize("name", ["rellu", "nn.LeakyReLUs(0.2)", "<class 'nn.rellu'>", "r" * 9999])
def test_an_unknown_activation_is_refused_with_the_known_ones(name: str, known: Known) -> None:
    with pytest.raises(ArchitectureError, match="unknown activation") as refused:
        known(option=name)
    assert refused.value.subject == "--activation"
    assert "relu, leaky_relu, tanh" in refused.value.remedy
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize(
    ("sidecar", "metadata", "subject"),
    [("activation: rellu", None, "model.yaml"), (None, {"activation": "rellu"}, "model.safetensors")],
)
def test_a_bad_name_is_refused_by_the_file_that_has_it(
    sidecar: str | None, metadata: dict[str, str] | None, subject: str, known: Known
) -> None:
    with pytest.raises(ArchitectureError, match="unknown activation 'rellu'") as refused:
        known(sidecar=sidecar, metadata=metadata, default="relu")
    assert Path(refused.value.subject).name == subject


def test_an_activation_of_null_is_none_and_not_the_identity(known: Known) -> None:
    assert known(sidecar="activation: null", default="relu").source == "assumed"


@pytest.mark.parametrize("value", ["5", "yes", "[relu]", "{name: relu}"])
def test_an_activation_that_is_no_text_is_refused(value: str, known: Known) -> None:
    with pytest.raises(ArchitectureError, match="activation is"):
        known(sidecar=f"activation: {value}", default="relu")


@pytest.mark.parametrize("value", ["0", "-30", ".nan", ".inf", "fast", "true", "[30, fast]", "[]", "1e999"])
def test_an_omega_0_that_is_no_positive_number_is_refused(value: str, known: Known) -> None:
    with pytest.raises(ArchitectureError, match="omega_0 is") as refused:
        known(option="sin", sidecar=f"omega_0: {value}")
    assert Path(refused.value.subject).name == "model.yaml"
    assert len(str(refused.value)) < 400


@pytest.mark.parametrize("format", ["safetensors", "torch"])
def test_omega_0_and_pool_come_from_sidecar_or_metadata(format: str, known: Known) -> None:
    from_file = known(format=format, option="sin", metadata={"omega_0": "12.5", "pool": "max"})
    assert (from_file.omega_0, from_file.pool) == (12.5, "max")
    beside = known(format=format, option="sin", metadata={"omega_0": "12.5"}, sidecar="omega_0: 7\npool: avg")
    assert (beside.omega_0, beside.pool) == (7.0, "avg")
    assert known(format=format, option="sin", sidecar="pool: none") == Activation("sin", "option", pool="none")


@pytest.mark.parametrize("value", ["stochastic", "[max]", "3", "MAX"])
def test_an_unknown_pool_is_refused(value: str, known: Known) -> None:
    with pytest.raises(ArchitectureError, match="pool is") as refused:
        known(option="relu", sidecar=f"pool: {value}")
    assert "max, avg, none" in refused.value.remedy


@pytest.mark.parametrize(
    "sidecar",
    [
        "activation: [relu",
        "activation: relu: tanh",
        b"\xff\xfe\x00",
        "activation: \x00",
        "omega_0: !!int ''",
        "omega_0: !!bool soon",
        f"omega_0: {'9' * 400}",
        "activation: relu\nactivation: tanh",
        "activation: relu\n---\nactivation: tanh",
        "[" * 5000,
    ],
    ids=["open", "nested", "no text", "zero byte", "no int", "no bool", "long number", "twice", "two", "deep"],
)
def test_a_sidecar_that_is_no_yaml_is_refused_in_one_line(sidecar: str | bytes, known: Known) -> None:
    with pytest.raises(ArchitectureError, match="not readable YAML") as refused:
        known(sidecar=sidecar, default="relu")
    assert Path(refused.value.subject).name == "model.yaml"
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("sidecar", ["", "relu", "- activation: relu", "42"])
def test_a_sidecar_without_facts_is_refused(sidecar: str, known: Known) -> None:
    with pytest.raises(ArchitectureError, match="holds no facts"):
        known(sidecar=sidecar, default="relu")


def test_a_sidecar_cannot_run_code(known: Known, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    sidecar = f"activation: !!python/object/apply:os.mkdir ['{victim}']"
    yaml.unsafe_load(sidecar)  # it is code indeed
    victim.rmdir()
    with pytest.raises(ArchitectureError, match="not readable YAML"):
        known(sidecar=sidecar, default="relu")
    assert not victim.exists()


@pytest.mark.parametrize("filling", ["[" * LARGEST_YAML, "# " * (LARGEST_YAML // 2)])
def test_a_large_sidecar_is_refused_unread(filling: str, known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "parse_yaml", lambda text: {"activation": "tanh"})
    assert known(sidecar=filling[:-1] + "\n").name == "tanh"  # of the size that may be
    with pytest.raises(ArchitectureError, match="larger than 1,048,576 bytes"):
        known(sidecar=filling + "\n")
