"""`nfn canonicalize` and `nfn apply`: where files go, what is refused, and that nothing is lost."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from nfn_cli.architectures import Architecture
from nfn_cli.symmetry import GroupElement, read_source, save_element

Nfn = Callable[..., Any]
Save = Callable[..., Path]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a network of two hidden layers."""

    def write(name: str, activation: str = "relu", dtype: torch.dtype = torch.float32, seed: int = 0) -> Path:
        generator = torch.Generator().manual_seed(seed)
        shapes = {"0.weight": (5, 3), "0.bias": (5,), "1.weight": (4, 5), "1.bias": (4,), "2.weight": (2, 4)}
        tensors = {key: torch.randn(shape, generator=generator).to(dtype) for key, shape in shapes.items()}
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, path, metadata={"activation": activation})
        return path

    return write


def stored(path: Path) -> Architecture:
    return read_source(path).stored


def element(factor: float, half_turns: int = 0) -> GroupElement:
    """Every neuron multiplied by a factor, and its phase shifted."""
    sizes = (5, 4)
    return GroupElement(
        tuple(torch.arange(size) for size in sizes),
        tuple(torch.full((size,), factor, dtype=torch.float64) for size in sizes),
        tuple(torch.full((size,), half_turns) for size in sizes),
    )


def test_one_file_goes_to_a_file(nfn: Nfn, save: Save, tmp_path: Path) -> None:
    finished = nfn("canonicalize", save("a.safetensors"), "-o", tmp_path / "b.safetensors", "--format", "json")
    (row,) = json.loads(finished.out)
    assert (finished.code, row["output"], row["error"]) == (0, str(tmp_path / "b.safetensors"), None)
    assert 0 < row["rounding"] < 1e-6
    found = load_file(tmp_path / "b.safetensors")
    norms = torch.cat([found["0.weight"], found["0.bias"][:, None]], dim=1).norm(dim=1)
    assert torch.allclose(norms, torch.ones(5))


def test_a_folder_goes_to_a_folder_and_a_bad_file_stops_no_other(nfn: Nfn, save: Save, tmp_path: Path) -> None:
    save("in/a.safetensors")
    save("in/deep/b.safetensors")
    (tmp_path / "in" / "bad.pt").write_bytes(b"")
    finished = nfn("canonicalize", tmp_path / "in", "-o", tmp_path / "out")
    assert finished.code == 1
    told, assumed, failed = finished.err.splitlines()
    assert told == "nfn: read as 0 → 1 → 2, relu (2 files)"
    assert assumed.startswith("nfn: assumed: layers follow one another as their names say")
    assert failed.startswith(f"nfn: {tmp_path / 'in' / 'bad.pt'}: the file is empty; ")
    written = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert written == [Path("a.safetensors"), Path("deep/b.safetensors")]


def test_files_of_a_folder_are_brought_to_the_disk_together(
    nfn: Nfn, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda descriptor: calls.append("file"))
    monkeypatch.setattr(os, "sync", lambda: calls.append("all"), raising=False)
    for name in "abc":
        one = save(f"in/{name}.safetensors")
    assert nfn("canonicalize", one, "-o", tmp_path / "one.safetensors").code == 0
    assert calls == ["file"]
    assert nfn("canonicalize", tmp_path / "in", "-o", tmp_path / "out").code == 0
    assert calls == ["file", "all"]
    # What replaces a file must not wait.
    assert nfn("canonicalize", tmp_path / "in", "-o", tmp_path / "out", "--overwrite").code == 0
    assert calls == ["file", "all", "file", "file", "file"]


def test_two_inputs_for_one_output_are_refused(nfn: Nfn, save: Save, tmp_path: Path) -> None:
    one, other = save("x/a.safetensors"), save("y/a.safetensors")
    finished = nfn("canonicalize", one, other, "-o", tmp_path / "out")
    assert finished.code == 2 and "would go there" in finished.err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("command", [["canonicalize"], ["apply", "--seed", "1"]], ids=lambda command: command[0])
def test_an_existing_file_is_not_replaced_unasked(command: list[str], nfn: Nfn, save: Save, tmp_path: Path) -> None:
    target = tmp_path / "precious.safetensors"
    target.write_text("precious")
    finished = nfn(*command, save("a.safetensors"), "-o", target)
    assert finished.code == 3 and "exists already" in finished.err
    assert target.read_text() == "precious"
    assert nfn(*command, save("a.safetensors"), "-o", target, "--overwrite").code == 0
    assert set(load_file(target)) == {"0.weight", "0.bias", "1.weight", "1.bias", "2.weight"}


def test_apply_and_its_inverse_restore_the_file(nfn: Nfn, save: Save, tmp_path: Path) -> None:
    path, moved, back, g = save("a.safetensors", dtype=torch.float64), *(tmp_path / f"{n}.safetensors" for n in "mbg")
    assert nfn("apply", path, "-o", moved, "--seed", "3", "--save-element", g).code == 0
    assert nfn("apply", moved, "-o", back, "--element", g, "--inverse").code == 0
    before, between, after = (load_file(file) for file in (path, moved, back))
    assert not torch.allclose(between["0.weight"], before["0.weight"])
    assert all(torch.allclose(after[name], tensor, rtol=1e-14) for name, tensor in before.items())


@pytest.mark.parametrize(
    ("activation", "factor", "half_turns", "cause"),
    [
        ("relu", -1.0, 0, "a factor of -1 would change the function"),
        ("relu", float("nan"), 0, "not 5 finite numbers"),
        ("tanh", 2.0, 0, "a factor of 2 would change the function"),
        ("gelu", -1.0, 0, "a factor of -1 would change the function"),
        ("tanh", 1.0, 1, "a shift of phase would change the function"),
    ],
    ids=["negative under relu", "nan", "scale under tanh", "sign under gelu", "phase under tanh"],
)
def test_an_element_that_would_change_the_function_is_refused(
    activation: str, factor: float, half_turns: int, cause: str, nfn: Nfn, save: Save, tmp_path: Path
) -> None:
    path, g = save("a.safetensors", activation), tmp_path / "g.safetensors"
    save_element(g, element(factor, half_turns), stored(path))
    finished = nfn("apply", path, "-o", tmp_path / "out.safetensors", "--element", g)
    assert (finished.code, finished.err.count("\n")) == (3, 1)
    assert cause in finished.err
    assert not (tmp_path / "out.safetensors").exists()


def test_an_element_of_another_network_is_refused(nfn: Nfn, save: Save, tmp_path: Path) -> None:
    g = tmp_path / "g.safetensors"
    save_element(g, element(1.0), stored(save("sine.safetensors", "sin")))
    finished = nfn("apply", save("a.safetensors"), "-o", tmp_path / "out.safetensors", "--element", g)
    assert finished.code == 3 and "an element of another architecture" in finished.err


def test_a_checkpoint_is_no_element(nfn: Nfn, save: Save, tmp_path: Path) -> None:
    path = save("a.safetensors")
    finished = nfn("apply", path, "-o", tmp_path / "out.safetensors", "--element", path)
    assert finished.code == 3 and "this is no group element" in finished.err


def test_numbers_that_leave_the_range_of_the_dtype_are_refused(nfn: Nfn, save: Save, tmp_path: Path) -> None:
    path, out = save("a.safetensors", dtype=torch.float16), tmp_path / "out.safetensors"
    finished = nfn("apply", path, "-o", out, "--seed", "1", "--scale-range", "1e6", "1e7")
    assert finished.code == 3 and "would leave the range of float16" in finished.err
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("given", [[], ["--seed", "1", "--element", "g"]], ids=["none", "both"])
def test_apply_needs_exactly_one_element(given: list[str], nfn: Nfn, save: Save, tmp_path: Path) -> None:
    finished = nfn("apply", save("a.safetensors"), "-o", tmp_path / "out.safetensors", *given)
    cause = "both are given" if given else "neither is given"
    line = f"nfn: --seed, --element: {cause}, and one element is needed; give one of the two\n"
    assert (finished.code, finished.err) == (2, line)


def test_undeclared_pooling_of_an_odd_activation_asks(nfn: Nfn, tmp_path: Path) -> None:
    path, out = tmp_path / "cnn.safetensors", tmp_path / "out.safetensors"
    tensors = {"c.weight": torch.randn(3, 1, 3, 3), "c.bias": torch.randn(3), "f.weight": torch.randn(2, 3)}
    save_file(tensors, path, metadata={"activation": "tanh"})
    finished = nfn("canonicalize", path, "-o", out)
    assert finished.code == 3 and "--pool max, avg or none" in finished.err
    assert nfn("canonicalize", path, "-o", out, "--pool", "max").code == 0
    # Behind max-pooling no sign may change, so only the order of neurons has.
    assert torch.equal(load_file(out)["c.bias"].sort().values, tensors["c.bias"].sort().values)


def test_what_belongs_to_the_old_weights_is_named(nfn: Nfn, tmp_path: Path) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    optimizer = torch.optim.Adam(module.parameters())
    module(torch.ones(3)).sum().backward()
    optimizer.step()
    state = {"model": module.state_dict(), "optimizer": optimizer.state_dict(), "activation": "relu"}
    torch.save(state, tmp_path / "last.ckpt")
    for arguments in (("canonicalize", "-o", "a.ckpt"), ("apply", "--seed", "1", "-o", "b.ckpt")):
        finished = nfn(*arguments[:-1], tmp_path / arguments[-1], tmp_path / "last.ckpt", "--format", "json")
        (row,) = json.loads(finished.out)
        assert (finished.code, row["kept"]) == (0, "optimizer")
