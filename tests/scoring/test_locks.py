"""One output, two runs: the second refuses at its start, whatever the format, and harms nothing."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import filelock
import pytest

from nfn_cli.errors import DataError
from nfn_cli.locks import OutputLock

HOLD = """
import sys, time
from pathlib import Path
from nfn_cli.locks import OutputLock
with OutputLock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""
Nfn = Callable[..., Any]
OUTPUTS = ["rows.csv", "rows.jsonl", "rows.parquet", "rows.json", "rows.txt"]


@pytest.fixture
def hold() -> Iterator[Callable[[Path], subprocess.Popen[str]]]:
    """Hold an output in another process."""
    started: list[subprocess.Popen[str]] = []

    def call(path: Path) -> subprocess.Popen[str]:
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        process = subprocess.Popen([sys.executable, "-c", HOLD, str(path)], **pipes)
        started.append(process)
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        return process

    yield call
    for process in started:
        process.kill()
        process.communicate()


def contents(folder: Path) -> dict[Path, bytes]:
    return {own: own.read_bytes() for own in folder.rglob("*") if own.is_file() and not own.name.startswith(".")}


@pytest.mark.parametrize("options", [[], ["--overwrite"], ["--resume"]], ids=str)
@pytest.mark.parametrize("name", OUTPUTS)
def test_the_second_of_two_runs_refuses_at_its_start(
    name: str, options: list[str], nfn: Nfn, hold: Callable[[Path], Any], tmp_path: Path, monkeypatch: Any
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    if options == ["--resume"] and not name.endswith(("csv", "jsonl", "parquet")):
        return
    out = tmp_path / "out" / name
    out.parent.mkdir()
    hold(out)
    if options:  # what the first run has written by now
        if name.endswith("parquet"):
            out.mkdir()
            (out / "part-000000.parquet").write_text("of the first")
        else:
            out.write_text("of the first")
    before = contents(out.parent)
    monkeypatch.setattr("nfn_cli.cli.scoring_run.listed", lambda *_: pytest.fail("it has begun to work"))
    finished = nfn("predict-accuracy", "a.pt", "-o", out, *options)
    assert (finished.code, finished.out) == (3, "")
    lock = out.with_name(f".{name}.lock")
    assert finished.err == f"nfn: {out}: another run is writing to it (it holds {lock}); wait for its end\n"
    assert contents(out.parent) == before and lock.exists()


def test_links_to_one_output_are_one(hold: Callable[[Path], Any], tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    (tmp_path / "other.csv").symlink_to(tmp_path / "folder" / "rows.csv")
    hold(tmp_path / "folder" / "rows.csv")
    for path in (tmp_path / "link" / "rows.csv", tmp_path / "other.csv", tmp_path / "folder" / ".." / "other.csv"):
        with pytest.raises(DataError, match="another run is writing to it"):
            OutputLock(path)
    OutputLock(tmp_path / "folder" / "rows.jsonl").close()


def test_a_killed_run_blocks_nobody_and_its_lock_file_goes(hold: Callable[[Path], Any], tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    process = hold(path)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert [own.name for own in tmp_path.iterdir()] == [".rows.csv.lock"]
    with OutputLock(path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_what_another_run_has_written_between_two_looks_is_not_added_to(
    nfn: Nfn, tmp_path: Path, monkeypatch: Any
) -> None:
    taken = OutputLock.__init__

    def late(self: OutputLock, path: Path) -> None:
        path.write_text("of the first, which has ended")
        taken(self, path)

    monkeypatch.setattr(OutputLock, "__init__", late)
    for name in ("rows.csv", "rows.json"):
        finished = nfn("predict-accuracy", "a.pt", "-o", tmp_path / name)
        assert finished.code == 2 and "exists already" in finished.err
        assert (tmp_path / name).read_text() == "of the first, which has ended"
    assert sorted(own.name for own in tmp_path.iterdir()) == ["rows.csv", "rows.json"]


@pytest.fixture
def no_lock_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A place where no lock file can be made, and an own folder for temporary files."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    acquire = filelock.FileLock.acquire

    def refused(self: Any, *arguments: Any, **options: Any) -> Any:
        if not str(self.lock_file).startswith(str(temporary)):
            raise OSError(errno.ENOLCK, "No locks available")
        return acquire(self, *arguments, **options)

    monkeypatch.setattr(filelock.FileLock, "acquire", refused)
    yield temporary


def test_where_no_lock_can_lie_beside_it_lies_among_temporary_files(no_lock_beside: Path, tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    with OutputLock(path):
        assert len(list(no_lock_beside.iterdir())) == 1
        with pytest.raises(DataError, match="another run is writing to it"):
            OutputLock(path)
        OutputLock(tmp_path / "other.csv").close()
    assert list(no_lock_beside.iterdir()) == []


def test_without_any_place_for_a_lock_it_is_refused(
    no_lock_beside: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(DataError, match="no lock can be made for it, here or among temporary files; set TMPDIR"):
        OutputLock(tmp_path / "rows.csv")


def test_a_lock_of_another_user_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(self: Any, *_: Any, **__: Any) -> Any:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(filelock.FileLock, "acquire", refused)
    (tmp_path / ".rows.csv.lock").touch()
    with pytest.raises(DataError, match=r"a run of another user .*; wait for its end, or remove that file"):
        OutputLock(tmp_path / "rows.csv")


def test_a_folder_that_was_made_for_nothing_goes_again(nfn: Nfn, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    (tmp_path / "empty").mkdir()
    finished = nfn("predict-accuracy", tmp_path / "empty", "-o", tmp_path / "new" / "deep" / "rows.parquet")
    assert finished.code == 3 and "no checkpoint" in finished.err
    assert [own.name for own in tmp_path.iterdir()] == ["empty"]


def test_of_runs_that_start_together_one_writes(tmp_path: Path) -> None:
    """Real runs, all begun at once, each of a list that it waits for."""
    out = tmp_path / "rows.csv"
    command = [sys.executable, "-m", "nfn_cli", "predict-accuracy", "-", "-o", str(out), "--overwrite", "--quiet"]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stderr": subprocess.PIPE}
    runs = [subprocess.Popen(command, **pipes) for _ in range(2)]
    end = time.monotonic() + 120
    while sum(run.poll() is None for run in runs) > 1 and time.monotonic() < end:
        time.sleep(0.01)
    (winner,) = [run for run in runs if run.poll() is None]
    for run in runs:
        _, err = run.communicate(b"missing.pt\n" if run is winner else None)
        assert run.returncode == 3
        told = "missing.pt: no such file" if run is winner else "another run is writing to it"
        assert told.encode() in err and err.count(b"\n") == 1
    assert out.read_text().count("missing.pt: no such file") == 1
    assert list(tmp_path.iterdir()) == [out]
