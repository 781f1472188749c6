"""Twenty-odd modules whose groups can be counted by force: hidden widths up to four."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from counted_by_force import Small
from torch import Tensor, nn

F = nn.functional
Make = Callable[[], Small]


class Net(nn.Module):
    """Members by name, and a forward pass given as a function of them."""

    def __init__(self, forward: Callable[..., object], **members: nn.Module | Tensor) -> None:
        super().__init__()
        for name, member in members.items():
            if isinstance(member, nn.Module):
                setattr(self, name, member)
            elif isinstance(member, nn.Parameter):
                self.register_parameter(name, member)
            else:
                self.register_buffer(name, member)
        self._forward = forward
        self.double().eval()

    def forward(self, *values: Tensor) -> object:
        return self._forward(self, *values)


def numbers(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(shape, dtype=torch.float64))


def batch(*shape: int) -> tuple[Tensor]:
    return (torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0)),)


def heads(value: Tensor, count: int) -> Tensor:
    return value.unflatten(-1, (count, -1)).transpose(1, 2)


def attended(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return ((q @ k.transpose(-1, -2)).softmax(-1) @ v).transpose(1, 2).flatten(2)


def root_mean_square(value: Tensor) -> Tensor:
    return value * torch.rsqrt(value.pow(2).mean(-1, keepdim=True) + 0.1)


def mlp(name: str, function: Callable[[Tensor], Tensor], *sizes: int) -> Small:
    layers = {f"l{k}": nn.Linear(a, b) for k, (a, b) in enumerate(pairwise(sizes))}

    def forward(net: nn.Module, x: Tensor) -> Tensor:
        for k in range(len(layers)):
            x = getattr(net, f"l{k}")(x if k == 0 else function(x))
        return x

    return Small(name, Net(forward, **layers), batch(8, sizes[0]))


def residual() -> Small:
    return Small(
        "residual of activated",
        Net(
            lambda net, x: net.d((h := torch.relu(net.a(x))) + net.c(F.gelu(net.b(h)))),
            a=nn.Linear(2, 3), b=nn.Linear(3, 2), c=nn.Linear(2, 3), d=nn.Linear(3, 2),
        ),
        batch(8, 2),
    )  # fmt: skip


def residual_before_activation() -> Small:
    return Small(
        "pre-activation residual",
        Net(
            lambda net, x: net.d(torch.relu((h := net.a(x)) + net.c(torch.relu(net.b(torch.relu(h)))))),
            a=nn.Linear(2, 3), b=nn.Linear(3, 2), c=nn.Linear(2, 3, bias=False), d=nn.Linear(3, 2),
        ),
        batch(8, 2),
    )  # fmt: skip


def linear_stream() -> Small:
    return Small(
        "linear stream",
        Net(
            lambda net, x: net.d((h := net.a(x)) + net.c(torch.tanh(net.b(h)))),
            a=nn.Linear(2, 3), b=nn.Linear(3, 2), c=nn.Linear(2, 3, bias=False), d=nn.Linear(3, 1),
        ),
        batch(8, 2),
    )  # fmt: skip


def normalised_by_statistics() -> Small:
    """A BatchNorm between two convolutions and a ReLU behind it."""
    return Small(
        "BatchNorm and ReLU",
        Net(
            lambda net, x: net.b(torch.relu(net.n(net.a(x)))),
            a=nn.Conv1d(2, 3, 1, bias=False), n=nn.BatchNorm1d(3, eps=1e-13), b=nn.Conv1d(3, 2, 1),
        ),
        batch(4, 2, 3),
    )  # fmt: skip


def statistics_on_a_stream() -> Small:
    """Two BatchNorms read one stream."""
    return Small(
        "BatchNorms that read a stream",
        Net(
            lambda net, x: net.d(F.gelu(net.m((h := net.a(x)) + net.c(F.gelu(net.n(h)))))),
            a=nn.Linear(2, 2, bias=False), n=nn.BatchNorm1d(2, eps=1e-13), c=nn.Linear(2, 2, bias=False),
            m=nn.BatchNorm1d(2, eps=1e-13), d=nn.Linear(2, 2),
        ),
        batch(8, 2),
    )  # fmt: skip


def grouped() -> Small:
    return Small(
        "grouped convolution",
        Net(
            lambda net, x: net.c(torch.relu(net.b(torch.relu(net.a(x))))),
            a=nn.Conv1d(1, 4, 1), b=nn.Conv1d(4, 4, 1, groups=2, bias=False), c=nn.Conv1d(4, 1, 1, bias=False),
        ),
        batch(4, 1, 6),
        each={"b.weight": (1, 0)},
    )  # fmt: skip


def depthwise() -> Small:
    return Small(
        "depthwise convolution",
        Net(
            lambda net, x: net.c(F.silu(net.b(torch.relu(net.a(x))))),
            a=nn.Conv1d(2, 4, 1), b=nn.Conv1d(4, 4, 2, groups=4, bias=False), c=nn.Conv1d(4, 1, 1),
        ),
        batch(4, 2, 4),
    )  # fmt: skip


def concatenated() -> Small:
    return Small(
        "concatenation",
        Net(
            lambda net, x: net.c(torch.cat([torch.relu(net.a(x)), torch.tanh(net.b(x))], 1)),
            a=nn.Linear(2, 2), b=nn.Linear(2, 2), c=nn.Linear(4, 2),
        ),
        batch(8, 2),
    )  # fmt: skip


def concatenated_twins() -> Small:
    """One kind of activation over both halves: any of the four may be any other."""
    return Small(
        "concatenation and one activation",
        Net(
            lambda net, x: net.c(torch.relu(torch.cat([net.a(x), net.b(x)], 1))),
            a=nn.Linear(2, 2, bias=False), b=nn.Linear(2, 2, bias=False), c=nn.Linear(4, 2),
        ),
        batch(8, 2),
    )  # fmt: skip


def halves_swapped() -> Small:
    return Small(
        "halves in another order",
        Net(
            lambda net, x: net.b(torch.cat(net.a(x).sigmoid().chunk(2, 1)[::-1], 1)),
            a=nn.Linear(2, 4), b=nn.Linear(4, 2),
        ),
        batch(8, 2),
    )  # fmt: skip


def tied() -> Small:
    return Small(
        "tied weight",
        Net(
            lambda net, x: F.linear(torch.tanh(F.linear(x, net.w, net.b)), net.w.t()),
            w=numbers(4, 2), b=numbers(4),
        ),
        batch(8, 2),
    )  # fmt: skip


def shared() -> Small:
    return Small(
        "shared layer",
        Net(
            lambda net, x: net.c(torch.relu(net.s(torch.relu(net.s(torch.relu(net.a(x))))))),
            a=nn.Linear(2, 3), s=nn.Linear(3, 3), c=nn.Linear(3, 2),
        ),
        batch(8, 2),
    )  # fmt: skip


def attention() -> Small:
    return Small(
        "attention, two heads",
        Net(
            lambda net, x: net.o(attended(heads(net.q(x), 2), heads(net.k(x), 2), heads(net.v(x), 2))),
            q=nn.Linear(2, 4, bias=False), k=nn.Linear(2, 4, bias=False), v=nn.Linear(2, 4, bias=False),
            o=nn.Linear(4, 2, bias=False),
        ),
        batch(3, 4, 2),
    )  # fmt: skip


def narrow_attention() -> Small:
    """Heads of one dimension each: small enough for signs."""
    return Small(
        "attention, two heads of one",
        Net(
            lambda net, x: net.o(attended(heads(net.q(x), 2), heads(net.k(x), 2), heads(net.v(x), 2))),
            q=nn.Linear(2, 2, bias=False), k=nn.Linear(2, 2, bias=False), v=nn.Linear(2, 2, bias=False),
            o=nn.Linear(2, 2, bias=False),
        ),
        batch(3, 4, 2),
    )  # fmt: skip


def grouped_attention() -> Small:
    """Two query heads share one pair of keys and values."""

    def forward(net: nn.Module, x: Tensor) -> Tensor:
        k, v = (heads(layer(x), 1).repeat_interleave(2, 1) for layer in (net.k, net.v))
        return net.o(attended(heads(net.q(x), 2), k, v))

    return Small(
        "attention, grouped",
        Net(
            forward, q=nn.Linear(2, 4, bias=False), k=nn.Linear(2, 2, bias=False), v=nn.Linear(2, 2, bias=False),
            o=nn.Linear(4, 2, bias=False),
        ),
        batch(3, 4, 2),
    )  # fmt: skip


def gated_stream() -> Small:
    """A residual stream with RMSNorm and a gated feed-forward layer."""

    def forward(net: nn.Module, x: Tensor) -> Tensor:
        h = net.a(x)
        n = net.g * root_mean_square(h)
        return net.o(root_mean_square(h + net.down(F.silu(net.gate(n)) * net.up(n))))

    return Small(
        "RMSNorm stream, gated",
        Net(
            forward, a=nn.Linear(2, 3, bias=False), g=numbers(3), gate=nn.Linear(3, 2, bias=False),
            up=nn.Linear(3, 2, bias=False), down=nn.Linear(2, 3, bias=False), o=nn.Linear(3, 2, bias=False),
        ),
        batch(12, 2),
    )  # fmt: skip


def layer_norm() -> Small:
    return Small(
        "LayerNorm on an embedding",
        Net(
            lambda net, x: net.b(net.n(net.e(x))),
            e=nn.Embedding(3, 4), n=nn.LayerNorm(4, eps=0.1), b=nn.Linear(4, 2),
        ),
        (torch.tensor([[0, 1, 2]]),),
    )  # fmt: skip


def tied_embedding() -> Small:
    return Small(
        "tied embedding, RMSNorm",
        Net(
            lambda net, x: F.linear(net.g * root_mean_square(net.e(x)), net.e.weight),
            e=nn.Embedding(3, 4), g=numbers(4),
        ),
        (torch.tensor([[0, 1, 2]]),),
    )  # fmt: skip


def gate() -> Small:
    return Small(
        "gate",
        Net(
            lambda net, x: net.c(net.a(x) * torch.sigmoid(net.b(x))),
            a=nn.Linear(2, 3), b=nn.Linear(2, 3, bias=False), c=nn.Linear(3, 1),
        ),
        batch(8, 2),
    )  # fmt: skip


def product() -> Small:
    """A product of two: the scale of one is taken back by the other."""
    return Small(
        "product",
        Net(
            lambda net, x: net.c(net.a(x) * net.b(x)),
            a=nn.Linear(2, 2), b=nn.Linear(2, 2, bias=False), c=nn.Linear(2, 2, bias=False),
        ),
        batch(8, 2),
    )  # fmt: skip


def experts() -> Small:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        h = torch.relu(torch.einsum("bd,edf->bef", x, net.up))
        return torch.einsum("bef,efd,be->bd", h, net.down, net.router(x).softmax(-1))

    return Small(
        "experts",
        Net(forward, router=nn.Linear(2, 2, bias=False), up=numbers(2, 2, 2), down=numbers(2, 2, 2)),
        batch(12, 2),
        each={"up": (2, 0), "down": (1, 0)},
    )


def expert_layers() -> Small:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        gates = net.router(x).softmax(-1)
        return gates[:, :1] * net.b0(torch.relu(net.a0(x))) + gates[:, 1:] * net.b1(torch.relu(net.a1(x)))

    return Small(
        "experts as layers",
        Net(
            forward, router=nn.Linear(2, 2, bias=False), a0=nn.Linear(2, 2), a1=nn.Linear(2, 2), b0=nn.Linear(2, 1),
            b1=nn.Linear(2, 1),
        ),
        batch(12, 2),
    )  # fmt: skip


def flattened() -> Small:
    return Small(
        "flattened",
        Net(
            lambda net, x: net.b(torch.relu(net.a(x)).flatten(1)),
            a=nn.Conv1d(2, 2, 1), b=nn.Linear(4, 2),
        ),
        batch(8, 2, 2),
    )  # fmt: skip


def mixer() -> Small:
    def forward(net: nn.Module, x: Tensor) -> Tensor:
        h = net.a(x)
        h = h + net.d(F.gelu(net.c(h.transpose(1, 2)))).transpose(1, 2)
        return net.e(h)

    return Small(
        "token mixing",
        Net(
            forward, a=nn.Linear(2, 2, bias=False), c=nn.Linear(2, 3, bias=False), d=nn.Linear(3, 2, bias=False),
            e=nn.Linear(2, 1, bias=False),
        ),
        batch(8, 2, 2),
    )  # fmt: skip


def pooled() -> Small:
    return Small(
        "max pooling",
        Net(
            lambda net, x: net.b(F.max_pool1d(net.a(x), 2).flatten(1)),
            a=nn.Conv1d(1, 2, 2), b=nn.Linear(4, 1),
        ),
        batch(8, 1, 5),
    )  # fmt: skip


def convolved() -> Small:
    return Small(
        "transposed convolution",
        Net(
            lambda net, x: net.b(torch.relu(net.a(x))),
            a=nn.Conv1d(1, 3, 2, bias=False), b=nn.ConvTranspose1d(3, 1, 2),
        ),
        batch(4, 1, 5),
    )  # fmt: skip


def learned_scale() -> Small:
    return Small(
        "learned scale",
        Net(
            lambda net, x: net.b(torch.sin(net.a(x)) * net.g),
            a=nn.Linear(2, 3), g=numbers(3), b=nn.Linear(3, 2),
        ),
        batch(8, 2),
    )  # fmt: skip


def recurrent() -> Small:
    """Written out, so that it can be tried by the thousand at once."""

    def forward(net: nn.Module, x: Tensor) -> Tensor:
        h = torch.tanh(net.a(x[:, 0]))
        for step in (1, 2):
            h = torch.tanh(net.a(x[:, step]) + net.s(h))
        return net.b(h)

    return Small(
        "recurrent",
        Net(forward, a=nn.Linear(2, 3), s=nn.Linear(3, 3, bias=False), b=nn.Linear(3, 1)),
        batch(8, 3, 2),
    )


SMALL: tuple[Make, ...] = (
    lambda: mlp("two hidden layers, ReLU", torch.relu, 2, 3, 3, 2),
    lambda: mlp("tanh", torch.tanh, 2, 4, 2),
    lambda: mlp("linear", lambda x: x, 1, 3, 2),
    lambda: mlp("squares", lambda x: x**2, 2, 3, 2),
    lambda: mlp("absolute values", torch.abs, 2, 3, 2),
    lambda: mlp("width one", torch.relu, 1, 1, 1, 1),
    residual, residual_before_activation, linear_stream, normalised_by_statistics, statistics_on_a_stream, grouped,
    depthwise, concatenated, concatenated_twins, halves_swapped, tied, shared, attention, narrow_attention,
    grouped_attention, gated_stream, layer_norm, tied_embedding, gate, product, experts, expert_layers, flattened,
    mixer, pooled, convolved, learned_scale, recurrent,
)  # fmt: skip
