"""BERT: an encoder with a norm behind each branch, under the heads that its classes have."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.activations import ACTIVATIONS, activation_name
from nfn_cli.architectures.families.parts.attention import attend, heads_of
from nfn_cli.architectures.families.parts.heads import outputs_of, token_inputs
from nfn_cli.architectures.families.parts.norms import GammaNorm
from nfn_cli.architectures.families.parts.placing import put
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.words import counted

_TITLE = name_of(__name__)
_PREDICTIONS, _PAIRS = "cls.predictions.transform.dense.weight", "cls.seq_relationship"
_SPAN = "qa_outputs"
_CLASSES = ("classifier", _SPAN)  # heads of one linear layer


@dataclass(frozen=True)
class _Spec:
    """Of one network. The last four say which heads the file has.

    Attributes:
        is_old: whether norms' tensors are called gamma and beta.
        pairs: outputs of the head for pairs of sentences; 0 for none.
        classes: name and outputs of a head of one linear layer; None for none.
    """

    prefix: str
    vocabulary: int
    positions: int
    kinds: int
    width: int
    hidden: int
    layers: int
    heads: int
    activation: str
    eps: float
    is_old: bool
    has_pooler: bool
    has_predictions: bool
    pairs: int
    classes: tuple[str, int] | None

    @property
    def text(self) -> str:
        what = [
            *(["masked tokens"] if self.has_predictions else []),
            *(["pairs of sentences"] if self.pairs else []),
            *(["classes"] if self.classes else []),
        ]
        heads = f" for {' and '.join(what)}" if what else " without a head"
        return f"{_TITLE}{heads}, {counted(self.layers, 'layer')}, {counted(self.heads, 'head')}"


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    if config.get("model_type") != "bert":
        return None
    fields = Fields(config, _TITLE, harmless=_POOLER_OF_TENSORFLOW)
    fields.only("position_embedding_type", "absolute")
    width, heads = fields.whole("hidden_size"), fields.whole("num_attention_heads")
    if width % heads:
        raise Refusal(f"{_TITLE}: {width} entries of its stream are no {heads} heads")
    prefix = "bert." if any(name.startswith("bert.embeddings.") for name in shapes) else ""
    if not fields.flag("tie_word_embeddings", True) and _PREDICTIONS in shapes:
        fields.refuse("tie_word_embeddings", "not supported")
    head = next((name for name in _CLASSES if f"{name}.weight" in shapes), None)
    vocabulary = fields.whole("vocab_size")
    spec = _Spec(
        prefix=prefix,
        vocabulary=vocabulary,
        positions=fields.whole("max_position_embeddings"),
        kinds=fields.whole("type_vocab_size", 2),
        width=width,
        hidden=fields.whole("intermediate_size"),
        layers=fields.layers("num_hidden_layers", shapes),
        heads=heads,
        activation=activation_name(fields, "hidden_act", "gelu"),
        eps=fields.number("layer_norm_eps", 1e-12),
        is_old=f"{prefix}embeddings.LayerNorm.gamma" in shapes,
        has_pooler=f"{prefix}pooler.dense.weight" in shapes,
        has_predictions=_PREDICTIONS in shapes,
        pairs=outputs_of(shapes, _PAIRS) if f"{_PAIRS}.weight" in shapes else 0,
        classes=None if head is None else (head, outputs_of(shapes, head)),
    )
    fields.finish()
    inputs = partial(token_inputs, vocabulary, tokens=min(6, spec.positions))
    return ReferenceModule(_TITLE, spec.text, partial(_Bert, spec), inputs, r".*embeddings\.position_ids")


# Left by the conversion from TensorFlow; no class reads them.
_POOLER_OF_TENSORFLOW = {
    "directionality",
    "pooler_fc_size",
    "pooler_num_attention_heads",
    "pooler_num_fc_layers",
    "pooler_size_per_head",
    "pooler_type",
}


class _Bert(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.spec = spec
        prefix, width = spec.prefix, spec.width
        words = put(self, f"{prefix}embeddings.word_embeddings", nn.Embedding(spec.vocabulary, width))
        put(self, f"{prefix}embeddings.position_embeddings", nn.Embedding(spec.positions, width))
        put(self, f"{prefix}embeddings.token_type_embeddings", nn.Embedding(spec.kinds, width))
        put(self, f"{prefix}embeddings.LayerNorm", _norm(spec))
        for layer in range(spec.layers):
            put(self, f"{prefix}encoder.layer.{layer}", _Layer(spec))
        if spec.has_pooler:
            put(self, f"{prefix}pooler.dense", nn.Linear(width, width))
        if spec.has_predictions:
            predictions = put(self, "cls.predictions", _Predictions(spec))
            predictions.decoder.weight = words.weight
        if spec.pairs:
            put(self, _PAIRS, nn.Linear(width, spec.pairs))
        if spec.classes:
            put(self, spec.classes[0], nn.Linear(width, spec.classes[1]))

    def forward(self, tokens: Tensor) -> Tensor | tuple[Tensor, ...]:
        spec = self.spec
        positions = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self._part("embeddings.word_embeddings")(tokens)
        hidden = hidden + self._part("embeddings.token_type_embeddings")(torch.zeros_like(tokens))
        hidden = hidden + self._part("embeddings.position_embeddings")(positions)
        hidden = self._part("embeddings.LayerNorm")(hidden)
        for layer in range(spec.layers):
            hidden = self._part(f"encoder.layer.{layer}")(hidden)
        pooled = torch.tanh(self._part("pooler.dense")(hidden[:, 0])) if spec.has_pooler else None
        results: list[Tensor] = []
        if spec.has_predictions:
            results.append(self.get_submodule("cls.predictions")(hidden))
        if spec.pairs and pooled is not None:
            results.append(self.get_submodule(_PAIRS)(pooled))
        if spec.classes:
            name, _ = spec.classes
            logits = self.get_submodule(name)(hidden if pooled is None or name == _SPAN else pooled)
            # Where an answer begins and where it ends are two outputs.
            results += [part.squeeze(-1) for part in logits.split(1, dim=-1)] if name == _SPAN else [logits]
        if not results:
            results.append(hidden)
        if pooled is not None and not self._is_pooled_read():
            results.append(pooled)
        return results[0] if len(results) == 1 else tuple(results)

    def _is_pooled_read(self) -> bool:
        """Whether a head reads the pooler; otherwise it is an output, so that nothing in the file goes unread."""
        return bool(self.spec.pairs) or (self.spec.classes is not None and self.spec.classes[0] != _SPAN)

    def _part(self, name: str) -> nn.Module:
        return self.get_submodule(f"{self.spec.prefix}{name}")


class _Layer(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.size, self.activation = spec.width // spec.heads, ACTIVATIONS[spec.activation]
        for name in ("query", "key", "value"):
            put(self, f"attention.self.{name}", nn.Linear(spec.width, spec.width))
        put(self, "attention.output.dense", nn.Linear(spec.width, spec.width))
        put(self, "attention.output.LayerNorm", _norm(spec))
        put(self, "intermediate.dense", nn.Linear(spec.width, spec.hidden))
        put(self, "output.dense", nn.Linear(spec.hidden, spec.width))
        put(self, "output.LayerNorm", _norm(spec))

    def forward(self, hidden: Tensor) -> Tensor:
        names = ("query", "key", "value")
        query, key, value = (heads_of(self._part(f"attention.self.{name}")(hidden), self.size) for name in names)
        attended = self._part("attention.output.dense")(attend(query, key, value, self.size**-0.5))
        hidden = self._part("attention.output.LayerNorm")(attended + hidden)
        inner = self.activation(self._part("intermediate.dense")(hidden))
        return self._part("output.LayerNorm")(self._part("output.dense")(inner) + hidden)

    def _part(self, name: str) -> nn.Module:
        return self.get_submodule(name)


class _Predictions(nn.Module):
    """Logits of masked tokens; the weight of its last layer is the embedding's, and its bias has two names."""

    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.activation = ACTIVATIONS[spec.activation]
        self.bias = nn.Parameter(torch.zeros(spec.vocabulary))
        put(self, "transform.dense", nn.Linear(spec.width, spec.width))
        put(self, "transform.LayerNorm", _norm(spec))
        self.decoder = nn.Linear(spec.width, spec.vocabulary)
        self.decoder.bias = self.bias

    def forward(self, hidden: Tensor) -> Tensor:
        inner = self.activation(self.get_submodule("transform.dense")(hidden))
        return self.decoder(self.get_submodule("transform.LayerNorm")(inner))


def _norm(spec: _Spec) -> nn.Module:
    return GammaNorm(spec.width, spec.eps) if spec.is_old else nn.LayerNorm(spec.width, eps=spec.eps)
