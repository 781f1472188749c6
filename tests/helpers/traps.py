"""Small modules that a tracer may get wrong: each has one trap in it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from counted_by_force import Small
from small_networks import Net, attended, batch, heads, numbers, root_mean_square
from torch import Tensor, nn

F = nn.functional
Forward = Callable[..., Any]


@dataclass(frozen=True)
class Trap:
    """A module with a trap in it.

    Attributes:
        small: the module, its inputs, and how force reads its tensors.
        counts: order of permutations, dimensions of scales and of signs, where force can tell (see `KNOWN`).
        may_refuse: whether a refusal is a good answer as well.
        others: further inputs on which a moved module must answer the same, such as longer ones.
        moves: tensors that a random permutation must move.
    """

    small: Small
    may_refuse: bool = False
    others: tuple[tuple[Any, ...], ...] = ()
    moves: tuple[str, ...] = ()


@dataclass
class Traps:
    """All traps, by name."""

    made: dict[str, Callable[[], Trap]] = field(default_factory=dict)
    places: dict[str, tuple[str, int]] = field(default_factory=dict)

    def add(
        self,
        name: str,
        make: Callable[[], tuple[Forward, dict[str, Any]]],
        inputs: tuple[Any, ...] | None = None,
        views: dict[str, tuple[int, ...]] | None = None,
        each: dict[str, tuple[int, int]] | None = None,
        **facts: Any,
    ) -> None:
        def made() -> Trap:
            forward, members = make()
            values = batch(8, 2) if inputs is None else inputs
            return Trap(Small(name, Net(forward, **members), values, views or {}, each or {}), **facts)

        # A module that is imported twice, as where doctests are looked for, adds its traps twice.
        caller = sys._getframe(1)
        place = (caller.f_code.co_filename, caller.f_lineno)
        assert self.places.setdefault(name, place) == place, f"two traps are called {name}"
        self.made[name] = made


TRAPS = Traps()
add = TRAPS.add


def lin(inputs: int, outputs: int, bias: bool = True) -> nn.Linear:
    return nn.Linear(inputs, outputs, bias=bias)


def between(function: Callable[[Tensor], Tensor], width: int = 3, bias: bool = True) -> Any:
    """A function of a hidden layer, between two dense ones."""
    return lambda: (lambda net, x: net.b(function(net.a(x))), {"a": lin(2, width, bias), "b": lin(width, 2)})


# Functions of a hidden layer.
add("x + a three-cycle of channels", between(lambda h: torch.relu(h + h[:, torch.tensor([1, 2, 0])])))
add("x + channels in pairs swapped", between(lambda h: torch.relu(h + h[:, torch.tensor([1, 0, 3, 2])]), 4))
add("two three-cycles", between(lambda h: torch.relu(h + h.unflatten(1, (2, 2)).roll(1, 2).flatten(1)), 4))
add("x + flip", between(lambda h: torch.tanh(h + h.flip(1)), 4))
add("x + flip, odd", between(lambda h: torch.tanh(h + h.flip(1))))
add("x + roll", between(lambda h: torch.relu(h + h.roll(1, 1)), 4))
add("flip alone", between(lambda h: torch.relu(h).flip(1)))
add("roll alone", between(lambda h: torch.relu(h).roll(1, 1)))
add("hidden width one", between(torch.relu, 1))
add(
    "hidden width one, broadcast",
    lambda: (
        lambda net, x: net.c(torch.relu(net.a(x)) * torch.tanh(net.b(x))),
        {"a": lin(2, 1), "b": lin(2, 3), "c": lin(3, 1)},
    ),
)
add(
    "hidden width one, added",
    lambda: (lambda net, x: net.c(torch.relu(net.a(x) + net.b(x))), {"a": lin(2, 1), "b": lin(2, 3), "c": lin(3, 1)}),
)
add(
    "maximum over channels",
    between(lambda h: torch.cat([h.amax(1, keepdim=True), h.tanh()], 1)[:, :3], 3),
    may_refuse=True,
)
add("maximum over all channels", lambda: (lambda net, x: net.a(x).amax(1), {"a": lin(2, 3)}))
add("sum over channels", lambda: (lambda net, x: torch.tanh(net.a(x)).sum(1), {"a": lin(2, 3)}))
add(
    "sum over channels, then a layer",
    lambda: (lambda net, x: net.b(torch.relu(net.a(x)).sum(1, keepdim=True)), {"a": lin(2, 3), "b": lin(1, 2)}),
)
add("less the mean over channels", between(lambda h: torch.tanh(h - h.mean(1, keepdim=True))))
add("less the maximum over channels", between(lambda h: torch.tanh(h - h.amax(1, keepdim=True))))
add("softmax over channels", between(lambda h: h.softmax(1)))
add("logarithm of softmax", between(lambda h: h.log_softmax(1)))
add("softmax over half the channels", between(lambda h: torch.cat([h[:, :2].softmax(1), h[:, 2:].tanh()], 1), 4))
add("cumulative sum over channels", between(lambda h: torch.relu(h.cumsum(1))), may_refuse=True)
add("sorted channels", between(lambda h: h.sort(1).values), may_refuse=True)
add("top two channels", between(lambda h: h.topk(2, 1).values.repeat(1, 2)[:, :3]), may_refuse=True)
add("norm of channels", between(lambda h: h / h.norm(dim=1, keepdim=True)))
add("normalize", between(lambda h: F.normalize(h, dim=1)))
add("comparison", between(lambda h: (h > 0).to(h)))
add("comparison with a half", between(lambda h: (h > 0.5) * h))
add("comparison of neurons with each other", between(lambda h: (h > h.roll(1, 1)) * h), may_refuse=True)
add("clamp", between(lambda h: h.clamp(-0.3, 0.6)))
add("clamp to positive", between(lambda h: h.clamp(min=0)))
add("where: leaky", between(lambda h: torch.where(h > 0, h, 0.1 * h)))
add("where: elu", between(lambda h: torch.where(h > 0, h, h.exp() - 1)))
add("x sigmoid(x)", between(lambda h: h * h.sigmoid()))
add("silu", between(F.silu))
add("x relu(x)", between(lambda h: h * h.relu()))
add("x tanh(x)", between(lambda h: h * h.tanh()))
add("x absolute x", between(lambda h: h * h.abs()))
add("square", between(lambda h: h**2))
add("x times itself", between(lambda h: h * h))
add("cube", between(lambda h: h**3))
add("cube and square", between(lambda h: h**3 + h**2))
add("root of absolutes", between(lambda h: h.abs().sqrt()))
add("logarithm of squares", between(lambda h: (h * h + 0.3).log()))
add("reciprocal", between(lambda h: 1 / (h.abs() + 0.5)))
add("reciprocal alone", between(lambda h: 1 / h))
add("x over absolute x", between(lambda h: h / h.abs()))
add("x over itself shifted", between(lambda h: h / (h.abs() + 1)))
add("one less", between(lambda h: torch.tanh(1 - h)))
add("added constant", between(lambda h: torch.relu(h + 1)))
add(
    "added constants that differ", between(lambda h: torch.relu(h + torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64)))
)
add(
    "multiplied by constants that differ",
    between(lambda h: torch.relu(h * torch.tensor([1.0, 1.0, 2.0], dtype=torch.float64))),
)
add(
    "multiplied by constants of two signs",
    between(lambda h: torch.relu(h * torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64))),
)
add("linear positions added", between(lambda h: torch.tanh(h + torch.arange(3, dtype=torch.float64))))
add("less the batch's mean", between(lambda h: torch.tanh(h - h.mean(0, keepdim=True))))
add("less the batch's mean, no bias", between(lambda h: torch.tanh(h - h.mean(0, keepdim=True)), bias=False))
add("over the batch's deviation", between(lambda h: h / h.pow(2).mean(0, keepdim=True).sqrt()))
add("a tenth of leaky minus", between(lambda h: F.leaky_relu(-h, 0.1)))
add("leaky with one: linear", between(lambda h: F.leaky_relu(h, 1.0)), may_refuse=True)
add("relu of minus, added", between(lambda h: h.relu() + (-h).relu()))
add("relu minus relu of minus", between(lambda h: h.relu() - (-h).relu()))
add("relu6", between(lambda h: F.relu6(6 * h)))
add("hard sigmoid", between(F.hardsigmoid))
add(
    "sine and cosine of one",
    lambda: (lambda net, x: net.b(torch.cat([(h := net.a(x)).sin(), h.cos()], 1)), {"a": lin(2, 2), "b": lin(4, 2)}),
)
add(
    "relu of both signs",
    lambda: (
        lambda net, x: net.b(torch.cat([(h := net.a(x)).relu(), (-h).relu()], 1)),
        {"a": lin(2, 2), "b": lin(4, 2)},
    ),
    may_refuse=True,
)
add("maxout", lambda: (lambda net, x: net.b(net.a(x).unflatten(1, (2, 2)).amax(2)), {"a": lin(2, 4), "b": lin(2, 2)}))
add(
    "maxout across",
    lambda: (lambda net, x: net.b(net.a(x).unflatten(1, (2, 2)).amax(1)), {"a": lin(2, 4), "b": lin(2, 2)}),
)
add(
    "maximum of two layers",
    lambda: (lambda net, x: net.c(torch.maximum(net.a(x), net.b(x))), {"a": lin(2, 3), "b": lin(2, 3), "c": lin(3, 1)}),
)
add("rounded", between(lambda h: h.round()), may_refuse=True)
add(
    "outer product",
    lambda: (
        lambda net, x: net.c((net.a(x)[:, :, None] * net.b(x)[:, None, :]).flatten(1)),
        {"a": lin(2, 2, False), "b": lin(2, 2, False), "c": lin(4, 1)},
    ),
    views={"c.weight": (1, 2, 2)},
)
add(
    "product with itself across",
    lambda: (
        lambda net, x: net.c(((h := net.a(x))[:, :, None] * h[:, None, :]).flatten(1)),
        {"a": lin(2, 2, False), "c": lin(4, 1)},
    ),
    may_refuse=True,
)

# Residual additions.
add(
    "residual before activation",
    lambda: (
        lambda net, x: net.d((h := net.a(x)) + net.c(net.b(h.relu()).relu())),
        {"a": lin(2, 3), "b": lin(3, 2), "c": lin(2, 3, False), "d": lin(3, 1)},
    ),
)
add(
    "residual of activated",
    lambda: (
        lambda net, x: net.d((h := net.a(x).relu()) + net.c(net.b(h).relu())),
        {"a": lin(2, 3), "b": lin(3, 2), "c": lin(2, 3, False), "d": lin(3, 1)},
    ),
)
add(
    "residual with SiLU",
    lambda: (
        lambda net, x: net.d(F.silu((h := F.silu(net.a(x))) + net.c(F.silu(net.b(h))))),
        {"a": lin(2, 3), "b": lin(3, 2), "c": lin(2, 3, False), "d": lin(3, 1)},
    ),
)
add("residual over the inputs", lambda: (lambda net, x: net.b(net.a(x).relu()) + x, {"a": lin(2, 3), "b": lin(3, 2)}))
add(
    "residual to a part",
    lambda: (
        lambda net, x: net.c(torch.cat([(h := net.a(x).relu())[:, :2] + net.b(h), h[:, 2:]], 1)),
        {"a": lin(2, 4), "b": lin(4, 2, False), "c": lin(4, 1)},
    ),
)
add("the same added twice", between(lambda h: torch.tanh(h + h)))
add("less itself", between(lambda h: torch.tanh(h - 0.5 * h)))

# Flattening, slicing, indexing.
add(
    "flatten, then a constant shuffle",
    lambda: (
        lambda net, x: net.b(net.a(x).relu().flatten(1)[:, torch.tensor([2, 0, 3, 1])]),
        {"a": nn.Conv1d(1, 2, 1), "b": lin(4, 1)},
    ),
    batch(8, 1, 2),
)
add(
    "flatten, then half",
    lambda: (lambda net, x: net.b(net.a(x).relu().flatten(1)[:, :3]), {"a": nn.Conv1d(1, 2, 1), "b": lin(3, 1)}),
    batch(8, 1, 2),
)
add(
    "flatten with positions first",
    lambda: (
        lambda net, x: net.b(net.a(x).relu().transpose(1, 2).flatten(1)),
        {"a": nn.Conv1d(1, 2, 1), "b": lin(4, 1)},
    ),
    batch(8, 1, 2),
    views={"b.weight": (1, 2, 2)},
)
add(
    "flatten, viewed in another shape",
    lambda: (lambda net, x: net.b(net.a(x).relu().reshape(8, 3, 2).sum(2)), {"a": nn.Conv1d(1, 2, 1), "b": lin(3, 1)}),
    batch(8, 1, 3),
    may_refuse=True,
)
add(
    "flatten, softmax over all",
    lambda: (lambda net, x: net.b(net.a(x).flatten(1).softmax(1)), {"a": nn.Conv1d(1, 2, 1), "b": lin(4, 1)}),
    batch(8, 1, 2),
    views={"b.weight": (1, 2, 2)},
)
add(
    "every second channel",
    lambda: (lambda net, x: net.b((h := net.a(x).relu())[:, ::2] * h[:, 1::2]), {"a": lin(2, 4), "b": lin(2, 1)}),
)
add(
    "channel shuffle",
    lambda: (
        lambda net, x: net.c(net.b(net.a(x).relu().unflatten(1, (2, 2)).transpose(1, 2).flatten(1, 2)).relu()),
        {"a": nn.Conv1d(1, 4, 1), "b": nn.Conv1d(4, 4, 1, groups=2, bias=False), "c": nn.Conv1d(4, 1, 1)},
    ),
    batch(4, 1, 6),
    each={"b.weight": (1, 0)},
)
add(
    "pixel shuffle",
    lambda: (
        lambda net, x: net.b(F.pixel_shuffle(net.a(x).relu(), 2)),
        {"a": nn.Conv2d(1, 4, 1), "b": nn.Conv2d(1, 1, 2)},
    ),
    batch(3, 1, 2, 2),
    may_refuse=True,
)
add("a channel dropped", lambda: (lambda net, x: net.b(net.a(x).relu()[:, :2]), {"a": lin(2, 2), "b": lin(2, 1)}))
add(
    "one channel picked",
    lambda: (lambda net, x: (h := net.a(x).tanh())[:, 0] * net.b(h)[:, 0], {"a": lin(2, 3), "b": lin(3, 1)}),
)
add(
    "padded channels and BatchNorm",
    lambda: (
        lambda net, x: net.b(net.n(F.pad(net.a(x).relu(), (0, 0, 1, 1))).relu()),
        {"a": nn.Conv1d(1, 2, 1, bias=False), "n": nn.BatchNorm1d(4, eps=1e-13), "b": nn.Conv1d(4, 1, 1)},
    ),
    batch(4, 1, 5),
    may_refuse=True,
)
add(
    "padded channels, added",
    lambda: (
        lambda net, x: net.c((F.pad(net.a(x).relu(), (1, 1)) + net.b(x)).relu()),
        {"a": lin(2, 2), "b": lin(2, 4), "c": lin(4, 1)},
    ),
)
add(
    "padded positions",
    lambda: (lambda net, x: net.b(F.pad(net.a(x), (1, 1)).relu()), {"a": nn.Conv1d(1, 2, 1), "b": nn.Conv1d(2, 1, 2)}),
    batch(4, 1, 4),
)
add(
    "padded with ones",
    lambda: (
        lambda net, x: net.b(F.pad(net.a(x), (1, 1), value=1.0).relu()),
        {"a": nn.Conv1d(1, 2, 1), "b": nn.Conv1d(2, 1, 2)},
    ),
    batch(4, 1, 4),
)
add(
    "reflected positions",
    lambda: (
        lambda net, x: net.b(F.pad(net.a(x), (1, 1), mode="reflect").relu()),
        {"a": nn.Conv1d(1, 2, 1), "b": nn.Conv1d(2, 1, 2)},
    ),
    batch(4, 1, 4),
    may_refuse=True,
)
add(
    "concatenated with itself",
    lambda: (lambda net, x: net.b(torch.cat([h := net.a(x).relu(), h], 1)), {"a": lin(2, 2), "b": lin(4, 1)}),
    views={"b.weight": (1, 2, 2)},
)
add(
    "concatenated with itself, then activated in halves",
    lambda: (lambda net, x: net.b(torch.cat([(h := net.a(x)).tanh(), h.relu()], 1)), {"a": lin(2, 2), "b": lin(4, 1)}),
    views={"b.weight": (1, 2, 2)},
)
add(
    "concatenated with the inputs",
    lambda: (lambda net, x: net.b(torch.cat([net.a(x).relu(), x], 1)), {"a": lin(2, 2), "b": lin(4, 1)}),
)
add(
    "concatenated with a constant",
    lambda: (
        lambda net, x: net.b(torch.cat([net.a(x).relu(), torch.ones(8, 1, dtype=torch.float64)], 1)),
        {"a": lin(2, 2), "b": lin(3, 1)},
    ),
)
add(
    "concatenated along positions",
    lambda: (
        lambda net, x: net.c(torch.cat([net.a(x), net.b(x)], 2).relu()),
        {"a": nn.Conv1d(1, 3, 1), "b": nn.Conv1d(1, 3, 1), "c": nn.Conv1d(3, 1, 2)},
    ),
    batch(4, 1, 3),
)
add(
    "stacked",
    lambda: (
        lambda net, x: net.c(torch.stack([net.a(x).relu(), net.b(x).relu()], 2).flatten(1)),
        {"a": lin(2, 2), "b": lin(2, 2), "c": lin(4, 1)},
    ),
)
add(
    "stacked and summed",
    lambda: (
        lambda net, x: net.c(torch.stack([net.a(x).relu(), net.b(x).relu()], 1).sum(1)),
        {"a": lin(2, 2), "b": lin(2, 2), "c": lin(2, 1)},
    ),
)

# Tables and tokens.
tokens = (torch.tensor([[0, 1, 2, 1], [2, 2, 0, 1], [1, 0, 0, 2]]),)
longer = (torch.tensor([[0, 1, 2, 1, 0, 2], [2, 2, 0, 1, 1, 1]]),)
add(
    "sliced positional table",
    lambda: (
        lambda net, x: net.b(torch.relu(net.e(x) + net.p[: x.shape[1]])),
        {"e": nn.Embedding(3, 3), "p": numbers(6, 3), "b": lin(3, 1)},
    ),
    tokens,
    others=(longer,),
    moves=("e.weight", "p", "b.weight"),
)
add(
    "positional table by numbers",
    lambda: (
        lambda net, x: net.b(torch.relu(net.e(x) + net.p(torch.arange(x.shape[1])))),
        {"e": nn.Embedding(3, 3), "p": nn.Embedding(6, 3), "b": lin(3, 1)},
    ),
    tokens,
    others=(longer,),
    moves=("e.weight", "p.weight", "b.weight"),
)
add(
    "positional table with an offset",
    lambda: (
        lambda net, x: net.b(torch.relu(net.e(x) + net.p(torch.arange(x.shape[1]) + 2))),
        {"e": nn.Embedding(3, 3), "p": nn.Embedding(6, 3), "b": lin(3, 1)},
    ),
    tokens,
    moves=("e.weight", "p.weight", "b.weight"),
)
add(
    "class token",
    lambda: (
        lambda net, x: net.b(torch.cat([net.t.expand(3, 1, 3), net.e(x)], 1).relu().mean(1)),
        {"e": nn.Embedding(3, 3), "t": numbers(1, 1, 3), "b": lin(3, 2)},
    ),
    tokens,
)
add(
    "relative bias by an index",
    lambda: (
        lambda net, x: net.b((net.a(x) @ x.transpose(1, 2) + net.t[net.i].squeeze(-1)).softmax(-1) @ net.c(x)),
        {
            "a": lin(2, 2, False),
            "b": lin(3, 1),
            "c": lin(2, 3, False),
            "t": numbers(3, 1),
            "i": torch.tensor([[0, 1], [2, 0]]),
        },
    ),
    batch(4, 2, 2),
    may_refuse=True,
)
add(
    "tokens rolled",
    lambda: (
        lambda net, x: net.b(torch.relu(net.e(x) + net.e(x).roll(1, 1))),
        {"e": nn.Embedding(3, 3), "b": lin(3, 1)},
    ),
    tokens,
)
add(
    "tokens averaged before",
    lambda: (
        lambda net, x: net.b(torch.relu(net.e(x) - net.e(x).mean(1, keepdim=True))),
        {"e": nn.Embedding(3, 3), "b": lin(3, 1)},
    ),
    tokens,
)
add(
    "cumulative over tokens",
    lambda: (lambda net, x: net.b(torch.relu(net.e(x).cumsum(1))), {"e": nn.Embedding(3, 3), "b": lin(3, 1)}),
    tokens,
)
add(
    "scaled embedding, tied head",
    lambda: (lambda net, x: F.linear((net.e(x) * 3**0.5).tanh(), net.e.weight), {"e": nn.Embedding(3, 3)}),
    tokens,
)
add(
    "embedding tied to another table",
    lambda: (
        lambda net, x: net.b((net.e(x) + F.linear(net.c(net.e(x)).tanh(), net.e.weight.t())).tanh()),
        {"e": nn.Embedding(3, 2), "c": lin(2, 3), "b": lin(2, 1)},
    ),
    tokens,
)

# Weights in other ways.
add(
    "a weight whole and in halves",
    lambda: (
        lambda net, x: net.b(F.linear(x, net.w).relu()) + F.linear(x, net.w[:2]).tanh().sum(1, keepdim=True),
        {"w": numbers(4, 2), "b": lin(4, 1)},
    ),
    may_refuse=True,
)
add(
    "two slices that overlap",
    lambda: (
        lambda net, x: net.b(F.linear(x, net.w[:2]).relu()) + net.c(F.linear(x, net.w[1:]).relu()),
        {"w": numbers(3, 2), "b": lin(2, 1), "c": lin(2, 1)},
    ),
    may_refuse=True,
)
add(
    "two slices side by side",
    lambda: (
        lambda net, x: net.b(F.linear(x, net.w[:2]).relu()) + net.c(F.linear(x, net.w[2:]).tanh()),
        {"w": numbers(4, 2), "b": lin(2, 1), "c": lin(2, 1)},
    ),
)
add(
    "slices that leave a gap",
    lambda: (
        lambda net, x: net.b(F.linear(x, net.w[::2]).relu()) + net.c(F.linear(x, net.w[1::2]).tanh()),
        {"w": numbers(4, 2), "b": lin(2, 1), "c": lin(2, 1)},
    ),
)
add(
    "a buffer as a weight",
    lambda: (
        lambda net, x: net.b(F.linear(x, net.w).relu()),
        {"w": torch.randn(3, 2, dtype=torch.float64), "b": lin(3, 1)},
    ),
    may_refuse=True,
)
add(
    "a constant between",
    lambda: (
        lambda net, x: net.b(
            F.linear(net.a(x).relu(), torch.tensor([[1.0, 2.0, 1.0], [0.0, 1.0, 0.0]], dtype=torch.float64)).relu()
        ),
        {"a": lin(2, 3), "b": lin(2, 1)},
    ),
    may_refuse=True,
)
add(
    "weight normalisation",
    lambda: (
        lambda net, x: net.b(F.linear(x, net.g * net.v / net.v.norm(dim=1, keepdim=True)).tanh()),
        {"v": numbers(3, 2), "g": numbers(3, 1), "b": lin(3, 1)},
    ),
    may_refuse=True,
)
add(
    "normalised weights: cosine",
    lambda: (
        lambda net, x: 3 * F.linear(F.normalize(net.a(x).relu(), dim=1), F.normalize(net.w, dim=1)),
        {"a": lin(2, 3), "w": numbers(2, 3)},
    ),
    may_refuse=True,
)
add(
    "weight less its mean",
    lambda: (
        lambda net, x: net.b(F.linear(net.a(x).relu(), net.w - net.w.mean(1, keepdim=True)).relu()),
        {"a": lin(2, 3), "w": numbers(3, 3), "b": lin(3, 1)},
    ),
    may_refuse=True,
)
add(
    "weight over its norm",
    lambda: (lambda net, x: net.b(F.linear(x, net.w / net.w.norm()).relu()), {"w": numbers(3, 2), "b": lin(3, 1)}),
    may_refuse=True,
)
add(
    "weight and low rank",
    lambda: (
        lambda net, x: net.b(F.linear(x, net.w + net.u @ net.v).relu()),
        {"w": numbers(3, 2), "u": numbers(3, 2), "v": numbers(2, 2), "b": lin(3, 1)},
    ),
    may_refuse=True,
)
add(
    "low rank beside",
    lambda: (
        lambda net, x: net.b((net.w(x) + net.u(net.v(x))).relu()),
        {"w": lin(2, 3), "u": lin(2, 3, False), "v": lin(2, 2, False), "b": lin(3, 1)},
    ),
)
add(
    "logits scaled by an exponential",
    lambda: (lambda net, x: F.normalize(net.a(x), dim=1) * net.s.exp(), {"a": lin(2, 3), "s": numbers(1)}),
    may_refuse=True,
)
add(
    "channels scaled by exponentials",
    lambda: (lambda net, x: net.b((net.a(x) * net.s.exp()).tanh()), {"a": lin(2, 3), "s": numbers(3), "b": lin(3, 1)}),
    may_refuse=True,
)
add(
    "channels scaled by softplus",
    lambda: (
        lambda net, x: net.b((net.a(x) * F.softplus(net.s)).tanh()),
        {"a": lin(2, 3), "s": numbers(3), "b": lin(3, 1)},
    ),
    may_refuse=True,
)
add(
    "channels scaled by one plus",
    lambda: (lambda net, x: net.b(net.a(x).tanh() * (1 + net.s)), {"a": lin(2, 3), "s": numbers(3), "b": lin(3, 1)}),
    may_refuse=True,
)
add(
    "one gain for all",
    lambda: (lambda net, x: net.b(net.a(x).relu() * net.s), {"a": lin(2, 3), "s": numbers(1), "b": lin(3, 1)}),
)
add(
    "one gain of no axis",
    lambda: (lambda net, x: net.b(net.a(x).relu() * net.s), {"a": lin(2, 3), "s": numbers(), "b": lin(3, 1)}),
)
add(
    "one shift for all",
    lambda: (lambda net, x: net.b((net.a(x) + net.s).relu()), {"a": lin(2, 3, False), "s": numbers(1), "b": lin(3, 1)}),
)
add(
    "divided by a parameter",
    lambda: (lambda net, x: net.b(net.a(x).tanh() / net.s), {"a": lin(2, 3), "s": numbers(3), "b": lin(3, 1)}),
    may_refuse=True,
)
add(
    "less a parameter",
    lambda: (lambda net, x: net.b((net.a(x) - net.s).relu()), {"a": lin(2, 3, False), "s": numbers(3), "b": lin(3, 1)}),
)
add(
    "a parameter less",
    lambda: (lambda net, x: net.b((net.s - net.a(x)).relu()), {"a": lin(2, 3, False), "s": numbers(3), "b": lin(3, 1)}),
)
add(
    "one parameter twice",
    lambda: (
        lambda net, x: net.b((net.a(x) + net.s).relu() * net.s),
        {"a": lin(2, 3, False), "s": numbers(3), "b": lin(3, 1)},
    ),
)
add(
    "one parameter for two layers",
    lambda: (
        lambda net, x: net.c((net.a(x) + net.s).relu() + (net.b(x) + net.s).tanh()),
        {"a": lin(2, 3, False), "b": lin(2, 3, False), "s": numbers(3), "c": lin(3, 1)},
    ),
)
add(
    "a weight squared",
    lambda: (lambda net, x: net.b(F.linear(x, net.w * net.w).relu()), {"w": numbers(3, 2), "b": lin(3, 1)}),
    may_refuse=True,
)
add(
    "a weight masked",
    lambda: (
        lambda net, x: net.b(
            F.linear(
                net.a(x).relu(), net.w * torch.tensor([[1.0, 0, 1], [1, 1, 0], [0, 1, 1]], dtype=torch.float64)
            ).relu()
        ),
        {"a": lin(2, 3), "w": numbers(3, 3), "b": lin(3, 1)},
    ),
    may_refuse=True,
)
add(
    "a weight times its transpose",
    lambda: (
        lambda net, x: net.b(F.linear(net.a(x).relu(), net.w @ net.w.t()).relu()),
        {"a": lin(2, 3), "w": numbers(3, 2), "b": lin(3, 1)},
    ),
    may_refuse=True,
)
add(
    "a symmetric weight",
    lambda: (
        lambda net, x: net.b(F.linear(net.a(x).relu(), net.w + net.w.t()).relu()),
        {"a": lin(2, 3), "w": numbers(3, 3), "b": lin(3, 1)},
    ),
    may_refuse=True,
)
add(
    "tied three times",
    lambda: (
        lambda net, x: F.linear(F.linear(F.linear(x, net.w).tanh(), net.w.t()).tanh(), net.w).sum(1),
        {"w": numbers(3, 2)},
    ),
)
add(
    "a square weight and its transpose",
    lambda: (
        lambda net, x: net.b(F.linear(F.linear(net.a(x).tanh(), net.w).tanh(), net.w.t()).tanh()),
        {"a": lin(2, 3), "w": numbers(3, 3), "b": lin(3, 1)},
    ),
)
add(
    "bilinear",
    lambda: (
        lambda net, x: net.c(net.m(net.a(x).relu(), net.b(x).relu())),
        {"a": lin(2, 2), "b": lin(2, 2), "m": nn.Bilinear(2, 2, 2), "c": lin(2, 1)},
    ),
    may_refuse=True,
)
add(
    "bilinear form",
    lambda: (
        lambda net, x: (net.a(x).relu() @ net.w * net.b(x).relu()).sum(1),
        {"a": lin(2, 3), "b": lin(2, 2), "w": numbers(3, 2)},
    ),
)
add("PReLU of one", lambda: (lambda net, x: net.b(net.p(net.a(x))), {"a": lin(2, 3), "p": nn.PReLU(1), "b": lin(3, 1)}))
add(
    "PReLU of each", lambda: (lambda net, x: net.b(net.p(net.a(x))), {"a": lin(2, 3), "p": nn.PReLU(3), "b": lin(3, 1)})
)
add(
    "dropout",
    lambda: (lambda net, x: net.b(net.d(net.a(x).relu())), {"a": lin(2, 3), "d": nn.Dropout(0.5), "b": lin(3, 1)}),
)

# Norms.
add(
    "LayerNorm over channels and positions",
    lambda: (
        lambda net, x: net.b(net.n(net.a(x))),
        {"a": nn.Conv1d(1, 3, 1, bias=False), "n": nn.LayerNorm([3, 2], eps=0.1), "b": nn.Conv1d(3, 1, 1)},
    ),
    batch(8, 1, 2),
)
add(
    "LayerNorm without a gain",
    lambda: (
        lambda net, x: net.b(net.n(net.a(x)).relu()),
        {"a": lin(2, 3), "n": nn.LayerNorm(3, eps=0.1, elementwise_affine=False), "b": lin(3, 1)},
    ),
)
add(
    "LayerNorm and a residual",
    lambda: (
        lambda net, x: net.c((h := net.a(x)) + net.b(net.n(h).relu())),
        {"a": lin(2, 3), "n": nn.LayerNorm(3, eps=0.1), "b": lin(3, 3, False), "c": lin(3, 1)},
    ),
)
add(
    "RMSNorm without a gain",
    lambda: (lambda net, x: net.b(root_mean_square(net.a(x))), {"a": lin(2, 3), "b": lin(3, 1)}),
)
add(
    "RMSNorm by one plus",
    lambda: (
        lambda net, x: net.b(root_mean_square(net.a(x)) * (1 + net.g)),
        {"a": lin(2, 3), "g": numbers(3), "b": lin(3, 1)},
    ),
    may_refuse=True,
)
add(
    "InstanceNorm",
    lambda: (
        lambda net, x: net.b(net.n(net.a(x)).relu()),
        {"a": nn.Conv1d(1, 3, 1, bias=False), "n": nn.InstanceNorm1d(3, eps=0.1, affine=True), "b": nn.Conv1d(3, 1, 1)},
    ),
    batch(6, 1, 4),
)
add(
    "GroupNorm",
    lambda: (
        lambda net, x: net.b(net.n(net.a(x)).relu()),
        {"a": nn.Conv1d(2, 4, 1), "n": nn.GroupNorm(2, 4, eps=0.1), "b": nn.Conv1d(4, 1, 1)},
    ),
    batch(6, 2, 4),
)
add(
    "GroupNorm, one group",
    lambda: (
        lambda net, x: net.b(net.n(net.a(x)).relu()),
        {"a": nn.Conv1d(2, 3, 1), "n": nn.GroupNorm(1, 3, eps=0.1), "b": nn.Conv1d(3, 1, 1)},
    ),
    batch(6, 2, 4),
)
add(
    "BatchNorm behind an activation",
    lambda: (
        lambda net, x: net.b(net.n(net.a(x).tanh())),
        {"a": lin(2, 3), "n": nn.BatchNorm1d(3, eps=1e-13), "b": lin(3, 1)},
    ),
)
add(
    "BatchNorm without a gain",
    lambda: (
        lambda net, x: net.b(net.n(net.a(x)).tanh()),
        {"a": lin(2, 3), "n": nn.BatchNorm1d(3, eps=1e-13, affine=False), "b": lin(3, 1)},
    ),
)
add(
    "one BatchNorm for two layers",
    lambda: (
        lambda net, x: net.c(net.n(net.a(x)).relu() + net.n(net.b(x)).tanh()),
        {"a": lin(2, 3), "b": lin(2, 3), "n": nn.BatchNorm1d(3, eps=1e-13), "c": lin(3, 1)},
    ),
)
add(
    "BatchNorm on the inputs",
    lambda: (
        lambda net, x: net.b(net.a(net.n(x)).relu()),
        {"n": nn.BatchNorm1d(2, eps=1e-13), "a": lin(2, 3), "b": lin(3, 1)},
    ),
)

# Attention, experts, gates.
add(
    "attention with one key head of the same numbers",
    lambda: (
        lambda net, x: net.o(attended(heads(net.q(x), 2), heads(net.q(x), 2), heads(net.v(x), 2))),
        {"q": lin(2, 4, False), "v": lin(2, 4, False), "o": lin(4, 2, False)},
    ),
    batch(3, 4, 2),
)
add(
    "linear attention",
    lambda: (
        lambda net, x: net.o(net.q(x).relu() @ (net.k(x).relu().transpose(1, 2) @ net.v(x))),
        {"q": lin(2, 3, False), "k": lin(2, 3, False), "v": lin(2, 2, False), "o": lin(2, 1, False)},
    ),
    batch(3, 4, 2),
)
add(
    "attention with norms of queries and keys",
    lambda: (
        lambda net, x: net.o(
            attended(
                net.gq * root_mean_square(heads(net.q(x), 2)),
                net.gk * root_mean_square(heads(net.k(x), 2)),
                heads(net.v(x), 2),
            )
        ),
        {
            "q": lin(2, 4, False),
            "k": lin(2, 4, False),
            "v": lin(2, 4, False),
            "o": lin(4, 2, False),
            "gq": numbers(2),
            "gk": numbers(2),
        },
    ),
    batch(3, 4, 2),
)
add(
    "heads mixed",
    lambda: (
        lambda net, x: net.o(torch.einsum("hg,bgtd->bhtd", net.m, heads(net.v(x), 2)).transpose(1, 2).flatten(2)),
        {"v": lin(2, 4, False), "m": numbers(2, 2), "o": lin(4, 1, False)},
    ),
    batch(3, 4, 2),
    may_refuse=True,
)
add(
    "gates of experts",
    lambda: (
        lambda net, x: (
            (g := net.r(x).softmax(-1))[:, :1] * net.b0(net.a0(x).relu()) + g[:, 1:] * net.b1(net.a1(x).relu())
        ),
        {"r": lin(2, 2, False), "a0": lin(2, 2), "b0": lin(2, 1), "a1": lin(2, 2), "b1": lin(2, 1)},
    ),
)
add(
    "slices of a hidden layer that broadcast",
    lambda: (
        lambda net, x: (h := net.a(x))[:, :1] * net.b(x) + h[:, 1:] * net.c(x),
        {"a": lin(2, 2, False), "b": lin(2, 1, False), "c": lin(2, 1, False)},
    ),
)
add(
    "argmax routes",
    lambda: (
        lambda net, x: torch.stack([net.b(x), net.c(x)], 1)[torch.arange(8), net.a(x).argmax(1)],
        {"a": lin(2, 2, False), "b": lin(2, 1, False), "c": lin(2, 1, False)},
    ),
    may_refuse=True,
)
add(
    "a gate that looks at its channels",
    lambda: (
        lambda net, x: net.c((h := net.a(x).relu()) * net.g(h).sigmoid()),
        {"a": lin(2, 3), "g": lin(3, 3), "c": lin(3, 1)},
    ),
)
add(
    "a gate of one for all channels",
    lambda: (
        lambda net, x: net.c(net.a(x).relu() * net.g(x).sigmoid()),
        {"a": lin(2, 3), "g": lin(2, 1), "c": lin(3, 1)},
    ),
)
add(
    "channels of images gated",
    lambda: (
        lambda net, x: net.c((h := net.a(x).relu()) * net.g(h.mean(2, keepdim=True)).sigmoid()),
        {"a": nn.Conv1d(1, 3, 1), "g": nn.Conv1d(3, 3, 1), "c": nn.Conv1d(3, 1, 1)},
    ),
    batch(4, 1, 3),
)
add(
    "positions gated",
    lambda: (
        lambda net, x: net.c((h := net.a(x).relu()) * net.g(h).sigmoid()),
        {"a": nn.Conv1d(1, 3, 1), "g": nn.Conv1d(3, 1, 1), "c": nn.Conv1d(3, 1, 1)},
    ),
    batch(4, 1, 3),
)

# Outputs.
add(
    "outputs that show a hidden layer",
    lambda: (lambda net, x: (net.b(h := net.a(x).relu()), h), {"a": lin(2, 3), "b": lin(3, 1)}),
)
add(
    "outputs that show the size of a hidden layer",
    lambda: (
        lambda net, x: {"out": net.b(h := net.a(x).relu()), "size": h.pow(2).sum(1)},
        {"a": lin(2, 3), "b": lin(3, 1)},
    ),
)
add(
    "a parameter among the outputs",
    lambda: (lambda net, x: (net.b(net.a(x).relu()), net.s), {"a": lin(2, 3), "b": lin(3, 2), "s": numbers(2)}),
)
add(
    "a parameter of a hidden layer among the outputs",
    lambda: (lambda net, x: (net.b(net.a(x).relu() + net.s), net.s), {"a": lin(2, 3), "b": lin(3, 2), "s": numbers(3)}),
)
add(
    "an expanded parameter among the outputs",
    lambda: (
        lambda net, x: (net.b(net.a(x).relu()), net.s.exp().expand(8, 2)),
        {"a": lin(2, 3), "b": lin(3, 2), "s": numbers(2)},
    ),
)
add(
    "the sign of a hidden layer",
    lambda: (lambda net, x: (net.b(h := net.a(x).tanh()), h[:, 0].sign()), {"a": lin(2, 3), "b": lin(3, 1)}),
    may_refuse=True,
)
add(
    "an actor and a critic",
    lambda: (
        lambda net, x: (net.b(h := net.a(x).tanh()), net.c(h).squeeze(1), net.s),
        {"a": lin(2, 3), "b": lin(3, 2), "c": lin(3, 1), "s": numbers(2)},
    ),
)

# Recurrent layers.
sequence = batch(4, 3, 2)
add(
    "GRU, two layers",
    lambda: (lambda net, x: net.b(net.r(x)[0]), {"r": nn.GRU(2, 3, 2, batch_first=True), "b": lin(3, 1)}),
    sequence,
)
add(
    "LSTM, two layers",
    lambda: (lambda net, x: net.b(net.r(x)[0][:, -1]), {"r": nn.LSTM(2, 3, 2, batch_first=True), "b": lin(3, 1)}),
    sequence,
)
add(
    "LSTM, the last state",
    lambda: (lambda net, x: net.b(net.r(x)[1][0][-1]), {"r": nn.LSTM(2, 3, batch_first=True), "b": lin(3, 1)}),
    sequence,
)
add(
    "LSTM, both directions",
    lambda: (
        lambda net, x: net.b(net.r(x)[0]),
        {"r": nn.LSTM(2, 2, batch_first=True, bidirectional=True), "b": lin(4, 1)},
    ),
    sequence,
)
add(
    "LSTM and a residual",
    lambda: (
        lambda net, x: net.b((h := net.a(x)) + net.r(h)[0]),
        {"a": lin(2, 3), "r": nn.LSTM(3, 3, batch_first=True), "b": lin(3, 1)},
    ),
    sequence,
)
add(
    "RNN with ReLU",
    lambda: (
        lambda net, x: net.b(net.r(x)[0]),
        {"r": nn.RNN(2, 3, batch_first=True, nonlinearity="relu"), "b": lin(3, 1)},
    ),
    sequence,
)
add(
    "RNN with tanh",
    lambda: (lambda net, x: net.b(net.r(x)[0]), {"r": nn.RNN(2, 3, batch_first=True), "b": lin(3, 1)}),
    sequence,
)

# Parts of a hidden layer, of width one or not, that are treated in a way of their own.
add("the first channel squared", between(lambda h: torch.cat([h[:, :1] ** 2, h[:, 1:].tanh()], 1)))
add("the first channel times all", between(lambda h: torch.relu(h) * torch.sigmoid(h[:, :1])))
add(
    "the first channel times the others",
    lambda: (lambda net, x: net.b(torch.tanh((h := net.a(x))[:, 1:] * h[:, :1])), {"a": lin(2, 4), "b": lin(3, 1)}),
)
add("the first channel added to all", between(lambda h: torch.tanh(h + h[:, :1])))
add("over the first channel", between(lambda h: torch.tanh(h / h[:, :1])))
add("one channel selected and added", between(lambda h: torch.tanh(h + h[:, 0].unsqueeze(1))))
add(
    "two channels unbound",
    lambda: (
        lambda net, x: net.b(((h := net.a(x)).unbind(1)[0] * h.unbind(1)[1]).unsqueeze(1)),
        {"a": lin(2, 2), "b": lin(1, 2)},
    ),
)
add(
    "the first channel among the outputs",
    lambda: (lambda net, x: (net.b(h := net.a(x).relu()), h[:, 0]), {"a": lin(2, 3), "b": lin(3, 1)}),
)
add(
    "two channels among the outputs",
    lambda: (lambda net, x: (net.b(h := net.a(x).relu()), h[:, :2]), {"a": lin(2, 4), "b": lin(4, 1)}),
)
add(
    "LayerNorm over half the channels",
    between(lambda h: torch.cat([F.layer_norm(h[:, :2], (2,), eps=0.1), h[:, 2:]], 1), 4),
)
add(
    "mean over half the channels",
    between(lambda h: torch.cat([h.relu(), h[:, :2].tanh().mean(1, keepdim=True)], 1)[:, 1:], 3),
)
add("activations by halves", between(lambda h: torch.cat([h[:, :2].relu(), h[:, 2:].tanh()], 1), 4))
add(
    "activations by halves that overlap",
    lambda: (
        lambda net, x: net.b((h := net.a(x))[:, :2].relu()) + net.c(h[:, 1:].tanh()),
        {"a": lin(2, 3), "b": lin(2, 1), "c": lin(2, 1)},
    ),
)
add(
    "a layer on half the channels",
    lambda: (
        lambda net, x: net.c(h := net.a(x).relu()) + net.b(h[:, :2]),
        {"a": lin(2, 4), "b": lin(2, 1, False), "c": lin(4, 1)},
    ),
)
add(
    "a table on half the channels",
    lambda: (
        lambda net, x: net.b(torch.cat([(h := net.a(x))[:, :2] + net.s, h[:, 2:]], 1).tanh()),
        {"a": lin(2, 4, False), "s": numbers(2), "b": lin(4, 1)},
    ),
)
add(
    "one number for the first channel",
    lambda: (
        lambda net, x: net.b(torch.cat([(h := net.a(x).tanh())[:, :1] * net.s, h[:, 1:]], 1)),
        {"a": lin(2, 3), "s": numbers(1), "b": lin(3, 1)},
    ),
)
add(
    "positions treated apart",
    lambda: (
        lambda net, x: net.b(torch.cat([(h := net.a(x))[:, :, :1].relu(), h[:, :, 1:].tanh()], 2)),
        {"a": nn.Conv1d(1, 3, 1), "b": nn.Conv1d(3, 1, 2)},
    ),
    batch(4, 1, 3),
)
add(
    "a gate by the first position",
    lambda: (
        lambda net, x: net.b((h := net.a(x)).tanh() * h[:, :, :1].sigmoid()),
        {"a": nn.Conv1d(1, 3, 1), "b": nn.Conv1d(3, 1, 2)},
    ),
    batch(4, 1, 3),
)
add(
    "a weight's row alone",
    lambda: (
        lambda net, x: net.b(F.linear(x, net.w).relu()) * (x @ net.w[0]).unsqueeze(1),
        {"w": numbers(3, 2), "b": lin(3, 1)},
    ),
    may_refuse=True,
)


def turned(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """A rotary embedding whose pairs are the two halves."""
    one, other = x.chunk(2, -1)
    return x * cosine + torch.cat([-other, one], -1) * sine


def angles(length: int, size: int) -> Tensor:
    half = torch.arange(length).double()[:, None] * 0.7 ** torch.arange(size // 2).double()
    return torch.cat([half, half], -1)


def rotary(stored: bool) -> Callable[[], tuple[Forward, dict[str, Any]]]:
    def forward(net: Any, x: Tensor) -> Tensor:
        cosine, sine = (net.cosine, net.sine) if stored else (angles(4, 4).cos(), angles(4, 4).sin())
        return net.o(
            attended(*[turned(heads(each(x), 1), cosine, sine) for each in (net.q, net.k)], heads(net.v(x), 1))
        )

    members: dict[str, Any] = {
        "q": lin(2, 4, False),
        "k": lin(2, 4, False),
        "v": lin(2, 2, False),
        "o": lin(2, 1, False),
    }
    tables = {"cosine": angles(4, 4).cos(), "sine": angles(4, 4).sin()}
    return lambda: (forward, {**members, **tables} if stored else members)


def grouped_attention(net: Any, x: Tensor) -> Tensor:
    k, v = (heads(each(x), 1).repeat_interleave(2, 1) for each in (net.k, net.v))
    return net.o(attended(heads(net.q(x), 2), k, v))


add("rotary pairs", rotary(False), batch(3, 4, 2))
add("rotary pairs by stored tables", rotary(True), batch(3, 4, 2), may_refuse=True)
add(
    "grouped attention, heads of three",
    lambda: (
        grouped_attention,
        {"q": lin(2, 6, False), "k": lin(2, 3, False), "v": lin(2, 3, False), "o": lin(6, 1, False)},
    ),
    batch(3, 4, 2),
)
add(
    "grouped attention on a stream",
    lambda: (
        lambda net, x: net.z((h := net.a(x)) + grouped_attention(net, h)),
        {
            "a": lin(2, 3, False),
            "q": lin(3, 4, False),
            "k": lin(3, 2, False),
            "v": lin(3, 2, False),
            "o": lin(4, 3, False),
            "z": lin(3, 1, False),
        },
    ),
    batch(3, 4, 2),
)
