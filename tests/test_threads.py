"""Little work has one thread, large work all of them, in every command; whoever sets them by hand decides."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from nfn_cli import threads
from nfn_cli.learning.member_fit import FitSettings, MemberFit
from nfn_cli.nn import load_head
from nfn_cli.threads import LARGE, numbers_in, sleep_while_waiting, threads_for
from nfn_cli.zoo import read_networks

Nfn = Callable[..., Any]

HERE = Path(__file__).parent
CNN, INR = HERE / "samples" / "relu-1.safetensors", HERE / "inrs" / "mnist-1.safetensors"
COMMANDS = {
    "predict-accuracy": [CNN],
    "rank": [CNN],
    "classify-inr": [INR],
    "render": [INR, "-o", "{out}.png"],
    "edit-inr": [INR, "--head", "monomial-dilate-mnist", "-o", "{out}.safetensors"],
    "inspect": [CNN],
    "canonicalize": [CNN, "-o", "{out}.safetensors"],
    "apply": [CNN, "--seed", "1", "-o", "{out}.safetensors"],
    "verify": [CNN, "--samples", "1"],
    "verify two": [CNN, CNN],
    "compare": [CNN, CNN],
    "align": [CNN, CNN, "-o", "{out}.safetensors"],
}


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """PyTorch as if set to three threads, and nobody had said so; and what it is set to from then on.

    It only says so: threads that spin beside other tests would slow all of them.
    """
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    asked: list[int] = []
    monkeypatch.setattr(torch, "set_num_threads", asked.append)
    monkeypatch.setattr(torch, "get_num_threads", lambda: asked[-1] if asked else 3)
    return asked


def test_little_work_has_one_thread_and_large_work_all(several: list[int]) -> None:
    with threads_for(LARGE - 1):
        assert torch.get_num_threads() == 1
        with threads_for(LARGE):  # such as a head's, of many copies of a small network
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 3
    with pytest.raises(KeyError), threads_for(0):
        raise KeyError
    assert torch.get_num_threads() == 3
    torch.set_num_threads(2)  # by hand, in a program around this one
    with threads_for(LARGE):
        assert torch.get_num_threads() == 2


@pytest.mark.parametrize("name", ["OMP_NUM_THREADS", "MKL_NUM_THREADS"])
def test_a_number_set_by_hand_holds_for_all_work(
    name: str, several: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "3")
    for numbers in (0, LARGE):
        with threads_for(numbers):
            assert torch.get_num_threads() == 3
    assert several == []


def test_the_threads_of_a_program_around_this_one_are_its_own(several: list[int]) -> None:
    def work() -> None:
        with threads_for(0):
            pass

    other = threading.Thread(target=work)
    other.start()
    other.join()
    assert several == []


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_decides_by_the_size_of_its_work(
    command: str, several: list[int], nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if command == "render":
        pytest.importorskip("PIL")

    def run(out: str) -> None:
        arguments = [str(own).format(out=tmp_path / out) for own in COMMANDS[command]]
        finished = nfn(command.split()[0], *arguments)
        assert finished.code == 0, finished.err

    run("small")
    assert several and set(several) == {1, 3}
    assert torch.get_num_threads() == 3
    several.clear()
    monkeypatch.setattr(threads, "LARGE", 1)
    run("large")
    assert several == []


def test_a_forward_pass_of_a_small_network_has_one_thread_and_one_of_many_has_all(
    several: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    head = load_head("monomial-nfn-relu")
    point = read_networks(HERE / "population" / "relu").point
    some = type(point)(point.architecture, {name: tensor[:2] for name, tensor in point.tensors.items()})
    seen: list[int] = []
    head.model.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    head.predict(some)
    monkeypatch.setattr(threads, "LARGE", 2 * point.architecture.parameter_count)
    head.predict(some)
    assert seen == [1, 3]


class Member(nn.Module):
    """The least that can be fitted."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(4))
        self.seen: set[int] = set()

    def fit_normalisation(self, inputs: list[torch.Tensor]) -> None:
        """Nothing to prepare."""

    def forward(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        self.seen.add(torch.get_num_threads())
        return inputs[0] @ self.weight


@pytest.mark.parametrize(("large", "expected"), [(LARGE, 1), (1, 3)])
def test_a_fit_decides_by_its_batches(
    large: int, expected: int, several: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "LARGE", large)
    member, inputs, targets = Member(), torch.randn(8, 4), torch.rand(8)
    MemberFit(member, [inputs], targets, FitSettings(epochs=1, batch_size=4), 0).run_epoch()
    assert member.seen == {expected}
    member.seen.clear()
    MemberFit(member, [inputs], targets, FitSettings(epochs=1, batch_size=4), 0, numbers=2).run_epoch()
    assert member.seen == {expected}


def test_work_is_told_by_the_bytes_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.safetensors").write_bytes(bytes(400))
    (tmp_path / "b.safetensors").write_bytes(bytes(800))
    (tmp_path / "model.safetensors.index.json").write_bytes(b"")
    assert numbers_in(tmp_path / "a.safetensors", tmp_path / "b.safetensors", tmp_path / "none") == 300
    assert numbers_in(tmp_path) == numbers_in(tmp_path / "model.safetensors.index.json") == 300


def test_threads_sleep_while_they_wait_unless_the_environment_says_how(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME", "KMP_LIBRARY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_WAIT_POLICY", "")  # so that it is as it was afterwards
    monkeypatch.delenv("OMP_WAIT_POLICY")
    sleep_while_waiting()
    assert "OMP_WAIT_POLICY" not in os.environ  # torch is there already: too late
    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setenv("GOMP_SPINCOUNT", "1000")
    sleep_while_waiting()
    assert "OMP_WAIT_POLICY" not in os.environ
    monkeypatch.delenv("GOMP_SPINCOUNT")
    sleep_while_waiting()
    assert os.environ["OMP_WAIT_POLICY"] == "passive"


def test_every_call_of_the_program_has_them_sleep(nfn: Nfn, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[bool] = []
    monkeypatch.setattr("nfn_cli.cli.app.sleep_while_waiting", lambda: called.append(True))
    assert nfn("--version").code == 0
    assert called == [True]
