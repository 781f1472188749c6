"""Networks of token sequences, drawn: embeddings, attention of every kind, token mixing, recurrent layers."""

from __future__ import annotations

import torch
from random_blocks import BLOCKS, ODDITIES, activation, add, dense, norm
from random_steps import Builder, DrawnNetwork, Value
from random_vectors import bilinear, contracted, expert_layers, experts, low_rank, low_rank_beside, tied
from torch import Tensor, nn

F = nn.functional


def attention(b: Builder, x: Value, axis: int) -> Value:
    """Queries, keys and values from dense layers; heads, grouped or not; rotary, masked, with norms, at times."""
    heads, size = b.rng.choice((1, 2, 2, 3)), b.rng.choice((2, 2, 4))
    kv = b.rng.choice([k for k in (1, heads) if heads % k == 0]) if b.chance(0.4) else heads
    bias, fused = b.chance(0.5), kv == heads and b.chance(0.3)
    causal, library, rotary, normed = b.chance(0.3), b.chance(0.5), b.chance(0.25), b.chance(0.15)
    length, width = x.shape[1], x.shape[2]

    def split(value: Tensor, count: int) -> Tensor:
        return value.view(value.shape[0], length, count, size).transpose(1, 2)

    if fused:
        all_three = b.call(nn.Linear(width, 3 * heads * size, bias=bias), x)
        q, k, v = (
            b.step(
                f"{{}}.chunk(3, -1)[{part}] as {heads} heads",
                lambda net, value, part=part: split(value.chunk(3, -1)[part], heads), all_three,
            )
            for part in range(3)
        )  # fmt: skip
    else:
        q, k, v = (
            b.step(
                f"{{}} as {count} heads",
                lambda net, value, count=count: split(value, count),
                b.call(nn.Linear(width, count * size, bias=bias), x),
            )
            for count in (heads, kv, kv)
        )
    if normed:
        q, k = b.call(nn.LayerNorm(size), q), b.call(nn.LayerNorm(size), k)
    if rotary:
        q, k = turned(b, q, length, size), turned(b, k, length, size)
    if kv != heads:
        k, v = (
            b.step(
                f"{{}}.repeat_interleave({heads // kv}, 1)",
                lambda net, value: value.repeat_interleave(heads // kv, 1), each,
            )
            for each in (k, v)
        )  # fmt: skip

    def attended(net: DrawnNetwork, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if library:
            return F.scaled_dot_product_attention(query, key, value, is_causal=causal)
        scores = query @ key.transpose(-1, -2) * size**-0.5
        if causal:
            scores = scores.masked_fill(torch.ones(length, length, dtype=torch.bool).triu(1), -1e9)
        return scores.softmax(-1) @ value

    name = "scaled_dot_product_attention" if library else "softmax(q @ k.T / sqrt(d)) @ v"
    out = b.step(f"{name} of {{}}, {{}}, {{}}{', causal' if causal else ''}", attended, q, k, v)
    out = b.step("{} with its heads joined", lambda net, value: value.transpose(1, 2).flatten(2), out)
    return b.call(nn.Linear(heads * size, width, bias=b.chance(0.6)), out)


def turned(b: Builder, x: Value, length: int, size: int) -> Value:
    """A rotary embedding by tables: pairs are the two halves."""
    angles = torch.arange(length, dtype=torch.float64)[:, None] * 0.7 ** torch.arange(size // 2, dtype=torch.float64)
    both = torch.cat([angles, angles], -1)
    cosine, sine = b.buffer(both.cos()), b.buffer(both.sin())

    def function(net: DrawnNetwork, value: Tensor) -> Tensor:
        one, other = value.chunk(2, -1)
        return value * net.number(cosine) + torch.cat([-other, one], -1) * net.number(sine)

    return b.step("rotary({})", function, x)


def attention_block(b: Builder, x: Value, axis: int) -> Value:
    if b.chance(0.75):
        return add(b, x, attention(b, norm(b, x, -1), -1))
    return norm(b, add(b, x, attention(b, x, -1)), -1)


def feed_forward(b: Builder, x: Value, axis: int) -> Value:
    h = activation(b, dense(b, norm(b, x, -1), b.width(), -1), -1)
    return add(b, x, dense(b, h, x.shape[2], -1))


def swiglu(b: Builder, x: Value, axis: int) -> Value:
    h, width = norm(b, x, -1), b.width()
    gate, up = dense(b, h, width, -1), dense(b, h, width, -1)
    both = b.step("silu({}) * {}", lambda net, one, other: F.silu(one) * other, gate, up)
    return add(b, x, dense(b, both, x.shape[2], -1))


def token_mixing(b: Builder, x: Value, axis: int) -> Value:
    """Tokens mixed by dense layers, as MLP-Mixer has it."""
    length, width = x.shape[1], b.width()
    one, other = b.layer(nn.Linear(length, width)), b.layer(nn.Linear(width, length))
    h = norm(b, x, -1)
    h = b.step(
        f"{other}(gelu({one}({{}}.transpose(1, 2)))).transpose(1, 2)",
        lambda net, v: net.parts[other](F.gelu(net.parts[one](v.transpose(1, 2)))).transpose(1, 2), h,
    )  # fmt: skip
    return add(b, x, h)


def token_moving(b: Builder, x: Value, axis: int) -> Value:
    """Tokens shifted, or averaged, or compared with their mean."""
    kind = b.rng.choice(("roll", "mean", "cumsum"))
    if kind == "roll":
        return b.step("{}.roll(1, 1)", lambda net, value: value.roll(1, 1), x)
    if kind == "cumsum":
        return b.step("{}.cumsum(1)", lambda net, value: value.cumsum(1), x)
    return b.step("{0} - {0}.mean(1)", lambda net, value: value - value.mean(1, keepdim=True), x)


TOKEN_BLOCKS = (
    *((weight * 0.35, block) for weight, block in BLOCKS),
    (5, attention_block),
    (2, feed_forward),
    (2, swiglu),
    (0.7, token_mixing),
    (0.4, token_moving),
    (0.3, tied),
    (0.1, low_rank),
    (0.3, low_rank_beside),
    (0.2, bilinear),
    (0.3, contracted),
    (0.3, experts),
    (0.4, expert_layers),
)


def positions(b: Builder, x: Value) -> Value:
    """A positional table: as long as the tokens, or longer and sliced."""
    length = x.shape[1]
    if b.chance(0.4):
        name = b.parameter(length + 2, x.shape[2])
        return b.step(f"{{}} + {name}[:{length}]", lambda net, value: value + net.number(name)[:length], x)
    if b.chance(0.3):
        name = b.layer(nn.Embedding(length + 2, x.shape[2]))
        return b.step(f"{{}} + {name}(arange({length}))", lambda net, v: v + net.parts[name](torch.arange(length)), x)
    name = b.parameter(1, length, x.shape[2])
    return b.step(f"{{}} + {name}", lambda net, value: value + net.number(name), x)


def class_token(b: Builder, x: Value) -> Value:
    name = b.parameter(1, 1, x.shape[2])
    return b.step(
        f"cat([{name}.expand, {{}}], 1)",
        lambda net, value: torch.cat([net.number(name).expand(value.shape[0], -1, -1), value], 1), x,
    )  # fmt: skip


def token_network(b: Builder) -> Value:
    """From tokens (numbers or patches) through blocks to logits a token, or to one vector."""
    integer = not b.inputs[0].is_floating_point()
    table = b.layer(nn.Embedding(7, b.width())) if integer else None
    x = b.again(table, b.input()) if table else dense(b, b.input(), b.width(), -1)
    classed = b.chance(0.2)
    if classed:
        x = class_token(b, x)
    if b.chance(0.6):
        x = positions(b, x)
    for _ in range(b.rng.randint(1, 3)):
        x = b.draw(ODDITIES if b.chance(0.06) else TOKEN_BLOCKS)(b, x, -1)
        if len(x.shape) != 3:
            break
    if b.chance(0.6):
        x = norm(b, x, -1)
    if table and x.shape[2] == b.network.parts[table].weight.shape[1] and b.chance(0.4):
        return b.step(f"linear({{}}, {table}.weight)", lambda net, value: F.linear(value, net.parts[table].weight), x)
    if classed:
        x = b.step("{}[:, 0]", lambda net, value: value[:, 0], x)
    elif b.chance(0.4):
        x = b.step("{}.mean(1)", lambda net, value: value.mean(1), x)
    return dense(b, x, b.rng.choice((2, 3)), -1)


def recurrent_network(b: Builder) -> Value:
    """Stacks of LSTM, GRU and plain recurrent layers, in one direction or both."""
    kind, layers = b.rng.choice((nn.LSTM, nn.GRU, nn.RNN)), b.rng.choice((1, 2))
    x, both = b.input(), b.chance(0.3)
    if not b.inputs[0].is_floating_point():
        x = b.call(nn.Embedding(7, b.width()), x)
    name = b.layer(kind(x.shape[2], b.width(), layers, batch_first=True, bidirectional=both, bias=b.chance(0.8)))
    x = b.step(f"{name}({{}})[0]", lambda net, value: net.parts[name](value)[0], x)
    if b.chance(0.5):
        x = b.step("{}[:, -1]", lambda net, value: value[:, -1], x)
    if b.chance(0.4):
        x = activation(b, dense(b, x, b.width(), -1), -1)
    return dense(b, x, 2, -1)
