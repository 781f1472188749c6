"""Stacks of LSTM and GRU: what names and shapes tell of them, and what they leave open."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from reference_networks import Shapes, deviation, recognise, shapes_of
from torch import Tensor, nn

from nfn_cli.architectures.families.by_shapes import from_shapes
from nfn_cli.architectures.families.refusal import Refusal


class Tokens(nn.Module):
    """An embedding, recurrent layers, a linear layer; `between` stands before and behind the recurrent layers."""

    def __init__(self, kind: str, *, layers: int = 1, both: bool = False, bias: bool = True) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        make = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
        stack = make(4, 6, layers, bias=bias, batch_first=True, bidirectional=both)
        self.add_module(kind, stack)
        self.fc = nn.Linear(6 * (1 + both), 3)
        self.kind, self.between = kind, F.gelu

    def forward(self, x: Tensor) -> Tensor:
        x, _ = self.get_submodule(self.kind)(self.between(self.embedding(x)))
        return self.fc(self.between(x))


class Features(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.encoder_gru = nn.GRU(5, 6, 2, batch_first=True)
        self.head = nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.gelu(self.encoder_gru(x)[0]))


def test_texts() -> None:
    assert recognise(Tokens("lstm")).text == "LSTM of 1 layer, embedding, linear layer"
    assert recognise(Tokens("gru", layers=2, both=True)).text == "GRU of 2 layers, both ways, embedding, linear layer"
    assert recognise(Features()).text == "GRU of 2 layers, linear layer"
    assert any("not known" in assumption for assumption in recognise(Features()).assumptions)


@pytest.mark.parametrize(
    "network",
    [
        Tokens("lstm"),
        Tokens("gru", layers=2),
        Tokens("lstm", layers=2, both=True),
        Tokens("gru", bias=False),
        Features(),
    ],
)
def test_computes_what_the_network_does_with_gelu_between(network: nn.Module) -> None:
    assert deviation(network, export=True) <= 1e-12


def test_one_tensor_more_less_or_of_another_shape_is_refused_by_name() -> None:
    shapes = shapes_of(Tokens("lstm", layers=2))
    assert "lstm.bias_hh_l1" in refusal({name: s for name, s in shapes.items() if name != "lstm.bias_hh_l1"})
    assert "lstm.weight_hh_l1" in refusal(shapes | {"lstm.weight_hh_l1": (24, 7)})
    assert "lstm.weight_hr_l0" in refusal(shapes | {"lstm.weight_hr_l0": (3, 6)})
    assert "fc.weight" in refusal(shapes | {"fc.weight": (3, 12)})


def refusal(shapes: Shapes) -> str:
    with pytest.raises(Refusal) as refused:
        assert from_shapes(shapes) is not None
    return str(refused.value)


def test_a_name_and_its_gates_must_agree() -> None:
    shapes = {name.replace("gru", "lstm"): shape for name, shape in shapes_of(Tokens("gru")).items()}
    assert "not the 4 gates of a lstm" in refusal(shapes)


def test_what_no_name_tells_is_not_recognised() -> None:
    shapes = shapes_of(Tokens("lstm"))
    assert from_shapes({name.replace("lstm", "rnn"): shape for name, shape in shapes.items()}) is None
    assert from_shapes(shapes | {"attention.weight": (6, 6)}) is None
    assert from_shapes({name: shape for name, shape in shapes.items() if not name.startswith("fc")}) is None


def test_an_embedding_that_may_be_tied_is_refused() -> None:
    network = Tokens("lstm")
    network.embedding, network.lstm, network.fc = nn.Embedding(7, 6), nn.LSTM(6, 6, batch_first=True), nn.Linear(6, 7)
    assert "tied" in refusal(shapes_of(network))


def test_inputs_are_tokens_of_the_embedding() -> None:
    (tokens,), _ = recognise(Tokens("gru")).inputs(3, "cpu")
    assert tokens.dtype == torch.int64 and tokens.shape == (3, 4) and int(tokens.max()) < 7
