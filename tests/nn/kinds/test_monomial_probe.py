"""Monomial-Probe: what it makes of a network is the same along the whole orbit, for every kind of chain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain
from nfn_cli.errors import HeadError
from nfn_cli.nn import (
    Accepted,
    AccuracyDetails,
    ForwardPass,
    Head,
    HeadConfig,
    MonomialProbe,
    MonomialProbeSizes,
    read_head,
)
from nfn_cli.nn.ensemble import Ensemble
from nfn_cli.nn.weight_statistics import statistics_count
from nfn_cli.symmetry import GroupElement, act, sample_element, unit_scaled

SIZES = MonomialProbeSizes(probes=6, hidden=16)

CHAINS: dict[str, tuple[Sequence[Layer], ForwardPass]] = {
    "mlp": ([Layer("0", "linear", 5, 8), Layer("1", "linear", 8, 6), Layer("2", "linear", 6, 3)], ForwardPass()),
    "one output": ([Layer("0", "linear", 2, 8), Layer("1", "linear", 8, 1)], ForwardPass()),
    "signal": (
        [Layer("a", "conv", 2, 4, (3,)), Layer("b", "linear", 20, 6, (), 5), Layer("c", "linear", 6, 2)],
        ForwardPass((12,), stride=2),
    ),
    "image": (
        [Layer("a", "conv", 1, 5, (3, 3)), Layer("b", "conv", 5, 4, (3, 3)), Layer("c", "linear", 4, 10)],
        ForwardPass((15, 15), stride=2, padding=1),
    ),
    "volume": ([Layer("a", "conv", 1, 4, (2, 2, 2)), Layer("b", "conv", 4, 2, (1, 1, 1))], ForwardPass((5, 4, 3))),
}
ACTIVATIONS = ("relu", "leaky_relu", "tanh", "sin", "identity", "gelu")


def architecture_and_pass(name: str, activation: str, pool: str | None = None) -> tuple[Architecture, ForwardPass]:
    layers, forward_pass = CHAINS[name]
    return chain(layers, activation=activation, omega_0=2.0, pool=pool), forward_pass


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("name", CHAINS)
@pytest.mark.parametrize("pool", [None, "max"])
def test_answers_and_summaries_are_invariant(
    name: str,
    activation: str,
    pool: str | None,
    random_point: Callable[..., NetworkWeights],
) -> None:
    architecture, forward_pass = architecture_and_pass(name, activation, pool)
    point = random_point(architecture, 12)
    torch.manual_seed(0)
    network = MonomialProbe(architecture, SIZES, forward_pass).eval()
    network.fit_normalisation(network.encode(point))
    element = sample_element(architecture, torch.Generator().manual_seed(1), batch=(12,), scale_range=(1e-4, 1e4))
    with torch.no_grad():
        logits, summary = network.logits_and_summary(network.encode(point))
        moved = network.logits_and_summary(network.encode(act(element, point)))
    # A summary of 1,000 spreads would hide that a logit follows it.
    assert (moved[0] - logits).abs().max() <= 1e-4 * logits.std()
    assert (moved[1] - summary).abs().max() <= 1e-3
    assert logits.std() > 1e-3  # it tells networks apart


def test_half_turns_of_a_sine_change_nothing(random_point: Callable[..., NetworkWeights]) -> None:
    architecture, forward_pass = architecture_and_pass("mlp", "sin")
    point = random_point(architecture, 4)
    network = MonomialProbe(architecture, SIZES, forward_pass).eval()
    still = GroupElement.identity([group.size for group in architecture.groups])
    half_turns = tuple(torch.arange(group.size) - 3 for group in architecture.groups)
    moved = act(GroupElement(still.permutations, still.diagonals, half_turns), point)
    with torch.no_grad():
        logits, logits_of_moved = network(network.encode(point)), network(network.encode(moved))
    assert torch.allclose(logits, logits_of_moved, atol=1e-4)
    assert not torch.allclose(point.tensors["0.bias"], moved.tensors["0.bias"])


def test_a_change_of_the_function_is_seen(random_point: Callable[..., NetworkWeights]) -> None:
    architecture, forward_pass = architecture_and_pass("image", "relu")
    point = random_point(architecture, 4)
    network = MonomialProbe(architecture, SIZES, forward_pass).eval()
    flipped = dict(point.tensors) | {"b.weight": -point.tensors["b.weight"]}
    with torch.no_grad():
        change = network(network.encode(point)) - network(network.encode(NetworkWeights(architecture, flipped)))
    assert change.abs().min() > 1e-3


def test_gradients_reach_the_probes(random_point: Callable[..., NetworkWeights]) -> None:
    architecture, forward_pass = architecture_and_pass("image", "relu")
    network = MonomialProbe(architecture, SIZES, forward_pass).train()
    inputs = network.encode(random_point(architecture, 8))
    network.fit_normalisation(inputs)
    network(inputs).sum().backward()
    gradient = network.probes.series.grad
    assert gradient is not None and gradient.isfinite().all() and gradient.abs().max() > 0


@pytest.mark.parametrize("value", [0.0, 1e-38, 1e-45, 3e38], ids=str)
def test_zero_tiny_and_huge_weights_give_finite_logits(
    value: float, random_point: Callable[..., NetworkWeights], small_cnn: Callable[..., Architecture]
) -> None:
    point = random_point(small_cnn("relu", 3), 3, dtype=torch.float32)
    network = MonomialProbe(point.architecture, SIZES, ForwardPass((15, 15), 2))
    for tensor in point.tensors.values():
        tensor[0] = value
    network.fit_normalisation(network.encode(point))
    logits = network(network.encode(point))
    logits.sum().backward()
    assert logits.isfinite().all()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in network.parameters())


def test_hidden_widths_are_free(
    random_point: Callable[..., NetworkWeights], small_cnn: Callable[..., Architecture]
) -> None:
    network = MonomialProbe(
        Accepted.of(small_cnn("relu")).example_architecture(), SIZES, ForwardPass((32, 32), 2)
    ).eval()
    with torch.no_grad():
        assert network(network.encode(random_point(small_cnn("relu", 7), 3))).shape == (3,)


def test_the_unit_form_is_the_same_function_and_unit(random_point: Callable[..., NetworkWeights]) -> None:
    architecture, _ = architecture_and_pass("signal", "relu")
    point = random_point(architecture, 3)
    unit = unit_scaled(point)
    weight, bias = unit.tensors["b.weight"], unit.tensors["b.bias"]
    norms = torch.cat([weight, bias[:, :, None]], dim=2).norm(dim=2)
    assert torch.allclose(norms, torch.ones_like(norms))
    again = unit_scaled(unit)
    assert all(torch.allclose(again.tensors[name], unit.tensors[name], rtol=1e-14) for name in unit.tensors)


def test_the_unit_form_of_a_neuron_that_nothing_feeds_is_finite(random_point: Callable[..., NetworkWeights]) -> None:
    architecture, _ = architecture_and_pass("mlp", "relu")
    point = random_point(architecture, 2)
    point.tensors["0.weight"][0, 3] = 0
    point.tensors["0.bias"][0, 3] = 0
    assert all(tensor.isfinite().all() for tensor in unit_scaled(point).tensors.values())


@pytest.fixture
def head(random_point: Callable[..., NetworkWeights]) -> Head:
    architecture, forward_pass = architecture_and_pass("image", "tanh")
    config = HeadConfig(Accepted.of(architecture), SIZES, AccuracyDetails(forward_pass=forward_pass), members=2)
    model = config.new_model().eval()
    with torch.no_grad():
        summaries = model(model.encode(random_point(architecture, 60)))[1]
    model.ood_detector.fit(summaries[:40], summaries[40:])
    return Head("probe", config, model)


def test_a_saved_head_predicts_as_before(
    head: Head, tmp_path: Path, random_point: Callable[..., NetworkWeights]
) -> None:
    head.save(tmp_path / "probe", "# card\n")
    loaded = read_head(tmp_path / "probe")
    point = random_point(architecture_and_pass("image", "tanh")[0], 5, seed=7)
    for ours, theirs in zip(vars(loaded.predict(point)).values(), vars(head.predict(point)).values(), strict=True):
        assert torch.equal(ours, theirs)
    assert loaded.config == head.config


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("space", [15, "15"]),
        ("space", [70000, 70000]),
        ("space", [2, 2]),
        ("space", [15]),
        ("stride", 0),
        ("stride", 1.5),
        ("padding", -1),
        ("padding", True),
    ],
    ids=str,
)
def test_a_forward_pass_that_cannot_be_is_refused(head: Head, tmp_path: Path, name: str, value: object) -> None:
    head.save(tmp_path / "probe", "# card\n")
    config = tmp_path / "probe" / "config.yaml"
    record = yaml.safe_load(config.read_text())
    record["forward_pass"][name] = value
    if value == [2, 2]:
        record["forward_pass"]["padding"] = 0
    config.write_text(yaml.safe_dump(record))
    with pytest.raises(HeadError, match=r"config\.yaml"):
        read_head(tmp_path / "probe")


@pytest.mark.parametrize("name", ["image", "one output"])
def test_summaries_by_class_are_in_the_summary_and_not_in_the_readout(
    name: str, random_point: Callable[..., NetworkWeights]
) -> None:
    architecture, forward_pass = architecture_and_pass(name, "relu")
    network = MonomialProbe(architecture, SIZES, forward_pass).eval()
    inputs = network.encode(random_point(architecture, 30))
    network.fit_normalisation(inputs)
    outputs = architecture.layers[-1].out_features
    with torch.no_grad():
        logits, summary = network.logits_and_summary(inputs)
        shares = network._answers(inputs[1:], network.probes())
        shares = shares.softmax(2) if outputs > 1 else shares.sigmoid()
        by_class = torch.cat([shares.mean(1), shares.std(1, correction=0)], dim=1)
        expected = (by_class - by_class.mean(0)) / by_class.std(0, correction=0)
        # Another mean for them changes the summary alone, and one for anything else both.
        network.mean[: 2 * outputs] += 3
        assert torch.equal(network(inputs), logits)
        network.mean[2 * outputs] += 3
        assert not torch.equal(network(inputs), logits)
    assert summary.shape == (30, network.summary_features)
    assert torch.allclose(summary[:, : 2 * outputs], expected, atol=1e-2)
    linear = network.readout[0]
    assert isinstance(linear, torch.nn.Linear)
    assert linear.in_features == len(network.mean) - 2 * outputs
    assert linear.in_features == statistics_count(architecture) + 5 + SIZES.probes * (2 * outputs + 1)


def test_every_feature_is_standardised_by_the_population(random_point: Callable[..., NetworkWeights]) -> None:
    architecture, forward_pass = architecture_and_pass("image", "relu")
    network = MonomialProbe(architecture, SIZES, forward_pass).eval()
    inputs = network.encode(random_point(architecture, 50))
    network.fit_normalisation(inputs)
    with torch.no_grad():
        summary = network.logits_and_summary(inputs)[1]
    spread = summary.std(0, correction=0)
    assert summary.mean(0).abs().max() < 1e-2
    # What is the same for all networks stays 0, the largest of a spectrum divided by it for one.
    assert ((spread - 1).abs() < 1e-2).logical_or(spread == 0).all()
    assert (spread > 0).double().mean() > 0.8


def test_a_head_whose_readout_takes_more_is_refused_in_one_line(head: Head, tmp_path: Path) -> None:
    head.save(tmp_path / "probe", "# card\n")
    file = tmp_path / "probe" / "model.safetensors"
    tensors = load_file(file)
    rows = tensors["members.0.readout.0.weight"]
    save_file(tensors | {"members.0.readout.0.weight": torch.cat([rows, rows[:, :20]], dim=1)}, file)
    with pytest.raises(HeadError, match=r"model\.safetensors: unreadable tensors.*readout\.0\.weight") as refused:
        read_head(tmp_path / "probe")
    assert len(str(refused.value).splitlines()) == 1


def test_members_that_run_networks_together_answer_as_each_alone(
    random_point: Callable[..., NetworkWeights], small_cnn: Callable[..., Architecture]
) -> None:
    architecture = small_cnn("relu", 3)
    members = [MonomialProbe(architecture, SIZES, ForwardPass((15, 15), 2)).eval() for _ in range(3)]
    inputs = members[0].encode(random_point(architecture, 40))
    for member in members:
        member.fit_normalisation(inputs)
    with torch.no_grad():
        logits, summary = members[0].of_all(members, inputs)
        alone = [member.logits_and_summary(inputs) for member in members]
        averaged, first = Ensemble(members)(inputs)
    assert torch.allclose(logits, torch.stack([own for own, _ in alone]), atol=1e-5)
    assert torch.allclose(summary, alone[0][1], atol=1e-4)
    assert torch.allclose(averaged, logits.mean(0), atol=1e-5) and torch.allclose(first, summary, atol=1e-4)
    assert (logits[0] - logits[1]).abs().max() > 1e-2


def test_weights_below_the_normal_range_of_float32_are_read_as_zero(
    random_point: Callable[..., NetworkWeights],
) -> None:
    architecture, forward_pass = architecture_and_pass("image", "relu")
    network = MonomialProbe(architecture, SIZES, forward_pass).eval()
    point = random_point(architecture, 70)
    small, zero = (dict(point.tensors) for _ in range(2))
    small["a.weight"], zero["a.weight"] = point.tensors["a.weight"].clone(), point.tensors["a.weight"].clone()
    small["a.weight"][:, 1, 0, :, :2], zero["a.weight"][:, 1, 0, :, :2] = 1e-40, 0.0
    read = [network.encode(NetworkWeights(architecture, own)) for own in (small, zero)]
    assert all(((own == 0) | (own.abs() > torch.finfo(torch.float32).tiny)).all() for own in read[0])
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*read, strict=True))


def test_new_values_of_the_probes_are_seen_where_nothing_else_is_new(
    random_point: Callable[..., NetworkWeights],
) -> None:
    architecture, forward_pass = architecture_and_pass("image", "relu")
    members = [MonomialProbe(architecture, SIZES, forward_pass).eval() for _ in range(2)]
    inputs = members[0].encode(random_point(architecture, 3))
    with torch.inference_mode():
        before = members[0].of_all(members, inputs)[0]
        assert torch.equal(members[0].of_all(members, inputs)[0], before)
    members[1].probes.load_state_dict(MonomialProbe(architecture, SIZES, forward_pass).probes.state_dict())
    with torch.inference_mode():
        logits = members[0].of_all(members, inputs)[0]
    assert torch.equal(logits[0], before[0]) and not torch.allclose(logits[1], before[1])
