"""More traps, one for each way in which the rules could be wrong: zeros, changes in place, casts, chance, borders."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from traps import TRAPS, add, between, lin

F = nn.functional
_ONES = {"dtype": torch.float64}


def constant(*numbers: float) -> Tensor:
    return torch.tensor(numbers, **_ONES)


# Changes in place: the graph has them as they are, and views of what is changed.


def _add_to_part(h: Tensor) -> Tensor:
    h[:, :2] += 1
    return torch.relu(h)


def _view_before(h: Tensor) -> Tensor:
    view = h.view(-1, 3)
    h.relu_()
    return view


def _mask_in_place(h: Tensor) -> Tensor:
    mask = torch.zeros(3, **_ONES)
    mask[0] = 1
    return h * mask


def _index_in_place(h: Tensor) -> Tensor:
    places = torch.arange(3)
    places[0] = 2
    return torch.relu(h).index_select(1, places)


def _copied_into(h: Tensor) -> Tensor:
    own = torch.zeros(8, 3, **_ONES)
    own[:, :2].copy_(h[:, :2])
    return own.exp()


def _put(h: Tensor) -> Tensor:
    return torch.relu(h).index_put((torch.arange(8), torch.zeros(8, dtype=torch.int64)), constant(0.5))


def _assigned(h: Tensor) -> Tensor:
    own = torch.relu(h)
    own[:, 1] = 0.5
    return own


def _dropped_then_changed(h: Tensor) -> Tensor:
    view = h[:, :]
    F.dropout(h, 0.5, False).relu_()
    return view


for name, function in {
    "a part changed in place": _add_to_part,
    "a view from before a change in place": _view_before,
    "a mask filled in place": _mask_in_place,
    "places changed in place": _index_in_place,
    "copied into zeros": _copied_into,
    "put at places": _put,
    "a channel assigned": _assigned,
    "changed in place behind a dropout": _dropped_then_changed,
    "a slice scattered": lambda h: torch.slice_scatter(h.relu(), constant(0.1, 0.2).expand(8, 2), 1, 0, 2),
    "a channel scattered": lambda h: torch.select_scatter(h.relu(), h[:, 0].tanh(), 1, 2),
    "rounded down by a cast": lambda h: (3 * h).to(torch.int64).to(torch.float64),
    "cast to truth": lambda h: (h > 0.1).to(torch.bool).to(torch.float64),
    "numbers cast to truth": lambda h: h.relu().to(torch.bool).to(torch.float64) * h,
    "cast as another is": lambda h: h.type_as(torch.arange(3)).double(),
    "viewed in another dtype": lambda h: h.view(torch.int64).view(torch.float64),
    "complex numbers": lambda h: torch.complex(h, h.flip(1)).abs(),
    "cast to complex numbers": lambda h: (h.to(torch.complex128) * (1 + 2j)).imag.tanh(),
    "remainders by a constant": lambda h: torch.fmod(5 * h, constant(1, 2, 3)),
    "a power of constants": lambda h: h.abs() ** constant(1, 2, 3),
    "constants to a power": lambda h: constant(0.5, 2, 3) ** h,
    "compared with constants": lambda h: (h > constant(0, 0.1, 0.2)) * h,
    "nearly zero": lambda h: torch.isclose(h, torch.zeros_like(h), atol=0.3) * h,
    "a fill that is a tensor": lambda h: h.masked_fill(h < 0, constant(0.5)[0]),
    "variances of chosen width": lambda h: h * h.var(1, keepdim=True) + h.std(1, unbiased=False, keepdim=True),
    "the least and the most": lambda h: torch.cat([h / torch.aminmax(h, dim=1, keepdim=True)[1], h.tanh()], 1)[:, :3],
    "a triangle of channels": lambda h: torch.einsum("bi,bj->bij", h, h).tril().sum(2),
    "lerp by constants": lambda h: torch.lerp(h, h.tanh(), constant(0.1, 0.2, 0.3)),
    "the middle one": lambda h: h * torch.median(h, 1, keepdim=True).values,
    "places of the largest": lambda h: h * h.argmax(1, keepdim=True),
    "repeated as told": lambda h: torch.repeat_interleave(h.relu(), torch.tensor([1, 0, 2]), 1, output_size=3),
}.items():
    add(name, between(function), may_refuse=True)

# Zeros that are padded: what meets them is no zero any more.


def padded(forward: Any, **more: Any) -> Any:
    return lambda: (
        lambda net, x: net.c(forward(net, F.pad(net.a(x), (0, 2)), x)),
        {"a": lin(2, 4), "b": lin(2, 6), "c": lin(6, 2), **more},
    )


def _parameter(*shape: int) -> nn.Parameter:
    return nn.Parameter(torch.randn(*shape))


for name, function in {
    "padded zeros and a constant": lambda net, z, x: (z + constant(1, 2, 3, 4, 5, 6)) + net.b(x),
    "padded zeros and the inputs": lambda net, z, x: torch.relu((z + x.repeat(1, 3)) + net.b(x)),
    "padded zeros and one number": lambda net, z, x: (z + 1) + net.b(x),
    "padded zeros and a mean": lambda net, z, x: (z + x.mean(1, keepdim=True)) + net.b(x),
    "the larger of padded zeros": lambda net, z, x: torch.maximum(z, net.b(x)),
    "two to the padded": lambda net, z, x: 2**z * net.b(x),
    "padded zeros compared": lambda net, z, x: torch.where(z > 0, 1.0, 2.0) * net.b(x),
    "padded zeros chosen": lambda net, z, x: torch.where(x[:, :1] > 0, z, net.b(x)),
    "padded zeros to the power of none": lambda net, z, x: z.abs() ** constant(0) * net.b(x),
    "padded zeros times a constant": lambda net, z, x: z * constant(1, 2, 3, 4, 5, 6) + net.b(x),
}.items():
    add(name, padded(function), may_refuse=True)

add(
    "padded scales without neurons",
    lambda: (
        lambda net, x: net.c(F.pad(net.p * torch.cat([x, x * x], 1), (0, 2)) + 1 + net.b(x)),
        {"p": _parameter(4), "b": lin(2, 6), "c": lin(6, 2)},
    ),
    may_refuse=True,
)
add(
    "padded here and there",
    lambda: (
        lambda net, x: net.c(
            torch.stack([F.pad(net.a(x)[:, :2], (0, 2)), F.pad(net.a(x)[:, 2:], (2, 0))], 1).relu()
        ).sum(1),
        {"a": lin(2, 4), "c": lin(4, 2)},
    ),
    may_refuse=True,
)


def _steps(net: Any, x: Tensor) -> Tensor:
    """A recurrent cell of linear layers, from a state of zeros."""
    h = torch.zeros(len(x), 3, dtype=x.dtype)
    for _ in range(3):
        h = torch.tanh(net.a(x) + net.h(h))
    return net.b(h)


add("a recurrent cell of linear layers", lambda: (_steps, {"a": lin(2, 3), "h": lin(3, 3), "b": lin(3, 2)}))

# Along space.
IMAGES = (torch.randn(4, 2, 6, 6, generator=torch.Generator().manual_seed(1), **_ONES),)
LINES = (torch.randn(4, 2, 6, generator=torch.Generator().manual_seed(1), **_ONES),)
add(
    "a border of something constant",
    lambda: (
        lambda net, x: net.d(
            torch.tanh(net.c(net.a(x).mean((2, 3), keepdim=True).expand(-1, -1, 6, 6)) + net.b(x))
        ).mean((1, 2, 3)),
        {
            "a": nn.Conv2d(2, 3, 1),
            "c": nn.Conv2d(3, 1, 3, padding=1),
            "b": nn.Linear(6, 6),
            "d": nn.Linear(6, 2),
        },
    ),
    IMAGES,
    may_refuse=True,
)
add(
    "some numbers of each channel, summed",
    lambda: (lambda net, x: net.a(x).relu().flatten(1)[:, ::7].sum(1), {"a": nn.Conv1d(2, 3, 1)}),
    LINES,
    may_refuse=True,
)
add(
    "some numbers of each channel, the largest",
    lambda: (lambda net, x: net.a(x).flatten(1)[:, ::7].amax(1), {"a": nn.Conv1d(2, 3, 1)}),
    LINES,
    may_refuse=True,
)
add(
    "pooled along channels",
    lambda: (
        lambda net, x: net.b(F.max_pool2d(net.a(x), 3, 1, 1)),
        {"a": lin(2, 6), "b": lin(6, 2)},
    ),
    (torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(1), **_ONES),),
    may_refuse=True,
)
add(
    "where the largest are",
    lambda: (
        lambda net, x: F.max_pool1d(net.a(x), 2, return_indices=True)[1].double(),
        {"a": nn.Conv1d(2, 3, 1)},
    ),
    LINES,
    may_refuse=True,
)
add(
    "pools at places of a channel's own",
    lambda: (
        lambda net, x: F.fractional_max_pool2d(
            net.a(x), 2, output_size=3, _random_samples=torch.linspace(0, 0.9, 24, **_ONES).view(4, 3, 2)
        ),
        {"a": nn.Conv2d(2, 3, 1)},
    ),
    IMAGES,
    may_refuse=True,
)
add(
    "channels that stand twice, one kernel each",
    lambda: (
        lambda net, x: net.c(net.b(net.a(x)[:, :, None].expand(-1, -1, 2, -1).flatten(1, 2)).relu()).sum(2),
        {"a": nn.Conv1d(2, 3, 1), "b": nn.Conv1d(6, 6, 1, groups=6), "c": nn.Conv1d(6, 2, 1)},
    ),
    LINES,
    may_refuse=True,
)
add(
    "BatchNorm of the batch's own statistics",
    lambda: (
        lambda net, x: net.b(torch.relu(net.n(net.a(x)))),
        {"a": lin(2, 3), "n": nn.BatchNorm1d(3, track_running_stats=False), "b": lin(3, 2)},
    ),
)
add(
    "GroupNorm of one channel",
    lambda: (
        lambda net, x: net.b(net.n(net.a(x)).relu()).sum(2),
        {"a": nn.Conv1d(2, 1, 3), "n": nn.GroupNorm(1, 1), "b": nn.Conv1d(1, 2, 1)},
    ),
    LINES,
)
add(
    "PReLU of computed slopes",
    lambda: (
        lambda net, x: net.b(F.prelu(net.a(x), net.slopes.abs())).sum(2),
        {"a": nn.Conv1d(2, 6, 1), "slopes": _parameter(6), "b": nn.Conv1d(6, 2, 1)},
    ),
    LINES,
    may_refuse=True,
)

# Chance.
add("dropout as in training", between(lambda h: F.dropout(h, 0.0, True)))
add("noise of one seed", between(lambda h: h + torch.zeros(3, **_ONES).exponential_().relu() * 0), may_refuse=True)


class Places(nn.Module):
    """Channels in the order of a stored buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = lin(2, 4), lin(3, 2)
        self.register_buffer("places", torch.tensor([3, 0, 0]))

    def forward(self, x: Tensor) -> Tensor:
        return self.b(self.a(x).relu().index_select(1, self.places))


# Parameters.
add("places of a stored buffer", lambda: (lambda net, x: net.m(x), {"m": Places()}))
add(
    "compared with a parameter",
    lambda: (lambda net, x: net.b((net.a(x) > net.p) * net.a(x)), {"a": lin(2, 3), "p": _parameter(3), "b": lin(3, 2)}),
    may_refuse=True,
)
add(
    "the larger of a parameter",
    lambda: (lambda net, x: net.b(torch.max(net.a(x), net.p)), {"a": lin(2, 3), "p": _parameter(3), "b": lin(3, 2)}),
    may_refuse=True,
)
add(
    "distances to a parameter",
    lambda: (
        lambda net, x: net.b(torch.cdist(net.a(x), net.p)),
        {"a": lin(2, 3), "p": _parameter(4, 3), "b": lin(4, 2)},
    ),
    may_refuse=True,
)
add(
    "a parameter cast to whole numbers",
    lambda: (
        lambda net, x: net.b(net.a(x).tanh() * (3 * net.p).to(torch.int64)),
        {"a": lin(2, 3), "p": _parameter(3), "b": lin(3, 2)},
    ),
    may_refuse=True,
)
add(
    "a parameter expanded over tokens",
    lambda: (
        lambda net, x: net.b((net.p.expand(x.shape[0], 3, 4) + net.a(x)[:, None]).relu()).sum(1),
        {"a": lin(2, 4), "p": _parameter(1, 3, 4), "b": lin(4, 2)},
    ),
)
add(
    "numbers of shape alone",
    lambda: (
        lambda net, x: net.b(net.a(x).relu() + torch.zeros_like(net.p)),
        {"a": lin(2, 3), "p": _parameter(3), "b": lin(3, 2)},
    ),
    may_refuse=True,
)

# Axes.
add(
    "a joint table beside the inputs",
    lambda: (
        lambda net, x: net.c(torch.cat([net.a(x)[:, :, None] * net.b(x)[:, None], x[:, None].expand(-1, 3, -1)], 2)),
        {"a": lin(2, 3), "b": lin(2, 4), "c": lin(6, 2)},
    ),
    may_refuse=True,
)
add(
    "experts of two axes",
    lambda: (
        lambda net, x: torch.matmul(torch.matmul(x[:, None, None, None], net.w).tanh(), net.v).sum((1, 2, 3)),
        {"w": _parameter(2, 3, 2, 4), "v": _parameter(2, 3, 4, 2)},
    ),
    may_refuse=True,
)
add(
    "norm by its own name",
    between(lambda h: h / torch.functional.norm(h, "fro", 1, keepdim=True)),
    may_refuse=True,
)
add(
    "bilinear with broadcasting",
    lambda: (
        lambda net, x: net.c(net.b(net.a(x), net.a(x).flip(0)).tanh()),
        {"a": lin(2, 3), "b": nn.Bilinear(3, 3, 4), "c": lin(4, 2)},
    ),
    may_refuse=True,
)


# Recurrent layers.
STEPS = (torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(2), **_ONES),)
_STATE = torch.randn(4, 3, 3, generator=torch.Generator().manual_seed(3), **_ONES)


def _recurrent(kind: Any, state: Any = None, layers: int = 1, both: bool = False, **more: Any) -> Any:
    width = 3 * (1 + both)

    def forward(net: nn.Module, x: Tensor, *given: Tensor) -> Tensor:
        own = given if given else (None if state is None else state)
        found, last = net.r(x, (own[0] if len(own) == 1 else own) if isinstance(own, tuple) else own)
        last = last[0] if isinstance(last, tuple) else last
        return net.b(found).sum(1) + net.c(last).sum(0)

    return lambda: (
        forward,
        {
            "r": kind(2, 3, layers, batch_first=True, bidirectional=both, **more),
            "b": lin(width, 2),
            "c": lin(3, 2),
        },
    )


for kind in (nn.LSTM, nn.GRU, nn.RNN):
    name = kind.__name__
    pair = (2 if kind is nn.LSTM else 1) * (_STATE[:1],)
    add(f"{name} from given states", _recurrent(kind), (*STEPS, *pair))
    add(f"{name} from a constant state", _recurrent(kind, (*pair,)), STEPS, may_refuse=True)
    add(f"{name} of two layers, both ways, without biases", _recurrent(kind, None, 2, True, bias=False), STEPS)
    zeros = tuple(torch.zeros_like(own) for own in pair)
    add(f"{name} from zeros", _recurrent(kind, zeros), STEPS)
add(
    "LSTM with projections",
    lambda: (lambda net, x: net.r(x)[0], {"r": nn.LSTM(2, 4, proj_size=3)}),
    STEPS,
    may_refuse=True,
)
add(
    "LSTM from a computed state",
    lambda: (
        lambda net, x: net.b(net.r(x, (net.s(x[:, 0])[None].tanh(), torch.zeros(1, 3, 3, **_ONES)))[0]),
        {"r": nn.LSTM(2, 3, batch_first=True), "s": lin(2, 3), "b": lin(3, 2)},
    ),
    STEPS,
)
add(
    "GRU behind two ways",
    lambda: (
        lambda net, x: net.b(net.q(net.r(x)[0])[0]),
        {"r": nn.GRU(2, 3, 2, bidirectional=True), "q": nn.GRU(6, 3), "b": lin(3, 2)},
    ),
    STEPS,
)
PUBLISHED = frozenset(TRAPS.made)  # and those of `traps`
