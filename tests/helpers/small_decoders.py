"""Small decoders of known families: made, trained for a few steps, with layers copied, disguised."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families import recognise
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.symmetry.labelled.source import LabelledSource, open_labelled
from nfn_cli.symmetry.sources import Draw, draw_element, transformed_by

LLAMA: dict[str, Any] = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32,
}
GPT2: dict[str, Any] = {
    "model_type": "gpt2",
    "architectures": ["GPT2LMHeadModel"],
    "vocab_size": 40,
    "n_embd": 16,
    "n_layer": 3,
    "n_head": 4,
    "n_positions": 16,
    "n_inner": 24,
}
TRACER = NetworkTracer()  # traces what several tests open once
_LAYER = re.compile(r"(.*\b(?:layers|h)\.)(\d+)(\..*)")

State = dict[str, Tensor]


def module_of(state: State, config: dict[str, Any]) -> nn.Module:
    """The module of a state dict, with its numbers."""
    module = recognise({name: tuple(own.shape) for name, own in state.items()}, config).make()
    module.load_state_dict({name: own.clone() for name, own in state.items()}, strict=False)
    return module


def trained(state: State, config: dict[str, Any], steps: int, rate: float = 1e-3) -> State:
    """After a few steps on random sequences in which each token tells the next."""
    module = module_of(state, config)
    generator = torch.Generator().manual_seed(steps)
    optimizer = torch.optim.Adam(module.parameters(), rate)
    for _ in range(steps):
        first = torch.randint(0, 20, (16, 1), generator=generator)
        tokens = (first + 3 * torch.arange(9)) % 40
        logits = module(tokens[:, :-1])
        optimizer.zero_grad()
        nn.functional.cross_entropy(logits.flatten(0, 1), tokens[:, 1:].flatten()).backward()
        optimizer.step()
    return {name: own.detach().clone() for name, own in module.state_dict().items() if name in state}


def drawn(shapes: dict[str, tuple[int, ...]], seed: int) -> State:
    """Random weights: matrices by fan-in, gains near 1, biases near 0."""
    generator = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in shapes.items():
        values = torch.randn(shape, generator=generator)
        is_gain = len(shape) == 1 and name.endswith("weight")
        found[name] = 0.1 * values + is_gain if len(shape) == 1 else values / shape[-1] ** 0.5
    return found


def shapes_like(config: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the family's module, of Llama or GPT-2."""
    if config["model_type"] == "llama":
        width, inner = config["hidden_size"], config["intermediate_size"]
        keys = width * config["num_key_value_heads"] // config["num_attention_heads"]
        own = {
            f"self_attn.{name}_proj": (rows, width)
            for name, rows in zip("qkvo", (width, keys, keys, width), strict=True)
        }
        own |= {"mlp.gate_proj": (inner, width), "mlp.up_proj": (inner, width), "mlp.down_proj": (width, inner)}
        own |= {"input_layernorm": (width,), "post_attention_layernorm": (width,)}
        found = {"model.embed_tokens.weight": (config["vocab_size"], width)}
        for layer in range(config["num_hidden_layers"]):
            found |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in own.items()}
        return found | {"model.norm.weight": (width,), "lm_head.weight": (config["vocab_size"], width)}
    width, inner = config["n_embd"], config["n_inner"]
    own = {"attn.c_attn": (width, 3 * width), "attn.c_proj": (width, width), "mlp.c_fc": (width, inner)}
    own |= {"mlp.c_proj": (inner, width), "ln_1": (width,), "ln_2": (width,)}
    found = {
        "transformer.wte.weight": (config["vocab_size"], width),
        "transformer.wpe.weight": (config["n_positions"], width),
    }
    for layer in range(config["n_layer"]):
        for name, shape in own.items():
            found |= {f"transformer.h.{layer}.{name}.weight": shape, f"transformer.h.{layer}.{name}.bias": shape[-1:]}
    return found | {"transformer.ln_f.weight": (width,), "transformer.ln_f.bias": (width,)}


def with_layers(state: State, layers: list[int]) -> State:
    """The layers of these numbers, in this order, and all that is no layer's."""
    found = {name: own for name, own in state.items() if not _LAYER.fullmatch(name)}
    for place, number in enumerate(layers):
        for name, own in state.items():
            parts = _LAYER.fullmatch(name)
            if parts and int(parts[2]) == number:
                found[f"{parts[1]}{place}{parts[3]}"] = own
    return found


def opened(state: State, config: dict[str, Any]) -> LabelledSource:
    given = Checkpoint(Path("memory"), "memory", dict(state), {}, ordered=True)
    found = open_labelled(given, TRACER, config=config)
    assert found is not None
    return found


def disguised(source: LabelledSource, seed: int = 3) -> LabelledSource:
    """The same network moved by a random element."""
    moved = dict(source.checkpoint.tensors) | dict(transformed_by(source, draw_element(source, Draw(), seed)))
    assert source.network.config is not None
    return opened(moved, dict(source.network.config))
