"""`nfn train` as a user sees it: interrupted and taken up, stopped early, misused."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import save_file

Nfn = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 networks whose accuracy follows from the size of their first weights."""
    folder = tmp_path_factory.mktemp("data")
    generator = torch.Generator().manual_seed(0)
    lines = ["file,test_accuracy"]
    for number in range(60):
        strength = torch.rand(1, generator=generator).item()
        first = torch.randn(6, 3, generator=generator)
        first[:, 0] *= 4 * strength
        tensors = {
            "0.weight": first,
            "0.bias": torch.randn(6, generator=generator),
            "2.weight": torch.randn(2, 6, generator=generator),
            "2.bias": torch.randn(2, generator=generator),
        }
        save_file(tensors, folder / f"{number}.safetensors", {"activation": "relu"})
        lines.append(f"{number}.safetensors,{strength}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")
    return folder


def command(data: Path, out: Path) -> list[str]:
    options = ["--members", "2", "--epochs", "150", "--device", "cpu"]
    return [sys.executable, "-m", "nfn_cli", "train", str(data), "--out", str(out), *options]


def interrupt(arguments: list[str], out: Path) -> tuple[int, str, str]:
    """Run a program, and interrupt it as Ctrl-C does, as soon as the fit has a state."""
    # A background process of some shells ignores interrupts, and would hand that on.
    with subprocess.Popen(
        arguments,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        while not (out / ".fit.safetensors").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGINT)
        stdout, stderr = process.communicate()
    return process.returncode, stdout, stderr


@pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is a signal on POSIX alone")
def test_an_interrupted_fit_goes_on_with_the_same_command(data: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole" / "head", tmp_path / "parts" / "head"
    line = f"nfn: {parts}: interrupted; the same command goes on from here\n"
    code, out, err = interrupt(command(data, parts), parts)
    assert (code, out) == (130, "") and err.endswith(line)  # a slow machine says before how long it will take
    assert [path.name for path in parts.iterdir()] == [".fit.safetensors"]
    finished = [
        subprocess.run(command(data, own), capture_output=True, text=True, check=True) for own in (parts, whole)
    ]
    assert finished[0].stdout == finished[1].stdout
    told = ["nfn: going on with an unfinished fit, from the state that it left\n" in own.stderr for own in finished]
    assert told == [True, False]
    for name in ("model.safetensors", "config.yaml", "README.md"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    assert not (parts / ".fit.safetensors").exists()


def test_a_stopped_fit_with_other_options_is_refused(
    nfn: Nfn, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "head"
    epochs: list[float] = []

    def interrupted(*_: object) -> bool:
        epochs.append(0)
        if len(epochs) == 2:
            raise KeyboardInterrupt
        return True

    with monkeypatch.context() as patch:
        patch.setattr("nfn_cli.learning.fit_state.StateKeeper.due", interrupted)
        line = f"nfn: {out}: interrupted; the same command goes on from here\n"
        code, stdout, err = nfn("train", data, "--out", out, "--epochs", 3)
        assert (code, stdout) == (130, "") and err.endswith(line)  # see above
    code, stdout, err = nfn("train", data, "--out", out, "--epochs", 4, "--seed", 1)
    assert (code, stdout) == (3, "")
    assert err == (
        f"nfn: {out}: holds an unfinished fit of another epochs, seed; repeat its command to go on, or pass --overwrite"
        " to begin anew\n"
    )
    assert nfn("train", data, "--out", out, "--epochs", 4, "--seed", 1, "--members", 1, "--overwrite")[0] == 0


def test_a_fit_with_patience_stops_early_and_says_so_on_the_card(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "head"
    options = ["--members", 2, "--epochs", 200, "--patience", 3]
    assert nfn("train", data, "--out", out, *options)[0] == 0
    fitted = yaml.safe_load((out / "config.yaml").read_text())["fitted"]
    assert (fitted["validation"], fitted["patience"]) == (0.15, 3)
    kept = fitted["kept_epochs"]
    assert len(kept) == 2 and max(kept) < 200
    card = (out / "README.md").read_text()
    assert "Each member left out 15% of the training runs, others each, to validate, stopped after 3 epochs" in card
    assert f"the weights are those after epochs {kept[0]}, {kept[1]}." in card
    assert " --epochs 200 --members 2 --seed 0 --patience 3 --validation 0.15\n" in card


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--validation", 0.7], "--validation: 0.7 is no share of the training runs; give 0 to 0.5"),
        (["--validation", -1], "--validation: -1 is no share of the training runs; give 0 to 0.5"),
        (["--validation", "nan"], "--validation: nan is no share of the training runs; give 0 to 0.5"),
        (
            ["--validation", 0, "--patience", 5],
            "--patience: needs validation runs; give --validation 0.15",
        ),
    ],
)
def test_options_that_cannot_work_are_refused(
    options: list[object], message: str, nfn: Nfn, data: Path, tmp_path: Path
) -> None:
    assert nfn("train", data, "--out", tmp_path / "head", *options) == (2, "", f"nfn: {message}\n")


@pytest.mark.parametrize(
    "options", [["--members", 65], ["--members", 0], ["--seed", -1], ["--seed", 2**32]], ids=lambda own: str(own[1])
)
def test_numbers_out_of_range_are_wrong_usage(options: list[object], nfn: Nfn, data: Path, tmp_path: Path) -> None:
    code, out, err = nfn("train", data, "--out", tmp_path / "head", *options)
    assert (code, out) == (2, "") and str(options[0]) in err
    assert not (tmp_path / "head").exists()


def test_few_networks_get_more_epochs(nfn: Nfn, data: Path, tmp_path: Path) -> None:
    assert nfn("train", data, "--out", tmp_path / "head", "--members", 1)[0] == 0
    fitted = yaml.safe_load((tmp_path / "head" / "config.yaml").read_text())["fitted"]
    # Some forty networks are two batches of 16, so 240 steps are 120 epochs.
    assert (fitted["batch_size"], fitted["epochs"]) == (16, 120)


def test_a_fit_shows_its_members_and_nothing_if_it_shall_be_quiet(
    nfn: Nfn, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nfn_cli.cli.progress.bars.SECONDS_BETWEEN_LINES", 0.001)
    _, out, err = nfn("train", data, "--out", tmp_path / "loud", "--epochs", 20, "--members", 2)
    for shown in (
        "reading, for",
        "member 1 of 2, epoch ",
        "member 2 of 2, epoch ",
        "calibrating, for",
        "bootstrap, for",
    ):
        assert f"nfn: {shown}" in err
    assert err.endswith(f"nfn: head written to {tmp_path / 'loud'}\n")
    quiet = nfn("train", data, "--out", tmp_path / "quiet", "--epochs", 20, "--members", 2, "--quiet")
    assert quiet == (0, out.replace("loud ", "quiet"), "")
