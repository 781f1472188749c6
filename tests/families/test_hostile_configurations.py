"""Whatever stands in a field: the network is recognised or refused in one line, soon, and nothing large is made."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from family_cases import CONFIGS, own_shapes

from nfn_cli.architectures.families import recognise
from nfn_cli.errors import ArchitectureError

_VALUES: tuple[Any, ...] = (None, True, -1, 0, 2**24, 2**70, float("inf"), "x\n\x1b[2J", [], {"a": []}, ["1", 2])


@pytest.mark.parametrize("family", ["Llama", "Gemma 2", "GPT-NeoX", "Mixtral", "BERT", "T5", "DeiT", "DeiT (timm)"])
def test_any_value_of_a_field(family: str) -> None:
    config = CONFIGS[family]
    shapes = own_shapes(config)
    for name in [*config, "rope_parameters", "rope_scaling", "architectures", "model_args", "pretrained_cfg"]:
        for value in _VALUES:
            _try(shapes, {**config, name: value})
        if isinstance(config.get(name), dict):
            for inner in [*config[name], "rope_type", "original_max_position_embeddings", "reg_tokens"]:
                for value in _VALUES:
                    _try(shapes, {**config, name: {**config[name], inner: value}})


@pytest.mark.parametrize("family", ["Llama", "BERT", "DeiT"])
def test_any_shape_of_a_tensor(family: str) -> None:
    config = CONFIGS[family]
    shapes = own_shapes(config)
    for name in [*list(shapes)[:8], *list(shapes)[-4:], "score.weight", "v_head.summary.weight", "classifier.weight"]:
        for shape in ((), (0,), (2**62, 2**62), (1,) * 40):
            _try({**shapes, name: shape}, config)
            _try({name: shape}, config)


def _try(shapes: dict[str, tuple[int, ...]], config: dict[str, Any]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            recognise(shapes, config)
        except ArchitectureError as refusal:
            told = str(refusal)
            assert "\n" not in told and "\x1b" not in told and len(told) < 1_000
