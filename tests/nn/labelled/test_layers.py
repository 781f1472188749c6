"""The layers derived from labels: equivariant, invariant, and independent of widths."""

from __future__ import annotations

import pytest
import torch
from random_networks import draw
from torch import Tensor, nn
from traced_networks import traced

from nfn_cli.architectures.tracing.export import export
from nfn_cli.architectures.tracing.tracer import trace
from nfn_cli.nn import assert_equivariant, assert_invariant
from nfn_cli.nn.labelled import (
    LabelledActivation,
    LabelledInvariant,
    LabelledLayout,
    LabelledLinear,
    Pattern,
    terms,
)
from nfn_cli.nn.labelled.contraction import mean_over, spread


def network(layout: LabelledLayout) -> nn.Module:
    """Two linear layers and what goes between them."""
    count = len(layout.fields)
    return nn.Sequential(
        LabelledLinear(layout, layout.features, [2] * count),
        LabelledActivation(layout),
        LabelledLinear(layout, [2] * count, [3] * count),
    )


@pytest.mark.parametrize("name", ["cnn", "preactivation", "grouped", "gated", "llama"])
def test_networks_of_every_kind(name: str) -> None:
    layout = LabelledLayout.of(traced(name))
    assert_equivariant(network(layout), layout, samples=2)
    assert_invariant(LabelledInvariant(layout, layout.features, 2), layout, samples=2)


@pytest.mark.parametrize("seed", [1, 4, 18])
def test_random_networks(seed: int) -> None:
    drawn = draw(seed)
    layout = LabelledLayout.of(trace(export(drawn.module, drawn.inputs)))
    assert_equivariant(network(layout), layout, samples=2)
    assert_invariant(LabelledInvariant(layout, layout.features, 2), layout, samples=2)


def mlp(width: int, activation: type[nn.Module] = nn.GELU) -> LabelledLayout:
    return LabelledLayout.from_module(nn.Sequential(nn.Linear(2, width), activation(), nn.Linear(width, 3)))


def test_parameters_do_not_depend_on_widths() -> None:
    small, large = (LabelledLinear(own, own.features, [4] * len(own.fields)) for own in (mlp(3), mlp(50)))
    assert {name: own.shape for name, own in small.weights.items()} == {
        name: own.shape for name, own in large.weights.items()
    }
    large.load_state_dict(small.state_dict())


def test_a_layer_that_is_not_equivariant_is_found_out() -> None:
    layout = mlp(4, nn.ReLU)

    def broken(fields: list[Tensor]) -> list[Tensor]:
        return [values + 1 for values in fields]

    with pytest.raises(AssertionError, match=r"not equivariant: deviation .* in the field of .*\n  0: its neurons go"):
        assert_equivariant(broken, layout)
    with pytest.raises(AssertionError, match="not invariant"):
        assert_invariant(lambda fields: fields[0].norm(dim=(1, 2)), layout)


def test_functions_of_weights() -> None:
    layout = mlp(4, nn.ReLU)
    assert_equivariant(lambda tensors: {name: 2 * own for name, own in tensors.items()}, layout, on="weights")
    assert_invariant(lambda tensors: tensors["2.bias"], layout, on="weights")
    with pytest.raises(AssertionError, match=r", in \d\.\w+, under this element"):
        assert_equivariant(lambda tensors: {name: own + 1 for name, own in tensors.items()}, layout, on="weights")


def test_fields_of_one_kind_share_their_parameters() -> None:
    model = nn.Sequential(*(layer for _ in range(3) for layer in (nn.Linear(4, 4), nn.Tanh())), nn.Linear(4, 2))

    def share(name: str) -> str:
        return "hidden." + name.partition(".")[2] if name[0] in "24" else name

    layout = LabelledLayout.from_module(model, merge=False, share=share)
    apart = LabelledLayout.from_module(model, merge=False)
    shared, own = (LabelledLinear(one, one.features, one.features) for one in (layout, apart))
    assert len(shared.weights) < len(own.weights)
    assert_equivariant(shared, layout)
    assert_equivariant(own, apart)
    with pytest.raises(ValueError, match="differ in their features"):
        LabelledLinear(layout, layout.features, list(range(1, 1 + len(layout.fields))))


def test_local_terms_keep_a_neuron() -> None:
    layout = mlp(4)
    assert all(term.pattern.kept for term in terms(layout.fields, bias=False, local=True))
    assert len(terms(layout.fields, bias=False)) > len(terms(layout.fields, bias=False, local=True))


def test_patterns_contract_and_spread() -> None:
    values = torch.arange(9.0).view(1, 3, 3, 1)
    diagonal = Pattern((0, 0), (0,))
    assert mean_over(values, diagonal).flatten().tolist() == [0, 4, 8]
    assert mean_over(values, Pattern((0, 1), (1,))).flatten().tolist() == [3, 4, 5]
    assert mean_over(values, Pattern((0, 0), ())).item() == 4
    turned = Pattern((0, 1), (1, 0))
    assert torch.equal(spread(mean_over(values, turned), turned, (3, 3)), values.transpose(1, 2))
    wide = Pattern((0, 1), (2, 1))
    assert torch.equal(spread(mean_over(values, wide), wide, (3, 3)), torch.tensor([3.0, 4, 5]).view(1, 1, 3, 1))
    back = spread(mean_over(values, Pattern((0, 0), (0, 0))), Pattern((0, 0), (0, 0)), (3, 3))
    assert torch.equal(back[0, ..., 0], torch.diag(torch.tensor([0.0, 4.0, 8.0])))
