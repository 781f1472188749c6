"""Editors of INRs: exactly equivariant, at any width, and each step what a dense Jacobian gives."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.func import jacrev

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, chain, pixel_grid
from nfn_cli.errors import HeadError
from nfn_cli.nn import Accepted, EditDetails, Head, HeadConfig, read_head
from nfn_cli.nn.inr.function_editor import FunctionEditor, FunctionEditorSizes
from nfn_cli.nn.inr.gauss_newton import kernel, step
from nfn_cli.nn.inr.sine_chain import read_tensors, sine_values, trace
from nfn_cli.nn.sine import MonomialEditorSizes
from nfn_cli.nn.tasks.editing import changes as changes_of
from nfn_cli.symmetry import act, sample_element

PICTURE = (7, 6)
METRIC = (0.3, 0.2, 0.1, 0.7, 1.0, 0.5)


def siren(channels: int = 1, *hidden: int, activation: str = "sin", omega_0: float = 30.0) -> Architecture:
    widths = (2, *(hidden or (8, 8)), channels)
    layers = [Layer(f"layers.{i}", "linear", n, m) for i, (n, m) in enumerate(itertools.pairwise(widths))]
    return chain(layers, activation=activation, omega_0=omega_0)


def random_inrs(architecture: Architecture, batch: int = 3, seed: int = 0) -> NetworkWeights:
    """Weights of the size of a fitted SIREN's, float64."""
    generator = torch.Generator().manual_seed(seed)
    sizes = [0.3, 0.1, *[0.03, 0.1] * (len(architecture.layers) - 2), 0.1, 0.1]
    return NetworkWeights(
        architecture,
        {
            spec.name: size * torch.randn(batch, *spec.shape, generator=generator, dtype=torch.float64)
            for spec, size in zip(architecture.tensors, sizes, strict=True)
        },
    )


def function_editor(architecture: Architecture, *, context: int = 0, seed: int = 0) -> Head:
    """A head with random weights that asks for a picture far from the given one."""
    torch.manual_seed(seed)
    sizes = FunctionEditorSizes(channels=4, depth=2, context=context, steps=3)
    config = HeadConfig(Accepted.of(architecture), sizes, EditDetails("dilate", PICTURE))
    model = config.new_model()
    with torch.no_grad():
        for parameter in model.painter.last.parameters():  # type: ignore[union-attr]
            parameter.copy_(torch.randn(parameter.shape))
    return Head("test", config, model.eval().double())


def largest_gap(one: NetworkWeights, other: NetworkWeights) -> float:
    gaps = [(one.tensors[name] - other.tensors[name]).abs().max() for name in one.tensors]
    size = max(tensor.abs().max() for tensor in other.tensors.values())
    return (torch.stack(gaps).max() / size).item()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("context", [0, 3])
def test_editing_and_moving_commute(channels: int, context: int) -> None:
    point = random_inrs(siren(channels, 8, 5))
    head = function_editor(point.architecture, context=context)
    before = head.predict(point)
    assert largest_gap(before, point) > 1e-2  # an edit that does nothing would commute too
    for seed in range(5):
        g = sample_element(point.architecture, torch.Generator().manual_seed(seed), batch=(3,), phase=True)
        assert any(bool(half_turns.any()) for half_turns in g.half_turns)
        assert largest_gap(head.predict(act(g, point)), act(g, before)) <= 1e-8


def test_equivariant_layers_commute_with_moving_too() -> None:
    point = random_inrs(siren(1, 8, 5))
    torch.manual_seed(0)
    config = HeadConfig(
        Accepted.of(point.architecture), MonomialEditorSizes(channels=4), EditDetails("dilate", PICTURE)
    )
    model = config.new_model().double()
    model.fit_normalisation(model.encode(point))  # type: ignore[operator]
    head = Head("test", config, model.eval())
    new = head.predict(point)
    assert largest_gap(new, point) > 1e-4
    g = sample_element(point.architecture, torch.Generator().manual_seed(0), batch=(3,), phase=True)
    assert largest_gap(head.predict(act(g, point)), act(g, new)) <= 1e-8


def test_many_turns_of_phase_change_nothing() -> None:
    point = random_inrs(siren())
    name = "layers.0.bias"
    turned = dict(point.tensors) | {name: point.tensors[name] + 2_000 * torch.pi / 30}
    head = function_editor(point.architecture)
    one = changes_of(head, NetworkWeights(point.architecture, turned))
    assert largest_gap(one, changes_of(head, point)) <= 1e-6


@pytest.mark.parametrize("hidden", [(5,), (3, 9), (6, 4, 5)])
def test_other_widths_and_depths(hidden: tuple[int, ...]) -> None:
    point = random_inrs(siren(1, *hidden))
    head = function_editor(siren(1, *[8] * len(hidden)))
    new = head.predict(point)
    assert {name: tensor.shape for name, tensor in new.tensors.items()} == {
        name: tensor.shape for name, tensor in point.tensors.items()
    }
    g = sample_element(point.architecture, torch.Generator().manual_seed(0), batch=(3,), phase=True)
    assert largest_gap(head.predict(act(g, point)), act(g, new)) <= 1e-8


@pytest.mark.parametrize("channels", [1, 2])
def test_a_step_is_that_of_the_dense_jacobian(channels: int) -> None:
    point = random_inrs(siren(channels, 4, 3), batch=1)
    tensors = read_tensors(point, torch.float64)
    places = pixel_grid(*PICTURE).double()

    def values(flat: Tensor) -> Tensor:
        parts = flat.split([tensor.numel() for tensor in tensors])
        own = [part.view_as(tensor) for part, tensor in zip(parts, tensors, strict=True)]
        return sine_values(own, places, 30.0)[0].flatten()

    jacobian = jacrev(values)(torch.cat([tensor.flatten() for tensor in tensors]))
    weights = torch.cat([torch.full_like(t.flatten(), m) for t, m in zip(tensors, METRIC, strict=True)])
    dense = jacobian * weights @ jacobian.T
    traced = trace(tensors, places, 30.0)
    assert torch.allclose(kernel(traced, METRIC)[0], dense, rtol=1e-10, atol=1e-10 * dense.abs().max().item())
    residual = torch.randn(1, channels, len(places), dtype=torch.float64)
    damped = dense + 0.01 * dense.diagonal().mean() * torch.eye(len(dense), dtype=torch.float64)
    expected = weights * (jacobian.T @ torch.linalg.solve(damped, residual.flatten()))
    found = torch.cat([change.flatten() for change in step(traced, METRIC, residual, 0.01)])
    assert torch.allclose(found, expected, rtol=1e-8, atol=1e-10 * expected.abs().max().item())


def test_no_network_is_made_worse_by_the_measure_of_what_it_should_become() -> None:
    point = random_inrs(siren(), batch=16)
    model = function_editor(point.architecture).model
    assert isinstance(model, FunctionEditor)
    with torch.no_grad():
        # So little damping and so long steps that some networks go astray.
        model.log_damping.fill_(-12.0)
        model.rate.fill_(3.0)
        tensors = model.encode(point)
        before = sine_values(tensors, model.places, 30.0)
        wanted = model.paint(before)
        after = sine_values([a + b for a, b in zip(tensors, model(tensors), strict=True)], model.places, 30.0)
    errors = [(values - wanted).square().mean((1, 2)) for values in (before, after)]
    assert (errors[1] <= errors[0] * (1 + 1e-9)).all()


def test_gradients_reach_every_number_of_the_steps() -> None:
    architecture = siren()
    model = FunctionEditor(architecture, PICTURE, FunctionEditorSizes(channels=4, depth=1, steps=2)).double()
    changes = model.train()(model.encode(random_inrs(architecture)))
    torch.stack([change.square().sum() for change in changes]).sum().backward()
    for parameter in (model.log_metric, model.log_damping, model.rate):
        assert parameter.grad is not None and (parameter.grad != 0).all()


def test_gamma_is_how_much_of_the_edit() -> None:
    point = random_inrs(siren())
    head = function_editor(point.architecture)
    changes = changes_of(head, point)
    half = head.predict(point, gamma=0.5)
    expected = {name: tensor + 0.5 * changes.tensors[name] for name, tensor in point.tensors.items()}
    assert largest_gap(half, NetworkWeights(point.architecture, expected)) == 0
    assert largest_gap(head.predict(point, gamma=0.0), point) == 0
    with pytest.raises(TypeError, match="takes options gamma, not gama, steps"):
        head.predict(point, gama=0.5, steps=3)


def test_a_singular_system_leaves_the_network_as_it_is() -> None:
    architecture = siren()
    zeros = {spec.name: torch.zeros(1, *spec.shape, dtype=torch.float64) for spec in architecture.tensors}
    traced = trace(list(zeros.values()), pixel_grid(*PICTURE).double(), 30.0)
    residual = torch.ones(1, 1, len(pixel_grid(*PICTURE)), dtype=torch.float64)
    assert all(bool((change == 0).all()) for change in step(traced, [0.0] * 6, residual, 0.0))


@pytest.mark.parametrize(
    "architecture",
    [siren(activation="tanh"), chain([Layer("0", "linear", 3, 4), Layer("1", "linear", 4, 1)], activation="sin")],
    ids=["tanh", "three coordinates"],
)
def test_what_is_no_picture_in_a_sine_network_is_refused(architecture: Architecture) -> None:
    with pytest.raises(HeadError, match="no picture in a sine network"):
        FunctionEditor(architecture, PICTURE, FunctionEditorSizes())
    with pytest.raises(HeadError, match="choose another head than test"):
        function_editor(siren()).predict(random_inrs(architecture))


def test_a_head_comes_back_from_its_folder(tmp_path: Path) -> None:
    point = random_inrs(siren())
    head = function_editor(point.architecture).to(torch.float32).to(torch.float64)
    head.save(tmp_path / "head", "a card")
    again = read_head(tmp_path / "head")
    assert again.config == head.config and again.name == "head"
    assert largest_gap(again.predict(point), head.predict(point)) == 0


@pytest.mark.parametrize(
    ("line", "changed", "cause"),
    [
        ("task: edit-inr", "task: classify-inr", "a head for `nfn classify-inr`"),
        ("kind: function-editor", "kind: other", "unknown kind of head 'other'"),
        ("edit: dilate", "edit: explode", "edit is 'explode'"),
        ("- 7", "- 7000", "not a height and a width"),
        ("steps: 3", "steps: 1000000", "steps is 1000000"),
        ("depth: 2", "depth: 3", "unreadable tensors, or not those of config.yaml"),
    ],
)
def test_a_damaged_folder_is_refused(line: str, changed: str, cause: str, tmp_path: Path) -> None:
    function_editor(siren()).save(tmp_path, "a card")
    config = tmp_path / "config.yaml"
    text = config.read_text()
    assert line in text
    config.write_text(text.replace(line, changed))
    with pytest.raises(HeadError, match=cause):
        read_head(tmp_path, task="edit-inr")
