"""What a row says when there is no prediction."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

import nfn_cli.shipped
from nfn_cli.errors import HeadError, UsageError
from nfn_cli.scoring import classify, score
from nfn_cli.scoring.device import resolve_device

Save = Callable[..., Path]


def error_of(path: Path, **options: str) -> str:
    (row,) = score([path], device="cpu", **options)
    assert row.error is not None
    assert row.error.startswith(f"{path}: ") and len(row.error.splitlines()) == 1
    assert (row.accuracy, row.low, row.high, row.head, row.in_distribution) == (None,) * 5
    return row.error.removeprefix(f"{path}: ")


@pytest.mark.usefixtures("shipped")
def test_a_network_that_no_head_reads_is_told_the_nearest_and_its_first_difference(save: Save) -> None:
    error = error_of(save("a.safetensors", activation="sin"))
    assert error == (
        "linear 3->6, linear 6->2 (sin): no head reads this network (nearest a-relu: the activation is sin, the head"
        " reads relu; 2 other heads do not, either); fit one of your own with `nfn train` and name it with --head"
    )


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize(
    ("name", "shown"),
    [("a  b.safetensors", "a  b.safetensors"), ("a\nb.safetensors", "a\\nb.safetensors")],
    ids=["blanks", "line break"],
)
def test_an_odd_name_leaves_one_line(name: str, shown: str, save: Save) -> None:
    (row,) = score([save(name, activation="sin")], device="cpu")
    assert row.error is not None and len(row.error.splitlines()) == 1
    assert f"{shown}: linear 3->6" in row.error


@pytest.mark.usefixtures("shipped")
def test_a_bad_sidecar_is_told_with_the_checkpoint(save: Save, tmp_path: Path) -> None:
    path = save("a.safetensors")
    (tmp_path / "a.yaml").write_text("activation: [")
    assert "a.yaml: not readable YAML" in error_of(path)


@pytest.mark.usefixtures("shipped")
def test_weights_too_large_for_the_head_are_no_prediction(save: Save) -> None:
    huge = {"2.weight": torch.ones(2, 6).double(), "2.bias": torch.full((2,), 1e300, dtype=torch.float64)}
    path = save("a.safetensors", change=lambda tensors: tensors | huge)
    assert error_of(path).startswith("the weights are too large for the head")
    good = save("b.safetensors")
    bad, fine = score([path, good], device="cpu")
    assert bad.error is not None and fine.accuracy is not None


def test_a_damaged_shipped_head_fails_its_own_networks_alone(
    models: Path, save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(models, tmp_path / "package" / "models")
    monkeypatch.setattr(nfn_cli.shipped, "_PACKAGE", tmp_path / "package")
    (tmp_path / "package" / "models" / "a-relu" / "model.safetensors").write_bytes(b"garbage")
    broken, sound = score([save("a.safetensors"), save("b.safetensors", activation="tanh")], device="cpu")
    assert broken.error is not None and "model.safetensors: unreadable tensors" in broken.error
    assert sound.head == "b-tanh" and sound.error is None


def test_without_any_head_every_row_says_so(save: Save, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nfn_cli.shipped, "_PACKAGE", tmp_path / "nothing" / "here")
    assert "no head is shipped; fit one of your own" in error_of(save("a.safetensors"))


@pytest.mark.usefixtures("shipped")
def test_an_unknown_head_is_refused_before_any_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(HeadError, match="no such head; give a head's folder or one of: a-relu, b-tanh, c-conv"):
        score([tmp_path / "missing.pt"], head="d", device="cpu")


@pytest.mark.usefixtures("shipped")
def test_an_unknown_activation_is_wrong_usage_before_any_file_is_read(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown activation 'rleu'"):
        score([tmp_path / "missing.pt"], activation="rleu", device="cpu")


@pytest.mark.usefixtures("shipped")
def test_a_device_that_is_not_there_is_refused_before_any_file_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(UsageError) as refused:
        score([tmp_path / "missing.pt"], device="cuda")
    assert str(refused.value) == "--device cuda: this machine has no such device; use --device auto"


@pytest.mark.parametrize(("cuda", "mps", "found"), [(True, True, "cuda"), (False, True, "mps"), (False, False, "cpu")])
def test_auto_takes_a_gpu_where_there_is_one(
    cuda: bool, mps: bool, found: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    assert resolve_device("auto") == found
    assert resolve_device("cpu") == "cpu"
    assert resolve_device(found) == found


@pytest.mark.usefixtures("shipped")
@pytest.mark.parametrize("numbers", [{"jobs": -1}, {"batch_size": 0}])
def test_a_number_that_is_too_small_is_wrong_usage_before_any_file_is_read(
    numbers: dict[str, int], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match="too small"):
        score([tmp_path / "missing.pt"], device="cpu", **numbers)  # type: ignore[arg-type]


@pytest.mark.usefixtures("shipped")
def test_a_network_that_no_head_classifies_is_sent_to_the_command_that_fits_such_heads(save: Save) -> None:
    (row,) = classify([save("a.safetensors", activation="sin")], device="cpu")
    assert row.error is not None and "`nfn train-inr`" in row.error


@pytest.mark.parametrize("name", ["abacus", "", "cuda:7"])
def test_what_is_no_device_is_wrong_usage(name: str) -> None:
    with pytest.raises(UsageError):
        resolve_device(name)
