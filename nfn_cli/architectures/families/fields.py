"""Fields of a `config.json`, read one by one: each of the right kind and size, and none left that nobody knows.

>>> fields = Fields({"model_type": "llama", "hidden_size": 16, "use_magic": True}, "Llama")
>>> fields.whole("hidden_size")
16
>>> try:
...     fields.finish()
... except Refusal as refusal:
...     print(refusal.cause)
Llama: 'use_magic' of config.json is not known
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from nfn_cli.architectures.families.family import Shapes
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.errors import shown

_LARGEST = 2**24  # a width, a vocabulary
_MOST_LAYERS = 2_000
_REQUIRED = object()

# Fields that leave the function in evaluation alone: training, generation, tokens, housekeeping.
_HOUSEKEEPING = (
    "_attn_implementation _attn_implementation_autoset _attn_implementation_internal _commit_hash _num_labels "
    "_experts_implementation_internal _flash_attn_2_enabled _name_or_path architectures attn_implementation "
    "auto_map cache_implementation chunk_size_feed_forward custom_pipelines dtype finetuning_task "
    "gradient_checkpointing id2label label2id license_name model_type name_or_path num_labels output_attentions "
    "output_hidden_states output_past problem_type return_dict return_dict_in_generate task_specific_params "
    "tokenizer_class torch_dtype torchscript transformers_version trust_remote_code unsloth_fixed unsloth_version "
    "use_bfloat16 use_cache tf_legacy_loss use_return_dict"
)
_TRAINING = (
    "activation_dropout attention_dropout attention_probs_dropout_prob attn_dropout attn_pdrop classifier_dropout "
    "dropout dropout_rate embd_pdrop hidden_dropout hidden_dropout_prob layerdrop resid_pdrop "
    "router_aux_loss_coef router_jitter_noise output_router_logits summary_first_dropout init_std "
    "initializer_cutoff_factor initializer_factor initializer_range"
)
_GENERATION = (
    "begin_suppress_tokens bos_token_id decoder_start_token_id eos_token_id forced_bos_token_id "
    "forced_eos_token_id pad_token_id sep_token_id suppress_tokens bad_words_ids prefix diversity_penalty "
    "do_sample early_stopping encoder_no_repeat_ngram_size exponential_decay_length_penalty length_penalty "
    "max_length min_length no_repeat_ngram_size num_beam_groups num_beams num_return_sequences output_scores "
    "remove_invalid_values repetition_penalty temperature top_k top_p typical_p"
)
# What every configuration may turn on, and no family here has.
_OFF: Mapping[str, Any] = {
    "add_cross_attention": False,
    "is_decoder": False,
    "is_encoder_decoder": False,
    "pruned_heads": {},
    "tie_encoder_decoder": False,
    "use_cross_attention": False,
}
_HARMLESS = frozenset(f"{_HOUSEKEEPING} {_TRAINING} {_GENERATION}".split())


class Fields:
    """The fields of a configuration, or of a part of it.

    Args:
        config: field to value.
        title: of the network, for messages.
        where: what has the fields, for messages.
        harmless: more fields that leave the function alone.
    """

    def __init__(
        self,
        config: Mapping[str, Any],
        title: str,
        *,
        where: str = "config.json",
        harmless: frozenset[str] | set[str] = frozenset(),
    ) -> None:
        self._config = config
        self._title = title
        self._where = where
        self._read = set(_HARMLESS | harmless)

    def __contains__(self, name: str) -> bool:
        """Whether a field is there, null or not."""
        return name in self._config

    def has(self, name: str) -> bool:
        """Whether a field is there and is not null."""
        return self._config.get(name) is not None

    def whole(self, name: str, default: Any = _REQUIRED, *, low: int = 1, high: int = _LARGEST) -> int:
        """A whole number within bounds."""
        value = self._value(name, default)
        if type(value) is not int or not low <= value <= high:
            self._wrong(name, value, f"no whole number from {low} to {high}")
        return value

    def layers(self, name: str, shapes: Shapes) -> int:
        """A number of layers: no more than the file has tensors, so that no configuration alone takes time."""
        value = self.whole(name, high=_MOST_LAYERS)
        if value > len(shapes):
            self._wrong(name, value, f"more than there are tensors ({len(shapes)})")
        return value

    def whole_or_none(self, name: str, default: Any = None, *, high: int = 2**40) -> int | None:
        """A whole number from 1 on, or null."""
        return self.whole(name, default, high=high) if self._value(name, default) is not None else None

    def number(self, name: str, default: Any = _REQUIRED, *, low: float = 0.0, high: float = 1e30) -> float:
        """A finite number above `low`."""
        value = self._value(name, default)
        if type(value) not in (int, float) or not low < value <= high:
            self._wrong(name, value, f"no number between {low:g} and {high:g}")
        return float(value)

    def number_or_none(self, name: str, default: Any = None) -> float | None:
        """A finite number above 0, or null."""
        return self.number(name, default) if self._value(name, default) is not None else None

    def flag(self, name: str, default: Any = _REQUIRED) -> bool:
        """True or false."""
        value = self._value(name, default)
        if type(value) is not bool:
            self._wrong(name, value, "neither true nor false")
        return value

    def word(self, name: str, default: Any = _REQUIRED) -> str:
        """A text."""
        value = self._value(name, default)
        if type(value) is not str:
            self._wrong(name, value, "no text")
        return value

    def only(self, name: str, *allowed: object) -> None:
        """Refuse a field with any value but those; null and a missing field are right."""
        self._read.add(name)
        value = self._config.get(name)
        if value is not None and not any(type(value) is type(right) and value == right for right in allowed):
            self._wrong(name, value, "not supported")

    def part(self, name: str) -> Mapping[str, Any] | None:
        """A field that has fields; None where it is null or missing."""
        value = self._value(name, None)
        if value is not None and not (isinstance(value, Mapping) and all(type(key) is str for key in value)):
            self._wrong(name, value, "no group of fields")
        return value

    def words(self, name: str, count: int, allowed: tuple[str, ...]) -> tuple[str, ...] | None:
        """So many texts out of some; None where the field is null or missing."""
        value = self._value(name, None)
        if value is None:
            return None
        if not isinstance(value, list) or len(value) != count or any(word not in allowed for word in value):
            self._wrong(name, value, f"no list of {count} out of {', '.join(allowed)}")
        return tuple(value)

    def pair(self, name: str, default: Any = _REQUIRED) -> tuple[int, int]:
        """A height and a width: one whole number or two."""
        value = self._value(name, default)
        sizes = list(value) if isinstance(value, list | tuple) else [value, value]
        if len(sizes) != 2 or any(type(size) is not int or not 1 <= size <= 2**16 for size in sizes):
            self._wrong(name, value, "neither a size nor two")
        return sizes[0], sizes[1]

    def numbers(self, name: str, default: tuple[float, float], *, high: float) -> tuple[float, float]:
        """Two numbers above 0, or one that stands for both."""
        value = self._value(name, default)
        values = list(value) if isinstance(value, list | tuple) else [value, value]
        if len(values) != 2 or any(type(each) not in (int, float) or not 0 < each <= high for each in values):
            self._wrong(name, value, "neither a number nor two")
        return float(values[0]), float(values[1])

    def finish(self) -> None:
        """Check that no field is left that nobody has read.

        Raises:
            Refusal: naming the first one.
        """
        for name, value in self._config.items():
            if name in self._read or value is None:
                continue
            if name not in _OFF:
                raise Refusal(f"{self._title}: {shown(name)} of {self._where} is not known")
            if type(value) is not type(_OFF[name]) or value != _OFF[name]:
                self._wrong(name, value, "not supported")

    def refuse(self, name: str, why: str) -> NoReturn:
        """Refuse the value of a field.

        Raises:
            Refusal: always.
        """
        self._wrong(name, self._config.get(name), why)

    def _value(self, name: str, default: Any) -> Any:
        self._read.add(name)
        value = self._config.get(name)
        if value is None:
            if default is _REQUIRED:
                raise Refusal(f"{self._title}: {self._where} has no '{name}'")
            return default
        return value

    def _wrong(self, name: str, value: Any, why: str) -> NoReturn:
        raise Refusal(f"{self._title}: '{name}' of {self._where} is {shown(value)}: {why}")


def differing_field(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> str | None:
    """The first field by which two configurations may be two functions, or None.

    A null is as good as none; a field that only one of them has counts, whatever its default.

    >>> differing_field({"rope_theta": 1e4, "use_cache": True}, {"rope_theta": 5e5})
    'rope_theta'
    """
    names = sorted({*ours, *theirs} - _HARMLESS)
    return next((name for name in names if ours.get(name) != theirs.get(name)), None)
