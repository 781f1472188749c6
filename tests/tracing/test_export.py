"""A module as a graph: names, places, and a run in float64 that computes what the module computes."""

from __future__ import annotations

import logging
import sys
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from nfn_cli.architectures.tracing.export import Exported, export, export_user_module
from nfn_cli.architectures.tracing.inputs import Example
from nfn_cli.architectures.tracing.outputs import output_tensors
from nfn_cli.architectures.tracing.user_module import UserModule
from nfn_cli.errors import ArchitectureError, UsageError


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Dropout(), nn.Linear(6, 3))


def convolutions() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 2),
    )


class Llama(nn.Module):
    """Small: RMSNorm in float32, rotation, grouped heads, gated MLP, tied embedding, a mask that it makes."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(11, 8)
        self.q, self.k, self.v = nn.Linear(8, 8, False), nn.Linear(8, 4, False), nn.Linear(8, 4, False)
        self.o, self.gate, self.up, self.down = (nn.Linear(a, b, False) for a, b in ((8, 8), (8, 12), (8, 12), (12, 8)))
        self.norm, self.precise = nn.Parameter(torch.ones(8)), torch.float32
        self.head = nn.Linear(8, 11, False)
        self.head.weight = self.embed.weight
        self.register_buffer("angles", torch.tensor([1.0, 0.25]), persistent=False)

    def normed(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.to(self.precise).pow(2).mean(-1, keepdim=True) + 1e-6).to(x.dtype) * self.norm

    def rotated(self, x: Tensor) -> Tensor:
        with torch.autocast("cpu", enabled=False), torch.no_grad():
            turns = torch.arange(x.shape[-2])[:, None] * self.angles
        cos, sin = torch.cat([turns, turns], -1).cos(), torch.cat([turns, turns], -1).sin()
        return x * cos + torch.cat([-x[..., 2:], x[..., :2]], -1) * sin

    def forward(self, tokens: Tensor, scale: Tensor | None = None) -> dict[str, Any]:
        x = self.embed(tokens)
        y = self.normed(x)
        q = self.q(y).unflatten(-1, (2, 4)).transpose(1, 2)
        k = self.k(y)[:, None]
        v = self.v(y)[:, None].expand(-1, 2, -1, -1)
        mask = torch.ones(tokens.shape[1], tokens.shape[1]).tril() > 0
        mixed = functional.scaled_dot_product_attention(self.rotated(q), self.rotated(k).expand_as(q), v, mask)
        x = x + self.o(mixed.transpose(1, 2).flatten(2))
        y = self.normed(x)
        x = x + self.down(functional.silu(self.gate(y)) * self.up(y))
        return {"logits": self.head(self.normed(x)), "last": (x if scale is None else x * scale, None)}


class Counting(nn.Module):
    """Changes a buffer of its own, and its input through a view."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", torch.zeros(1))
        self.fixed = torch.tensor([1.0, 2.0])

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        x[0].mul_(2.0)
        return x * self.count + self.fixed.relu_()


CASES: dict[str, tuple[Any, tuple[Any, ...], dict[str, Any]]] = {
    "mlp": (mlp, (torch.randn(2, 4),), {}),
    "convolutions": (convolutions, (torch.randn(2, 3, 8, 8),), {}),
    "llama": (Llama, (torch.arange(10).view(2, 5),), {"scale": torch.rand(8)}),
    "lstm": (lambda: nn.LSTM(4, 5, 2, bidirectional=True), (torch.randn(3, 2, 4),), {}),
    "encoder": (lambda: nn.TransformerEncoderLayer(8, 2, 16, batch_first=True), (torch.randn(2, 3, 8),), {}),
}


@pytest.fixture(scope="module")
def exported_llama() -> Exported:
    return export(Llama().eval(), *CASES["llama"][1:])


def doubled(value: Any) -> Any:
    return value.double() if isinstance(value, Tensor) and value.is_floating_point() else value


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("name", CASES)
def test_the_graph_computes_what_the_module_does(name: str, dtype: torch.dtype) -> None:
    if name in ("lstm", "encoder") and dtype is torch.bfloat16:
        dtype = torch.float64
    make, args, kwargs = CASES[name]
    torch.manual_seed(0)
    module = make().to(dtype).eval()

    def own(value: Tensor) -> Tensor:
        return value.to(dtype) if value.is_floating_point() else value

    exported = export(module, tuple(map(own, args)), {name: own(value) for name, value in kwargs.items()})
    state = {key: doubled(torch.randn(value.shape).abs()) for key, value in make().state_dict().items()}
    for held in exported.names.held:  # tied names are one tensor
        state.update({key: state[held.name] for key in held.stored})
    found = exported.run(state, args, kwargs)
    assert torch.get_default_dtype() is torch.float32
    module.double().load_state_dict(state)
    module.precise = torch.float64  # of the norms, which name it themselves
    wanted = output_tensors(module(*map(doubled, args), **{key: doubled(value) for key, value in kwargs.items()}))
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert ours.dtype is torch.float64
        assert (ours - theirs).abs().max() <= 1e-12 * theirs.abs().max()


def test_names_of_tied_and_of_temporary_tensors(exported_llama: Exported) -> None:
    exported = exported_llama
    held = {one.name: one for one in exported.names.held}
    assert held["embed.weight"].names == held["embed.weight"].stored == ("embed.weight", "head.weight")
    assert (held["angles"].stored, held["angles"].shape, held["angles"].is_parameter) == ((), (2,), False)
    places = exported.placeholders.values()
    assert {place.name for place in places if place.kind == "parameter"} >= {"embed.weight", "norm", "q.weight"}
    assert "head.weight" not in {place.name for place in places}
    (angles,) = (place for place in places if place.kind == "buffer")
    assert angles.value is not None
    assert angles.value.tolist() == [1.0, 0.25]
    assert [place.name for place in places if place.kind == "input"] == ["args_0", "scale"]
    assert exported.names.of("head.weight") is held["embed.weight"]


def test_one_memory_under_two_names() -> None:
    class Shares(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(2, 4)
            self.b.weight = nn.Parameter(self.a.weight.detach())
            self.c.weight = nn.Parameter(self.a.weight.detach()[:, 1:3])
            flat = torch.zeros(8)
            self.b.bias, self.a.bias = nn.Parameter(flat[:4]), nn.Parameter(flat[4:])  # beside one another

        def forward(self, x: Tensor) -> Tensor:
            return self.b(self.a(x)) + self.c(x[:, :2])

    for device in ("cpu", "meta"):
        with torch.device(device):
            names = export(Shares().eval(), (torch.zeros(2, 4),)).names
        assert [one.names for one in names.held if len(one.names) > 1] == [("a.weight", "b.weight")]
        assert names.overlapping == (("a.weight", "c.weight"),)


def test_a_weight_that_is_no_parameter_is_refused() -> None:
    class Stale(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)
            self.turned = self.fc.weight.detach().t()

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x) @ self.turned

    with pytest.raises(ArchitectureError, match=r"uses turned, a view of fc\.weight that is no parameter"):
        export(Stale().eval(), (torch.zeros(2, 4),))


@pytest.mark.parametrize("name", CASES)
def test_the_meta_device_gives_the_same_graph(name: str) -> None:
    make, args, kwargs = CASES[name]
    real = export(make().eval(), args, kwargs)
    with torch.device("meta"):
        module = make().eval()
    there = export(module, args, kwargs)
    assert there.on_meta
    assert operators(there) == operators(real)
    assert [place.name for place in there.placeholders.values() if place.kind != "constant"] == [
        place.name for place in real.placeholders.values() if place.kind != "constant"
    ]
    with pytest.raises(ValueError, match="meta device"):
        there.run({}, args, kwargs)


def operators(exported: Exported) -> list[str]:
    made = [exported.place_of(node) for node in exported.graph.nodes if node.op == "call_function"]
    return [place for place in made if not place.endswith(("aten.lift_fresh_copy", "aten.detach_"))]


def test_places_of_operators(exported_llama: Exported) -> None:
    shared = nn.Linear(4, 4)
    module = nn.Sequential(shared, nn.Sequential(nn.ReLU(), shared))
    assert operators(export(module.eval(), (torch.zeros(2, 4),))) == [
        "0: aten.linear", "1.0: aten.relu", "1.1: aten.linear",
    ]  # fmt: skip
    found = operators(exported_llama)
    assert {"q: aten.linear", "Llama: aten.scaled_dot_product_attention", "Llama: aten.arange"} <= set(found)
    assert not any("wrap_with" in place for place in found)  # no_grad and autocast blocks stand where they are


def test_what_changes_in_place_is_told_and_not_kept() -> None:
    module, inputs = Counting().eval(), torch.ones(2, 2, dtype=torch.float64)
    exported = export(module, (inputs.float(),))
    changed = {exported.placeholders[name].name for name in exported.changed}
    assert changed == {"count", "args_0", "fixed"}
    state = {"count": torch.zeros(1, dtype=torch.float64)}
    for _ in range(2):
        assert exported.run(state, (inputs,), {})[0].tolist() == [[3.0, 4.0], [2.0, 3.0]]
    assert (state["count"].item(), inputs.sum().item()) == (0.0, 4.0)
    assert export(mlp().eval(), (torch.zeros(2, 4),)).changed == frozenset()  # an activation in place changes nothing


def test_numbers_that_the_forward_pass_makes() -> None:
    class Making(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.fc(x) * 0 + torch.linspace(0, 1, 4) + torch.tensor([1.0, 2.0, 3.0, 4.0])

    module = Making().eval()
    exported = export(module, (torch.zeros(2, 4),))
    found = exported.run(module.state_dict(), (torch.zeros(2, 4),), {})[0][0]
    assert found.tolist() == pytest.approx([1, 2 + 1 / 3, 3 + 2 / 3, 5], abs=1e-15)  # not as float32 has thirds
    with torch.device("meta"):
        there = export(Making().eval(), (torch.zeros(2, 4),))
    for one in (exported, there):
        assert one.changed == frozenset()
        (constant,) = (place for place in one.placeholders.values() if place.kind == "constant")
        assert (constant.value is None) == one.on_meta


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda state, args, kwargs: state.pop("norm"), "lack norm"),
        (lambda state, args, kwargs: state.update(norm=torch.ones(7)), r"norm is \(7,\), not \(8,\)"),
        (lambda state, args, kwargs: kwargs.clear(), "keyword arguments of other names than scale"),
        (lambda state, args, kwargs: args.append(args[0]), "8,"),
        (lambda state, args, kwargs: args.clear(), "args_0 is"),
    ],
)
def test_a_run_on_what_does_not_fit(exported_llama: Exported, change: Any, told: str) -> None:
    exported = exported_llama
    state, args, kwargs = dict(Llama().state_dict()), list(CASES["llama"][1]), dict(CASES["llama"][2])
    del state["embed.weight"]  # its other name is enough
    exported.run(state, tuple(args), kwargs)
    change(state, args, kwargs)
    with pytest.raises(ValueError, match=told):
        exported.run(state, tuple(args), kwargs)


def test_a_module_in_training_mode_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="training mode"):
        export(mlp(), (torch.zeros(2, 4),))


def test_inputs_that_are_no_tensors() -> None:
    class Flags(nn.Module):
        def forward(self, pair: list[Tensor], mask: None = None, power: int = 1, flag: bool = False) -> Tensor:
            return pair[0] ** power + pair[1] * flag

    pair = [torch.full((2,), 3.0), torch.ones(2)]
    exported = export(Flags().eval(), (pair, None, 2), {"flag": True})
    assert exported.run({}, (pair, None, 2), {"flag": True})[0].tolist() == [10.0, 10.0]


@dataclass
class Answer:
    logits: Tensor
    cache: Any = None


class Speaking(nn.Module):
    """Fails in the way that it is told."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how

    def forward(self, x: Tensor) -> Any:
        print("hello")
        ways: dict[str, Any] = {
            "data": lambda: x if x.sum() > 0 else x + 1,
            "exit": lambda: sys.exit(3),
            "raise": lambda: int("\nnothing"),
            "object": lambda: (x, object()),
            "whole": lambda: x > 0,
            "nothing": lambda: None,
            "answer": lambda: Answer(x, {"mean": x.mean(), "place": x.argmax()}),
            "policy": lambda: (torch.distributions.Normal(x, 1.0 + x), torch.distributions.Categorical(logits=x)),
            "independent": lambda: torch.distributions.Independent(torch.distributions.Normal(x, x), 1),
            "mixture": lambda: torch.distributions.Laplace(x, x),
        }
        return ways[self.how]()


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ("data", "Speaking cannot be traced (GuardOnDataDependent"),
        ("exit", "Speaking cannot be traced (SystemExit: 3)"),
        ("raise", "Speaking cannot be traced (ValueError: invalid literal"),
        ("object", "Speaking cannot be traced (ValueError: computes a object)"),
        ("mixture", "computes a Laplace"),
        ("whole", "Speaking returns no floating-point tensor"),
        ("nothing", "Speaking returns no floating-point tensor"),
    ],
)
def test_what_cannot_be_traced(
    how: str, told: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(ArchitectureError) as caught:
        export(Speaking(how).eval(), (torch.ones(3),), subject="theirs")
    assert str(caught.value).startswith("theirs: ")
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")
    assert not [record for record in caplog.records if record.levelno > logging.DEBUG]


@pytest.mark.parametrize(("how", "outputs", "real"), [("answer", 3, 2), ("policy", 4, 4), ("independent", 2, 2)])
def test_outputs_of_all_kinds(how: str, outputs: int, real: int) -> None:
    exported = export(Speaking(how).eval(), (torch.ones(3),))
    assert len(exported.outputs) == outputs  # whole numbers are looked at, too
    assert len(exported.run({}, (torch.ones(3),), {})) == real
    assert torch.distributions.Distribution._validate_args == __debug__


def test_output_tensors_in_their_order() -> None:
    one, two, whole = torch.ones(1), torch.ones(2, dtype=torch.complex64), torch.ones(3, dtype=torch.int64)
    cache = type("DynamicCache", (), {"__module__": "transformers.cache_utils"})()
    made = output_tensors({"b": [two, (whole, None)], "a": Answer(one, "text"), "past_key_values": cache})
    assert [tensor.shape[0] for tensor in made] == [2, 1]
    for odd in (object(), {1, 2}, [lambda: one]):
        with pytest.raises(ValueError, match="computes a "):
            output_tensors((one, odd))
    circle: list[Any] = []
    circle.append(circle)
    with pytest.raises(ValueError, match="without end"):
        output_tensors(circle)


def test_a_users_module_without_inputs() -> None:
    fitting = nn.Sequential(nn.Conv2d(2, 4, 3), nn.Flatten(), nn.Linear(4 * 6 * 6, 3)).eval()
    exported = export_user_module(UserModule("a:b", fitting))
    assert exported.example.assumed == "inputs of 2x2x8x8"
    told = export_user_module(UserModule("a:b", fitting), (2, 8, 8))
    assert told.example.assumed is None
    with pytest.raises(ArchitectureError, match=r"(?s)Sequential cannot be traced .* or --input-shape"):
        export_user_module(UserModule("a:b", fitting), (2, 9, 8))
    with pytest.raises(ArchitectureError, match=r"cannot be traced on inputs of 2x4 .*missing 1 required"):
        export_user_module(UserModule("a:b", Two().eval()))
    with pytest.raises(ArchitectureError, match="a:b does not state what inputs it takes"):
        export_user_module(UserModule("a:b", nn.ReLU().eval()))
    given = UserModule("a:b", Two().eval(), Example((torch.zeros(3, 4), torch.zeros(3, 4))))
    assert export_user_module(given).outputs[0].meta["val"].shape == (3, 4)
    with pytest.raises(UsageError, match="gives example inputs of its own"):
        export_user_module(given, (4,))


class Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 4)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return self.fc(x) + y
