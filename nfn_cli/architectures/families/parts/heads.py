"""What stands on a decoder's trunk: logits of tokens, classes, values, or nothing. A file's names tell which."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Config, Inputs, Shapes
from nfn_cli.architectures.families.parts.placing import put

_TOKENS = 6
_TEXTS = {"hidden": " without a head", "lm": "", "last": " for classification", "tokens": " for tokens' classes"}
_VALUE = "v_head.summary"


@dataclass(frozen=True)
class Head:
    """What reads a trunk's last hidden states.

    Attributes:
        kind: hidden (none), lm (logits of the next token), last (classes, read from the last token), tokens (classes of
            each token).
        name: of its linear layer; empty for hidden.
        outputs: of its linear layer.
        has_bias: whether that has one.
        is_tied: whether its weight is the embedding's.
        values: outputs of a value head beside it (`v_head` in TRL); 0 for none.
        cap: c of c · tanh(logits / c); None for none.
    """

    kind: str
    name: str = ""
    outputs: int = 0
    has_bias: bool = False
    is_tied: bool = False
    values: int = 0
    cap: float | None = None

    @property
    def text(self) -> str:
        """Behind the family's name."""
        return _TEXTS[self.kind] + (" with a value head" if self.values else "")


def told_head(
    shapes: Shapes,
    config: Config,
    prefix: str,
    *,
    vocabulary: int,
    is_tied: bool,
    names: tuple[str, ...] = ("lm_head",),
    has_bias: bool = False,
    cap: float | None = None,
) -> Head:
    """Which head a file has.

    Args:
        prefix: of the trunk's names; without one and without a head's tensors, the file is a trunk, unless the
            configuration says that it is a language model (whose weight is the embedding's).
        is_tied: whether a language-model head's weight is the embedding's.
        names: that the family gives the language-model head.
        has_bias: whether a language-model head has a bias.
        cap: of a language-model head's logits.
    """
    values = outputs_of(shapes, _VALUE) if f"{_VALUE}.weight" in shapes else 0
    for name in names:
        if f"{name}.weight" in shapes:
            return Head("lm", name, vocabulary, has_bias, is_tied, values, cap)
    for name in ("score", "classifier"):
        if f"{name}.weight" in shapes:
            has_own = f"{name}.bias" in shapes
            outputs = outputs_of(shapes, name)
            return Head("tokens" if has_own else "last", name, outputs, has_own, values=values)
    classes = config.get("architectures")
    told = classes[0] if isinstance(classes, list) and classes and isinstance(classes[0], str) else ""
    if prefix or values or (is_tied and told.endswith(("ForCausalLM", "LMHeadModel"))):
        return Head("lm", names[0], vocabulary, has_bias, is_tied, values, cap)
    return Head("hidden")


def put_head(root: nn.Module, head: Head, width: int, embedding: nn.Embedding) -> None:
    """Register the layers of a head."""
    if head.kind != "hidden":
        layer = put(root, head.name, nn.Linear(width, head.outputs, bias=head.has_bias))
        if head.is_tied:
            layer.weight = embedding.weight
    if head.values:
        put(root, _VALUE, nn.Linear(width, head.values))


def apply_head(root: nn.Module, head: Head, hidden: Tensor) -> Tensor | tuple[Tensor, Tensor]:
    """What a network puts out, from its last hidden states [batch, tokens, width]."""
    if head.kind == "hidden":
        return hidden
    result: Tensor = root.get_submodule(head.name)(hidden)
    if head.cap is not None:
        result = torch.tanh(result / head.cap) * head.cap
    if head.kind == "last":
        result = result[:, -1]
    if head.values:
        return result, root.get_submodule(_VALUE)(hidden)
    return result


def token_inputs(vocabulary: int, batch: int, device: torch.device | str, tokens: int = _TOKENS) -> Inputs:
    """A few tokens [batch, tokens], no two rows alike; none of the vocabulary's first ones, which may be padding."""
    numbers = torch.arange(batch * tokens, device=device).view(batch, tokens)
    return ((numbers * 7 + 3) % max(vocabulary - 3, 1) + min(3, vocabulary - 1),), {}


def outputs_of(shapes: Shapes, name: str) -> int:
    """Outputs of a linear layer, by its weight; 1 where that has none, which the comparison of shapes then refuses."""
    return max(1, next(iter(shapes[f"{name}.weight"]), 1))
