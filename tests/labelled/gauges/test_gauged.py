"""A small Llama that was turned by all its gauges is put back; what it computes stays; strangers are left alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.checkpoints import checkpoint_of
from nfn_cli.symmetry.aligning import align_to
from nfn_cli.symmetry.labelled import act, bounded, sample
from nfn_cli.symmetry.labelled.gauges import act_by, gauged, known_gauges, sample_turns
from nfn_cli.symmetry.labelled.source import LabelledSource, open_labelled
from nfn_cli.symmetry.sources import transformed_by

CONFIG: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 60,
    "hidden_size": 8,
    "intermediate_size": 6,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 16,
    "rms_norm_eps": 1e-6,
    "tie_word_embeddings": False,
}
SHAPES = {
    "model.embed_tokens.weight": (60, 8),
    "model.layers.0.self_attn.q_proj.weight": (16, 8),
    "model.layers.0.self_attn.k_proj.weight": (8, 8),
    "model.layers.0.self_attn.v_proj.weight": (8, 8),
    "model.layers.0.self_attn.o_proj.weight": (8, 16),
    "model.layers.0.mlp.gate_proj.weight": (6, 8),
    "model.layers.0.mlp.up_proj.weight": (6, 8),
    "model.layers.0.mlp.down_proj.weight": (8, 6),
    "model.layers.0.input_layernorm.weight": (8,),
    "model.layers.0.post_attention_layernorm.weight": (8,),
    "model.norm.weight": (8,),
    "lm_head.weight": (60, 8),
}
MLP = {name for name in SHAPES if ".mlp." in name}


@cache
def tracer() -> NetworkTracer:
    return NetworkTracer(gauges=True)


def opened(tensors: dict[str, Tensor], config: dict[str, Any] = CONFIG) -> LabelledSource:
    found = open_labelled(checkpoint_of(tensors, "memory"), tracer(), config=config)
    assert found is not None
    return found


def weights(seed: int, *, tied: bool = False) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    found = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in SHAPES.items()}
    found = {name: own if own.ndim > 1 else 1 + 0.3 * own for name, own in found.items()}
    if tied:
        del found["lm_head.weight"]
    return found


def tuned(tensors: dict[str, Tensor], noise: float) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(9)
    return {
        name: own + noise * own.std() * torch.randn(own.shape, generator=generator, dtype=own.dtype)
        for name, own in tensors.items()
    }


def disguised(tensors: dict[str, Tensor], config: dict[str, Any] = CONFIG) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(4)
    source = opened(tensors, config)
    architecture, tensors = source.architecture, dict(source.checkpoint.tensors)
    element = bounded(sample(architecture, generator, scale_range=(0.3, 3.0)), architecture, tensors)
    return act_by(sample_turns(architecture, generator), act(element, architecture, tensors))


def assert_one_function(one: LabelledSource, other: dict[str, Tensor]) -> None:
    run = one.network.runner()
    for before, after in zip(run(dict(one.checkpoint.tensors)), run(other), strict=True):
        torch.testing.assert_close(after, before, rtol=1e-8, atol=1e-8)


@dataclass(frozen=True)
class Pair:
    a: LabelledSource
    near: LabelledSource
    b: LabelledSource


@cache
def pair(noise: float) -> Pair:
    start = weights(0)
    near = tuned(start, noise)
    return Pair(opened(start), opened(near), opened(disguised(near)))


def test_what_is_turned_comes_back() -> None:
    own = pair(0.0)
    found = align_to(own.a, own.b, full=True)
    assert found.before > 0.5
    assert found.after < 1e-9
    assert found.gauged is not None and len(found.turned) == 3
    moved = transformed_by(found.acts_on(own.b), found.element)
    assert_one_function(own.b, {name: moved[name] for name in SHAPES})
    for name in SHAPES:
        torch.testing.assert_close(moved[name], own.a.checkpoint.tensors[name], rtol=1e-7, atol=1e-7)


def test_a_tuned_network_comes_back_to_where_it_was() -> None:
    own = pair(0.05)
    still = align_to(own.a, own.near).before
    found = align_to(own.a, own.b, full=True)
    assert found.after < 1.3 * still
    assert align_to(own.a, own.b).after > 5 * still


def test_the_tensors_of_neurons_are_not_fitted_on() -> None:
    own = pair(0.05)
    found = gauged(own.a, own.b)
    assert found is not None and found.reference is own.a
    assert found.fitted == set(SHAPES) - MLP
    assert_one_function(own.b, dict(found.source.checkpoint.tensors))


def test_a_tied_network_has_its_heads_put_back() -> None:
    config = CONFIG | {"tie_word_embeddings": True}
    start = weights(0, tied=True)
    a, b = opened(start, config), opened(disguised(start, config), config)
    found = align_to(a, b, full=True)
    assert found.after < 1e-9 < align_to(a, b).after
    assert found.gauged is not None and not any("embed" in name or "norm" in name for name in found.gauged.fitted)


def test_strangers_come_no_nearer_than_by_the_group_alone_or_nearer() -> None:
    a, b = opened(weights(0)), opened(weights(1))
    assert align_to(a, b, full=True).after <= align_to(a, b).after


def test_gains_near_zero_do_no_harm() -> None:
    start = weights(0)
    start["model.norm.weight"][2] = 0.0
    start["model.layers.0.input_layernorm.weight"][1] = 1e-9
    a, b = opened(start), opened(disguised(start))
    found = gauged(a, b)
    assert found is not None
    assert_one_function(b, dict(found.source.checkpoint.tensors))
    # What stood behind a gain of 0 nobody knows.
    assert align_to(a, b, full=True).after < 0.2


def test_without_gauges_there_is_nothing_to_do() -> None:
    start = weights(0)
    plain = open_labelled(checkpoint_of(start, "memory"), NetworkTracer(), config=CONFIG)
    assert plain is not None and known_gauges(plain.architecture) == ()
    assert gauged(plain, plain) is None
