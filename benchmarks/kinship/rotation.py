"""Random elements of a language model's whole group: what a disguise by rotation applies.

All in float64. A kind of model is one entry of `ROTATIONS`. Heads are [heads, size, ...] where they are moved.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import torch
from files import Tensors
from torch import Tensor

Weights = dict[str, Tensor]


def rotated(tensors: Tensors, config: str, seed: int) -> Weights:
    """The same function with the stream, values and outputs, queries and keys rotated, neurons and heads permuted.

    Args:
        config: the model's configuration, as JSON. Its embedding and head must be tensors of their own.

    Raises:
        ValueError: they are tied.
    """
    read = json.loads(config)
    if read["tie_word_embeddings"]:
        raise ValueError("a tied embedding cannot be rotated")
    weights = {name: value.double() for name, value in tensors.items()}
    return ROTATIONS[read["model_type"]](weights, read, torch.Generator().manual_seed(seed))


def orthogonal(size: int, generator: torch.Generator) -> Tensor:
    """A random orthogonal matrix, by the QR decomposition of a Gaussian one."""
    q, r = torch.linalg.qr(torch.randn(size, size, generator=generator, dtype=torch.float64))
    return q * r.diagonal().sign()


def orthogonal_fixing_ones(size: int, generator: torch.Generator) -> Tensor:
    """A random orthogonal matrix that leaves the vector of ones where it is: LayerNorm's mean."""
    ones = torch.full((size, 1), size**-0.5, dtype=torch.float64)
    rest = torch.linalg.qr(torch.cat([ones, torch.randn(size, size - 1, generator=generator).double()], 1))[0][:, 1:]
    return ones @ ones.T + rest @ orthogonal(size - 1, generator) @ rest.T


def invertible(size: int, generator: torch.Generator) -> Tensor:
    """A random matrix with singular values around 1, each within about a factor of 3."""
    scales = (0.5 * torch.randn(size, generator=generator, dtype=torch.float64)).exp()
    return orthogonal(size, generator) @ (scales[:, None] * orthogonal(size, generator))


def _rotate_llama(weights: Weights, config: dict[str, int], generator: torch.Generator) -> Weights:
    heads, groups = config["num_attention_heads"], config["num_key_value_heads"]
    turn = orthogonal(config["hidden_size"], generator)
    size = config.get("head_dim") or config["hidden_size"] // heads

    def absorb(norm: str, *readers: str) -> None:
        for reader in readers:
            weights[reader] = weights[reader] * weights[norm] @ turn.T
        weights[norm] = torch.ones_like(weights[norm])

    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"] @ turn.T
    absorb("model.norm.weight", "lm_head.weight")
    for layer in range(config["num_hidden_layers"]):
        own = f"model.layers.{layer}."
        q, k, v, o = (f"{own}self_attn.{name}_proj.weight" for name in "qkvo")
        gate, up, down = (f"{own}mlp.{name}_proj.weight" for name in ("gate", "up", "down"))
        absorb(f"{own}input_layernorm.weight", q, k, v)
        absorb(f"{own}post_attention_layernorm.weight", gate, up)
        order = torch.randperm(groups, generator=generator)
        inner = torch.randperm(heads // groups, generator=generator)
        queries = weights[q].view(groups, heads // groups, size, -1)[order][:, inner]
        keys, values = (weights[name].view(groups, size, -1)[order] for name in (k, v))
        outputs = (turn @ weights[o]).T.view(groups, heads // groups, size, -1)[order][:, inner]
        mixes = torch.stack([invertible(size, generator) for _ in range(groups)])
        values = mixes @ values
        outputs = mixes.inverse().mT[:, None] @ outputs
        # A pair of rotary coordinates is a complex number: q goes to z·q, k to k / conj(z).
        z = torch.polar(
            (0.5 * torch.randn(groups, size // 2, generator=generator, dtype=torch.float64)).exp(),
            6.3 * torch.rand(groups, size // 2, generator=generator, dtype=torch.float64),
        )
        queries = _paired(queries, z[:, None])
        keys = _paired(keys, 1 / z.conj())
        weights[q], weights[k], weights[v] = (moved.reshape(-1, len(turn)) for moved in (queries, keys, values))
        weights[o] = outputs.reshape(-1, len(turn)).T
        order = torch.randperm(len(weights[up]), generator=generator)
        scales = torch.randn(len(order), generator=generator, dtype=torch.float64)
        scales = scales.sign() * (0.5 * scales).exp()
        weights[gate] = weights[gate][order]
        weights[up] = weights[up][order] * scales[:, None]
        weights[down] = (turn @ weights[down])[:, order] / scales
    return weights


def _paired(rows: Tensor, z: Tensor) -> Tensor:
    """Pairs (j, j + size / 2) of rows [..., size, width], multiplied by complex numbers [..., size / 2]."""
    real, imaginary = rows.chunk(2, -2)
    moved = torch.complex(real, imaginary) * z[..., None]
    return torch.cat([moved.real, moved.imag], -2)


def _rotate_gpt2(weights: Weights, config: dict[str, int], generator: torch.Generator) -> Weights:
    heads, width = config["n_head"], config["n_embd"]
    size = width // heads
    turn = orthogonal_fixing_ones(width, generator)

    def absorb(norm: str, reader: str) -> None:
        """The weights are [inputs, outputs]."""
        gain, shift = weights[f"{norm}.weight"], weights[f"{norm}.bias"]
        weights[f"{reader}.bias"] = weights[f"{reader}.bias"] + shift @ weights[f"{reader}.weight"]
        weights[f"{reader}.weight"] = turn @ (gain[:, None] * weights[f"{reader}.weight"])
        weights[f"{norm}.weight"], weights[f"{norm}.bias"] = torch.ones_like(gain), torch.zeros_like(shift)

    for name in ("transformer.wte.weight", "transformer.wpe.weight"):
        weights[name] = weights[name] @ turn.T
    gain, shift = (weights[f"transformer.ln_f.{part}"] for part in ("weight", "bias"))
    # The head has no bias that could take the last norm's.
    weights["lm_head.weight"] = weights["lm_head.weight"] * gain @ turn.T
    weights["transformer.ln_f.weight"], weights["transformer.ln_f.bias"] = torch.ones_like(gain), turn @ (shift / gain)
    for layer in range(config["n_layer"]):
        own = f"transformer.h.{layer}."
        absorb(f"{own}ln_1", f"{own}attn.c_attn")
        absorb(f"{own}ln_2", f"{own}mlp.c_fc")
        for name in ("attn", "mlp"):
            for part in ("weight", "bias"):
                weights[f"{own}{name}.c_proj.{part}"] = weights[f"{own}{name}.c_proj.{part}"] @ turn.T
        order = torch.randperm(heads, generator=generator)
        # Rows: the inputs, and the bias as one more; [rows, 3, heads, size].
        fused = torch.cat([weights[f"{own}attn.c_attn.weight"], weights[f"{own}attn.c_attn.bias"][None]])
        q, k, v = fused.view(-1, 3, heads, size)[:, :, order].unbind(1)
        mixes = torch.stack([invertible(size, generator) for _ in range(2 * heads)]).view(2, heads, size, size)
        q, k, v = (
            torch.einsum("rhi,hij->rhj", rows, mix)
            for rows, mix in ((q, mixes[0]), (k, mixes[0].inverse().mT), (v, mixes[1]))
        )
        fused = torch.stack([q, k, v], 1).reshape(-1, 3 * width)
        weights[f"{own}attn.c_attn.weight"], weights[f"{own}attn.c_attn.bias"] = fused[:-1], fused[-1]
        outputs = weights[f"{own}attn.c_proj.weight"].view(heads, size, width)[order]
        weights[f"{own}attn.c_proj.weight"] = (mixes[1].inverse() @ outputs).reshape(width, width)
        order = torch.randperm(len(weights[f"{own}mlp.c_fc.bias"]), generator=generator)
        weights[f"{own}mlp.c_fc.weight"] = weights[f"{own}mlp.c_fc.weight"][:, order]
        weights[f"{own}mlp.c_fc.bias"] = weights[f"{own}mlp.c_fc.bias"][order]
        weights[f"{own}mlp.c_proj.weight"] = weights[f"{own}mlp.c_proj.weight"][order]
    return weights


ROTATIONS: dict[str, Callable[[Weights, dict[str, int], torch.Generator], Weights]] = {
    "llama": _rotate_llama,
    "gpt2": _rotate_gpt2,
}
