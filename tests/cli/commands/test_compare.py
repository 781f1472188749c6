"""`nfn compare`: every verdict on real files, exit codes, what programs read, and what is refused."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from residual_source import residual_source
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

Nfn = Callable[..., Any]
State = dict[str, Tensor]

FIELDS = {
    *("path", "other", "verdict", "cause", "score", "false_positive_rate", "family", "models", "log10_p", "deviation"),
    *(
        "tolerance",
        "rounded_to",
        "turned",
        "part",
        "before",
        "after",
        "layers",
        "basis",
        "read_as",
        "assumed",
        "element",
    ),
}


def mlp(seed: int = 0) -> State:
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Linear(20, 40), nn.ReLU(), nn.Linear(40, 30), nn.ReLU(), nn.Linear(30, 10))
    return module.state_dict()


def saved(path: Path, tensors: State, activation: str = "relu") -> Path:
    save_file(tensors, path, {"activation": activation, "pool": "none"})
    return path


def tuned(tensors: State, noise: float = 0.1) -> State:
    return {name: old + noise * old.std() * torch.randn_like(old) for name, old in tensors.items()}


def int8(tensors: State) -> State:
    steps = {name: own.abs().max() / 127 for name, own in tensors.items()}
    return {n: (own / steps[n]).round() * steps[n] if own.ndim > 1 else own for n, own in tensors.items()}


@pytest.fixture
def a(tmp_path: Path) -> Path:
    return saved(tmp_path / "a.safetensors", mlp())


def disguised(path: Path, nfn: Nfn, *options: object) -> Path:
    out = path.with_name(f"disguised-{path.name}")
    assert nfn("apply", path, "--seed", 1, "-o", out, *options).code == 0
    return out


def compared(nfn: Nfn, *arguments: object, code: int) -> dict[str, Any]:
    finished = nfn("compare", *arguments, "--format", "json")
    assert finished.code == code, finished.err
    row = json.loads(finished.out)
    assert isinstance(row, dict) and set(row) == FIELDS
    for layer in row["layers"]:
        assert set(layer) == {"name", "before", "changed", "score"}
    if row["after"] is not None:
        assert row["after"] <= row["before"]
    return row


def test_a_disguised_copy_is_the_same_function(a: Path, nfn: Nfn) -> None:
    b = disguised(a, nfn)
    row = compared(nfn, a, b, code=0)
    assert (row["verdict"], row["path"], row["other"]) == ("same", str(a), str(b))
    assert (row["rounded_to"], row["score"], row["log10_p"]) == (None, None, None)
    assert row["deviation"] <= row["tolerance"] == 1e-5
    assert row["after"] < 1e-6 < 1 < row["before"]
    assert [layer["name"] for layer in row["layers"]] == ["0", "2", "4"]
    assert all(layer["changed"] < 1e-6 < layer["before"] for layer in row["layers"])
    assert (row["basis"], row["read_as"]) == ("aligned", "the chain 0 → 2 → 4 with relu")
    finished = nfn("compare", a, b)
    assert finished.err.startswith("nfn: same function, as the chain 0 → 2 → 4 with relu (largest deviation ")


@pytest.mark.parametrize(
    ("kind", "rounded"),
    [
        ("bfloat16", lambda tensors: {name: own.bfloat16() for name, own in tensors.items()}),
        ("float16", lambda tensors: {name: own.half().float() for name, own in tensors.items()}),
        ("int8 per tensor", int8),
    ],
    ids=["bfloat16", "float16", "int8"],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_copy_of_lower_precision(
    a: Path, tmp_path: Path, nfn: Nfn, kind: str, rounded: Callable[[State], State], *, first: bool
) -> None:
    b = saved(tmp_path / "b.safetensors", rounded(load_file(a)))
    row = compared(nfn, *((b, a) if first else (a, b)), code=0)
    assert (row["verdict"], row["rounded_to"]) == ("rounded", kind)
    assert row["deviation"] < 1e-6
    finished = nfn("compare", a, b)
    assert (
        f"same after rounding to {kind}, as the chain 0 → 2 → 4 with relu: B is A rounded to {kind} (" in finished.err
    )


def test_a_copy_in_float32_of_a_network_in_float64(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    fine = {name: own.double() * (1 + 1e-8 * torch.rand_like(own)) for name, own in load_file(a).items()}
    row = compared(nfn, saved(tmp_path / "b.safetensors", fine), disguised(a, nfn), code=0)
    assert (row["verdict"], row["rounded_to"]) == ("rounded", "float32")
    assert "in which B is stored" in row["cause"]


def test_a_copy_of_lower_precision_that_is_disguised_then(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    row = compared(nfn, a, disguised(saved(tmp_path / "b.safetensors", int8(load_file(a))), nfn), code=0)
    assert (row["verdict"], row["rounded_to"]) == ("rounded", "int8 per tensor")
    assert nfn("verify", a, tmp_path / "b.safetensors").code == 1


def test_a_disguised_fine_tune_is_derived(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    b = disguised(saved(tmp_path / "b.safetensors", tuned(load_file(a))), nfn)
    row = compared(nfn, a, b, code=1)
    assert (row["verdict"], row["rounded_to"]) == ("derived", None)
    assert row["score"] > 0.9
    assert row["family"] == "mlp"
    assert row["after"] == pytest.approx(0.1, rel=0.1)
    assert all(layer["score"] > 0.8 and layer["changed"] < layer["before"] for layer in row["layers"])
    assert "nfn: derived, as the chain 0 → 2 → 4 with relu: " in nfn("compare", a, b).err


def test_a_replaced_layer_is_the_one_that_changed(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    tensors = load_file(a)
    other = mlp(5)
    b = disguised(saved(tmp_path / "b.safetensors", {**tensors, "2.weight": other["2.weight"]}), nfn)
    row = compared(nfn, a, b, code=1)
    changed = {layer["name"]: layer["changed"] for layer in row["layers"]}
    assert max(changed, key=changed.__getitem__) == "2"


def test_strangers_are_independent(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    b = saved(tmp_path / "b.safetensors", mlp(1))
    row = compared(nfn, a, b, code=1)
    assert row["verdict"] == "independent"
    assert abs(row["score"]) < 0.2
    assert "nfn: independent, as the chain 0 → 2 → 4 with relu: " in nfn("compare", a, b).err


def test_another_architecture_is_answered(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    conv = nn.Sequential(nn.Conv2d(2, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 1), nn.Flatten())
    b = saved(tmp_path / "b.safetensors", conv.state_dict())
    element = tmp_path / "element.safetensors"
    finished = nfn("compare", a, b, "--save-element", element, "--format", "json")
    assert finished.code == 1
    row = json.loads(finished.out)
    assert (row["verdict"], row["layers"], row["element"]) == ("unknown", [], None)
    assert "nfn: cannot tell, as the chain 0 → 2 → 4 with relu: " in finished.err
    assert "nfn: no element was saved: not all of B was aligned to all of A" in finished.err
    assert not element.exists()


def test_a_fine_tune_by_less_than_a_few_roundings_of_the_file_it_came_from(tmp_path: Path, nfn: Nfn) -> None:
    """Its base is stored in bfloat16, and verify lets as much pass."""
    base = {name: own.bfloat16() for name, own in mlp().items()}
    a = saved(tmp_path / "a.safetensors", base)
    for change in (1e-4, 3e-3):
        small = {name: own.float() * (1 + change * torch.randn(own.shape).clamp(-2, 2)) for name, own in base.items()}
        b = saved(tmp_path / "b.safetensors", small)
        assert compared(nfn, a, b, code=1)["verdict"] == "derived"
        assert compared(nfn, a, disguised(b, nfn, "--overwrite"), code=1)["verdict"] == "derived"


def test_a_pruned_child_is_compared_by_what_both_have(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    tensors, kept = load_file(a), torch.arange(40)[torch.arange(40) % 4 != 1]
    narrow = {"0.weight": tensors["0.weight"][kept], "0.bias": tensors["0.bias"][kept]}
    narrow["2.weight"] = tensors["2.weight"][:, kept]
    b = disguised(saved(tmp_path / "b.safetensors", {**tensors, **narrow}), nfn)
    row = compared(nfn, a, b, code=1)
    assert row["verdict"] == "derived"
    assert row["part"]
    assert row["element"] is None


def test_the_exact_basis_leaves_the_weights_where_they_are(a: Path, nfn: Nfn) -> None:
    b = disguised(a, nfn)
    row = compared(nfn, a, b, "--basis", "exact", code=1)
    assert row["verdict"] != "same"
    assert row["basis"] == "exact"
    assert row["after"] == row["before"] > 1
    assert compared(nfn, a, a, "--basis", "exact", code=0)["verdict"] == "same"


def test_lines_for_people_and_for_scripts(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    b = saved(tmp_path / "b.safetensors", tuned(load_file(a)))
    plain = [line.split("\t") for line in nfn("compare", a, b).out.splitlines()]
    assert plain[0] == ["layer", "before", "changed", "score"]
    assert [line[0] for line in plain[1:]] == ["0", "2", "4"]
    rows = list(csv.DictReader(io.StringIO(nfn("compare", a, b, "--format", "csv").out)))
    assert [row["layer"] for row in rows] == ["0", "2", "4"]
    assert all(0 < float(row["changed"]) <= float(row["before"]) for row in rows)
    (line,) = nfn("compare", a, b, "--format", "jsonl").out.splitlines()
    assert json.loads(line) == json.loads(nfn("compare", a, b, "--format", "json").out)
    table = nfn("compare", a, b, "--format", "table").out.splitlines()
    assert table[0].split() == ["layer", "before", "changed", "score"]


def test_quiet_says_nothing_of_what_is_the_same(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    assert nfn("compare", a, a, "--chain", "--quiet").err == ""
    b = saved(tmp_path / "b.safetensors", mlp(1))
    assert nfn("compare", a, b, "--quiet").err.startswith("nfn: independent")


def test_the_saved_element_brings_b_to_a(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    b, element, back = disguised(a, nfn), tmp_path / "element.safetensors", tmp_path / "back.safetensors"
    assert compared(nfn, a, b, "--save-element", element, code=0)["element"] == str(element)
    assert nfn("apply", b, "--element", element, "-o", back).code == 0
    wanted = load_file(a)
    assert all(torch.allclose(own, wanted[name], atol=1e-6) for name, own in load_file(back).items())
    assert nfn("compare", a, b, "--save-element", element).code == 2
    assert nfn("compare", a, b, "--save-element", element, "--overwrite").code == 0


MODEL = residual_source(10, 24, 32)


def test_a_module_of_the_users_own(tmp_path: Path, nfn: Nfn) -> None:
    torch.manual_seed(0)
    (tmp_path / "net.py").write_text(MODEL)
    model = ("--model", f"{tmp_path / 'net.py'}:make")
    spaces: dict[str, Any] = {}
    exec(MODEL, spaces)
    a = saved(tmp_path / "a.safetensors", spaces["make"]().state_dict())
    row = compared(nfn, a, disguised(a, nfn, *model), *model, code=0)
    assert (row["verdict"], row["read_as"]) == ("same", f"the module of {tmp_path / 'net.py'}:make")
    rounded = saved(tmp_path / "b.safetensors", {name: own.bfloat16() for name, own in load_file(a).items()})
    row = compared(nfn, a, rounded, *model, code=0)
    assert (row["verdict"], row["rounded_to"]) == ("rounded", "bfloat16")


def test_a_layer_of_zeros_leaves_json_that_every_parser_reads(a: Path, tmp_path: Path, nfn: Nfn) -> None:
    zero = {name: torch.zeros_like(own) if name.startswith("4") else own for name, own in mlp().items()}
    b = saved(tmp_path / "zero.safetensors", zero)
    for one, other in ((a, b), (b, a), (b, b)):
        finished = nfn("compare", one, other, "--format", "json")
        assert finished.code in (0, 1)

        def refused(constant: str) -> float:
            raise AssertionError(constant)

        json.loads(finished.out, parse_constant=refused)


@pytest.mark.parametrize("place", [0, 1])
def test_what_cannot_be_read_is_trouble(a: Path, tmp_path: Path, nfn: Nfn, place: int) -> None:
    files = [a, a]
    files[place] = tmp_path / "none.safetensors"
    for text in (None, "no tensors"):
        if text is not None:
            files[place].write_text(text)
        finished = nfn("compare", *files, "--format", "json")
        assert (finished.code, finished.out, finished.err.count("\n")) == (3, "", 1)
        assert "none.safetensors" in finished.err
    files[place] = tmp_path
    finished = nfn("compare", *files)
    assert (finished.code, finished.out) == (3, "")
    assert f"{tmp_path}: a folder, and compare takes two checkpoints; give a file in it" in finished.err


def test_what_a_file_does_not_tell_is_trouble(tmp_path: Path, nfn: Nfn) -> None:
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    save_file(mlp(), one, {"activation": "sin", "omega_0": "20"})
    save_file(mlp(), two, {"activation": "sin"})
    finished = nfn("compare", one, two)
    assert (finished.code, finished.out, finished.err.count("\n")) == (3, "", 1)
    assert "(--omega-0)" in finished.err


@pytest.mark.parametrize("arguments", [["--basis", "near"], ["--activation", "reelu"], ["--nothing"], []])
def test_wrong_usage(a: Path, nfn: Nfn, arguments: list[str]) -> None:
    finished = nfn("compare", a, *([a] if arguments else []), *arguments)
    assert (finished.code, finished.out) == (2, "")


def test_without_scipy_copies_are_compared_and_others_told(
    a: Path, tmp_path: Path, nfn: Nfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    b, other = disguised(a, nfn), saved(tmp_path / "b.safetensors", mlp(1))
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.setitem(sys.modules, "scipy.optimize", None)
    assert nfn("compare", a, b).code == 0
    finished = nfn("compare", a, other)
    assert (finished.code, finished.out, finished.err.count("\n")) == (2, "", 1)
    assert "SciPy" in finished.err and "nfn-cli[match]" in finished.err


def test_hostile_names_command_no_terminal(tmp_path: Path, nfn: Nfn) -> None:
    hostile = "\x1b[2J\n\t\x9b31m \u202egnp"
    tensors = {f"{layer}{hostile}.weight": torch.randn(size) for layer, size in ((0, (6, 4)), (1, (3, 6)))}
    a, b = (saved(tmp_path / f"{name}{hostile}.safetensors", tensors) for name in "ab")
    for format in ("table", "json", "jsonl"):
        finished = nfn("compare", a, b, "--format", format)
        assert finished.code == 0
        assert all(c.isprintable() or c in "\n\t" for c in finished.out + finished.err)
    assert json.loads(finished.out)["other"] == str(b)
