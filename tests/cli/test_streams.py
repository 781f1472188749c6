"""Streams that are closed, full or not read: one line at most, and an exit code that a script can rely on."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

# What the commands import, once and not in every fork.
import nfn_cli.nn.tasks.classification
import nfn_cli.pictures
import nfn_cli.scoring
import nfn_cli.symmetry  # noqa: F401
from nfn_cli.cli.app import main, make_app
from nfn_cli.cli.streams import guarded

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
TESTS = Path(__file__).parents[1]
NET, INR = TESTS / "samples" / "relu-3.pt", TESTS / "inrs" / "mnist-1.safetensors"
CLOSED = "nfn: stdout: cannot be written (it is closed); lead it to a file or a pipe\n"
FULL = "nfn: stdout: cannot be written (No space left on device); make room\n"
COMMANDS = [
    ["--help"],
    ["--version"],
    ["inspect", str(NET)],
    ["inspect", str(NET), "--format", "json"],
    ["canonicalize", str(NET), "-o", "moved.pt"],
    ["apply", str(NET), "--seed", "1", "-o", "moved.pt", "--format", "csv"],
    ["verify", str(NET), str(NET)],
    ["verify", str(NET), "--samples", "1"],
    ["predict-accuracy", str(NET)],
    ["predict-accuracy", str(NET), "-o", "-", "--format", "table"],
    ["rank", str(NET)],
    ["rank", str(NET), "--format", "path0"],
    ["classify-inr", str(INR), "--format", "json"],
    ["classify-inr", str(INR), "--render"],
    ["render", str(INR)],
]
SOME = [own for own in COMMANDS if "--format" not in own]


class Ended(NamedTuple):
    """How a process ended."""

    code: int
    out: str
    err: str


Closed = tuple[int, ...]


def forked(folder: Path, work: Callable[[], object], closed: Closed = (), full: Closed = ()) -> Ended:
    """Do something in a fork of this process, which has everything imported, with streams as the shell gives them."""
    files = [folder / "stdout", folder / "stderr"]
    process = os.fork()
    if not process:
        code = 99
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            for descriptor, file in enumerate(files, 1):
                where = Path("/dev/full") if descriptor in full else file
                os.dup2(os.open(where, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
            # As the interpreter begins: with None where there is nothing.
            sys.stdin, sys.stdout, sys.stderr = (
                None if descriptor in closed else open(descriptor, mode, closefd=False)  # noqa: SIM115
                for descriptor, mode in enumerate("rww")
            )
            for descriptor in closed:
                os.close(descriptor)
            work()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            files[1].write_text(traceback.format_exc())
        finally:
            try:
                for stream in (sys.stdout, sys.stderr):  # as it ends
                    if stream is not None:
                        stream.flush()
            except OSError:
                code = 120
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    return Ended(code, *(file.read_text() for file in files))


def calling(arguments: list[str]) -> Callable[[], object]:
    def work() -> None:
        sys.argv = ["nfn", *arguments]
        main()

    return work


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda own: " ".join(map(os.path.basename, own)))
def test_every_command_that_cannot_print_says_so_in_one_line(arguments: list[str], tmp_path: Path) -> None:
    closed = forked(tmp_path, calling(arguments), closed=(1,))
    assert (closed.code, closed.err.splitlines()[-1:], closed.out) == (3, [CLOSED.strip()], "")
    assert not [line for line in closed.err.splitlines() if not line.startswith("nfn: ")]
    Path("moved.pt").unlink(missing_ok=True)
    assert forked(tmp_path, calling(arguments), closed=(1, 2)) == (3, "", "")
    Path("moved.pt").unlink(missing_ok=True)
    if Path("/dev/full").exists():
        full = forked(tmp_path, calling(arguments), full=(1,))
        assert (full.code, full.err.splitlines()[-1:]) == (3, [FULL.strip()])
        assert "Traceback" not in full.err


@pytest.mark.parametrize("arguments", SOME, ids=lambda own: " ".join(map(os.path.basename, own)))
def test_stderr_that_is_closed_or_full_changes_nothing(arguments: list[str], tmp_path: Path) -> None:
    plain = forked(tmp_path, calling(arguments))
    assert plain.code == 0
    Path("moved.pt").unlink(missing_ok=True)
    assert forked(tmp_path, calling(arguments), closed=(2,)) == plain._replace(err="")
    Path("moved.pt").unlink(missing_ok=True)
    if Path("/dev/full").exists():
        assert forked(tmp_path, calling(arguments), full=(2,)) == plain._replace(err="")


@pytest.mark.parametrize("arguments", SOME, ids=lambda own: " ".join(map(os.path.basename, own)))
def test_a_reader_that_has_gone_ends_every_command_quietly(arguments: list[str], tmp_path: Path) -> None:
    def work() -> None:
        reading, writing = os.pipe()
        os.dup2(writing, 1)
        os.close(reading)
        calling(arguments)()

    ended = forked(tmp_path, work)
    assert (ended.code, ended.out) == (0, "")
    assert not [line for line in ended.err.splitlines() if not line.startswith("nfn: ") or "stdout" in line]


def by_print() -> None:
    print("text")


def by_a_lot() -> None:
    print("text" * 100_000)


def by_bytes() -> None:
    sys.stdout.buffer.write(b"text")


def by_rich() -> None:
    from rich.console import Console

    Console().print("text")


def by_typer() -> None:
    import typer

    typer.echo("text")


def and_then_an_error() -> None:
    from nfn_cli.errors import DataError

    print("text")
    raise DataError("zoo", "is unusable", "make another")


WAYS = [by_print, by_a_lot, by_bytes, by_rich, by_typer, and_then_an_error]


@pytest.mark.parametrize("way", WAYS, ids=lambda own: own.__name__)
def test_whatever_way_a_command_prints(way: Callable[[], None], tmp_path: Path) -> None:
    def work() -> None:
        app = make_app([])
        app.command("print")(way)
        sys.argv = ["nfn", "print"]
        app(prog_name="nfn")

    assert forked(tmp_path, work, closed=(1,)) == (3, "", CLOSED)
    assert forked(tmp_path, work, closed=(0, 1, 2)) == (3, "", "")
    if Path("/dev/full").exists():
        assert forked(tmp_path, work, full=(1,)) == (3, "", FULL)


def test_a_list_from_a_closed_stdin_is_one_line(tmp_path: Path) -> None:
    ended = forked(tmp_path, calling(["predict-accuracy", "-"]), closed=(0,))
    assert ended == (3, "", "nfn: -: lists no path; give one path a line\n")


def test_rows_that_go_to_a_file_need_no_stdout(tmp_path: Path) -> None:
    ended = forked(tmp_path, calling(["predict-accuracy", str(NET), "-o", "rows.csv"]), closed=(0, 1))
    assert (ended.code, ended.out) == (0, "")
    assert Path("rows.csv").read_text().count("relu-3.pt") == 1


def test_a_pipe_that_does_not_wait_gets_everything(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def work() -> None:
        os.dup2(writing, 1)
        with guarded():
            print("text" * 100_000)

    process = os.fork()
    if not process:
        os.close(reading)
        os._exit(0 if forked(tmp_path, work).code == 99 else 1)  # nothing ended it
    os.close(writing)
    with io.FileIO(reading) as file:
        got = b""
        while block := file.read(1 << 16):
            got += block
    assert os.waitpid(process, 0)[1] == 0
    assert got == b"text" * 100_000 + b"\n"


@pytest.mark.parametrize("unbuffered", [False, True])
def test_a_stream_keeps_its_buffering(unbuffered: bool, tmp_path: Path) -> None:
    def work() -> None:
        if unbuffered:
            sys.stderr = io.TextIOWrapper(io.FileIO(2, "w", closefd=False), write_through=True)  # type: ignore[type-var]
        else:
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
        with guarded():
            sys.stderr.write("a bar\r")
            seen = (tmp_path / "stderr").read_bytes().decode()
            sys.stderr.write(seen)
            sys.stderr.write("a part")
            sys.stderr.write(str(len((tmp_path / "stderr").read_bytes())))

    # A line, and of an unbuffered stream a part of one, is there at once: else a bar would stand in the rows' way.
    assert forked(tmp_path, work).err == f"a bar\ra bar\ra part{18 if unbuffered else 12}".replace("\r", "\n")


def test_names_that_are_no_text_are_written_as_escapes(tmp_path: Path) -> None:
    def work() -> None:
        sys.stdout = open(1, "w", encoding="ascii", closefd=False)  # noqa: SIM115
        with guarded():
            print("a-\udcff.pt ü")

    assert forked(tmp_path, work).out == "a-\\udcff.pt \\xfc\n"


@pytest.mark.parametrize(
    ("arguments", "redirection", "code", "err"),
    [
        ("--help", ">&-", 3, CLOSED),
        ("--version", ">/dev/full", 3, FULL),
        ("--version", "2>&-", 0, ""),
        ("--help", ">&- 2>&- <&-", 3, ""),
    ],
)
def test_the_interpreter_adds_nothing_of_its_own(arguments: str, redirection: str, code: int, err: str) -> None:
    if "/dev/full" in redirection and not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    command = f"'{sys.executable}' -m nfn_cli {arguments} {redirection}"
    environment = os.environ | {"PYTHONPATH": str(TESTS.parent)}
    finished = subprocess.run(command, shell=True, capture_output=True, text=True, check=False, env=environment)
    assert (finished.returncode, finished.stderr) == (code, err)
