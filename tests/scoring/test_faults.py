"""The command against what happens to long runs: kills, full disks, files that change under it, Ctrl-C.

The command runs in a fork of this process, which has everything imported: it starts at once, and real signals end it.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli.cli.app import main
from nfn_cli.scoring import ScoreRow, chunks, local, pooled
from nfn_cli.scoring.columns import columns_of

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")

SLOW = pytest.mark.slow
resource = pytest.importorskip("resource")
PATIENCE = 300  # seconds, for a machine that does much else


class Program:
    """`nfn predict-accuracy` in a process of its own.

    Args:
        folder: where what it prints is kept.
        prepare: called in that process first.
    """

    def __init__(self, folder: Path, arguments: list[object], prepare: Callable[[], None] = lambda: None) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        self.id = os.fork()
        if self.id:
            return
        code = 99
        try:
            for descriptor, file in ((1, self._out), (2, self._err)):
                os.dup2(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), descriptor)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            prepare()  # may lead the streams elsewhere
            sys.stdout = open(1, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
            sys.argv = ["nfn", "predict-accuracy", *map(str, arguments)]
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # nothing may lead out of here
            with suppress(OSError):
                sys.stdout.flush()
            os._exit(code)

    def wait(self) -> int:
        """Its exit code, or the signal that ended it, below zero."""
        return os.waitstatus_to_exitcode(os.waitpid(self.id, 0)[1])

    def until(self, happened: Callable[[], bool]) -> bool:
        """Wait until something has happened, or the process has ended; which of the two."""
        end = time.monotonic() + PATIENCE
        while not happened():
            if os.waitid(os.P_PID, self.id, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return False
            assert time.monotonic() < end, "the command does not go on"
            time.sleep(0.001)
        return True

    @property
    def err(self) -> str:
        return self._err.read_text()


@pytest.fixture
def start(tmp_path: Path, models: Path) -> Iterator[Callable[..., Program]]:
    """Start the command with a small head."""
    started: list[Program] = []

    def call(*arguments: object, prepare: Callable[[], None] = lambda: None) -> Program:
        options = ["--head", models / "a-relu", "--device", "cpu"]
        started.append(Program(tmp_path, [*arguments, *options], prepare))
        return started[-1]

    yield call
    for program in started:
        with suppress(ProcessLookupError, ChildProcessError):
            os.kill(program.id, signal.SIGKILL)
            os.waitpid(program.id, 0)


def make_zoo(folder: Path, networks: int) -> list[Path]:
    folder.mkdir()
    generator = torch.Generator().manual_seed(1)
    shapes = {"0.weight": (6, 3), "0.bias": (6,), "2.weight": (2, 6), "2.bias": (2,)}
    paths = [folder / f"{number}.safetensors" for number in range(networks)]
    for path in paths:
        tensors = {name: torch.randn(*shape, generator=generator) for name, shape in shapes.items()}
        save_file(tensors, path, {"activation": "relu"})
    return paths


@pytest.fixture
def zoo(tmp_path: Path) -> list[Path]:
    return make_zoo(tmp_path / "zoo", 200)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read a few files at a time, so that something can happen between."""
    monkeypatch.setattr(chunks, "_MOST_FILES", 4)


def slowly(seconds: float) -> Callable[[], None]:
    """Take so long for every chunk that something can happen meanwhile."""

    def prepare() -> None:
        read_chunk = local.read_chunk

        def slow(*arguments: Any) -> Any:
            time.sleep(seconds)
            return read_chunk(*arguments)

        local.read_chunk = slow

    return prepare


def table(path: Path) -> list[dict[str, str]]:
    """The rows, which must all be whole."""
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, strict=True))
    assert all(list(row) == columns_of(ScoreRow) and None not in row.values() for row in rows)
    return rows


def whole(path: Path) -> list[dict[str, str]]:
    """The rows of a file whose last line may be torn."""
    content = path.read_bytes()
    whole = path.with_name("whole.csv")
    whole.write_bytes(content[: content.rfind(b"\n") + 1])
    return table(whole)


@pytest.fixture
def expected(start: Callable[..., Program], zoo: list[Path], tmp_path: Path) -> list[dict[str, str]]:
    """The rows of a run that nobody disturbs."""
    output = tmp_path / "undisturbed.csv"
    assert start(zoo[0].parent, "-o", output, "--jobs", 0).wait() == 0
    rows = table(output)
    assert [row["path"] for row in rows] == list(map(str, zoo))
    return rows


Start = Callable[..., Program]
Rows = list[dict[str, str]]
Check = Callable[[Rows, Rows], None]


def kill_and_resume(
    start: Start, zoo: list[Path], output: Path, assert_alike: Check, expected: Rows, kills: int, **options: Any
) -> None:
    """Kill runs at random moments until the last one, which is left alone."""
    generator = random.Random(kills)
    size = 0
    jobs = options.pop("jobs", 0)
    for _ in range(kills):
        program = start(zoo[0].parent, "-o", output, "--resume", "--jobs", jobs, **options)
        # Rows of about 100 bytes: somewhere within what is left, on the average so that all kills find something left.
        wanted = size + generator.randrange(1, 2 * 100 * len(zoo) // (kills + 1))
        running = program.until(lambda wanted=wanted: output.exists() and output.stat().st_size >= wanted)
        time.sleep(generator.random() * 0.02)
        os.kill(program.id, signal.SIGKILL)
        assert program.wait() == (-signal.SIGKILL if running else 0)
        rows = whole(output)
        assert_alike(rows, expected[: len(rows)])
        size = output.stat().st_size
    assert start(zoo[0].parent, "-o", output, "--resume", "--jobs", 0).wait() == 0
    assert_alike(table(output), expected)


def test_a_run_that_is_killed_three_times_ends_with_the_rows_of_one(
    start: Start, zoo: list[Path], assert_alike: Check, expected: Rows, tmp_path: Path
) -> None:
    kill_and_resume(start, zoo, tmp_path / "rows.csv", assert_alike, expected, 3, prepare=slowly(0.005))


@SLOW
@pytest.mark.parametrize("jobs", [0, 2])
def test_a_run_that_is_killed_twenty_times_ends_with_the_rows_of_one(
    jobs: int, start: Start, assert_alike: Check, tmp_path: Path
) -> None:
    zoo = make_zoo(tmp_path / "large", 2_000)
    assert start(zoo[0].parent, "-o", tmp_path / "rows.csv", "--jobs", 0).wait() == 0
    rows = table(tmp_path / "rows.csv")
    assert len(rows) == 2_000
    (tmp_path / "rows.csv").unlink()
    kill_and_resume(start, zoo, tmp_path / "rows.csv", assert_alike, rows, 20, jobs=jobs)


@pytest.mark.parametrize("format", ["jsonl", "parquet"])
def test_a_run_that_is_killed_can_be_resumed_in_the_other_formats(
    format: str, start: Start, zoo: list[Path], assert_alike: Check, expected: Rows, tmp_path: Path
) -> None:
    if format == "parquet":
        pytest.importorskip("pyarrow")
    output = tmp_path / f"rows.{format}"

    def prepare() -> None:
        from nfn_cli.scoring.formats import parquet_rows

        parquet_rows._PART_ROWS = 20
        slowly(0.005)()

    program = start(zoo[0].parent, "-o", output, prepare=prepare)
    assert program.until(lambda: output.exists() and (output.is_file() or len(list(output.glob("part-*"))) > 2))
    time.sleep(0.02)
    os.kill(program.id, signal.SIGKILL)
    program.wait()
    assert start(zoo[0].parent, "-o", output, "--resume").wait() == 0
    if format == "jsonl":
        rows = [json.loads(line) for line in output.read_text().splitlines()]
    else:
        import pyarrow.parquet

        rows = [
            row
            for part in sorted(output.glob("part-*"))
            for row in pyarrow.parquet.ParquetFile(part).read().to_pylist()
        ]
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    assert_alike(
        [other | {"accuracy": str(row["accuracy"])} for row, other in zip(rows, expected, strict=True)], expected
    )


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mount a small file system in memory; skips the test where that is not allowed."""
    folders: list[Path] = []

    def mount(options: str) -> Path:
        folder = tmp_path / f"disk-{len(folders)}"
        folder.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        try:
            done = subprocess.run(command, capture_output=True, check=False)
        except OSError:
            pytest.skip("there is no mount")
        if done.returncode:
            pytest.skip("mounting is not allowed")
        folders.append(folder)
        return folder

    yield mount
    for folder in folders:
        subprocess.run(["umount", folder], check=False)


@pytest.mark.parametrize("output", ["rows.csv", "rows.jsonl"])
def test_a_full_disk_leaves_whole_rows_and_room_lets_it_go_on(
    output: str, start: Start, zoo: list[Path], assert_alike: Check, expected: Rows, mounted: Callable[[str], Path]
) -> None:
    file = mounted("size=16k") / output
    program = start(zoo[0].parent, "-o", file)
    assert program.wait() == 3
    assert program.err == (
        f"nfn: {file}: cannot be written (No space left on device); make room, then repeat the command with --resume\n"
    )
    lines = file.read_bytes().split(b"\n")
    assert lines[-1] == b"" and 5 < len(lines) < 200
    subprocess.run(["mount", "-o", "remount,size=1m", file.parent], check=True)
    assert start(zoo[0].parent, "-o", file, "--resume").wait() == 0
    if output == "rows.csv":
        assert_alike(table(file), expected)
    else:
        rows = [json.loads(line) for line in file.read_text().splitlines()]
        assert [row["path"] for row in rows] == list(map(str, zoo))


def test_a_quota_leaves_whole_rows(
    start: Start, zoo: list[Path], assert_alike: Check, expected: Rows, tmp_path: Path
) -> None:
    output = tmp_path / "rows.csv"

    def prepare() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (5_000, 5_000))

    program = start(zoo[0].parent, "-o", output, prepare=prepare)
    assert program.wait() == 3
    assert program.err.startswith(f"nfn: {output}: cannot be written (") and program.err.count("\n") == 1
    rows = table(output)
    assert 0 < len(rows) < 60
    assert_alike(rows, expected[: len(rows)])
    assert start(zoo[0].parent, "-o", output, "--resume").wait() == 0
    assert_alike(table(output), expected)


def test_a_full_disk_keeps_what_was_to_be_replaced(
    start: Start, zoo: list[Path], mounted: Callable[[str], Path]
) -> None:
    file = mounted("size=8k") / "rows.csv"
    file.write_text("precious\n" * 700)
    before = file.read_bytes()
    assert start(zoo[0].parent, "-o", file, "--overwrite").wait() == 3
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_full_disk_behind_stdout_is_one_line(start: Start, zoo: list[Path]) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("this system has no /dev/full")
    program = start(*zoo[:3], prepare=lambda: os.dup2(os.open("/dev/full", os.O_WRONLY), 1) and None)
    assert program.wait() == 3
    assert program.err == "nfn: stdout: cannot be written (No space left on device); make room\n"


@pytest.mark.parametrize("name", ["new.csv", "old.csv", "new.parquet"])
def test_a_read_only_output_is_told_before_any_work(
    name: str, start: Start, zoo: list[Path], mounted: Callable[[str], Path]
) -> None:
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow")
    folder = mounted("size=1m")
    (folder / "old.csv").write_text("precious")
    subprocess.run(["mount", "-o", "remount,ro", folder], check=True)

    def prepare() -> None:
        local.read_chunk = None  # type: ignore[assignment]

    program = start(zoo[0].parent, "-o", folder / name, "--overwrite", prepare=prepare)
    assert program.wait() == 3
    assert program.err.startswith(f"nfn: {folder / name}: cannot be written") and program.err.count("\n") == 1
    assert (folder / "old.csv").read_text() == "precious"


def test_a_reader_that_leaves_early_ends_the_run_quietly(start: Start, zoo: list[Path]) -> None:
    reading, writing = os.pipe()

    def prepare() -> None:
        os.dup2(writing, 1)
        for descriptor in (reading, writing):
            os.close(descriptor)
        slowly(0.01)()

    program = start(zoo[0].parent, "--format", "csv", prepare=prepare)
    os.close(writing)
    assert os.read(reading, 5) == b"path,", (program.wait(), program.err)
    os.close(reading)
    assert program.wait() == 0
    assert program.err == ""


def test_files_that_change_during_the_run_fail_alone_and_are_scored_again(
    start: Start, zoo: list[Path], assert_alike: Check, expected: Rows, tmp_path: Path
) -> None:
    output = tmp_path / "rows.csv"
    program = start(zoo[0].parent, "-o", output, prepare=slowly(0.05))
    assert program.until(lambda: output.exists())
    deleted, truncated, garbage, replaced, emptied = zoo[-5:]
    deleted.unlink()
    os.truncate(truncated, 150)
    garbage.write_bytes(b"garbage")
    (tmp_path / "other.safetensors").write_bytes(zoo[0].read_bytes())
    os.replace(tmp_path / "other.safetensors", replaced)
    os.truncate(emptied, 0)
    os.utime(zoo[0])  # scored already
    assert program.wait() == 1
    rows = table(output)
    errors = {Path(row["path"]).name: row["error"] for row in rows if row["error"]}
    assert [row["path"] for row in rows] == list(map(str, zoo))
    assert set(errors) == {path.name for path in (deleted, truncated, garbage, emptied)}
    assert "no such file" in errors[deleted.name] and "the file is empty" in errors[emptied.name]
    assert_alike(rows[:195], expected[:195])
    assert_alike([expected[0] | {"accuracy": rows[-2]["accuracy"]}], expected[:1])
    # Put right again, they and the one that was touched are scored again, the others not.
    for path in (deleted, truncated):
        path.write_bytes(zoo[1].read_bytes())
    program = start(zoo[0].parent, "-o", output, "--resume")
    assert program.wait() == 1
    assert "3 scored, 0 failed, 197 skipped (2 of them failed before)" in program.err
    rows = table(output)
    assert sorted(row["path"] for row in rows) == sorted(map(str, zoo))
    assert {Path(row["path"]).name for row in rows if row["error"]} == {garbage.name, emptied.name}
    assert {row["path"] for row in rows[-3:]} == {str(zoo[0]), str(deleted), str(truncated)}


def test_with_a_hash_only_contents_count(start: Start, zoo: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"
    assert start(zoo[0].parent, "-o", output, "--hash").wait() == 0
    for path in zoo[:50]:
        os.utime(path)
    status = zoo[60].stat()
    zoo[60].write_bytes(zoo[61].read_bytes())
    os.utime(zoo[60], ns=(status.st_atime_ns, status.st_mtime_ns))  # neither size nor time tells it
    program = start(zoo[0].parent, "-o", output, "--hash", "--resume")
    assert program.wait() == 0
    assert "1 scored, 0 failed, 199 skipped" in program.err
    assert table(output)[-1]["path"] == str(zoo[60])


def spoil(path: Path, way: int) -> None:
    content = bytearray(path.read_bytes())
    if way == 0:
        path.write_bytes(content[: len(content) // 2])
    elif way == 1:
        path.write_bytes(b"")
    elif way == 2:
        path.write_bytes(bytes(64) + content[64:])
    elif way == 3:
        content[-4:] = b"\0\0\xc0\x7f"  # NaN
        path.write_bytes(content)
    else:
        path.write_bytes(random.Random(way).randbytes(300))


@pytest.mark.parametrize(
    ("networks", "jobs"), [(200, 0), pytest.param(2_000, 0, marks=SLOW), pytest.param(2_000, 2, marks=SLOW)]
)
def test_corrupt_files_fail_alone(networks: int, jobs: int, start: Start, tmp_path: Path) -> None:
    zoo = make_zoo(tmp_path / "some", networks)
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    assert start(zoo[0].parent, "-o", good, "--jobs", 0).wait() == 0
    spoiled = random.Random(5).sample(range(networks), networks // 20)
    for way, number in enumerate(spoiled):
        spoil(zoo[number], way % 5)
    program = start(zoo[0].parent, "-o", bad, "--jobs", jobs)
    assert program.wait() == 1
    assert f"{networks - len(spoiled):,} scored, {len(spoiled):,} failed in " in program.err
    for number, (row, undisturbed) in enumerate(zip(table(bad), table(good), strict=True)):
        if number in spoiled:
            assert row["path"] == str(zoo[number])
            assert row["error"].startswith(f"{zoo[number]}: ") and row["accuracy"] == ""
        else:
            assert float(row["accuracy"]) == pytest.approx(float(undisturbed["accuracy"]), abs=2e-6)
            assert row["error"] == ""


def children_of(process: int) -> list[int]:
    tasks = Path(f"/proc/{process}/task")
    return [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]


@SLOW
def test_a_killed_worker_costs_no_row(start: Start, tmp_path: Path) -> None:
    zoo = make_zoo(tmp_path / "many", 2_000)
    output = tmp_path / "rows.csv"
    program = start(zoo[0].parent, "-o", output, "--jobs", 2)
    assert program.until(lambda: output.exists() and output.stat().st_size > 2_000)
    for child in children_of(program.id):
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
            os.kill(child, signal.SIGKILL)
    assert program.wait() == 0
    assert [row["path"] for row in table(output) if not row["error"]] == list(map(str, zoo))


@pytest.mark.parametrize("jobs", [0, pytest.param(2, marks=SLOW)])
def test_ctrl_c_keeps_what_is_scored_and_tells_how_to_go_on(
    jobs: int, start: Start, zoo: list[Path], expected: Rows, tmp_path: Path
) -> None:
    output = tmp_path / "rows.csv"

    def prepare() -> None:
        slowly(0.02)()
        pooled._AHEAD = 0

    program = start(zoo[0].parent, "-o", output, "--jobs", jobs, prepare=prepare)
    assert program.until(lambda: output.exists() and output.stat().st_size > 500)
    os.kill(program.id, signal.SIGINT)
    assert program.wait() == 130, program.err
    # A fork that ends by _exit lets multiprocessing's own process complain, sooner or later.
    lines = [line for line in program.err.splitlines() if line.startswith("nfn: ")]
    assert lines[-1] == f"nfn: interrupted; the same command with --resume goes on from here ({output})"
    assert "finishing what is under way; Ctrl-C again ends at once" in program.err
    rows = table(output)
    assert 0 < len(rows) < 200 and [row["path"] for row in rows] == [row["path"] for row in expected[: len(rows)]]
    assert start(zoo[0].parent, "-o", output, "--resume").wait() == 0
    assert [row["path"] for row in table(output)] == [row["path"] for row in expected]


def test_a_second_ctrl_c_ends_at_once(start: Start, zoo: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "rows.csv"

    def prepare() -> None:
        read_chunk = local.read_chunk

        def stuck(sources: Any, settings: Any) -> Any:
            if output.exists():
                (tmp_path / "stuck").touch()
                time.sleep(10 * PATIENCE)
            return read_chunk(sources, settings)

        local.read_chunk = stuck

    program = start(zoo[0].parent, "-o", output, prepare=prepare)
    assert program.until((tmp_path / "stuck").exists)
    os.kill(program.id, signal.SIGINT)
    assert program.until(lambda: "finishing what is under way" in program.err)
    os.kill(program.id, signal.SIGINT)
    assert program.wait() == 130, program.err
    assert program.err.splitlines()[-1].startswith("nfn: interrupted; the same command with --resume goes on")
    assert len(table(output)) == 4


def test_ctrl_c_on_a_run_that_was_started_to_ignore_it_does_nothing(
    start: Start, zoo: list[Path], tmp_path: Path
) -> None:
    output = tmp_path / "rows.csv"

    def prepare() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        slowly(0.005)()

    program = start(zoo[0].parent, "-o", output, prepare=prepare)
    assert program.until(lambda: output.exists())
    os.kill(program.id, signal.SIGINT)
    assert program.wait() == 0
    assert len(table(output)) == 200
