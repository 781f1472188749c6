"""Files as people store them, under names of their own: what must be read, and what must not be guessed.

Whatever is read, the module's own outputs stay as they are, and verdicts are right; see `true_networks.judge`.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from true_networks import Net, Network, judge

Nfn = Callable[..., Any]
L, S, relu, tanh = nn.Linear, nn.Sequential, torch.relu, torch.tanh


def C(inputs: int, outputs: int, size: int = 3, **options: Any) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, size, padding=size // 2, **options)


def skipping(width: int, one: str, other: str, make: Callable[..., nn.Module] = L, **more: nn.Module) -> nn.Module:
    """A residual block of two layers, with norms of these names behind them if there are any."""
    norms = list(more)

    def forward(block: Any, values: Tensor) -> Tensor:
        hidden = getattr(block, one)(values)
        hidden = getattr(block, norms[0])(hidden) if norms else hidden
        hidden = getattr(block, other)(relu(hidden))
        return relu(values + (getattr(block, norms[1])(hidden) if norms else hidden))

    return Net(forward, **{one: make(width, width), other: make(width, width)}, **more)


def before_norms(width: int) -> nn.Module:
    """A pre-activation block by the names of a post-activation one."""

    def forward(b: Any, x: Tensor) -> Tensor:
        return x + b.conv2(relu(b.bn2(b.conv1(relu(b.bn1(x))))))

    norms = {"bn1": nn.BatchNorm2d(width), "bn2": nn.BatchNorm2d(width)}
    return Net(forward, conv1=C(width, width), conv2=C(width, width), **norms)


def late_skip(width: int) -> nn.Module:
    """h = f(x), then h + g(h)."""
    return Net(
        lambda b, x: (lambda h: h + b.second(h))(relu(b.first(x))), first=L(width, width), second=L(width, width)
    )


def flow(*names: str) -> Callable[[Any, Tensor], Tensor]:
    """Layers one after another with ReLU between them."""

    def forward(net: Any, values: Tensor) -> Tensor:
        for place, name in enumerate(names):
            values = getattr(net, name)(relu(values) if place else values)
        return values

    return forward


def both(one: str, other: str) -> Callable[[Any, Tensor], Tensor]:
    return lambda net, x: torch.cat([getattr(net, one)(x), getattr(net, other)(x)], 1)


class Tied(nn.Module):
    def __init__(self, *names: str) -> None:
        super().__init__()
        self.start, same, self.names = L(5, 7), L(7, 7), names
        for name in names:
            setattr(self, name, same)
        self.stop = L(7, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = self.start(x)
        for name in self.names:
            x = getattr(self, name)(relu(x))
        return self.stop(relu(x))


class TiedAutoencoder(nn.Module):
    """The decoder's weight is the encoder's, transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = L(6, 4), L(4, 6)
        self.fc2.weight = nn.Parameter(self.fc1.weight.T)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.linear(relu(self.fc1(x)), self.fc1.weight.T, self.fc2.bias)


class Cell(nn.Module):
    def __init__(self, into: str, over: str, out: str, inputs: int = 5, width: int = 6) -> None:
        super().__init__()
        self.names = (into, over, out)
        for name, sizes in zip(self.names, ((inputs, width), (width, width), (width, 3)), strict=True):
            setattr(self, name, L(*sizes))

    def forward(self, x: Tensor) -> Tensor:
        into, over, out = (getattr(self, name) for name in self.names)
        hidden = into(x[:, 0]) * 0
        for step in range(x.shape[1]):
            hidden = relu(into(x[:, step]) + over(hidden))
        found = out(hidden)
        assert isinstance(found, Tensor)
        return found


def siren(first: float, hidden: float, *, told: tuple[str, ...] = (), names: str = "net") -> Network:
    layers = nn.ModuleList([L(2, 12), L(12, 12), L(12, 12)])
    for layer in layers[1:]:
        layer.weight.data /= hidden

    def forward(net: Any, x: Tensor) -> Tensor:
        for place, layer in enumerate(getattr(net, names)):
            x = torch.sin((hidden if place else first) * layer(x))
        found = net.last(x)
        assert isinstance(found, Tensor)
        return found

    return Network(Net(forward, **{names: layers}, last=L(12, 1)), (2,), "sin", True, 7, told=told)


def normed(norm: nn.Module) -> nn.Module:
    return S(C(2, 6), norm, nn.ReLU(), C(6, 4), nn.ReLU(), nn.Flatten(), L(4 * 25, 2))


def scaled(net: Any, x: Tensor) -> Tensor:
    found = tanh(net.pi(x)) * net.action_scale + net.action_bias
    assert isinstance(found, Tensor)
    return found


READ: dict[str, Callable[[], Network]] = {
    "perceptron in a container": lambda: Network(
        Net(lambda s, x: s.mlp(x), mlp=S(L(3, 9), nn.ReLU(), L(9, 9), nn.ReLU(), L(9, 2))),
        (3,),
        must_read=True,
        moves=5,
    ),
    "perceptron, two containers deep": lambda: Network(
        Net(lambda s, x: s.body.net(x), body=Net(lambda s, x: x, net=S(L(3, 9), nn.ReLU(), L(9, 2)))),
        (3,),
        must_read=True,
        moves=3,
        format="safetensors",
    ),
    "equal widths, dense1 ...": lambda: Network(
        Net(flow("dense1", "dense2", "dense3"), dense1=L(6, 6), dense2=L(6, 6), dense3=L(6, 6)),
        (6,),
        must_read=True,
        moves=5,
        format="safetensors",
    ),
    "equal widths, layer_0 ...": lambda: Network(
        Net(flow("layer_0", "layer_1", "layer_2"), layer_0=L(5, 5), layer_1=L(5, 5), layer_2=L(5, 5)),
        (5,),
        must_read=True,
        moves=5,
    ),
    "LeNet by flat names": lambda: Network(
        Net(
            lambda s, x: s.fc2(relu(s.fc1(relu(s.conv2(relu(s.conv1(x)))).flatten(1)))),
            **{"conv1": C(1, 4), "conv2": C(4, 6), "fc1": L(6 * 16, 8), "fc2": L(8, 3)},
        ),
        (1, 4, 4),
        must_read=True,
        moves=7,
    ),
    "features and classifier": lambda: Network(
        Net(
            lambda s, x: s.classifier(s.features(x).flatten(1)),
            features=S(C(1, 4), nn.ReLU(), C(4, 6), nn.ReLU()),
            classifier=S(nn.Dropout(), L(6 * 16, 8), nn.ReLU(), L(8, 3)),
        ),
        (1, 4, 4),
        must_read=True,
        moves=7,
        format="safetensors",
    ),
    "BatchNorm behind the activation": lambda: Network(
        S(L(4, 7), nn.ReLU(), nn.BatchNorm1d(7), L(7, 5), nn.ReLU(), nn.BatchNorm1d(5), L(5, 2)),
        (4,),
        must_read=True,
        moves=13,
    ),
    "BatchNorm behind tanh": lambda: Network(
        Net(lambda s, x: s.main(x), main=S(L(4, 7), nn.Tanh(), nn.BatchNorm1d(7), L(7, 2))), (4,), "tanh", True, 7
    ),
    "BatchNorm without gains behind the activation": lambda: Network(
        S(L(4, 7), nn.ReLU(), nn.BatchNorm1d(7, affine=False), L(7, 2)), (4,), must_read=True, moves=5
    ),
    "BatchNorm of the inputs": lambda: Network(
        S(nn.BatchNorm1d(4), L(4, 7), nn.ReLU(), L(7, 2)), (4,), must_read=True, moves=3
    ),
    "BatchNorm of the inputs by name": lambda: Network(
        Net(lambda s, x: s.fc2(relu(s.fc1(s.input_bn(x)))), input_bn=nn.BatchNorm1d(4), fc1=L(4, 7), fc2=L(7, 2)),
        (4,),
        must_read=True,
        moves=3,
        format="safetensors",
    ),
    "a counter of shape (1)": lambda: Network(
        Net(lambda s, x: s.fc2(relu(s.bn1(s.fc1(x)))), fc1=L(4, 7), bn1=counted(nn.BatchNorm1d(7)), fc2=L(7, 2)),
        (4,),
        must_read=True,
        moves=7,
    ),
    "log_std of a policy": lambda: Network(
        Net(
            lambda s, x: s.mean(x) + s.log_std.exp(),
            log_std=nn.Parameter(torch.zeros(3)),
            mean=S(L(5, 8), nn.Tanh(), L(8, 3)),
        ),
        (5,),
        "tanh",
        must_read=True,
        moves=3,
        format="safetensors",
    ),
    "action scales": lambda: Network(
        Net(
            scaled,
            action_scale=torch.tensor([2.0, 1.5]),
            action_bias=torch.tensor([[0.5, 0.1]]),
            pi=S(L(5, 8), nn.ReLU(), L(8, 2)),
        ),
        (5,),
        must_read=True,
        moves=3,
    ),
    "statistics of observations": lambda: Network(
        Net(
            lambda s, x: s.l2(relu(s.l1((x - s.obs_mean) / s.obs_std))),
            obs_mean=torch.rand(1, 4),
            obs_std=torch.rand(1, 4) + 1,
            count=torch.tensor(1e4),
            l1=L(4, 8),
            l2=L(8, 2),
        ),
        (4,),
        must_read=True,
        moves=3,
        format="safetensors",
    ),
    "mean and deviation of pictures": lambda: Network(
        Net(
            lambda s, x: s.fc(relu(s.conv2(relu(s.conv1((x - s.mean) / s.dev)))).flatten(1)),
            mean=torch.rand(1, 3, 1, 1),
            dev=torch.rand(1, 3, 1, 1) + 1,
            conv1=C(3, 4),
            conv2=C(4, 5),
            fc=L(80, 2),
        ),
        (3, 4, 4),
        must_read=True,
        moves=5,
    ),
    "physical constants": lambda: Network(
        Net(
            lambda s, x: s.fc2(tanh(s.fc1(x))) * s.g + s.viscosity,
            g=torch.tensor(9.81),
            viscosity=nn.Parameter(torch.tensor([0.01])),
            fc1=L(3, 8),
            fc2=L(8, 2),
        ),
        (3,),
        "tanh",
        must_read=True,
        moves=3,
    ),
    "Fourier features": lambda: Network(
        Net(
            lambda s, x: s.fc2(relu(s.fc1(torch.cat([(x @ s.B).sin(), (x @ s.B).cos()], 1)))),
            B=torch.randn(2, 6),
            fc1=L(12, 6),
            fc2=L(6, 1),
        ),
        (2,),
        must_read=True,
        moves=3,
    ),
    "LayerNorm, numbered": lambda: Network(
        S(L(5, 9), nn.LayerNorm(9), nn.ReLU(), L(9, 7), nn.LayerNorm(7), nn.ReLU(), L(7, 2)),
        (5,),
        must_read=True,
        moves=9,
        format="safetensors",
    ),
    "LayerNorm, named": lambda: Network(
        Net(
            lambda s, x: s.fc3(tanh(s.ln2(s.fc2(tanh(s.ln1(s.fc1(x))))))),
            fc1=L(5, 9),
            ln1=nn.LayerNorm(9),
            fc2=L(9, 9),
            ln2=nn.LayerNorm(9),
            fc3=L(9, 2),
        ),
        (5,),
        "tanh",
        must_read=True,
        moves=9,
    ),
    "LayerNorm behind the activation": lambda: Network(
        S(L(5, 9), nn.ReLU(), nn.LayerNorm(9), L(9, 2)), (5,), must_read=True, moves=5
    ),
    "GroupNorm of three groups": lambda: Network(normed(nn.GroupNorm(3, 6)), (2, 5, 5), must_read=True, moves=5),
    "GroupNorm of one group": lambda: Network(
        normed(nn.GroupNorm(1, 6)), (2, 5, 5), must_read=True, moves=5, format="safetensors"
    ),
    "PReLU with one slope": lambda: Network(
        S(L(4, 8), nn.PReLU(), L(8, 2)), (4,), "prelu", must_read=True, moves=3, format="safetensors"
    ),
    "PReLU with a slope a neuron": lambda: Network(
        S(L(4, 8), nn.PReLU(8), L(8, 6), nn.PReLU(6), L(6, 2)), (4,), "PReLU(num_parameters=8)", must_read=True, moves=7
    ),
    "PReLU by name": lambda: Network(
        Net(lambda s, x: s.fc2(s.act1(s.fc1(x))), fc1=L(4, 8), act1=nn.PReLU(8), fc2=L(8, 2)),
        (4,),
        must_read=True,
        moves=4,
    ),
    "RMSNorm, named": lambda: Network(
        Net(
            lambda s, x: s.fc3(tanh(s.norm2(s.fc2(tanh(s.norm1(s.fc1(x))))))),
            fc1=L(5, 9),
            norm1=nn.RMSNorm(9),
            fc2=L(9, 9),
            norm2=nn.RMSNorm(9),
            fc3=L(9, 2),
        ),
        (5,),
        "tanh",
        must_read=True,
        moves=7,
    ),
    "RMSNorm behind the activation": lambda: Network(
        S(L(5, 9), nn.ReLU(), nn.RMSNorm(9), L(9, 2)), (5,), must_read=True, moves=4, format="safetensors"
    ),
    "VGG, numbered twice": lambda: Network(
        Net(
            lambda s, x: s.fc(relu(s.conv2_2(relu(s.conv2_1(relu(s.conv1_2(relu(s.conv1_1(x)))))))).mean((2, 3))),
            **{"conv1_1": C(3, 4), "conv1_2": C(4, 4), "conv2_1": C(4, 6), "conv2_2": C(6, 6), "fc": L(6, 2)},
        ),
        (3, 5, 5),
        must_read=True,
        moves=9,
    ),
    "autoencoder by flat names": lambda: Network(
        Net(
            flow("enc1", "enc2", "dec1", "dec2"),
            **{"enc1": L(9, 7), "enc2": L(7, 4), "dec1": L(4, 6), "dec2": L(6, 9)},
        ),
        (9,),
        must_read=True,
        moves=7,
    ),
    "BatchNorm by name, equal widths": lambda: Network(
        Net(
            lambda s, x: s.fc3(relu(s.bn2(s.fc2(relu(s.bn1(s.fc1(x))))))),
            **{"fc1": L(6, 6), "fc2": L(6, 6), "fc3": L(6, 2), "bn1": nn.BatchNorm1d(6), "bn2": nn.BatchNorm1d(6)},
        ),
        (6,),
        must_read=True,
        moves=13,
        format="safetensors",
    ),
    "LayerNorm, two lists of one width": lambda: Network(
        Net(
            lambda s, x: s.out(relu(s.norms[1](s.layers[1](relu(s.norms[0](s.layers[0](x))))))),
            layers=nn.ModuleList([L(5, 9), L(9, 9)]),
            norms=nn.ModuleList([nn.LayerNorm(9), nn.LayerNorm(9)]),
            out=L(9, 2),
        ),
        (5,),
        must_read=True,
        moves=9,
    ),
    "equal widths and a last layer by another name": lambda: Network(
        Net(flow("fc1", "fc2", "pi"), **{"fc1": L(8, 8), "fc2": L(8, 8), "pi": L(8, 2)}), (8,), must_read=True, moves=5
    ),
    "hidden and predict": lambda: Network(
        Net(flow("hidden", "predict"), hidden=L(1, 8), predict=L(8, 1)),
        (1,),
        must_read=True,
        moves=3,
        format="safetensors",
    ),
    "numpy beside the weights": lambda: Network(
        S(L(4, 8), nn.ReLU(), L(8, 2)),
        (4,),
        must_read=True,
        moves=3,
        extras={"score": np.float32(0.5), "history": np.arange(3.0), "seed": np.int64(3)},
    ),
    "options, paths and counters beside the weights": lambda: Network(
        S(L(4, 8), nn.ReLU(), L(8, 2)),
        (4,),
        must_read=True,
        moves=3,
        extras={
            "args": argparse.Namespace(lr=0.1),
            "out": pathlib.PurePosixPath("runs/1"),
            "counts": collections.defaultdict(int, a=1),
        },
    ),
    "siren of unknown frequencies": lambda: siren(20.0, 3.0),
    "siren of unknown frequencies, another": lambda: siren(30.0, 30.0, names="layers"),
    "siren of told frequencies": lambda: siren(25.0, 2.0, told=("--omega-0", "25,2,2")),
    "siren of one told frequency": lambda: siren(15.0, 15.0, told=("--omega-0", "15")),
    "one of two networks": lambda: Network(
        Net(
            both("q1", "q2"), q1=Net(flow("a", "b"), a=L(4, 9), b=L(9, 1)), q2=Net(flow("a", "b"), a=L(4, 9), b=L(9, 1))
        ),
        (4,),
        must_read=True,
        moves=3,
        told=("--prefix", "q2."),
    ),
    "a told chain in blocks": lambda: Network(
        Net(
            lambda s, x: s.out(relu(s.block(relu(s.inp(x))))),
            inp=L(3, 6),
            block=S(L(6, 6), nn.ReLU(), L(6, 6)),
            out=L(6, 2),
        ),
        (3,),
        must_read=True,
        moves=7,
        told=("--chain",),
    ),
}


def counted(norm: nn.BatchNorm1d) -> nn.BatchNorm1d:
    norm.num_batches_tracked = torch.tensor([7])
    return norm


NOT_GUESSED: dict[str, Callable[[], Network]] = {
    "several networks of one kind, numbered through": lambda: Network(
        Net(
            lambda s, x: torch.cat([flow("l1", "l2", "l3")(s, x), flow("l4", "l5", "l6")(s, x)], 1),
            **{f"l{place}": L(*sizes) for place, sizes in enumerate(2 * ((2, 8), (8, 7), (7, 2)), 1)},
        ),
        (2,),
    ),
    "gates of one width by number": lambda: Network(
        Net(
            lambda s, x: (lambda h: s.out(torch.sigmoid(s.gate1(h)) * tanh(s.gate2(h))))(relu(s.inp(x))),
            **{"inp": L(3, 6), "gate1": L(6, 6), "gate2": L(6, 6), "out": L(6, 2)},
        ),
        (3,),
        says=("gate",),
    ),
    "mean and maximum side by side": lambda: Network(
        Net(
            lambda s, x: (lambda h: s.fc(torch.cat([h.mean((2, 3)), h.amax((2, 3))], 1)))(
                relu(s.conv2(relu(s.conv1(x))))
            ),
            **{"conv1": C(1, 4), "conv2": C(4, 6), "fc": L(12, 2)},
        ),
        (1, 5, 5),
    ),
    "a vector that is added to flattened neurons": lambda: Network(
        Net(
            lambda s, x: s.fc(relu(s.conv(x)).flatten(1) + s.pe),
            conv=C(2, 8),
            pe=nn.Parameter(torch.rand(128)),
            fc=L(128, 2),
        ),
        (2, 4, 4),
    ),
    "a LayerNorm of flattened neurons": lambda: Network(
        Net(lambda s, x: s.fc(s.ln(relu(s.conv(x)).flatten(1))), conv=C(2, 8), ln=nn.LayerNorm(128), fc=L(128, 2)),
        (2, 4, 4),
    ),
    "a BatchNorm of flattened neurons": lambda: Network(
        Net(
            lambda s, x: s.fc2(relu(s.fc(s.bn(relu(s.conv(x)).flatten(1))))),
            **{"conv": C(2, 8), "bn": nn.BatchNorm1d(32), "fc": L(32, 32), "fc2": L(32, 2)},
        ),
        (2, 2, 2),
        format="safetensors",
    ),
    "head, body with a skip, and tail": lambda: Network(
        Net(
            lambda s, x: s.tail((lambda h: h + s.body(h))(s.head(x))),
            head=S(C(2, 6)),
            body=S(C(6, 6), nn.ReLU(), C(6, 6)),
            tail=S(C(6, 2)),
        ),
        (2, 4, 4),
        format="safetensors",
    ),
    "parallel convolutions, named by their kernels": lambda: Network(
        Net(
            lambda s, x: (lambda h: s.fc(sum(relu(c(h)) for c in s.convs.values()).mean((2, 3))))(relu(s.stem(x))),
            stem=C(3, 6),
            convs=nn.ModuleDict({str(size): C(6, 6, size) for size in (1, 3, 5)}),
            fc=L(6, 2),
        ),
        (3, 6, 6),
    ),
    "skip of the inputs, flat": lambda: Network(
        Net(lambda s, x: s.out(x + s.up(relu(s.down(x)))), down=L(6, 3), up=L(3, 6), out=L(6, 2)), (6,)
    ),
    "a skip around the first layer, in a module of its own": lambda: Network(
        Net(lambda s, x: s.out(s.mix(x)), mix=Net(lambda b, x: x + relu(b.fn(x)), fn=L(6, 6)), out=L(6, 2)), (6,)
    ),
    "two networks by flat names": lambda: Network(
        Net(
            lambda s, x: torch.cat([flow("a1", "a2")(s, x), flow("v1", "v2")(s, x)], 1),
            **{"a1": L(4, 8), "a2": L(8, 4), "v1": L(4, 8), "v2": L(8, 1)},
        ),
        (4,),
    ),
    "two networks by flat names, numbered twice": lambda: Network(
        Net(
            lambda s, x: torch.cat([flow("Q1_l1", "Q1_l2")(s, x), flow("Q2_l1", "Q2_l2")(s, x)], 1),
            **{"Q1_l1": L(4, 8), "Q1_l2": L(8, 4), "Q2_l1": L(4, 8), "Q2_l2": L(8, 1)},
        ),
        (4,),
        format="safetensors",
    ),
    "two networks by flat names, numbers first": lambda: Network(
        Net(
            lambda s, x: torch.cat([flow("fc1_a", "fc2_a")(s, x), flow("fc1_b", "fc2_b")(s, x)], 1),
            **{"fc1_a": L(4, 8), "fc2_a": L(8, 4), "fc1_b": L(4, 8), "fc2_b": L(8, 1)},
        ),
        (4,),
    ),
    "a network in a list, and one that leads back": lambda: Network(
        Net(
            lambda s, x: torch.cat([s.maps[0](x), s.maps[1](x[:, :6])], 1),
            maps=nn.ModuleList([S(L(7, 9), nn.ReLU(), L(9, 6)), S(L(6, 9), nn.ReLU(), L(9, 7))]),
        ),
        (7,),
    ),
    "a wide layer beside a deep network": lambda: Network(
        Net(lambda s, x: s.wide(x) + s.deep2(relu(s.deep1(x)))[:, :2], deep1=L(6, 9), deep2=L(9, 6), wide=L(6, 2)),
        (6,),
    ),
    "heads that are numbered behind the trunk": lambda: Network(
        Net(
            lambda s, x: (lambda h: torch.cat([s.fc21(h), s.fc22(h), s.fc4(relu(s.fc3(s.fc21(h))))], 1))(
                relu(s.fc1(x))
            ),
            **{"fc1": L(9, 5), "fc21": L(5, 5), "fc22": L(5, 5), "fc3": L(5, 5), "fc4": L(5, 9)},
        ),
        (9,),
    ),
    "heads of one number": lambda: Network(
        Net(
            lambda s, x: (lambda h: s.fc3(relu(s.fc2_mu(h) + s.fc2_var(h))))(relu(s.fc1(x))),
            **{"fc1": L(9, 5), "fc2_mu": L(5, 5), "fc2_var": L(5, 5), "fc3": L(5, 9)},
        ),
        (9,),
    ),
    "two tasks of one width": lambda: Network(
        Net(
            lambda s, x: (lambda h: torch.cat([s.task1(h), s.task2(h)], 1))(relu(s.fc(x))),
            **{"fc": L(9, 5), "task1": L(5, 5), "task2": L(5, 5)},
        ),
        (9,),
        format="safetensors",
    ),
    "a list of tasks": lambda: Network(
        Net(
            lambda s, x: (lambda h: torch.cat([task(h) for task in s.tasks], 1))(s.net(x)),
            net=S(L(9, 6), nn.ReLU(), L(6, 5), nn.ReLU()),
            tasks=nn.ModuleList([L(5, 5), L(5, 3)]),
        ),
        (9,),
    ),
    "gated layer, numbered twice": lambda: Network(
        Net(
            lambda s, x: s.fc2(s.fc1_1(x) * torch.sigmoid(s.fc1_2(x))),
            **{"fc1_1": L(6, 6), "fc1_2": L(6, 6), "fc2": L(6, 2)},
        ),
        (6,),
        "identity",
    ),
    "a decoder by flat names that reads its encoder on the way": lambda: Network(
        Net(
            lambda s, x: (lambda h: s.up2(relu(s.up1(relu(s.down2(h))) + h)))(relu(s.down1(x))),
            **{"down1": L(9, 7), "down2": L(7, 4), "up1": L(4, 7), "up2": L(7, 9)},
        ),
        (9,),
    ),
    "a gate of channels by flat names": lambda: Network(
        Net(
            lambda s, x: (
                lambda h: s.fc3((h * torch.sigmoid(s.fc2(relu(s.fc1(h.mean((2, 3))))))[:, :, None, None]).mean((2, 3)))
            )(relu(s.conv1(x))),
            **{"conv1": C(3, 8), "fc1": L(8, 2), "fc2": L(2, 8), "fc3": L(8, 2)},
        ),
        (3, 5, 5),
    ),
    "skips around single layers in modules of their own": lambda: Network(
        S(L(3, 6), nn.ReLU(), Net(lambda b, x: x + b.fn(x), fn=L(6, 6)), nn.ReLU(), L(6, 2)), (3,), format="safetensors"
    ),
    "skips around single layers and their BatchNorm": lambda: Network(
        Net(
            lambda s, x: s.out(s.block2(s.block1(s.inp(x)))),
            inp=L(3, 6),
            block1=Net(lambda b, x: x + relu(b.bn(b.fc(x))), fc=L(6, 6), bn=nn.BatchNorm1d(6)),
            block2=Net(lambda b, x: x + relu(b.bn(b.fc(x))), fc=L(6, 6), bn=nn.BatchNorm1d(6)),
            out=L(6, 2),
        ),
        (3,),
    ),
    "an embedding in a container": lambda: Network(
        Net(
            lambda s, x: s.net((x[:, 0].abs() * 4).long().clamp(0, 7)),
            net=S(nn.Embedding(8, 8), L(8, 16), nn.ReLU(), L(16, 2)),
        ),
        (1,),
    ),
    "depthwise and pointwise at the inputs": lambda: Network(
        S(C(6, 6, groups=6), nn.ReLU(), C(6, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), L(8, 2)),
        (6, 5, 5),
        says=("depthwise",),
    ),
    "a bilinear layer that reads one vector twice": lambda: Network(
        Net(
            lambda s, x: (lambda h: s.l3(relu(s.l2(h, h))))(relu(s.l1(x))),
            **{"l1": L(4, 6), "l2": nn.Bilinear(6, 6, 5), "l3": L(5, 2)},
        ),
        (4,),
    ),
    "transposed convolutions that chain the other way round": lambda: Network(
        S(nn.ConvTranspose2d(5, 8, 3, bias=False), nn.ReLU(), nn.ConvTranspose2d(8, 5, 2, bias=False)),
        (5, 3, 3),
        says=("transposed",),
    ),
    "a number that is added between layers": lambda: Network(
        S(L(4, 8), nn.ReLU(), Net(lambda b, x: x + b.shift, shift=nn.Parameter(torch.ones(1))), L(8, 2)), (4,)
    ),
    "a number that is added to one neuron": lambda: Network(
        Net(lambda s, x: s.fc2(relu(s.fc1(x)) + s.shift), fc1=L(4, 1), shift=nn.Parameter(torch.ones(1)), fc2=L(1, 2)),
        (4,),
    ),
    "a LayerNorm behind two layers": lambda: Network(
        Net(
            lambda s, x: s.fc3(relu(s.norm(s.fc2(relu(s.norm(s.fc1(x))))))),
            **{"fc1": L(5, 6), "norm": nn.LayerNorm(6), "fc2": L(6, 6), "fc3": L(6, 2)},
        ),
        (5,),
    ),
    "a numbered LayerNorm behind two layers": lambda: Network(
        Net(
            lambda s, x: s.fc3(relu(s.ln1(s.fc2(relu(s.ln1(s.fc1(x))))))),
            **{"fc1": L(5, 6), "fc2": L(6, 6), "fc3": L(6, 2), "ln1": nn.LayerNorm(6)},
        ),
        (5,),
    ),
    "a BatchNorm behind two layers": lambda: Network(
        Net(
            lambda s, x: s.fc3(relu(s.bn(s.fc2(relu(s.bn(s.fc1(x))))))),
            **{"fc1": L(5, 6), "fc2": L(6, 6), "bn": nn.BatchNorm1d(6), "fc3": L(6, 2)},
        ),
        (5,),
        says=("bn",),
    ),
    "slopes behind two layers": lambda: Network(
        Net(
            lambda s, x: s.fc3(s.act(s.fc2(s.act(s.fc1(x))))),
            **{"fc1": L(5, 6), "act": nn.PReLU(6), "fc2": L(6, 6), "fc3": L(6, 2)},
        ),
        (5,),
        "prelu",
    ),
    "LayerNorm before square layers": lambda: Network(
        Net(
            lambda s, x: s.out(relu(s.fc2(s.ln2(relu(s.fc1(s.ln1(x))))))),
            **{"ln1": nn.LayerNorm(6), "ln2": nn.LayerNorm(6), "fc1": L(6, 6), "fc2": L(6, 6), "out": L(6, 2)},
        ),
        (6,),
        format="safetensors",
    ),
    "skips around layers behind their BatchNorm, flat": lambda: Network(
        Net(
            lambda s, x: (lambda h: s.out(h + s.fc2(relu(s.bn2(s.fc1(relu(s.bn1(h))))))))(s.inp(x)),
            inp=L(3, 6),
            **{"bn1": nn.BatchNorm1d(6), "fc1": L(6, 6), "bn2": nn.BatchNorm1d(6), "fc2": L(6, 6), "out": L(6, 2)},
        ),
        (3,),
    ),
    "transposed convolutions": lambda: Network(
        S(nn.ConvTranspose2d(6, 5, 3), nn.ReLU(), nn.ConvTranspose2d(5, 2, 3)), (6, 3, 3), says=("transposed",)
    ),
    "transposed convolutions without bias": lambda: Network(
        Net(
            lambda s, x: s.up2(relu(s.up1(x))),
            up1=nn.ConvTranspose2d(6, 4, 2, bias=False),
            up2=nn.ConvTranspose2d(4, 3, 2, bias=False),
        ),
        (6, 3, 3),
        format="safetensors",
    ),
    "square transposed convolutions": lambda: Network(
        S(nn.ConvTranspose2d(5, 5, 3), nn.ReLU(), nn.ConvTranspose2d(5, 5, 3), nn.ReLU()),
        (5, 3, 3),
        says=("transposed", "tell"),
    ),
    "a square transposed convolution among convolutions": lambda: Network(
        S(C(2, 5), nn.ReLU(), nn.ConvTranspose2d(5, 5, 2, 2, bias=False), nn.ReLU(), C(5, 2)), (2, 3, 3)
    ),
    "two networks": lambda: Network(
        Net(both("policy", "value"), policy=S(L(4, 9), nn.ReLU(), L(9, 3)), value=S(L(4, 9), nn.ReLU(), L(9, 1))), (4,)
    ),
    "two networks that would chain": lambda: Network(
        Net(both("online", "frozen"), online=S(L(6, 9), nn.ReLU(), L(9, 6)), frozen=S(L(6, 9), nn.ReLU(), L(9, 6))),
        (6,),
        format="safetensors",
    ),
    "two networks of named layers": lambda: Network(
        Net(
            both("g", "d"),
            g=Net(flow("fc1", "fc2"), fc1=L(5, 8), fc2=L(8, 5)),
            d=Net(flow("fc1", "fc2"), fc1=L(5, 8), fc2=L(8, 5)),
        ),
        (5,),
    ),
    "encoder that its decoder reads on the way": lambda: Network(
        Net(
            lambda s, x: (lambda h: s.dec.up2(relu(s.dec.up1(relu(s.enc.down2(h))) + h)))(relu(s.enc.down1(x))),
            enc=Net(flow("down1", "down2"), down1=L(9, 7), down2=L(7, 4)),
            dec=Net(flow("up1", "up2"), up1=L(4, 7), up2=L(7, 9)),
        ),
        (9,),
    ),
    "residual blocks, stages.N.lin_a": lambda: Network(
        Net(
            lambda s, x: s.head(s.stages(relu(s.stem(x)))),
            stem=L(3, 8),
            stages=S(skipping(8, "lin_a", "lin_b"), skipping(8, "lin_a", "lin_b")),
            head=L(8, 2),
        ),
        (3,),
        says=("residual", "skip", "branch"),
    ),
    "residual blocks, trunk.N.c1": lambda: Network(
        Net(
            lambda s, x: s.out(s.trunk(relu(s.inp(x))).mean((2, 3))),
            inp=C(1, 6),
            trunk=nn.Sequential(*(skipping(6, "c1", "c2", C) for _ in range(3))),
            out=L(6, 2),
        ),
        (1, 5, 5),
        says=("residual", "skip", "branch"),
        format="safetensors",
    ),
    "residual blocks with norms": lambda: Network(
        Net(
            lambda s, x: s.fc(s.body(relu(s.conv(x))).mean((2, 3))),
            conv=C(1, 6),
            body=S(*(skipping(6, "conv1", "conv2", C, bn1=nn.BatchNorm2d(6), bn2=nn.BatchNorm2d(6)) for _ in range(2))),
            fc=L(6, 2),
        ),
        (1, 5, 5),
    ),
    "pre-activation blocks": lambda: Network(
        Net(
            lambda s, x: s.fc(s.body(s.conv(x)).mean((2, 3))),
            conv=C(1, 6),
            body=S(before_norms(6), before_norms(6)),
            fc=L(6, 2),
        ),
        (1, 5, 5),
        format="safetensors",
    ),
    "blocks with a skip around their second layer": lambda: Network(
        Net(
            lambda s, x: s.out(s.blocks(relu(s.inp(x)))), inp=L(3, 7), blocks=S(late_skip(7), late_skip(7)), out=L(7, 2)
        ),
        (3,),
    ),
    "bottlenecks": lambda: Network(
        Net(
            lambda s, x: s.fc(s.unit(relu(s.stem(x)))),
            stem=L(3, 8),
            unit=Net(lambda b, x: relu(x + b.c(relu(b.b(relu(b.a(x)))))), a=L(8, 4), b=L(4, 4), c=L(4, 8)),
            fc=L(8, 2),
        ),
        (3,),
    ),
    "blocks that normalise before a single layer": lambda: Network(
        Net(
            lambda s, x: s.out(s.mix(s.inp(x))),
            inp=L(3, 7),
            mix=S(*(Net(lambda b, x: x + relu(b.fc(b.norm(x))), norm=nn.LayerNorm(7), fc=L(7, 7)) for _ in range(2))),
            out=L(7, 2),
        ),
        (3,),
    ),
    "one block with a skip, body": lambda: Network(
        Net(
            lambda s, x: s.top((lambda h: h + s.body(h))(relu(s.low(x)))),
            low=L(4, 8),
            body=S(L(8, 8), nn.ReLU(), L(8, 8)),
            top=L(8, 2),
        ),
        (4,),
        says=("residual", "skip", "branch"),
    ),
    "one block with a skip, hidden": lambda: Network(
        Net(
            lambda s, x: s.output((lambda h: h + s.hidden(h))(relu(s.input(x)))),
            input=L(4, 8),
            hidden=S(L(8, 8), nn.ReLU(), L(8, 8)),
            output=L(8, 2),
        ),
        (4,),
        format="safetensors",
    ),
    "skips around each layer of a list": lambda: Network(
        Net(
            lambda s, x: s.output(
                (lambda h: (lambda g: g + relu(s.hidden[1](g)))(h + relu(s.hidden[0](h))))(s.input(x))
            ),
            input=L(4, 8),
            hidden=nn.ModuleList([L(8, 8), L(8, 8)]),
            output=L(8, 2),
        ),
        (4,),
        says=("residual", "skip", "branch"),
    ),
    "tied layers": lambda: Network(Tied("middle1", "middle2"), (5,), says=("tied",)),
    "tied layers, copied": lambda: Network(
        Tied("hidden_1", "hidden_2", "hidden_3"), (5,), says=("tied",), format="safetensors"
    ),
    "tied autoencoder": lambda: Network(TiedAutoencoder(), (6,), says=("tied",)),
    "tied autoencoder, copied": lambda: Network(TiedAutoencoder(), (6,), says=("tied",), format="safetensors"),
    "recurrent cell, W_xh": lambda: Network(
        Cell("W_xh", "W_hh", "W_hy"), (3, 5), says=("recurrent",), format="safetensors"
    ),
    "recurrent cell, inp": lambda: Network(Cell("inp", "rec", "out"), (3, 5), says=("recurrent",)),
    "recurrent cell of numbered layers": lambda: Network(
        Net(
            lambda s, x: s.out(relu(s.rnn.linear1(x[:, 1]) + s.rnn.linear2(relu(s.rnn.linear1(x[:, 0]))))),
            rnn=Net(flow("linear1", "linear2"), linear1=L(5, 6), linear2=L(6, 6)),
            out=L(6, 2),
        ),
        (2, 5),
        says=("recurrent",),
    ),
    "recurrent cell of one width": lambda: Network(Cell("enter", "step", "leave", 6, 6), (3, 6)),
    "mean and deviation of one width": lambda: Network(
        Net(
            lambda s, x: (lambda h: torch.cat([s.mu(h), s.sigma(h)], 1))(relu(s.enc(x))),
            enc=L(9, 5),
            mu=L(5, 5),
            sigma=L(5, 5),
        ),
        (9,),
        says=("branch", "mu"),
    ),
    "two heads of one width, by number": lambda: Network(
        Net(
            lambda s, x: (lambda h: torch.cat([s.head1(h), s.head2(h)], 1))(relu(s.fc(x))),
            fc=L(9, 5),
            head1=L(5, 5),
            head2=L(5, 5),
        ),
        (9,),
        format="safetensors",
    ),
    "parallel convolutions, branches": lambda: Network(
        Net(
            lambda s, x: s.out(torch.cat([relu(c(x)).amax(2) for c in s.filters], 1)),
            filters=nn.ModuleList([nn.Conv1d(6, 6, k) for k in (2, 3, 5)]),
            out=L(18, 2),
        ),
        (6, 9),
    ),
    "parallel convolutions, flat": lambda: Network(
        Net(
            lambda s, x: s.fc(torch.cat([relu(c(x)).amax(2) for c in (s.conv3, s.conv4, s.conv5)], 1)),
            **{f"conv{k}": nn.Conv1d(6, 6, k) for k in (3, 4, 5)},
            fc=L(18, 2),
        ),
        (6, 9),
        format="safetensors",
    ),
    "gated layer, value and control": lambda: Network(
        Net(
            lambda s, x: s.proj(s.value(x) * torch.sigmoid(s.control(x))), value=L(7, 7), control=L(7, 7), proj=L(7, 2)
        ),
        (7,),
        "identity",
    ),
    "gated layer by letters and numbers": lambda: Network(
        Net(lambda s, x: s.w2(s.w1(x) * torch.sigmoid(s.w3(x))), w1=L(6, 9), w2=L(9, 6), w3=L(6, 9)), (6,), "identity"
    ),
    "skip of the inputs": lambda: Network(
        Net(lambda s, x: s.out(x + s.net(x)), net=S(L(6, 9), nn.ReLU(), L(9, 6)), out=L(6, 2)), (6,)
    ),
    "a vector that is added to the neurons": lambda: Network(
        Net(lambda s, x: s.fc2(relu(s.fc1(x)) * s.gain), fc1=L(4, 8), gain=nn.Parameter(torch.rand(8)), fc2=L(8, 2)),
        (4,),
    ),
    "masks that are no numbers": lambda: Network(
        Net(
            lambda s, x: s.fc2(relu(nn.functional.linear(x, s.fc1.weight * s.mask, s.fc1.bias))),
            fc1=L(4, 8),
            mask=torch.rand(8, 4, generator=torch.Generator().manual_seed(0)) > 0.5,
            fc2=L(8, 2),
        ),
        (4,),
        format="safetensors",
    ),
    "a LayerNorm of unknown place": lambda: Network(
        Net(
            lambda s, x: s.fc3(relu(s.norm(s.fc2(relu(s.norm(s.fc1(x))))))),
            fc1=L(6, 6),
            fc2=L(6, 6),
            fc3=L(6, 2),
            norm=nn.LayerNorm(6),
        ),
        (6,),
    ),
    "grouped convolution": lambda: Network(
        S(C(2, 6), nn.ReLU(), C(6, 6, groups=2), nn.ReLU(), C(6, 2)), (2, 4, 4), says=("chain",)
    ),
    "depthwise and pointwise": lambda: Network(
        Net(
            lambda s, x: s.fc(relu(s.pw(relu(s.dw(relu(s.stem(x)))))).mean((2, 3))),
            stem=C(1, 6),
            dw=C(6, 6, groups=6),
            pw=C(6, 8, 1),
            fc=L(8, 2),
        ),
        (1, 4, 4),
    ),
    "a cell between linear layers": lambda: Network(
        Net(lambda s, x: s.fc2(s.rnn(relu(s.fc1(x)))[0]), fc1=L(4, 6), rnn=nn.GRU(6, 6, batch_first=True), fc2=L(6, 2)),
        (3, 4),
        says=("recurrent",),
    ),
    "transformer with an MLP": lambda: Network(
        nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, dropout=0.0),
        (3, 6),
        says=("in_proj", "attention", "attn"),
    ),
}


@pytest.mark.parametrize("kind", READ)
def test_what_is_a_chain_is_read_and_moved(kind: str, nfn: Nfn, tmp_path: Path) -> None:
    found = judge(nfn, READ[kind](), tmp_path)
    assert found.fault is None
    assert "nfn: read as " in found.err


@pytest.mark.parametrize("kind", NOT_GUESSED)
def test_what_is_no_chain_is_not_taken_for_one(kind: str, nfn: Nfn, tmp_path: Path) -> None:
    found = judge(nfn, NOT_GUESSED[kind](), tmp_path)
    assert found.fault is None
    assert found.refusal is None or found.refusal.count(";") >= 1
