"""Training in processes: the same zoo, and none of them outlives the command."""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from nfn_cli.errors import DataError
from nfn_cli.zoo import ZooReport, ZooSettings, generate_zoo, read_networks

Settings = Callable[..., ZooSettings]

on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


class Stopped(Exception):
    """Stands in for an interrupt."""


@pytest.fixture
def endless(settings: Settings) -> ZooSettings:
    """A zoo that takes hours."""
    return settings(count=64, epochs=(1_000_000,))


def test_processes_make_the_same_zoo_as_none(
    settings: Settings, generate: Callable[..., ZooReport], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    generate(tmp_path / "here", settings())
    monkeypatch.undo()
    report = generate_zoo(tmp_path / "there", settings(), workers=2, group_size=2, on_samples=told.append)
    assert report.samples == sum(told)
    here, there = (read_networks(tmp_path / name) for name in ("here", "there"))
    assert here.files == there.files
    assert here.targets.tolist() == pytest.approx(there.targets.tolist(), abs=0.051)
    for name, tensor in here.point.tensors.items():
        assert (tensor - there.point.tensors[name]).abs().max() < 1e-3
    assert wait_for(no_children)
    assert "MALLOC_TOP_PAD_" not in os.environ


def test_an_interrupted_sitting_leaves_no_process(endless: ZooSettings, tmp_path: Path) -> None:
    def stop_when_training(samples: int) -> None:
        if samples:
            assert multiprocessing.active_children()
            raise Stopped

    with pytest.raises(Stopped):
        generate_zoo(tmp_path, endless, on_samples=stop_when_training)
    assert wait_for(no_children)


def test_a_failure_while_writing_leaves_no_process(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> NoReturn:
        raise DataError("zoo", "no space left on device", "make some")

    monkeypatch.setattr("nfn_cli.zoo.generate.save_tensors", full)
    with pytest.raises(DataError, match="no space left") as failed:
        generate_zoo(tmp_path, settings(count=8, epochs=(300,)), group_size=1)
    # The error, which holds on to everything, is still there.
    assert failed.value is not None
    assert wait_for(no_children)


def test_a_killed_worker_is_told_in_one_line(endless: ZooSettings, tmp_path: Path) -> None:
    def kill_when_training(samples: int) -> None:
        if samples:
            multiprocessing.active_children()[0].kill()

    with pytest.raises(DataError, match="a training process was killed, perhaps because memory ran out") as failed:
        generate_zoo(tmp_path, endless, on_samples=kill_when_training)
    assert len(str(failed.value).splitlines()) == 1
    assert wait_for(no_children)


TELLING = """
from nfn_cli.cli.app import main
from nfn_cli.cli.progress.zoo_progress import ZooProgress

def tell(progress, samples):
    if samples:
        print("training", flush=True)

ZooProgress.steps = tell
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def command(archive: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """`nfn zoo cnn` on a zoo that takes hours, as a session of its own, like a terminal's foreground job.

    It prints a line whenever samples were processed.
    """
    (tmp_path / "telling.py").write_text(TELLING)
    options = ["--data", archive, "--activation", "relu", "--count", "64", "--epochs", "1000000", "--workers", "1"]
    program = subprocess.Popen(
        [
            sys.executable,
            str(tmp_path / "telling.py"),
            "zoo",
            "cnn",
            *map(str, options),
            "--out",
            str(tmp_path / "zoo"),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        # A shell that started the tests in the background has them, and what they start, ignore Ctrl-C.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with program:
        yield program
        if alive(program.pid):
            os.killpg(program.pid, signal.SIGKILL)


def alive(session: int) -> list[int]:
    """Processes of a session that are not just waiting to be reaped."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def no_children() -> bool:
    return not multiprocessing.active_children()


def wait_for(condition: Callable[[], object]) -> bool:
    """Whether a condition comes true within a minute: this only bounds how long a failure takes."""
    end = time.monotonic() + 60
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True


@on_linux
@pytest.mark.parametrize(
    ("number", "code"),
    [
        pytest.param(signal.SIGINT, 130, id="Ctrl-C"),
        pytest.param(signal.SIGKILL, -signal.SIGKILL, id="kill"),
        pytest.param(signal.SIGTERM, -signal.SIGTERM, id="terminate", marks=pytest.mark.slow),
    ],
)
def test_no_process_outlives_the_command(number: signal.Signals, code: int, command: subprocess.Popen[str]) -> None:
    assert command.stdout is not None and command.stderr is not None
    assert command.stdout.readline() == "training\n"
    # The command, the keeper of its semaphores, and the worker.
    assert len(alive(command.pid)) == 3
    if number == signal.SIGINT:
        os.killpg(command.pid, number)  # a terminal tells all of them
    else:
        command.send_signal(number)
    assert wait_for(lambda: not alive(command.pid))
    assert command.wait() == code
    if number == signal.SIGINT:
        line = command.stderr.read()
        assert line.count("\n") == 1
        assert line.endswith("interrupted; 0 of 64 runs are kept, the same command goes on from here\n")
