"""Three hundred random modules with their true functions: chains, what is none, and what no file tells from a chain.

Names, widths, depths, biases, norms, activations and formats are drawn. Widths come from few numbers, so that shapes
chain by chance, as they do in files. Seeds are fixed; `pytest -m slow` draws ten times as many from other seeds.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from true_networks import Judgement, Net, Network, judge

Nfn = Callable[..., Any]
Draw = Callable[[random.Random], Network]

WIDTHS = (4, 5, 6, 8)
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "gelu": nn.functional.gelu,
    "sin": lambda values: torch.sin(7 * values),
}
WORDS = ("alpha", "block", "body", "core", "mid", "part", "stage", "unit", "trunk", "net", "layers", "hidden", "model")
LEAVES = (
    ("fc1", "fc2"),
    ("lin_a", "lin_b"),
    ("c1", "c2"),
    ("first", "second"),
    ("conv1", "conv2"),
    ("0", "1"),
    ("w1", "w2"),
)
CONTAINERS = ("net", "layers", "mlp", "model", "main", "features", "seq", "actor", "phi", "backbone")
FLAT = ("fc{}", "layer{}", "linear{}", "dense_{}", "lin{}", "hidden{}", "l{}", "conv{}", "block{}")


def width(rng: random.Random) -> int:
    return rng.choice(WIDTHS)


def drawn(rng: random.Random) -> tuple[str, Callable[[Tensor], Tensor]]:
    return rng.choice(list(ACTIVATIONS.items()))


def network(rng: random.Random, module: nn.Module, inputs: tuple[int, ...], activation: str, **options: Any) -> Network:
    told = ("--pool", "none") if activation in ("tanh", "sin") else ()
    return Network(module, inputs, activation, told=told, format=rng.choice(("torch", "safetensors")), **options)


def linear(rng: random.Random, inputs: int, outputs: int) -> nn.Module:
    return nn.Linear(inputs, outputs, bias=rng.random() < 0.8)


def conv(inputs: int, outputs: int) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


class Act(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, values: Tensor) -> Tensor:
        return self.function(values)


# --- (a) chains ----------------------------------------------------------------------------------------------------


def a_chain(rng: random.Random) -> Network:
    """Layers in a numbered container or by flat consecutive names, some with norms or with something beside them."""
    activation, function = drawn(rng)
    sizes = [width(rng) for _ in range(rng.randint(3, 6))]
    convolutional = rng.random() < 0.4
    norm = rng.choice((None, None, "batch", "late batch", "layer"))
    if activation == "sin" or (convolutional and norm == "layer"):
        norm = None
    steps: list[nn.Module] = []
    tensors = 0
    for place, (inputs, outputs) in enumerate(pairwise(sizes)):
        last = place == len(sizes) - 2
        if convolutional and last:
            steps += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
        layer = conv(inputs, outputs) if convolutional and not last else linear(rng, inputs, outputs)
        tensors += sum(1 for _ in layer.parameters())
        steps.append(layer)
        if last:
            break
        batch = nn.BatchNorm2d(outputs) if convolutional else nn.BatchNorm1d(outputs)
        own = {"batch": [batch, Act(function)], "late batch": [Act(function), batch]}
        own["layer"] = [nn.LayerNorm(outputs), Act(function)]
        steps += own.get(norm or "", [Act(function)])
        tensors += {"batch": 4, "late batch": 4, "layer": 2}.get(norm or "", 0)
    # All tensors but the last bias move.
    tensors -= steps[-1].bias is not None
    shape = (sizes[0], 4, 4) if convolutional else (sizes[0],)
    if norm is not None or rng.random() < 0.5:
        module: nn.Module = nn.Sequential(*steps)
        if rng.random() < 0.7:
            name = rng.choice(CONTAINERS)
            beside = {"log_std": nn.Parameter(torch.zeros(sizes[-1]))} if rng.random() < 0.3 else {}
            module = Net(lambda net, x: getattr(net, name)(x), **{name: module}, **beside)
    else:
        module = flat(rng, steps, convolutional)
    return network(rng, module, shape, activation, must_read=True, moves=tensors)


def flat(rng: random.Random, steps: list[nn.Module], convolutional: bool) -> nn.Module:
    """The steps by flat names: numbered on, or conv1, conv2, ..., fc."""
    pattern, start = rng.choice(FLAT), rng.choice((0, 1))
    named: dict[str, nn.Module] = {}
    order: list[tuple[str, nn.Module]] = []
    for step in steps:
        name = ""
        if isinstance(step, nn.Linear | nn.Conv2d):
            name = pattern.format(len(named) + start)
            if convolutional and isinstance(step, nn.Linear):
                name = rng.choice(("fc", "classifier", "out"))
            elif convolutional:
                name = f"conv{len(named) + start}"
            named[name] = step
        order.append((name, step))

    def forward(net: Any, values: Tensor) -> Tensor:
        for name, step in order:
            values = getattr(net, name)(values) if name else step(values)
        return values

    return Net(forward, **named)


# --- (b) no chains, and their files show it ------------------------------------------------------------------------


def residual(rng: random.Random) -> Network:
    """Blocks with skips, of two or three layers, with or without norms, before or after the activation."""
    activation, function = drawn(rng)
    size, convolutional, normed = width(rng), rng.random() < 0.5, rng.random() < 0.4
    make = conv if convolutional else nn.Linear
    names = rng.choice(LEAVES)
    style = rng.choice(("post", "pre", "late"))
    inner = rng.choice((size, width(rng)))

    def block() -> nn.Module:
        members: dict[str, nn.Module] = {names[0]: make(size, inner), names[1]: make(inner, size)}
        if normed:
            norm = nn.BatchNorm2d if convolutional else nn.BatchNorm1d
            members |= {"bn1": norm(size if style == "pre" else inner), "bn2": norm(inner if style == "pre" else size)}

        def forward(own: Any, x: Tensor) -> Tensor:
            one, other = (getattr(own, name) for name in names)
            first, second = (own.bn1, own.bn2) if normed else (nn.Identity(), nn.Identity())
            if style == "pre":
                return x + other(function(second(one(function(first(x))))))
            if style == "late" and inner == size:
                hidden = function(first(one(x)))
                return hidden + second(other(hidden))
            return function(x + second(other(function(first(one(x))))))

        return Net(forward, **members)

    holder = rng.choice(WORDS)
    blocks = nn.Sequential(*(block() for _ in range(rng.randint(1, 3))))
    stem, head = make(3, size), nn.Linear(size, 2)

    def forward(net: Any, x: Tensor) -> Tensor:
        hidden = getattr(net, holder)(function(net.start(x)))
        return net.fin(hidden.mean((2, 3)) if convolutional else hidden)

    module = Net(forward, start=stem, **{holder: blocks}, fin=head)
    return network(rng, module, (3, 4, 4) if convolutional else (3,), activation)


def sequential_with_a_skip(rng: random.Random) -> Network:
    activation, function = drawn(rng)
    size, holder = width(rng), rng.choice(WORDS)
    inner = nn.Sequential(nn.Linear(size, size), Act(function), nn.Linear(size, size))
    members: dict[str, nn.Module] = {"enter": nn.Linear(3, size), holder: inner, "leave": nn.Linear(size, 2)}

    def forward(net: Any, x: Tensor) -> Tensor:
        hidden = function(net.enter(x))
        return net.leave(hidden + getattr(net, holder)(hidden))

    return network(rng, Net(forward, **members), (3,), activation)


def several_networks(rng: random.Random) -> Network:
    """Two or three networks in one file, numbered or named, of one shape or several, side by side or on one trunk."""
    activation, function = drawn(rng)
    inputs, hidden = width(rng), width(rng)
    outputs = [rng.choice((inputs, width(rng))) for _ in range(rng.randint(2, 3))]
    names = rng.sample(
        ("actor", "critic", "policy", "target", "online", "g", "d", "left", "right", "q1", "q2"), len(outputs)
    )
    numbered = rng.random() < 0.6

    def one(last: int) -> nn.Module:
        layers = nn.Linear(inputs, hidden), nn.Linear(hidden, last)
        if numbered:
            return nn.Sequential(layers[0], Act(function), layers[1])
        return Net(lambda own, x: own.fc2(function(own.fc1(x))), fc1=layers[0], fc2=layers[1])

    members: dict[str, nn.Module] = {name: one(last) for name, last in zip(names, outputs, strict=True)}
    shared = rng.random() < 0.3
    if shared:
        members = {"shared": nn.Linear(3, inputs), **members}

    def forward(net: Any, x: Tensor) -> Tensor:
        values = function(net.shared(x)) if shared else x
        return torch.cat([getattr(net, name)(values) for name in names], 1)

    return network(rng, Net(forward, **members), (3 if shared else inputs,), activation)


def tied(rng: random.Random) -> Network:
    activation, function = drawn(rng)
    size, count = width(rng), rng.randint(2, 3)
    pattern, same = rng.choice(FLAT), nn.Linear(size, size)
    names = [pattern.format(place) for place in range(1, count + 2)]
    members: dict[str, nn.Module] = {
        names[0]: nn.Linear(3, size),
        **dict.fromkeys(names[1:], same),
        "out": nn.Linear(size, 2),
    }

    def forward(net: Any, x: Tensor) -> Tensor:
        for name in names:
            x = function(getattr(net, name)(x))
        return net.out(x)

    return network(rng, Net(forward, **members), (3,), activation)


def branches(rng: random.Random) -> Network:
    """Layers that read the same neurons: heads, gates, branches that are added or joined."""
    activation, function = drawn(rng)
    size, inputs = width(rng), width(rng)
    names = rng.choice(
        (("mu", "logvar"), ("value", "gate"), ("left", "right"), ("pi", "v"), ("loc", "scale"), ("a", "b"))
    )
    how = rng.choice(("cat", "product", "sum"))
    members: dict[str, nn.Module] = {rng.choice(("fc1", "trunk", "enc", "inp")): nn.Linear(inputs, size)}
    (trunk,) = members
    members |= {name: nn.Linear(size, size) for name in names}
    ends = how != "cat" or rng.random() < 0.5
    if ends:
        members["last"] = nn.Linear(2 * size if how == "cat" else size, 2)

    def forward(net: Any, x: Tensor) -> Tensor:
        hidden = function(getattr(net, trunk)(x))
        one, other = (getattr(net, name)(hidden) for name in names)
        joined = {
            "cat": torch.cat([one, other], 1),
            "product": one * torch.sigmoid(other),
            "sum": one + function(other),
        }[how]
        return net.last(joined) if ends else joined

    return network(rng, Net(forward, **members), (inputs,), activation)


def transposed(rng: random.Random) -> Network:
    activation, function = drawn(rng)
    sizes = [width(rng) for _ in range(rng.randint(3, 4))]
    if rng.random() < 0.5:
        sizes = [sizes[0]] * len(sizes)
    bias, pattern = rng.random() < 0.5, rng.choice(FLAT)
    layers = [nn.ConvTranspose2d(a, b, rng.choice((2, 3)), bias=bias) for a, b in pairwise(sizes)]
    steps = [step for layer in layers for step in (layer, Act(function))][:-1]
    if rng.random() < 0.5:
        return network(rng, nn.Sequential(*steps), (sizes[0], 3, 3), activation)
    names = [pattern.format(place) for place in range(len(layers))]

    def forward(net: Any, x: Tensor) -> Tensor:
        for place, name in enumerate(names):
            x = getattr(net, name)(function(x) if place else x)
        return x

    return network(rng, Net(forward, **dict(zip(names, layers, strict=True))), (sizes[0], 3, 3), activation)


def grouped(rng: random.Random) -> Network:
    activation, function = drawn(rng)
    size, after = rng.choice((4, 6, 8)), width(rng)
    groups = rng.choice((2, size))
    middle = nn.Conv2d(size, size, 3, padding=1, groups=groups)
    steps = [conv(2, size), Act(function), middle, Act(function), nn.Conv2d(size, after, 1), Act(function)]
    steps += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(after, 2)]
    return network(rng, nn.Sequential(*steps), (2, 4, 4), activation)


def recurrent(rng: random.Random) -> Network:
    activation, function = drawn(rng)
    inputs, size = width(rng), width(rng)
    names = rng.choice(
        (
            ("i2h", "h2h", "h2o"),
            ("W_x", "W_h", "W_y"),
            ("inp", "rec", "out"),
            ("U", "W", "V"),
            ("enter", "step", "leave"),
        )
    )
    layers = nn.Linear(inputs, size), nn.Linear(size, size), nn.Linear(size, 2)

    def forward(net: Any, x: Tensor) -> Tensor:
        into, over, out = (getattr(net, name) for name in names)
        hidden = function(into(x[:, 0]))
        for step in range(1, x.shape[1]):
            hidden = function(into(x[:, step]) + over(hidden))
        return out(hidden)

    return network(rng, Net(forward, **dict(zip(names, layers, strict=True))), (3, inputs), activation)


def joined(rng: random.Random) -> Network:
    """Concatenations: parallel filters, a U-Net, two towers, dense connections."""
    activation, function = drawn(rng)
    size, kind = width(rng), rng.choice(("filters", "unet", "towers", "dense"))
    if kind == "filters":
        filters = nn.ModuleList([nn.Conv1d(size, size, k) for k in rng.sample((1, 2, 3, 5), 3)])
        name = rng.choice(WORDS)
        module = Net(
            lambda net, x: net.fin(torch.cat([function(layer(x)).amax(2) for layer in getattr(net, name)], 1)),
            **{name: filters}, fin=nn.Linear(3 * size, 2),
        )  # fmt: skip
        return network(rng, module, (size, 9), activation)
    if kind == "unet":

        def down_and_up(net: Any, x: Tensor) -> Tensor:
            one = function(net.down1(x))
            return net.up2(torch.cat([function(net.up1(function(net.down2(one)))), one], 1))

        module = Net(down_and_up, down1=conv(2, size), down2=conv(size, 5), up1=conv(5, size), up2=conv(2 * size, 2))
        return network(rng, module, (2, 4, 4), activation)
    if kind == "towers":
        one, other = (nn.Sequential(nn.Linear(3, size), Act(function), nn.Linear(size, size)) for _ in range(2))
        module = Net(
            lambda net, x: net.top(torch.cat([net.left(x), net.right(x)], 1)), left=one, right=other,
            top=nn.Sequential(nn.Linear(2 * size, size), Act(function), nn.Linear(size, 2)),
        )  # fmt: skip
        return network(rng, module, (3,), activation)

    def dense(net: Any, x: Tensor) -> Tensor:
        one = function(net.d1(x))
        two = function(net.d2(torch.cat([x, one], 1)))
        return net.d3(torch.cat([x, one, two], 1))

    module = Net(dense, d1=nn.Linear(3, size), d2=nn.Linear(3 + size, size), d3=nn.Linear(3 + 2 * size, 2))
    return network(rng, module, (3,), activation)


NO_CHAINS: tuple[Draw, ...] = (
    residual, residual, sequential_with_a_skip, several_networks, several_networks, tied, branches, transposed, grouped,
    recurrent, joined,
)  # fmt: skip


# --- (c) what nothing in a file tells from a chain -----------------------------------------------------------------


def flat_skip(rng: random.Random) -> Network:
    """Flat layers of one width, with a skip around one of them."""
    activation, function = drawn(rng)
    size, count = width(rng), rng.randint(3, 5)
    pattern = rng.choice(FLAT)
    names = [pattern.format(place) for place in range(1, count + 1)]
    sizes = [3, *[size] * (count - 1), 2]
    around = rng.randint(1, count - 2)
    layers = [nn.Linear(*pair) for pair in pairwise(sizes)]

    def forward(net: Any, x: Tensor) -> Tensor:
        for place, name in enumerate(names):
            after = getattr(net, name)(function(x) if place else x)
            x = x + after if place == around else after
        return x

    return network(rng, Net(forward, **dict(zip(names, layers, strict=True))), (3,), activation)


def judged(nfn: Nfn, draws: Iterator[tuple[int, Draw]], folder: Path) -> list[tuple[str, Network, Judgement]]:
    found = []
    for seed, draw in draws:
        torch.manual_seed(seed)
        own = draw(random.Random(seed))
        place = folder / str(seed)
        place.mkdir()
        found.append((f"{draw.__name__} {seed}", own, judge(nfn, own, place)))
    return found


def check_chains(nfn: Nfn, folder: Path, seeds: range) -> None:
    found = judged(nfn, ((seed, a_chain) for seed in seeds), folder)
    wrong = [(name, own.fault) for name, _, own in found if own.fault and "wrong" in own.fault]
    assert wrong == []
    whole = [name for name, _, own in found if own.fault is None]
    print(f"chains: {len(whole)} of {len(found)} read and wholly moved")
    missed = [(name, own.fault) for name, _, own in found if own.fault]
    assert len(whole) >= 0.9 * len(found), missed


def check_no_chains(nfn: Nfn, folder: Path, seeds: range) -> None:
    found = judged(nfn, ((seed, NO_CHAINS[seed % len(NO_CHAINS)]) for seed in seeds), folder)
    read = Counter(name.split()[0] for name, _, own in found if own.refusal is None)
    print(f"no chains: {len(found)}, {sum(read.values())} read with a smaller group: {dict(read)}")
    assert [(name, own.fault) for name, _, own in found if own.fault] == []


def check_hidden_skips(nfn: Nfn, folder: Path, seeds: range) -> None:
    found = judged(nfn, ((seed, flat_skip) for seed in seeds), folder)
    read = [own for _, _, own in found if own.refusal is None]
    print(f"hidden skips: {len(found)}, {len(read)} read as chains, with the assumption printed")
    assert all(
        "nfn: assumed: layers follow one another as their names say, activations alone between them" in own.err
        for own in read
    )
    for name, own, judgement in found:
        source = folder / name.split()[1] / ("in.pt" if own.format == "torch" else "in.safetensors")
        out = source.with_name("strict" + source.suffix)
        told = nfn("canonicalize", source, "-o", out, "--activation", own.activation, *own.told, "--strict")
        assert told.code == 3 and not out.exists(), name
        assert judgement.refusal is not None or "--strict" in told.err


def test_chains_are_read_and_their_whole_group_moves(nfn: Nfn, tmp_path: Path) -> None:
    check_chains(nfn, tmp_path, range(120))


def test_what_is_no_chain_is_never_misread(nfn: Nfn, tmp_path: Path) -> None:
    check_no_chains(nfn, tmp_path, range(1000, 1150))


def test_what_no_file_tells_from_a_chain_is_an_assumption(nfn: Nfn, tmp_path: Path) -> None:
    check_hidden_skips(nfn, tmp_path, range(2000, 2030))


@pytest.mark.slow
@pytest.mark.parametrize("start", [10_000, 20_000, 30_000])
def test_many_more(start: int, nfn: Nfn, tmp_path: Path) -> None:
    for check in (check_chains, check_no_chains, check_hidden_skips):
        folder = tmp_path / check.__name__
        folder.mkdir()
        check(nfn, folder, range(start, start + 400))
