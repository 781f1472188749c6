"""Decoders with other layers, MLP neurons and tokens are compared on what both have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from small_decoders import GPT2, LLAMA, TRACER, disguised, drawn, opened, shapes_like, trained, with_layers

from nfn_cli.symmetry.aligning import align_to
from nfn_cli.symmetry.kinship.shapes import CommonPart, Unmatched, common_part
from nfn_cli.symmetry.kinship.shapes.layouts import LAYOUTS
from nfn_cli.symmetry.labelled.source import LabelledSource

CASES = Path(__file__).parents[3] / "families" / "cases"
DEPTH = {"llama": "num_hidden_layers", "gpt2": "n_layer"}
INNER = {"llama": "intermediate_size", "gpt2": "n_inner"}
BOTH = pytest.mark.parametrize("config", [LLAMA, GPT2], ids=lambda config: config["model_type"])

Config = dict[str, Any]


@pytest.fixture(scope="module")
def bases() -> dict[str, dict[str, torch.Tensor]]:
    return {own["model_type"]: trained(drawn(shapes_like(own), 0), own, 40) for own in (LLAMA, GPT2)}


def numbers(found: CommonPart) -> list[tuple[int | None, int | None]]:
    return [tuple(None if own is None else int(own.rpartition(".")[2]) for own in pair) for pair in found.layers]  # type: ignore[misc]


@BOTH
def test_a_layer_copied_and_trained_a_little(bases: Any, config: Config) -> None:
    told = {**config, DEPTH[config["model_type"]]: 4}
    a = opened(bases[config["model_type"]], config)
    b = disguised(opened(trained(with_layers(bases[config["model_type"]], [0, 1, 1, 2]), told, 10), told))
    found = common_part(a, b, TRACER)
    assert isinstance(found, CommonPart), found
    pairs = numbers(found)
    assert [one for one, _ in pairs if one is not None] == [0, 1, 2]
    assert {two for one, two in pairs if one is None} < {1, 2}
    assert (0, 0) in pairs and (2, 3) in pairs
    near = align_to(found.reference, found.source)
    assert near.after < 0.3 < near.before


def test_the_deeper_one_may_be_a(bases: Any) -> None:
    told = {**LLAMA, "num_hidden_layers": 4}
    a, b = opened(with_layers(bases["llama"], [0, 1, 1, 2]), told), opened(bases["llama"], LLAMA)
    found = common_part(a, b, TRACER)
    assert isinstance(found, CommonPart)
    assert numbers(found) == [(0, 0), (1, 1), (2, None), (3, 2)]
    assert "layers were copied" in found.assumed
    assert found.original["model.layers.2.mlp.up_proj.weight"] == "model.layers.3.mlp.up_proj.weight"
    assert set(found.reference.checkpoint.tensors) == set(found.original)


def test_a_layer_removed(bases: Any) -> None:
    told = {**GPT2, "n_layer": 2}
    a = opened(bases["gpt2"], GPT2)
    b = opened(trained(with_layers(bases["gpt2"], [0, 2]), told, 10), told)
    found = common_part(a, disguised(b), TRACER)
    assert isinstance(found, CommonPart)
    assert numbers(found) == [(0, 0), (1, None), (2, 1)]


def test_ten_tokens_more(bases: Any) -> None:
    told, state = {**LLAMA, "vocab_size": 50}, dict(bases["llama"])
    for name in ("model.embed_tokens.weight", "lm_head.weight"):
        state[name] = torch.cat([state[name], torch.randn(10, 16, generator=torch.Generator().manual_seed(1))])
    a, b = opened(bases["llama"], LLAMA), opened(trained(state, told, 5), told)
    found = common_part(a, b, TRACER)
    assert isinstance(found, CommonPart)
    assert found.assumed == "the first 40 tokens of both vocabularies are the same"
    assert numbers(found) == [(0, 0), (1, 1), (2, 2)]
    assert all(torch.equal(found.reference.checkpoint.tensors[name], own) for name, own in a.checkpoint.tensors.items())
    own = found.source.checkpoint.tensors["lm_head.weight"]
    assert torch.equal(own, b.checkpoint.tensors["lm_head.weight"][:40])


@BOTH
def test_a_quarter_of_the_mlp_neurons_pruned(bases: Any, config: Config) -> None:
    kind = config["model_type"]
    state, kept = dict(bases[kind]), {}
    for layer in range(3):
        kept[layer] = torch.randperm(24, generator=torch.Generator().manual_seed(layer))[:18]
        for name in [own for own in state if f".{layer}.mlp." in own]:
            is_down = "down" in name or "mlp.c_proj" in name
            axis = int(is_down) if kind == "llama" else int(not is_down and name.endswith("weight"))
            if not (is_down and name.endswith("bias")):
                state[name] = state[name].index_select(axis, kept[layer])
    told = {**config, INNER[kind]: 18}
    a, b = opened(bases[kind], config), disguised(opened(trained(state, told, 5), told))
    found = common_part(a, b, TRACER)
    assert isinstance(found, CommonPart)
    rows = "model.layers.1.mlp.gate_proj.weight" if kind == "llama" else "transformer.h.1.mlp.c_fc.weight"
    whole, part = (own.checkpoint.tensors[rows] for own in (a, found.reference))
    whole, part = (whole, part) if kind == "llama" else (whole.T, part.T)
    assert torch.equal(part, whole[kept[1].sort().values])


def test_everything_at_once(bases: Any) -> None:
    told = {**LLAMA, "num_hidden_layers": 2, "vocab_size": 33, "max_position_embeddings": 64}
    state = with_layers(bases["llama"], [1, 2])
    state = {name: own[:33] if own.shape[0] == 40 else own for name, own in state.items()}
    found = common_part(opened(bases["llama"], LLAMA), disguised(opened(state, told)), TRACER)
    assert isinstance(found, CommonPart) and isinstance(found.source, LabelledSource)
    assert numbers(found) == [(0, None), (1, 0), (2, 1)]
    assert found.source.network.config == found.reference.network.config  # type: ignore[union-attr]
    assert align_to(found.reference, found.source).after < 1e-5


def test_strangers_of_other_depths_are_not_matched(bases: Any) -> None:
    told = {**LLAMA, "num_hidden_layers": 4}
    stranger = trained(drawn(shapes_like(told), 5), told, 40)
    found = common_part(opened(bases["llama"], LLAMA), opened(stranger, told), TRACER)
    assert isinstance(found, Unmatched)


@pytest.mark.parametrize(
    ("change", "cause"),
    [({"rope_theta": 5e5}, "rope_theta"), ({"num_key_value_heads": 4}, "num_key_value_heads")],
)
def test_another_function_or_other_heads_are_refused(bases: Any, change: Config, cause: str) -> None:
    told = {**LLAMA, "num_hidden_layers": 2, **change}
    found = common_part(opened(bases["llama"], LLAMA), opened(drawn(shapes_like(told), 1), told), TRACER)
    assert isinstance(found, Unmatched)
    assert cause in found.cause


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(LAYOUTS))
def test_a_layer_of_each_family_is_found_again(kind: str) -> None:
    case = json.loads((CASES / f"{kind}.json").read_text(encoding="utf-8"))
    config = case["config"]
    state = drawn({name: tuple(shape) for name, shape in case["shapes"].items()}, 0)
    if torch.is_tensor(state.get("lm_head.weight")) and (
        config.get("tie_word_embeddings") or kind in ("gemma", "gemma2", "gpt2")
    ):
        state["lm_head.weight"] = next(own for name, own in state.items() if "embed_tokens" in name or "wte" in name)
    field = DEPTH.get(kind, "num_hidden_layers")
    told = {**config, field: 1} | ({"layer_types": ["full_attention"]} if "layer_types" in config else {})
    b = disguised(opened(with_layers(state, [1]), told))
    found = common_part(opened(state, config), b, TRACER)
    assert isinstance(found, CommonPart), found
    assert numbers(found) == [(0, None), (1, 0)]
    assert align_to(found.reference, found.source).after < 1e-4
