"""`nfn edit-inr`: where files go, what they keep, and what is refused."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfn_cli.architectures import Layer, chain
from nfn_cli.checkpoints import POPULATION_KEY
from nfn_cli.nn import Accepted, EditDetails, Head, HeadConfig
from nfn_cli.nn.inr.function_editor import FunctionEditorSizes
from nfn_cli.nn.names import EDITS

Nfn = Callable[..., Any]
Save = Callable[..., Path]
METADATA = {"activation": "sin", "arch": "siren", "omega_0": "30", "value_range": "-1 1"}


def weights(dtype: torch.dtype = torch.float32, seed: int = 0, bias: bool = True) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    tensors = {}
    for number, (before, after) in enumerate(itertools.pairwise((2, 6, 5, 1))):
        size = 0.3 if number == 0 else 0.05
        tensors[f"net.{number}.weight"] = (size * torch.randn(after, before, generator=generator)).to(dtype)
        if bias or number:
            tensors[f"net.{number}.bias"] = (0.1 * torch.randn(after, generator=generator)).to(dtype)
    return tensors


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """A head with random weights, for pictures of 6×6 pixels."""
    layers = [Layer(str(i), "linear", n, m) for i, (n, m) in enumerate(itertools.pairwise((2, 6, 5, 1)))]
    torch.manual_seed(0)
    sizes = FunctionEditorSizes(channels=4, depth=1, steps=2)
    config = HeadConfig(Accepted.of(chain(layers, activation="sin")), sizes, EditDetails("dilate", (6, 6)))
    folder = tmp_path / "my-head"
    Head("my-head", config, config.new_model().eval()).save(folder, "a card")
    return folder


@pytest.fixture
def save(tmp_path: Path) -> Save:
    def write(name: str, **options: Any) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(weights(**options), path, metadata=METADATA)
        return path

    return write


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16], ids=str)
def test_a_file_keeps_names_dtype_and_metadata(
    dtype: torch.dtype, nfn: Nfn, head: Path, save: Save, tmp_path: Path
) -> None:
    path, out = save("a.safetensors", dtype=dtype), tmp_path / "b.safetensors"
    finished = nfn("edit-inr", path, "-o", out, "--head", head, "--format", "json")
    assert (finished.code, finished.err) == (0, "")
    (row,) = json.loads(finished.out)
    assert (row["path"], row["output"], row["head"], row["error"]) == (str(path), str(out), str(head), None)
    before, after = load_file(path), load_file(out)
    assert {name: (t.shape, t.dtype) for name, t in after.items()} == {
        name: (t.shape, t.dtype) for name, t in before.items()
    }
    change = torch.cat([(after[name].double() - t.double()).flatten() for name, t in before.items()]).norm()
    size = torch.cat([t.double().flatten() for t in before.values()]).norm()
    assert row["change"] == pytest.approx((change / size).item(), rel=0.05) and row["change"] > 1e-3
    with safe_open(out, framework="pt") as file:
        assert file.metadata() == METADATA


def test_other_entries_of_a_pytorch_file_stay(nfn: Nfn, head: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "a.pt", tmp_path / "b.pt"
    torch.save({"epoch": 3, "state_dict": weights(), "config": {"activation": "sin"}}, path)
    assert nfn("edit-inr", path, "-o", out, "--head", head).code == 0
    found = torch.load(out, weights_only=True)
    assert (found["epoch"], found["config"]) == (3, {"activation": "sin"})
    assert list(found["state_dict"]) == list(weights())


def test_gamma_scales_the_edit_and_its_negative_takes_it_back(nfn: Nfn, head: Path, save: Save, tmp_path: Path) -> None:
    path = save("a.safetensors", dtype=torch.float64)
    before, found = load_file(path), {}
    for gamma in ("0", "1", "0.5"):
        out = tmp_path / f"{gamma}.safetensors"
        assert nfn("edit-inr", path, "-o", out, "--head", head, "--gamma", gamma).code == 0
        found[gamma] = load_file(out)
    for name, tensor in before.items():
        assert torch.equal(found["0"][name], tensor)
        assert torch.allclose(found["0.5"][name], (tensor + found["1"][name]) / 2, atol=1e-12)


def test_moving_and_editing_commute(nfn: Nfn, head: Path, save: Save, tmp_path: Path) -> None:
    path = save("a.safetensors", dtype=torch.float64)
    names = {name: tmp_path / f"{name}.safetensors" for name in ("g", "moved", "edited", "one", "other")}
    assert nfn("apply", path, "--seed", "1", "-o", names["moved"], "--save-element", names["g"]).code == 0
    assert nfn("edit-inr", names["moved"], "-o", names["one"], "--head", head).code == 0
    assert nfn("edit-inr", path, "-o", names["edited"], "--head", head).code == 0
    assert nfn("apply", names["edited"], "--element", names["g"], "-o", names["other"]).code == 0
    one, other = load_file(names["one"]), load_file(names["other"])
    assert all(torch.allclose(one[name], tensor, rtol=0, atol=1e-9) for name, tensor in other.items())


def test_a_folder_goes_to_a_folder_and_a_bad_file_stops_no_other(
    nfn: Nfn, head: Path, save: Save, tmp_path: Path
) -> None:
    save("in/a.safetensors")
    save("in/deep/b.safetensors", seed=1)
    (tmp_path / "in" / "bad.pt").write_bytes(b"")
    finished = nfn("edit-inr", tmp_path / "in", "-o", tmp_path / "out", "--head", head)
    assert finished.code == 1
    assert finished.err.startswith(f"nfn: {tmp_path / 'in' / 'bad.pt'}: the file is empty; ")
    assert finished.err.count("\n") == 1
    written = sorted(path.relative_to(tmp_path / "out") for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert written == [Path("a.safetensors"), Path("deep/b.safetensors")]


def test_an_existing_file_is_not_replaced_unasked(nfn: Nfn, head: Path, save: Save, tmp_path: Path) -> None:
    path, target = save("a.safetensors"), tmp_path / "precious.safetensors"
    target.write_text("precious")
    finished = nfn("edit-inr", path, "-o", target, "--head", head)
    assert finished.code == 3 and "exists already" in finished.err and target.read_text() == "precious"
    assert nfn("edit-inr", path, "-o", target, "--head", head, "--overwrite").code == 0
    assert set(load_file(target)) == set(weights())


def refused(finished: Any, out: Path, code: int, cause: str) -> None:
    assert finished.code == code, finished.err
    assert cause in finished.err and finished.err.count("\n") == 1
    assert not out.exists()


def test_a_packed_file_is_refused(nfn: Nfn, head: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "part.safetensors", tmp_path / "out.safetensors"
    save_file({name: t[None] for name, t in weights().items()}, path, metadata=METADATA | {POPULATION_KEY: "1"})
    refused(nfn("edit-inr", path, "-o", out, "--head", head), out, 3, "give files of one network each")


@pytest.mark.parametrize("edit", ["erode", "contrast"])
def test_a_head_for_another_edit_is_refused(edit: str, nfn: Nfn, head: Path, save: Save, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    finished = nfn("edit-inr", save("a.safetensors"), "-o", out, "--head", head, "--edit", edit)
    refused(finished, out, 2, "does dilate")


def test_neither_edit_nor_head_is_refused(nfn: Nfn, save: Save, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    refused(
        nfn("edit-inr", save("a.safetensors"), "-o", out),
        out,
        2,
        f"nfn: --edit: no edit is named; give {', '.join(sorted(EDITS))}, or",
    )


def test_a_head_for_something_else_is_refused(nfn: Nfn, save: Save, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    finished = nfn("edit-inr", save("a.safetensors"), "-o", out, "--head", "small-cnn-relu")
    refused(finished, out, 3, "a head for `nfn predict-accuracy`")


def test_another_network_is_refused(nfn: Nfn, head: Path, tmp_path: Path) -> None:
    path, out = tmp_path / "mlp.safetensors", tmp_path / "out.safetensors"
    save_file({"0.weight": torch.randn(4, 3), "1.weight": torch.randn(2, 4)}, path)
    refused(nfn("edit-inr", path, "-o", out, "--head", head), out, 3, "no head reads this network")


def test_a_file_without_a_bias_is_refused(nfn: Nfn, head: Path, save: Save, tmp_path: Path) -> None:
    out = tmp_path / "out.safetensors"
    finished = nfn("edit-inr", save("a.safetensors", bias=False), "-o", out, "--head", head)
    refused(finished, out, 3, "this file lacks some")


def test_numbers_that_leave_the_range_of_the_dtype_are_refused(
    nfn: Nfn, head: Path, save: Save, tmp_path: Path
) -> None:
    out = tmp_path / "out.safetensors"
    path = save("a.safetensors", dtype=torch.float16)
    refused(nfn("edit-inr", path, "-o", out, "--head", head, "--gamma", "1e9"), out, 3, "the range of float16")
    refused(nfn("edit-inr", path, "-o", out, "--head", head, "--gamma", "nan"), out, 2, "nan is no amount")
