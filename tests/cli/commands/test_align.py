"""`nfn align`: B near to A with its function kept, the point between, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from residual_source import residual_source
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

Nfn = Callable[..., Any]

MODEL = residual_source(4, 8, 12)


def mlp() -> dict[str, Tensor]:
    return nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 7), nn.ReLU(), nn.Linear(7, 3)).state_dict()


def normed() -> dict[str, Tensor]:
    module = nn.Sequential(nn.Conv2d(2, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.Flatten())
    for name, tensor in module.state_dict().items():
        if name.startswith("1.") and tensor.is_floating_point():
            tensor.uniform_(0.5, 2)
    return module.state_dict()


def saved(path: Path, tensors: dict[str, Tensor], activation: str = "relu") -> Path:
    save_file(tensors, path, {"activation": activation, "pool": "none"})
    return path


def tuned(tensors: dict[str, Tensor], noise: float = 0.05) -> dict[str, Tensor]:
    return {
        name: old + noise * old.std() * torch.randn_like(old) if old.is_floating_point() else old
        for name, old in tensors.items()
    }


@pytest.fixture
def pair(tmp_path: Path, nfn: Nfn) -> tuple[Path, Path, Path]:
    """A; a network near to it; and that one in disguise."""
    torch.manual_seed(0)
    a = saved(tmp_path / "a.safetensors", mlp())
    near = saved(tmp_path / "near.safetensors", tuned(load_file(a)))
    b = tmp_path / "b.safetensors"
    assert nfn("apply", near, "--seed", 1, "-o", b).code == 0
    return a, near, b


def distance(one: Path, other: Path) -> float:
    mine, theirs = load_file(one), load_file(other)
    return sum((mine[name].double() - own.double()).square().sum().item() for name, own in theirs.items())


def test_a_disguised_relative_is_put_back_and_keeps_its_function(
    pair: tuple[Path, Path, Path], tmp_path: Path, nfn: Nfn
) -> None:
    a, near, b = pair
    out = tmp_path / "aligned.safetensors"
    finished = nfn("align", a, b, "-o", out, "--format", "json")
    assert finished.code == 0
    (row,) = json.loads(finished.out)
    assert (row["path"], row["reference"], row["output"]) == (str(b), str(a), str(out))
    assert row["after"] < 0.06 < 1 < row["before"]
    assert (row["neurons"], row["scales"], row["signs"], row["flipped"]) == (16, 16, 0, 0)
    assert 0 < row["moved"] <= 16
    assert row["scaled"] == 16
    assert 0 < row["rounding"] < 1e-6
    assert distance(a, out) <= 1.05 * distance(a, near)
    assert " of 16 neurons moved, 16 of 16 scales changed; the distance to A is 0.0" in finished.err
    assert "nfn: read as 0 → 2 → 4, relu" in finished.err
    assert nfn("verify", b, out).code == 0


def test_permutations_alone_keep_every_bit(pair: tuple[Path, Path, Path], tmp_path: Path, nfn: Nfn) -> None:
    a, near, _ = pair
    b, out = tmp_path / "permuted.safetensors", tmp_path / "aligned.safetensors"
    assert nfn("apply", near, "--seed", 1, "--no-scale", "-o", b).code == 0
    finished = nfn("align", a, b, "--no-scale", "-o", out, "--format", "json")
    (row,) = json.loads(finished.out)
    assert (row["scaled"], row["rounding"]) == (0, 0)
    assert row["moved"] > 0
    expected = load_file(near)
    assert all(torch.equal(own, expected[name]) for name, own in load_file(out).items())


def test_signs_of_tanh_are_put_back(tmp_path: Path, nfn: Nfn) -> None:
    torch.manual_seed(0)
    a = saved(tmp_path / "a.safetensors", mlp(), "tanh")
    b, out = tmp_path / "b.safetensors", tmp_path / "aligned.safetensors"
    nfn("apply", a, "--seed", 1, "-o", b)
    (row,) = json.loads(nfn("align", a, b, "-o", out, "--format", "json").out)
    assert (row["scales"], row["signs"], row["after"], row["rounding"]) == (0, 16, 0, 0)
    assert 0 < row["flipped"] < 16
    assert distance(a, out) == 0


def test_where_nothing_is_nearer_the_file_stays(pair: tuple[Path, Path, Path], tmp_path: Path, nfn: Nfn) -> None:
    a, _, _ = pair
    out = tmp_path / "aligned.safetensors"
    finished = nfn("align", a, a, "-o", out)
    assert finished.code == 0
    assert "nothing nearer to A was found than B itself" in finished.err
    assert out.read_bytes() == a.read_bytes()


def test_the_saved_element_does_the_same(pair: tuple[Path, Path, Path], tmp_path: Path, nfn: Nfn) -> None:
    a, _, b = pair
    out, again, element = (tmp_path / f"{name}.safetensors" for name in ("aligned", "again", "element"))
    assert nfn("align", a, b, "-o", out, "--save-element", element).code == 0
    assert nfn("apply", b, "--element", element, "-o", again).code == 0
    assert distance(out, again) == 0


def test_a_module_of_the_users_own(tmp_path: Path, nfn: Nfn) -> None:
    torch.manual_seed(0)
    (tmp_path / "net.py").write_text(MODEL)
    model = ("--model", f"{tmp_path / 'net.py'}:make")
    spaces: dict[str, Any] = {}
    exec(MODEL, spaces)
    module = spaces["make"]()
    a = saved(tmp_path / "a.safetensors", module.state_dict())
    near = tuned(load_file(a))
    order, scale = torch.randperm(12), torch.rand(12) + 0.5
    tensors = {
        **near,
        "a.weight": near["a.weight"][order] * scale[:, None],
        "a.bias": near["a.bias"][order] * scale,
        "b.weight": near["b.weight"][:, order] / scale,
    }
    b, out = saved(tmp_path / "b.safetensors", tensors), tmp_path / "out.safetensors"
    finished = nfn("align", a, b, "-o", out, "--format", "json", *model)
    (row,) = json.loads(finished.out)
    assert row["after"] < 0.07 < 0.3 < row["before"]
    assert (row["moved"], row["neurons"], row["scales"]) == (int((order != torch.arange(12)).sum()), 20, 20)
    assert row["read_as"].startswith("the module of")
    x, outputs = torch.randn(5, 4), []
    for state in (tensors, load_file(out)):
        module.load_state_dict(state)
        outputs.append(module(x))
    assert torch.allclose(*outputs, atol=1e-5)


def test_the_point_between(tmp_path: Path, nfn: Nfn) -> None:
    torch.manual_seed(0)
    a = saved(tmp_path / "a.safetensors", normed())
    tensors = {n: t.half() if t.is_floating_point() else t + 7 for n, t in tuned(load_file(a)).items()}
    b, aligned = saved(tmp_path / "b.safetensors", tensors), tmp_path / "aligned.safetensors"
    assert nfn("align", a, b, "-o", aligned).code == 0
    for share in (0, 0.25, 1):
        out = tmp_path / f"{share}.safetensors"
        finished = nfn("align", a, b, "--interpolate", share, "-o", out)
        assert finished.code == 0
        assert ("for relatives alone" in finished.err) == (0 < share < 1)
        assert ("estimate them on data (--data)" in finished.err) == (0 < share < 1)
        mine, near, found = load_file(a), load_file(aligned), load_file(out)
        assert list(found) == list(tensors)
        for name, own in found.items():
            assert own.dtype == tensors[name].dtype
            if own.is_floating_point():
                exact = (1 - share) * mine[name].double() + share * near[name].double()
                assert torch.equal(own, exact.half())
            else:
                assert torch.equal(own, tensors[name])  # a counter of B's


NORMED = """
from torch import nn

def make():
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 4, 3),
        nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
"""


def test_statistics_of_the_point_between_are_estimated_on_data(tmp_path: Path, nfn: Nfn) -> None:
    (tmp_path / "net.py").write_text(NORMED)
    spaces: dict[str, Any] = {}
    exec(NORMED, spaces)
    torch.manual_seed(0)
    a, b = (saved(tmp_path / f"{name}.safetensors", spaces["make"]().half().state_dict()) for name in "ab")
    x = np.random.default_rng(0).normal(2, 3, size=(40, 1, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", x=x)
    given = (a, b, "--interpolate", 0.5, "--model", f"{tmp_path / 'net.py'}:make")
    plain, out = tmp_path / "plain.safetensors", tmp_path / "out.safetensors"
    assert nfn("align", *given, "-o", plain).code == 0
    finished = nfn("align", *given, "--data", tmp_path / "data.npz", "-o", out, "--format", "json")
    assert finished.code == 0
    assert "estimate them on data" not in finished.err
    (row,) = json.loads(finished.out)
    assert row["data"] == str(tmp_path / "data.npz")
    before, after = load_file(plain), load_file(out)
    assert list(after) == list(load_file(b))
    changed = {name for name, own in after.items() if not torch.equal(own, before[name])}
    assert changed == {f"{norm}.running_{part}" for norm in (1, 5) for part in ("mean", "var")}
    assert after["1.running_mean"].dtype == torch.float16
    module = spaces["make"]()
    module.load_state_dict({name: own.float() for name, own in after.items()})
    hidden = module[0](torch.from_numpy(x))
    assert torch.allclose(module[1].running_mean, hidden.mean((0, 2, 3)), atol=1e-2)
    assert torch.allclose(module[1].running_var, hidden.var((0, 2, 3)), rtol=1e-2)


def test_distances_of_layers(pair: tuple[Path, Path, Path], tmp_path: Path, nfn: Nfn) -> None:
    a, _, b = pair
    finished = nfn("align", a, b, "-o", tmp_path / "out.safetensors", "--layers", "--format", "json")
    rows = json.loads(finished.out)
    assert [row["layer"] for row in rows] == ["0", "2", "4"]
    assert all(row["after"] < 0.1 < row["before"] for row in rows)


def test_the_table_fits_into_80_columns(
    pair: tuple[Path, Path, Path], nfn: Nfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, _, b = pair
    monkeypatch.setenv("COLUMNS", "80")
    out = b.with_name("a-name-that-is-rather-long-for-a-file-of-weights.safetensors")
    printed = nfn("align", a, b, "-o", out, "--interpolate", 0.5, "--format", "table").out
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[0].split()[:5] == ["checkpoint", "written", "to", "before", "after"]
    assert "interpolated: 0.5 A + 0.5 B aligned" in printed


def wide() -> dict[str, Tensor]:
    return nn.Sequential(nn.Linear(4, 10), nn.ReLU(), nn.Linear(10, 7), nn.ReLU(), nn.Linear(7, 3)).state_dict()


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["a", "wide", "-o", "new"], 3, "its layer 0 is linear 4->9, the other's linear 4->10; align networks of one"),
        (["a", "a", "-o", "there"], 3, "exists already"),
        (["a", "a", "-o", "a"], 3, "exists already"),
        (["a", "a", "-o", "new", "--save-element", "there"], 2, "exists already"),
        (["a", "a", "-o", "new", "--save-element", "new"], 2, "is the file that the network is written to"),
        (["a", "a", "-o", "new", "--interpolate", "1.5"], 2, "--interpolate: 1.5 is not between A and B"),
        (["a", "a", "-o", "new", "--interpolate", "nan"], 2, "--interpolate: nan is not between A and B"),
        (["a", "a", "-o", "new", "--data", "digits"], 2, "--data: B aligned has its own statistics"),
        (["a", "a", "-o", "new", "--interpolate", "0.5", "--data", "none.npz"], 3, "none.npz: no such file"),
        (
            ["a", "a", "-o", "new", "--interpolate", "0.5", "--data", "digits"],
            2,
            "digits: the network has no BatchNorm",
        ),
        (
            ["normed", "normed", "-o", "new", "--interpolate", "1", "--data", "digits"],
            3,
            "are in no file; give its mod",
        ),
        (["a", "none", "-o", "new"], 3, "no such file"),
        (["a", ".", "-o", "new"], 3, "a folder, and align takes two checkpoints"),
        (["a", "a", "-o", "-"], 2, "checkpoints do not go to stdout"),
        (["a", "folded", "-o", "new", "--interpolate", "0.5"], 3, "it has 3 layers, the other 2"),
        (["normed", "folded", "-o", "new", "--interpolate", "0.5"], 3, "its network is stored otherwise than that of"),
    ],
)
def test_refusals(
    arguments: list[str], code: int, said: str, tmp_path: Path, nfn: Nfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    a = saved(Path("a"), mlp())
    saved(Path("wide"), wide())
    saved(Path("normed"), normed())
    saved(Path("folded"), {name: own for name, own in normed().items() if not name.startswith("1.")})
    there = Path("there")
    there.write_bytes(b"x")
    before = a.read_bytes()
    finished = nfn("align", *arguments)
    assert finished.code == code
    assert finished.out == ""
    assert said in finished.err
    assert len(finished.err.splitlines()) == 1
    assert (a.read_bytes(), there.read_bytes()) == (before, b"x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "folded", "normed", "there", "wide"]


LLAMA = {
    "model_type": "llama",
    "architectures": ["LlamaForCausalLM"],
    "vocab_size": 40,
    "hidden_size": 4,
    "intermediate_size": 5,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 16,
    "tie_word_embeddings": False,
}


@pytest.fixture
def turned(tmp_path: Path) -> tuple[Path, Path]:
    """A small Llama, and the same in a rotated stream."""
    generator = torch.Generator().manual_seed(0)
    layer, tensors = "model.layers.0", {}
    read = [f"self_attn.{name}_proj" for name in "qkv"] + ["mlp.gate_proj", "mlp.up_proj"]
    for name in read:
        tensors[f"{layer}.{name}.weight"] = torch.randn(5 if "mlp" in name else 4, 4, generator=generator)
    tensors[f"{layer}.self_attn.o_proj.weight"] = torch.randn(4, 4, generator=generator)
    tensors[f"{layer}.mlp.down_proj.weight"] = torch.randn(4, 5, generator=generator)
    for name in ("model.embed_tokens", "lm_head"):
        tensors[f"{name}.weight"] = torch.randn(40, 4, generator=generator)
    for name in (f"{layer}.input_layernorm", f"{layer}.post_attention_layernorm", "model.norm"):
        tensors[f"{name}.weight"] = torch.ones(4)
    rotation = torch.linalg.qr(torch.randn(4, 4, generator=generator))[0]
    after = dict(tensors)
    for name, tensor in tensors.items():
        if "o_proj" in name or "down_proj" in name:
            after[name] = rotation @ tensor
        elif tensor.ndim > 1:
            after[name] = tensor @ rotation.T
    paths = []
    for folder, own in (("a", tensors), ("b", after)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text(json.dumps(LLAMA))
        save_file({name: tensor.contiguous() for name, tensor in own.items()}, tmp_path / folder / "w.safetensors")
        paths.append(tmp_path / folder / "w.safetensors")
    return paths[0], paths[1]


def test_a_rotated_stream_is_turned_back(turned: tuple[Path, Path], tmp_path: Path, nfn: Nfn) -> None:
    a, b = turned
    out = tmp_path / "out.safetensors"
    result = nfn("align", a, b, "--group", "full", "-o", out, "--format", "json")
    assert result.code == 0, result.err
    (row,) = json.loads(result.out)
    assert row["after"] < 1e-5 < 0.5 < row["before"]
    assert "rotations O(4)" in row["turned"] and "turned by rotations O(4)" in result.err
    back, was = load_file(out), load_file(a)
    for name in was:
        torch.testing.assert_close(back[name], was[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("option", [("--no-scale",), ("--save-element", "g.safetensors")])
def test_what_a_rotation_is_not(turned: tuple[Path, Path], tmp_path: Path, nfn: Nfn, option: tuple[str, ...]) -> None:
    result = nfn("align", *turned, "--group", "full", "-o", tmp_path / "out.safetensors", *option)
    assert result.code == 2 and option[0] in result.err and "--group full" in result.err
