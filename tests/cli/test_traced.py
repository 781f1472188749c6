"""Commands on networks that are no chains: by the user's module, by a configuration, by names and shapes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nfn_cli.architectures.families import recognise

MODULES = """
import torch
from torch import nn

class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem, self.a, self.b = (nn.Conv2d(i, 8, 3, padding=1) for i in (3, 8, 8))
        self.norm, self.fc = nn.BatchNorm2d(8), nn.Linear(8, 4)

    def forward(self, x):
        x = torch.relu(self.stem(x))
        x = torch.relu(x + self.b(torch.relu(self.norm(self.a(x)))))
        return {"logits": self.fc(x.mean((2, 3)))}

class Sorted(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(4, 8), nn.Linear(8, 2)

    def forward(self, x):
        return self.b(torch.special.bessel_j0(self.a(x)))

def with_inputs():
    return Residual(), (torch.zeros(2, 3, 8, 8),)
"""
CELL = """
import torch
from torch import nn

class Cell(nn.Module):
    def __init__(self):
        super().__init__()
        self.i, self.u, self.o = nn.Linear(4, 8), nn.Linear(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        h = torch.zeros(len(x), 8)
        for step in range(x.shape[1]):
            h = torch.tanh(self.i(x[:, step]) + self.u(h))
        return self.o(h)

def one():
    return Cell(), torch.zeros(2, 1, 4)

def three():
    return Cell(), torch.zeros(2, 3, 4)
"""
LLAMA = {
    "model_type": "llama", "vocab_size": 23, "hidden_size": 16, "intermediate_size": 20, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 32, "tie_word_embeddings": True,
    "rms_norm_eps": 1e-6,
}  # fmt: skip


def randomised(module: nn.Module) -> nn.Module:
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if tensor.is_floating_point():
                noise = torch.randn(tensor.shape, generator=generator)
                tensor.copy_(
                    noise.abs() + 0.5 if "var" in name else 1 + 0.3 * noise if tensor.ndim < 2 else 0.3 * noise
                )
    return module.eval()


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(MODULES)
    names: dict[str, object] = {}
    exec(MODULES, names)
    return names


@pytest.fixture
def residual(modules: dict[str, object], tmp_path: Path) -> tuple[Path, nn.Module]:
    torch.manual_seed(0)
    module = randomised(modules["Residual"]())  # type: ignore[operator]
    torch.save(module.state_dict(), tmp_path / "res.pt")
    return tmp_path / "res.pt", module


@pytest.fixture
def llama(tmp_path: Path) -> Path:
    folder = tmp_path / "llama"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(LLAMA))
    shapes = llama_shapes()
    torch.manual_seed(0)
    save_file({name: 0.3 * torch.randn(shape) for name, shape in shapes.items()}, folder / "model.safetensors")
    return folder


def llama_shapes() -> dict[str, tuple[int, ...]]:
    layers = {
        "self_attn.q_proj": (16, 16), "self_attn.k_proj": (8, 16), "self_attn.v_proj": (8, 16),
        "self_attn.o_proj": (16, 16), "mlp.gate_proj": (20, 16), "mlp.up_proj": (20, 16), "mlp.down_proj": (16, 20),
        "input_layernorm": (16,), "post_attention_layernorm": (16,),
    }  # fmt: skip
    shapes = {"model.embed_tokens.weight": (23, 16), "model.norm.weight": (16,)}
    return shapes | {f"model.layers.{n}.{name}.weight": shape for n in range(2) for name, shape in layers.items()}


def logits(folder: Path, dtype: torch.dtype = torch.float64) -> Tensor:
    found = recognise(llama_shapes(), LLAMA)
    module = found.make().to(dtype).eval()
    state = {name: tensor.to(dtype) for name, tensor in load_file(folder / "model.safetensors").items()}
    module.load_state_dict(state, strict=False)
    with torch.no_grad():
        return module(torch.tensor([[3, 1, 4, 1, 5, 9]]))


def outputs(module: nn.Module, file: Path) -> Tensor:
    module.load_state_dict(torch.load(file, weights_only=True))
    torch.manual_seed(1)
    inputs = torch.randn(4, 3, 8, 8, dtype=torch.float64)
    with torch.no_grad():
        return module.double()(inputs)["logits"]


def deviation(before: Tensor, after: Tensor) -> float:
    return ((after - before).abs().max() / before.abs().max()).item()


@pytest.mark.parametrize("model", ["nets.py:Residual", "nets:Residual", "nets.py:with_inputs"])
@pytest.mark.parametrize("command", [("apply", "--seed", "1"), ("canonicalize",)])
def test_a_network_moves_with_its_module_and_keeps_its_function(nfn, residual, tmp_path, model, command) -> None:
    file, module = residual
    before = outputs(module, file)
    done = nfn(*command, file, "-o", tmp_path / "out.pt", "--model", model)
    assert done.code == 0, done.err
    assert deviation(before, outputs(module, tmp_path / "out.pt")) < 1e-5
    old, new = (torch.load(path, weights_only=True) for path in (file, tmp_path / "out.pt"))
    moved = {name for name in old if not torch.equal(old[name], new[name])}
    assert moved >= {"stem.weight", "a.weight", "b.weight", "norm.weight", "norm.running_mean", "fc.weight"}


def test_a_folder_of_a_known_family_moves_with_its_configuration(nfn, llama, tmp_path) -> None:
    before = logits(llama)
    done = nfn("apply", llama, "--seed", "3", "-o", tmp_path / "moved/")
    assert done.code == 0, done.err
    assert "read as Llama, 2 layers, 4 heads in 2 groups of one key-value head (config.json)" in done.err
    assert (tmp_path / "moved" / "config.json").read_text() == (llama / "config.json").read_text()
    old, new = (load_file(folder / "model.safetensors") for folder in (llama, tmp_path / "moved"))
    assert all(not torch.equal(old[name], new[name]) for name in old)
    assert deviation(before, logits(tmp_path / "moved")) < 1e-5


def test_powers_of_two_round_nothing_and_an_element_goes_back(nfn, llama, tmp_path) -> None:
    old = load_file(llama / "model.safetensors")
    half = {name: tensor.bfloat16() for name, tensor in old.items()}
    save_file(half, llama / "model.safetensors")
    element = tmp_path / "g.safetensors"
    done = nfn("apply", llama, "--seed", "1", "--pow2", "-o", tmp_path / "moved/", "--save-element", element)
    assert done.code == 0, done.err
    done = nfn("apply", tmp_path / "moved", "--element", element, "--inverse", "-o", tmp_path / "back/")
    assert done.code == 0, done.err
    back = load_file(tmp_path / "back" / "model.safetensors")
    assert all(torch.equal(half[name], back[name]) for name in half)


def test_a_normal_form_is_its_own_and_that_of_the_orbit(nfn, llama, tmp_path) -> None:
    nfn("apply", llama, "--seed", "1", "-o", tmp_path / "moved/")
    forms = []
    for name, source in (("one", llama), ("two", tmp_path / "moved"), ("three", tmp_path / "one")):
        done = nfn("canonicalize", source, "-o", tmp_path / f"{name}/", "--format", "json")
        assert done.code == 0, done.err
        row = json.loads(done.out)[0]
        assert row["unique"] is True
        assert row["gap"] > 1e-6
        forms.append(load_file(tmp_path / name / "model.safetensors"))
    for name, tensor in forms[0].items():
        assert torch.allclose(tensor, forms[1][name], rtol=1e-5, atol=1e-6)
        assert torch.allclose(tensor, forms[2][name], rtol=1e-5, atol=1e-6)


def test_balanced_scales_are_refused_in_a_line(nfn, llama, tmp_path) -> None:
    done = nfn("canonicalize", llama, "-o", tmp_path / "out/", "--scale", "balanced")
    assert done.code in (2, 3)
    assert "balanced is for chains of layers" in done.err
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_another_module_is_refused_by_the_first_difference(nfn, residual, tmp_path) -> None:
    file, _ = residual
    done = nfn("apply", file, "--seed", "1", "-o", tmp_path / "out.pt", "--model", "nets.py:Sorted")
    assert done.code == 3
    assert len(done.err.strip().splitlines()) == 1
    assert not (tmp_path / "out.pt").exists()


def test_an_operator_without_a_rule_is_named_with_its_place(nfn, modules, tmp_path) -> None:
    torch.save(modules["Sorted"]().state_dict(), tmp_path / "net.pt")  # type: ignore[operator]
    done = nfn("apply", tmp_path / "net.pt", "--seed", "1", "-o", tmp_path / "out.pt", "--model", "nets.py:Sorted")
    assert done.code == 3
    assert "bessel_j0" in done.err
    assert "Traceback" not in done.err


def test_an_unreadable_configuration_is_no_obstacle_to_a_chain(nfn, tmp_path) -> None:
    (tmp_path / "config.json").write_text("{'lr': 0.1}")
    state = {"0.weight": torch.randn(8, 4), "0.bias": torch.randn(8), "2.weight": torch.randn(2, 8)}
    save_file(state, tmp_path / "mlp.safetensors")
    done = nfn("apply", tmp_path / "mlp.safetensors", "--seed", "1", "--activation", "relu", "-o", tmp_path / "out/")
    assert done.code == 0, done.err


def test_an_unreadable_configuration_is_told_where_it_matters(nfn, llama, tmp_path) -> None:
    (llama / "config.json").write_text("{'model_type': 'llama'}")
    done = nfn("apply", llama, "--seed", "1", "-o", tmp_path / "out/")
    assert done.code == 3
    assert "config.json" in done.err and "no readable configuration" in done.err


def test_a_factory_that_fails_is_run_once_for_all_files(nfn, residual, tmp_path) -> None:
    file, _ = residual
    (tmp_path / "copy.pt").write_bytes(file.read_bytes())
    (tmp_path / "failing.py").write_text("def make():\n    print('run')\n    raise ValueError('no')\n")
    model = f"{tmp_path / 'failing.py'}:make"
    done = nfn("apply", file, tmp_path / "copy.pt", "--seed", "1", "-o", tmp_path / "out/", "--model", model)
    assert done.code == 2
    assert done.err.splitlines().count("run") == 1
    assert "Traceback" not in done.err


def test_a_network_does_not_come_beside_another_configuration(nfn, llama, tmp_path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "config.json").write_text(json.dumps(LLAMA | {"num_attention_heads": 8}))
    done = nfn("apply", llama, "--seed", "1", "-o", tmp_path / "out/")
    assert done.code == 3
    assert "another configuration" in done.err
    assert not (tmp_path / "out" / "model.safetensors").exists()


def test_a_family_that_nobody_knows_is_named(nfn, llama, tmp_path) -> None:
    (llama / "config.json").write_text(json.dumps(LLAMA | {"model_type": "zebra"}))
    done = nfn("apply", llama, "--seed", "1", "-o", tmp_path / "out/")
    assert done.code == 3
    assert "'zebra' is no known family" in done.err


def test_a_recurrence_of_one_step_is_not_taken_for_all(nfn, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cell.py").write_text(CELL)
    names: dict[str, object] = {}
    exec(CELL, names)
    torch.save(names["Cell"]().state_dict(), tmp_path / "cell.pt")  # type: ignore[operator]
    for factory, code in (("one", 3), ("three", 0)):
        model = f"cell.py:{factory}"
        done = nfn("apply", tmp_path / "cell.pt", "--seed", "1", "-o", tmp_path / f"{factory}.pt", "--model", model)
        assert done.code == code, done.err
    assert not (tmp_path / "one.pt").exists()


def test_tied_tensors_that_differ_are_refused(nfn, llama, tmp_path) -> None:
    state = load_file(llama / "model.safetensors")
    state["lm_head.weight"] = state["model.embed_tokens.weight"] + 1
    save_file(state, llama / "model.safetensors")
    done = nfn("apply", llama, "--seed", "1", "-o", tmp_path / "out/")
    assert done.code == 3
    assert "other numbers in the file" in done.err


def test_the_group_is_shown_and_proven(nfn, llama) -> None:
    done = nfn("inspect", llama, "--prove", "--format", "json")
    assert done.code == 0, done.err
    record = json.loads(done.out)[0]
    # Two layers of 16 gains, 20 gated neurons, 2 heads of 4 values and 2 pairs; a tie holds the last gains.
    assert record["scales"] == 2 * (2 * 16 + 20 + 2 * 4 + 2 * 2)
    assert record["proof"]["proven"] is True
    assert {row["what"] for row in record["proof"]["rows"]} >= {"permutation", "scales", "signs", "everything"}


def test_the_tree_of_a_group_fits_a_terminal_and_a_pipe(nfn, llama) -> None:
    done = nfn("inspect", llama, "--format", "table")
    assert "model.layers.0–1.mlp.gate_proj" in done.out
    assert "Sym(20)" in done.out
    lines = nfn("inspect", llama).out.splitlines()
    assert lines[0].startswith("path\t")
    assert len({line.count("\t") for line in lines}) == 1
    assert any("\tgauge\t" in line for line in lines)


def test_a_network_is_held_against_its_own_orbit(nfn, llama, residual) -> None:
    done = nfn("verify", llama, "--samples", "2")
    assert done.code == 0, done.err
    assert "preserved, as Llama" in done.err


def test_two_networks_of_one_orbit_are_one(nfn, llama, tmp_path) -> None:
    nfn("apply", llama, "--seed", "1", "-o", tmp_path / "moved/")
    done = nfn("verify", llama, tmp_path / "moved")
    assert done.code == 0, done.err
    assert "same function, as Llama" in done.err
    state = load_file(tmp_path / "moved" / "model.safetensors")
    weight = state["model.layers.1.mlp.up_proj.weight"]
    weight.view(-1)[weight.abs().argmax()] *= 1.01
    (tmp_path / "bare").mkdir()
    save_file(state, tmp_path / "bare" / "model.safetensors")
    done = nfn("verify", llama, tmp_path / "bare")
    assert done.code == 1
    assert "not the same orbit" in done.err
    assert "read by the configuration of the other one" in done.err


@pytest.mark.parametrize(("field", "value"), [("rms_norm_eps", 1e-2), ("rope_theta", 5e5)])
def test_equal_weights_of_two_configurations_are_no_verdict(nfn, llama, tmp_path, field, value) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.safetensors").write_bytes((llama / "model.safetensors").read_bytes())
    config = json.loads((llama / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "use_cache": False}))
    assert nfn("verify", llama, other).code == 0
    (other / "config.json").write_text(json.dumps({**config, field: value}))
    done = nfn("verify", llama, other)
    assert done.code == 3
    assert field in done.err
    assert len(done.err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    "command", [("inspect",), ("canonicalize", "-o", "out.pt"), ("apply", "--seed", "1", "-o", "out.pt"), ("verify",)]
)
def test_a_module_that_cannot_be_made_is_wrong_usage_of_every_command(nfn, residual, command) -> None:
    done = nfn(*command, residual[0], "--model", "nets.py:nothing")
    assert done.code == 2
    assert done.err.startswith("nfn: --model: ") and done.err.count("\n") == 1


@pytest.mark.parametrize(
    "options",
    [("--chain",), ("--prefix", "a.")],
    ids=lambda options: options[0],
)
@pytest.mark.parametrize("command", [("inspect",), ("canonicalize", "-o", "out.pt"), ("verify",)])
def test_what_contradicts_a_module_is_refused(nfn, residual, command, options) -> None:
    done = nfn(*command, residual[0], "--model", "nets.py:Residual", *options)
    assert done.code == 2
    assert (
        done.err
        == f"nfn: {options[0]}: has no effect with --model, which gives the whole network; leave one of them out\n"
    )


@pytest.mark.parametrize("options", [("--activation", "tanh"), ("--pool", "max"), ("--omega-0", "30")])
def test_facts_beside_a_module_leave_it_as_it_is(nfn, residual, options) -> None:
    plain = nfn("inspect", residual[0], "--model", "nets.py:Residual")
    stated = nfn("inspect", residual[0], "--model", "nets.py:Residual", *options)
    assert (plain.code, plain.out) == (stated.code, stated.out) == (0, plain.out)
