"""A stack of LSTM or GRU layers, an embedding before it where the file has one, a linear layer behind it.

What stands between the three is in no file: nothing, dropout, ReLU; the last step, each step, a pooling over the steps.
Here it is an elementwise function that only permutations commute with, so that the group holds for each of these.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Inputs, ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import waves
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)
_EMBEDDINGS = (
    "embedding",
    "embeddings",
    "embed",
    "emb",
    "word_embedding",
    "word_embeddings",
    "token_embedding",
    "encoder",
)
_HEADS = ("fc", "linear", "out", "output", "head", "decoder", "classifier", "dense", "output_layer", "fc_out")
_GATES = {"lstm": 4, "gru": 3}
_STEPS = 4


class Recurrent(nn.Module):
    """LSTM or GRU layers, with the parameters of `nn.LSTM` and `nn.GRU`.

    Those modules keep a list of their parameters beside them, which an export complains of.
    """

    def __init__(self, kind: str, inputs: int, hidden: int, layers: int, both: bool, biases: bool) -> None:
        super().__init__()
        self.kind, self.hidden, self.layers, self.both, self.biases = kind, hidden, layers, both, biases
        rows, self._order = _GATES[kind] * hidden, list[str]()
        for layer in range(layers):
            for way in ("", "_reverse") if both else ("",):
                width = inputs if layer == 0 else hidden * (1 + both)
                self._add(f"weight_ih_l{layer}{way}", rows, width)
                self._add(f"weight_hh_l{layer}{way}", rows, hidden)
                if biases:
                    self._add(f"bias_ih_l{layer}{way}", rows)
                    self._add(f"bias_hh_l{layer}{way}", rows)

    def _add(self, name: str, *shape: int) -> None:
        self.register_parameter(name, nn.Parameter(torch.empty(shape)))
        self._order.append(name)

    def forward(self, x: Tensor) -> Tensor:
        start = x.new_zeros(self.layers * (1 + self.both), x.shape[0], self.hidden)
        weights: list[Tensor] = [self.get_parameter(name) for name in self._order]
        how = (self.biases, self.layers, 0.0, False, self.both, True)
        if self.kind == "lstm":
            return torch.lstm(x, (start, start), weights, *how)[0]
        return torch.gru(x, start, weights, *how)[0]


class RecurrentStack(nn.Module):
    """[batch, steps] of tokens, or [batch, steps, features], to [batch, steps, outputs].

    Args:
        scope: the file's names and shapes.
        parts: names of the embedding (or None), the recurrent module and the linear layer.

    Raises:
        Refusal: shapes are not of what the name says.
    """

    def __init__(self, scope: Scope, parts: tuple[str | None, str, str]) -> None:
        super().__init__()
        embedding, recurrent, head = self.parts = parts
        here = scope[recurrent]
        self.kind = next(kind for kind in _GATES if kind in recurrent.lower())
        gates = _GATES[self.kind]
        rows, hidden = here.shape("weight_hh_l0", 2)
        if rows != gates * hidden:
            raise Refusal(f"{here.name('weight_hh_l0')} is [{rows}, {hidden}], not the {gates} gates of a {self.kind}")
        self.layers = 0
        while f"weight_ih_l{self.layers}" in here:
            self.layers += 1
        self.both = "weight_ih_l0_reverse" in here
        inputs = here.size("weight_ih_l0", 1, 2)
        stack = Recurrent(self.kind, inputs, hidden, self.layers, self.both, "bias_ih_l0" in here)
        outputs, width = scope[head].shape("weight", 2)
        if embedding is not None:
            tokens, features = scope[embedding].shape("weight", 2)
            if (tokens, features) == (outputs, width):
                raise Refusal(f"{embedding} and {head} are of one shape: nothing tells whether they are tied")
            self.add_module(embedding, nn.Embedding(tokens, features))
        self.add_module(recurrent, stack)
        self.add_module(head, nn.Linear(hidden * (1 + self.both), outputs))

    def forward(self, x: Tensor) -> Tensor:
        embedding, recurrent, head = self.parts
        if embedding is not None:
            x = F.gelu(self.get_submodule(embedding)(x))
        return self.get_submodule(head)(F.gelu(self.get_submodule(recurrent)(x)))


def _parts(scope: Scope) -> tuple[str | None, str, str] | None:
    """Names of the embedding, the recurrent module and the linear layer; None where there is more, or less."""
    names = scope.children()
    recurrent = [name for name in names if f"{name}.weight_ih_l0" in scope]
    if len(recurrent) != 1 or sum(kind in recurrent[0].lower() for kind in _GATES) != 1:
        return None
    others = [name for name in names if name != recurrent[0]]
    embeddings = [name for name in others if name in _EMBEDDINGS and scope[name].children() == ("weight",)]
    heads = [name for name in others if name in _HEADS and name not in embeddings and f"{name}.weight" in scope]
    if len(embeddings) > 1 or len(heads) != 1 or len(others) != len(embeddings) + 1:
        return None
    return (embeddings[0] if embeddings else None, recurrent[0], heads[0])


def _inputs(count: int, tokens: bool) -> Callable[[int, torch.device | str], Inputs]:
    """Sequences of a few steps: of tokens below `count`, or of as many features."""

    def make(batch: int, device: torch.device | str) -> Inputs:
        if not tokens:
            return (waves((batch, _STEPS, count), device),), {}
        return ((torch.arange(batch * _STEPS, device=device) % count).reshape(batch, _STEPS),), {}

    return make


def _text(module: nn.Module) -> str:
    assert isinstance(module, RecurrentStack)
    ways = ", both ways" if module.both else ""
    layers = "1 layer" if module.layers == 1 else f"{module.layers} layers"
    return f"{module.kind.upper()} of {layers}{ways}{', embedding' if module.parts[0] else ''}, linear layer"


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A module called lstm or gru, a linear layer and maybe an embedding; as `Family.from_shapes`."""
    scope = Scope(shapes)
    parts = _parts(scope)
    if parts is None:
        return None
    embedding, recurrent, _ = parts
    count = scope.size(f"{recurrent}.weight_ih_l0", 1, 2)
    if embedding is not None:
        count = scope.size(f"{embedding}.weight", 0, 2)
    between = (
        "the embedding, the recurrent layers and the linear one"
        if embedding
        else "the recurrent layers and the linear one"
    )
    both = f"{recurrent}.weight_ih_l0_reverse" in scope
    return fitted(
        NAME,
        lambda: RecurrentStack(Scope(shapes), parts),
        _inputs(count, embedding is not None),
        shapes,
        _text,
        (
            "the linear layer reads what the last recurrent layer wrote"
            f"{', the forward way in front of the backward one' if both else ''}",
            f"what is between {between} acts on each feature alone and is not known: "
            "the group holds for any such function, the forward pass takes GELU",
        ),
    )
