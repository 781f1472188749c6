"""What a device cannot do is said in one line, or computed on the CPU."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from nfn_cli.nn.head import Head
from nfn_cli.scoring import device as devices
from nfn_cli.scoring import score
from nfn_cli.scoring.device import device_trouble, resolve_device

TESTS = Path(__file__).parents[1]
SAMPLE, INR = TESTS / "samples" / "relu-1.safetensors", TESTS / "inrs" / "mnist-1.safetensors"
# PyTorch's own words.
MISSING = (
    "The operator 'aten::linalg_eigh.eigenvalues' is not currently implemented for the MPS device. If you want this op"
    " to be considered for addition please comment on https://github.com/pytorch/pytorch/issues/141287\nand mention it"
)
NO_FLOAT64 = "Cannot convert a MPS Tensor to float64 dtype as the MPS framework doesn't support float64."
FALLS_BACK = (
    "The operator 'aten::linalg_eigh' is not currently supported on the MPS backend and will fall back to run on the"
    " CPU. This may have performance implications. (Triggered internally at MPSFallback.mm:14.)"
)
FULL = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.11 GiB."


@pytest.fixture(autouse=True)
def _nothing_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "_said", set())


@pytest.fixture
def with_mps(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that says that it has MPS; tensors that are put there stay on the CPU."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    plain = torch.nn.Module.to

    def to(self: Any, device: Any, *rest: Any) -> Any:
        return plain(self, "cpu" if device == "mps" else device, *rest)

    monkeypatch.setattr(torch.nn.Module, "to", to)


@pytest.mark.parametrize("error", [NotImplementedError(MISSING), TypeError(NO_FLOAT64), RuntimeError(NO_FLOAT64)])
@pytest.mark.usefixtures("with_mps")
def test_what_mps_lacks_is_computed_on_the_cpu(
    error: Exception, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (expected,) = score(SAMPLE, device="cpu")
    plain, calls = Head.predict, []

    def predict(self: Head, point: Any) -> Any:
        calls.append(point)
        if len(calls) == 1:
            raise error
        return plain(self, point)

    monkeypatch.setattr(Head, "predict", predict)
    (row,) = score(SAMPLE, device="mps")
    assert row == expected and len(calls) == 2
    assert capsys.readouterr().err == "nfn: mps lacks some operators; computing on the CPU\n"


@pytest.mark.usefixtures("with_mps")
def test_operators_that_fall_back_by_themselves_are_told_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(devices.FALLBACK, "1")
    others: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning = lambda *told: others.append(told)
        assert resolve_device("auto") == "mps"
        warnings.warn(FALLS_BACK, UserWarning, stacklevel=1)
        warnings.warn(FALLS_BACK, UserWarning, stacklevel=1)
        assert capsys.readouterr().err == "nfn: mps lacks some operators; what needs them is computed on the CPU\n"
        warnings.warn("another", UserWarning, stacklevel=1)
    assert len(others) == 1


def test_the_program_lets_mps_fall_back_before_torch_is_there() -> None:
    code = (
        "import os, sys; os.environ.pop('PYTORCH_ENABLE_MPS_FALLBACK', None); sys.argv = ['nfn', '--version'];"
        "from nfn_cli.cli.app import main\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        "print(os.environ['PYTORCH_ENABLE_MPS_FALLBACK'], 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split()[-2:] == ["1", "False"]


COMMANDS: dict[str, tuple[str, list[Any]]] = {
    "edit-inr": ("nfn_cli.nn.head.Head.predict", ["edit-inr", INR, "--edit", "erode", "-o", "out.safetensors"]),
    "evaluate": ("nfn_cli.nn.head.Head.predict", ["evaluate", "small-cnn-relu", TESTS / "population" / "relu"]),
    "predict-accuracy": ("nfn_cli.scoring.predicting.load_head", ["predict-accuracy", SAMPLE]),
    "zoo inr": (
        "nfn_cli.zoo.inr.siren_recipe.load_images",
        ["zoo", "inr", "--data", "x", "--count", "1", "--out", "zoo"],
    ),
}


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (torch.OutOfMemoryError(FULL), "too little memory (CUDA out of memory"),
        (MemoryError(), "too little memory (MemoryError"),
        (RuntimeError("CUDA error: no kernel image is available\nCompile with ..."), "CUDA error: no kernel image"),
        (NotImplementedError(MISSING), "The operator 'aten::linalg_eigh"),
    ],
    ids=["full GPU", "full memory", "old GPU", "lacking operator"],
)
@pytest.mark.parametrize("name", COMMANDS)
def test_trouble_with_a_device_is_one_line(
    name: str,
    error: Exception,
    cause: str,
    nfn: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise error

    where, arguments = COMMANDS[name]
    monkeypatch.setattr(where, fail)
    monkeypatch.chdir(tmp_path)
    finished = nfn(*arguments, "--device", "cpu")
    assert finished.code == 3
    assert len(finished.err.strip().splitlines()) == 1 and cause in finished.err, finished.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("device", ["cuda", "mps"])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_device_that_is_not_there_is_wrong_usage(
    name: str, device: str, nfn: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.chdir(tmp_path)
    finished = nfn(*COMMANDS[name][1], "--device", device)
    assert finished.code == 2
    assert finished.err == f"nfn: --device {device}: this machine has no such device; use --device auto\n"


def test_other_errors_are_none_of_a_device() -> None:
    assert device_trouble(RuntimeError("size mismatch")) is None
    assert device_trouble(TypeError("an integer is required")) is None
    assert device_trouble(ValueError("CUDA")) is None
