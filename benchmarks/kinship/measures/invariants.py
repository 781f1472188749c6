"""Invariant terms, after HuRef (https://arxiv.org/abs/2312.04828).

Of each layer of a language model three matrices between characters: E W_q W_kᵀ Eᵀ, E W_v W_o Eᵀ and E W_up W_down Eᵀ,
with the norms' gains multiplied into what reads them, and for LayerNorm the embedding less its mean. Permutations,
scales and rotations leave them as they are. The score is the mean of their cosines.

Of a chain, the product of all its matrices from inputs to outputs, where the kernels but the first are summed over
space. Of a ResNet there is none.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from files import config_beside
from torch import Tensor

from measures.matrices import depth, weights
from measures.measured import Measure, Measured


def _llama(tensors: dict[str, Tensor], config: dict[str, int]) -> list[Tensor]:
    embedding = tensors["model.embed_tokens.weight"]
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    found = []
    for layer in range(depth(tensors)):
        own = f"model.layers.{layer}."
        first, second = (
            embedding * tensors[f"{own}{norm}.weight"] for norm in ("input_layernorm", "post_attention_layernorm")
        )
        q, k, v = (first @ tensors[f"{own}self_attn.{name}_proj.weight"].T for name in "qkv")
        out = embedding @ tensors[f"{own}self_attn.o_proj.weight"]
        k, v = (_repeated(value, groups, heads // groups) for value in (k, v))
        up = second @ tensors[f"{own}mlp.up_proj.weight"].T
        found += [q @ k.T, v @ out.T, up @ (embedding @ tensors[f"{own}mlp.down_proj.weight"]).T]
    return found


def _repeated(values: Tensor, groups: int, times: int) -> Tensor:
    """Keys or values [characters, groups · size], for every head that reads them."""
    return values.unflatten(1, (groups, -1)).repeat_interleave(times, 1).flatten(1)


def _gpt2(tensors: dict[str, Tensor], config: dict[str, int]) -> list[Tensor]:
    embedding = tensors["transformer.wte.weight"]
    embedding = embedding - embedding.mean(1, keepdim=True)
    found = []
    for layer in range(depth(tensors)):
        own = f"transformer.h.{layer}."
        first, second = (embedding * tensors[f"{own}{norm}.weight"] for norm in ("ln_1", "ln_2"))
        q, k, v = (first @ tensors[f"{own}attn.c_attn.weight"]).chunk(3, 1)
        up = second @ tensors[f"{own}mlp.c_fc.weight"]
        outputs, down = (embedding @ tensors[f"{own}{name}.c_proj.weight"].T for name in ("attn", "mlp"))
        found += [q @ k.T, v @ outputs.T, up @ down.T]
    return found


_MODELS = {"llama": _llama, "gpt2": _gpt2}


def _chain(tensors: dict[str, Tensor]) -> list[Tensor]:
    matrices = [value for value in tensors.values() if value.dim() > 1]
    product = matrices[0].flatten(1)
    for matrix in matrices[1:]:
        product = (matrix.sum((2, 3)) if matrix.dim() > 2 else matrix) @ product
    return [product]


def _terms(path: Path) -> list[Tensor] | None:
    tensors, config = weights(path), config_beside(path)
    if config is not None:
        read = json.loads(config)
        return _MODELS[read["model_type"]](tensors, read)
    return None if "bn1.weight" in tensors else _chain(tensors)


def measure(a: Path, b: Path) -> Measured:
    """The mean cosine, over the first layers where one network has more."""
    one, other = _terms(a), _terms(b)
    if one is None or other is None:
        return Measured(None)
    cosines = [
        torch.cosine_similarity(x.flatten(), y.flatten(), 0)
        for x, y in zip(one, other, strict=False)
        if x.shape == y.shape
    ]
    return Measured(torch.stack(cosines).mean().item() if cosines else None)


MEASURE = Measure("invariant terms", measure)
