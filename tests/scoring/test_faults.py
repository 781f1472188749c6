"""Faults against the real thing: kills, full disks, files that change, interrupts. Every row once, whatever happens."""

from __future__ import annotations

import csv
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors
from nfn_cli.scoring import AccuracyTask, Scored, ScoreRow, Tally, engine_settings, local, run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="signals, limits and mounts of Linux")

ROOT = Path(__file__).parents[2]
KILLED = "the process that read it was killed"
HIDDEN = 6


def save_network(path: Path, seed: int, bias: float = 0.0) -> None:
    """A two-layer perceptron that the head `a-relu` reads."""
    generator = torch.Generator().manual_seed(seed)
    tensors = {
        "0.weight": torch.randn(HIDDEN, 3, generator=generator),
        "0.bias": torch.randn(HIDDEN, generator=generator),
        "2.weight": torch.randn(2, HIDDEN, generator=generator),
        "2.bias": torch.randn(2, generator=generator) + bias,
    }
    save_file(tensors, path, {"activation": "relu"})


def make_zoo(folder: Path, count: int, *, kinds: int = 30) -> list[str]:
    """So many files; a few networks, by hard links, are enough."""
    folder.mkdir(parents=True)
    for number in range(min(count, kinds)):
        save_network(folder / f"net-{number:05d}.safetensors", number)
    for number in range(kinds, count):
        os.link(folder / f"net-{number % kinds:05d}.safetensors", folder / f"net-{number:05d}.safetensors")
    return [str(folder / f"net-{number:05d}.safetensors") for number in range(count)]


def make_packed(path: Path, count: int) -> None:
    generator = torch.Generator().manual_seed(7)
    shapes = {"0.weight": (HIDDEN, 3), "0.bias": (HIDDEN,), "2.weight": (2, HIDDEN), "2.bias": (2,)}
    tensors = {name: torch.randn(count, *shape, generator=generator) for name, shape in shapes.items()}
    save_tensors(path, tensors, {POPULATION_KEY: str(count), "activation": "relu"})


def corrupt(path: Path, kind: int) -> None:
    """Damage a file, in one of several ways."""
    content = path.read_bytes()
    path.unlink()  # not the other links to it
    tensors = {"0.weight": torch.full((HIDDEN, 3), torch.nan), "2.weight": torch.ones(2, HIDDEN)}
    damage: list[Callable[[], Any]] = [
        lambda: path.write_bytes(b""),
        lambda: path.write_bytes(content[: len(content) // 2]),
        lambda: path.write_bytes(content[:20]),
        lambda: path.write_bytes(bytes(random.Random(kind).randrange(256) for _ in range(300))),
        lambda: path.write_bytes(b"\xff" * 8 + content[8:]),
        lambda: save_file(tensors, path, {"activation": "relu"}),
        lambda: torch.save({"weights": object}, path),
        lambda: path.mkdir(),
        lambda: path.symlink_to(path.name),
    ]
    damage[kind % len(damage)]()


class Program:
    """`nfn predict-accuracy` as a process of its own."""

    def __init__(self, head: Path, *arguments: object, **options: Any) -> None:
        command = [sys.executable, "-m", "nfn_cli", "predict-accuracy", "--head", str(head), "--device", "cpu"]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [*command, *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
            **options,
        )

    def ended(self) -> tuple[int, str, str]:
        """Wait for its end: the exit code, stdout and stderr."""
        out, err = self.process.communicate(timeout=300)
        return self.process.returncode, out, err

    def wait_for_rows(self, file: Path, count: int) -> None:
        """Wait until its output has so many lines, or it has ended."""
        while self.process.poll() is None:
            if file.exists() and file.read_bytes().count(b"\n") > count:
                return
            time.sleep(0.002)


def predict(head: Path, *arguments: object, **options: Any) -> tuple[int, str, str]:
    return Program(head, *arguments, **options).ended()


def rows_of(file: Path) -> list[dict[str, Any]]:
    if file.suffix == ".parquet":
        import pyarrow.parquet

        return [row for part in sorted(file.glob("*.parquet")) for row in pyarrow.parquet.read_table(part).to_pylist()]
    if file.suffix == ".jsonl":
        return [json.loads(line) for line in file.read_text().splitlines()]
    with file.open(newline="") as text:
        return list(csv.DictReader(text))


@pytest.fixture
def head(models: Path) -> Path:
    return models / "a-relu"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root may mount")
    mounted = subprocess.run(
        [mount, "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("this machine lets nothing be mounted")
    yield folder
    subprocess.run(["umount", folder], check=True)


# --- kills ---------------------------------------------------------------------------------------------------------


def assert_survives_kills(
    head: Path, zoo: Path, file: Path, kills: int, moment: Callable[[Program], None], *options: object
) -> None:
    """Kill runs that each continue the last one, until one ends by itself; every row is there, once and in order."""
    whole = file.with_name("whole" + file.suffix)
    assert predict(head, zoo, "-o", whole, "--jobs", 0)[0] == 1
    left = kills
    for attempt in range(10 * kills):
        program = Program(head, zoo, "-o", file, *options, *(["--resume"] if file.exists() else []))
        if left:
            moment(program)
            if program.process.poll() is None:
                left -= 1
            program.process.kill()
        code, _, err = program.ended()
        if code == 1:
            assert "passed over" in err.splitlines()[-1]
            if not left:
                break
            file.unlink()  # it was faster than we were
        else:
            assert code == -signal.SIGKILL, err
            assert attempt < 10 * kills - 1
    if "--unordered" in options:
        assert sorted(rows_of(file), key=lambda row: row["path"]) == sorted(rows_of(whole), key=lambda row: row["path"])
    else:
        assert file.read_bytes() == whole.read_bytes()


@pytest.fixture
def zoo(tmp_path: Path) -> Path:
    """600 files, a packed one of 200 networks, and a damaged one among them."""
    make_zoo(tmp_path / "zoo", 600)
    make_packed(tmp_path / "zoo" / "net-00300-packed.safetensors", 200)
    (tmp_path / "zoo" / "net-00100-bad.safetensors").write_bytes(b"bad")
    return tmp_path / "zoo"


def test_three_kills_cost_no_row(head: Path, zoo: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    targets = iter([70, 300, 500])

    def moment(program: Program) -> None:
        program.wait_for_rows(file, next(targets))

    assert_survives_kills(head, zoo, file, 3, moment, "--jobs", 0)


@pytest.mark.slow
@pytest.mark.parametrize("options", [["--jobs", 0], ["--jobs", 2], ["--jobs", 2, "--unordered"]], ids=str)
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_twenty_kills_at_random_moments_cost_no_row(
    suffix: str, options: list[object], head: Path, zoo: Path, tmp_path: Path
) -> None:
    generator = random.Random(f"{suffix}{options}")
    file = tmp_path / f"rows.{suffix}"

    def moment(program: Program) -> None:
        kept = file.read_bytes().count(b"\n") if file.exists() else 0
        if generator.random() < 0.3:
            time.sleep(generator.uniform(0, 4))  # perhaps before it has begun
        else:
            program.wait_for_rows(file, kept + generator.randrange(120))
            time.sleep(generator.uniform(0, 0.05))

    assert_survives_kills(head, zoo, file, 20, moment, *options)


def test_a_killed_run_leaves_no_process_behind(head: Path, zoo: Path, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    program = Program(head, zoo, "-o", file, "--jobs", 2, start_new_session=True)
    program.wait_for_rows(file, 10)
    program.process.kill()
    program.ended()
    for _ in range(200):
        listed = subprocess.run(
            ["ps", "-o", "stat=", "-s", str(program.process.pid)], capture_output=True, text=True, check=False
        ).stdout
        if not [state for state in listed.split() if not state.startswith("Z")]:
            return
        time.sleep(0.05)
    raise AssertionError(listed)


class _Poison(AccuracyTask):
    """Kills the process that meets a file called poison."""

    def rows(self, head: Any, names: Sequence[str], point: Any) -> list[ScoreRow]:
        if any("poison" in name for name in names):
            os.kill(os.getpid(), signal.SIGKILL)
        return super().rows(head, names, point)


def scored(
    paths: Sequence[str], head: Path, task: AccuracyTask | None = None, **options: Any
) -> list[Scored[ScoreRow]]:
    settings = engine_settings(str(head), "cpu", None, options.pop("jobs", 0), True, None, "float32").changed(**options)
    return [own for rows in run(task or AccuracyTask(), paths, settings, Tally()) for own in rows]


def agree(found: Sequence[Scored[ScoreRow]], expected: Sequence[Scored[ScoreRow]]) -> bool:
    """Equal but for the last digits, which the size of a batch decides."""
    pairs = list(zip(found, expected, strict=True))
    return all(
        (one.row.path, one.row.error, one.stamp) == (other.row.path, other.row.error, other.stamp)
        and (one.row.accuracy is None or abs(one.row.accuracy - other.row.accuracy) < 1e-5)  # type: ignore[operator]
        for one, other in pairs
    )


@pytest.mark.parametrize("ordered", [True, False])
def test_a_file_that_kills_its_process_fails_alone(ordered: bool, head: Path, zoo: Path, tmp_path: Path) -> None:
    paths = sorted(str(path) for path in zoo.iterdir())
    expected = {own.row.path: own for own in scored(paths, head)}
    poison = tmp_path / "poison.safetensors"
    save_network(poison, 1)
    # `sys.modules` is what a started process knows this module's class by.
    sys.modules.setdefault(__name__, sys.modules[_Poison.__module__])
    found = scored([*paths[:200], str(poison), *paths[200:]], head, _Poison(), jobs=2, ordered=ordered)
    rows = {own.row.path: own for own in found}
    assert len(found) == len(rows) == len(expected) + 1
    assert KILLED in str(rows.pop(str(poison)).row.error)
    assert agree(sorted(rows.values(), key=_path), sorted(expected.values(), key=_path))
    if ordered:
        assert [own.row.path for own in found if own.row.path != str(poison)] == list(expected)


def _path(own: Scored[ScoreRow]) -> str:
    return own.row.path


@pytest.mark.parametrize("ordered", [True, False])
def test_killed_workers_cost_no_row(ordered: bool, head: Path, zoo: Path) -> None:
    paths = sorted(str(path) for path in zoo.iterdir())
    expected = scored(paths, head)
    settings = engine_settings(str(head), "cpu", None, 2, ordered, None, "float32")
    found: list[Scored[ScoreRow]] = []
    killed = 0
    for rows in run(AccuracyTask(), paths, settings, Tally()):
        found += rows
        if killed < 3 and (children := multiprocessing.active_children()):
            os.kill(children[killed % len(children)].pid, signal.SIGKILL)  # type: ignore[arg-type]
            killed += 1
    assert killed == 3
    if not ordered:
        found.sort(key=_path)
        expected.sort(key=_path)
    assert agree(found, expected)


# --- disks ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_full_disk_is_told_and_the_run_goes_on_once_there_is_room(
    suffix: str, head: Path, zoo: Path, tmp_path: Path, small_disk: Path
) -> None:
    whole, file = tmp_path / f"whole.{suffix}", small_disk / f"rows.{suffix}"
    assert predict(head, zoo, "-o", whole, "--jobs", 0)[0] == 1
    (small_disk / "ballast").write_bytes(b"\1" * ((40 if suffix != "parquet" else 60) << 10))
    code, out, err = predict(head, zoo, "-o", file, "--jobs", 0)
    assert (code, out) == (3, "")
    assert f"{file}" in err.splitlines()[-1] and "No space left on device" in err.splitlines()[-1]
    assert "--resume" in err.splitlines()[-1]
    there = rows_of(file)
    assert there == rows_of(whole)[: len(there)]
    if suffix != "parquet":
        assert len(there) > 0
    subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=True)
    code, _, err = predict(head, zoo, "-o", file, "--jobs", 0, "--resume")
    assert code == 1, err
    assert rows_of(file) == rows_of(whole)


def test_a_limit_on_the_size_of_files_leaves_whole_lines(head: Path, zoo: Path, tmp_path: Path) -> None:
    whole, file = tmp_path / "whole.csv", tmp_path / "rows.csv"
    assert predict(head, zoo, "-o", whole, "--jobs", 0)[0] == 1
    size = whole.stat().st_size // 2

    def limited() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    code, out, err = predict(head, zoo, "-o", file, "--jobs", 0, preexec_fn=limited)
    assert (code, out) == (3, "")
    assert "cannot be written (File too large)" in err.splitlines()[-1]
    content = file.read_bytes()
    assert content.endswith(b"\n") and whole.read_bytes().startswith(content) and len(content) > size // 2
    assert predict(head, zoo, "-o", file, "--jobs", 0, "--resume")[0] == 1
    assert file.read_bytes() == whole.read_bytes()


def test_a_full_disk_behind_stdout_is_one_line(head: Path, zoo: Path) -> None:
    if not os.path.exists("/dev/full"):
        pytest.skip("there is no /dev/full")
    command = [sys.executable, "-m", "nfn_cli", "predict-accuracy", "--head", str(head), "--jobs", "0", str(zoo)]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            check=False,
        )
    assert done.returncode == 3
    assert done.stderr.splitlines()[-1] == "nfn: stdout: cannot be written (No space left on device); make room"


def test_a_read_only_output_is_told_before_any_work(head: Path, tmp_path: Path, small_disk: Path) -> None:
    (small_disk / "there.csv").write_text("precious\n")
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    for arguments in (["new.csv"], ["new.jsonl"], ["new.parquet"], ["there.csv", "--overwrite"]):
        file = small_disk / arguments[0]
        code, out, err = predict(head, tmp_path / "nothing.pt", "-o", file, *arguments[1:])
        assert (code, out) == (3, "")
        assert err.splitlines() == [
            f"nfn: {file}: cannot be written (no permission, or a read-only place); choose another place"
        ]
    assert (small_disk / "there.csv").read_text() == "precious\n"


# --- files that change -----------------------------------------------------------------------------------------------


def test_files_that_change_during_the_run_fail_alone_or_count_as_they_are(
    head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "_MOST_FILES", 8)
    paths = make_zoo(tmp_path / "zoo", 40, kinds=40)
    before = scored(paths, head)
    save_network(tmp_path / "new.safetensors", 99, bias=3.0)
    settings = engine_settings(str(head), "cpu", None, 0, True, None, "float32")
    rows = run(AccuracyTask(), paths, settings, Tally())
    found = next(rows)
    os.unlink(paths[10])
    os.truncate(paths[20], 100)
    os.replace(tmp_path / "new.safetensors", paths[30])
    Path(paths[35]).unlink()
    Path(paths[35]).mkdir()
    found += [own for part in rows for own in part]
    assert [own.row.path for own in found] == paths
    failed = {place: own.row.error for place, own in enumerate(found) if own.row.error is not None}
    assert set(failed) == {10, 20, 35}
    assert "no such file" in str(failed[10]) and "header does not fit the file" in str(failed[20])
    assert found[30].row.accuracy != before[30].row.accuracy and found[30].stamp != before[30].stamp
    untouched = [place for place in range(40) if place not in (10, 20, 30, 35)]
    assert agree([found[place] for place in untouched], [before[place] for place in untouched])


@pytest.mark.parametrize("jobs", [0, 2])
def test_files_that_are_deleted_cut_and_replaced_all_the_time_end_no_run(jobs: int, head: Path, tmp_path: Path) -> None:
    paths = make_zoo(tmp_path / "zoo", 400, kinds=400)
    before = {own.row.path: own.row.accuracy for own in scored(paths, head)}
    content = [Path(path).read_bytes() for path in paths]
    stop = threading.Event()

    def disturb() -> None:
        generator = random.Random(0)
        while not stop.is_set():
            place = generator.randrange(len(paths))
            with open(paths[place], "wb") as file:
                file.write(content[place][: generator.choice([0, 9, 100, len(content[place])])])
            if generator.random() < 0.2:
                os.unlink(paths[place])
            stop.wait(0.0005)

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        found = scored(paths, head, jobs=jobs)
    finally:
        stop.set()
        thread.join()
    assert [own.row.path for own in found] == paths
    sound = [own.row for own in found if own.row.error is None]
    assert sound and len(sound) < len(found)
    for row in sound:
        assert row.accuracy == pytest.approx(before[row.path], abs=1e-5)


@pytest.mark.parametrize("count", [200, pytest.param(2_000, marks=pytest.mark.slow)])
def test_one_file_in_twenty_is_corrupt(count: int, head: Path, tmp_path: Path) -> None:
    paths = make_zoo(tmp_path / "zoo", count)
    expected = scored(paths, head)
    bad = set(random.Random(1).sample(range(count), count // 20))
    for kind, place in enumerate(sorted(bad)):
        corrupt(Path(paths[place]), kind)
    (tmp_path / "list").write_text("\n".join(paths))
    file = tmp_path / "rows.jsonl"
    code, out, err = predict(head, "--from-file", tmp_path / "list", "-o", file)
    assert (code, out) == (1, "")
    assert f"{count - count // 20:,} scored, {count // 20:,} failed, 0 passed over" in err.splitlines()[-1]
    rows = rows_of(file)
    assert [row["path"] for row in rows] == paths
    for place, (row, own) in enumerate(zip(rows, expected, strict=True)):
        if place in bad:
            assert row["accuracy"] is None and row["error"].startswith(row["path"])
        else:
            assert row["error"] is None and row["accuracy"] == pytest.approx(own.row.accuracy, abs=1e-5)
    assert predict(head, "--from-file", tmp_path / "list", "-o", file, "--resume")[0] == 1
    assert sorted(row["path"] for row in rows_of(file)) == sorted(paths)


def test_a_file_that_could_not_be_opened_is_tried_again(
    head: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (path,) = make_zoo(tmp_path / "zoo", 1)
    access = os.access
    monkeypatch.setattr(os, "access", lambda own, mode: False if str(own) == path else access(own, mode))
    assert scored([path], head)[0].stamp is not None  # it was read: its stamp stands
    monkeypatch.setattr("nfn_cli.scoring.reading.read_checkpoint", _refused)
    (own,) = scored([path], head)
    assert own.row.error is not None and own.stamp is None


def _refused(path: Path) -> Any:
    raise PermissionError(13, "Permission denied")


# --- interrupts ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [["--jobs", 0], ["--jobs", 2]], ids=str)
def test_ctrl_c_finishes_what_is_under_way_and_tells_how_to_go_on(
    options: list[object], head: Path, tmp_path: Path
) -> None:
    make_zoo(tmp_path / "zoo", 3_000)
    file = tmp_path / "rows.csv"
    program = Program(head, tmp_path / "zoo", "-o", file, *options, start_new_session=True)
    program.wait_for_rows(file, 10)
    os.killpg(program.process.pid, signal.SIGINT)  # as a terminal does: to all processes
    code, out, err = program.ended()
    assert (code, out) == (130, "")
    first, summary, last = [line for line in err.splitlines() if line]
    assert first == "nfn: finishing what is under way; Ctrl-C again ends at once"
    assert " scored, 0 failed, 0 passed over in " in summary
    assert last == f"nfn: interrupted; the same command with --resume goes on from here ({file})"
    there = len(rows_of(file))
    assert 0 < there < 3_000
    code, _, err = predict(head, tmp_path / "zoo", "-o", file, *options, "--resume")
    assert code == 0
    assert f"{3_000 - there:,} scored, 0 failed, {there:,} passed over" in err
    assert [row["path"] for row in rows_of(file)] == sorted(map(str, (tmp_path / "zoo").iterdir()))


def test_a_second_ctrl_c_ends_at_once(head: Path, tmp_path: Path) -> None:
    make_zoo(tmp_path / "zoo", 3_000)
    file = tmp_path / "rows.csv"
    program = Program(head, tmp_path / "zoo", "-o", file, "--jobs", 2, start_new_session=True)
    program.wait_for_rows(file, 10)
    program.process.send_signal(signal.SIGINT)
    time.sleep(0.02)
    program.process.send_signal(signal.SIGINT)
    code, out, err = program.ended()
    assert (code, out) == (130, "")
    assert err.splitlines()[-1] == f"nfn: interrupted; the same command with --resume goes on from here ({file})"
    assert "Traceback" not in err
    assert file.read_bytes().endswith(b"\n")
    there = len(rows_of(file))
    assert predict(head, tmp_path / "zoo", "-o", file, "--resume", "--limit", 20)[0] == 0
    assert len(rows_of(file)) == max(there, 20)


def test_a_reader_that_leaves_early_ends_the_run_quietly(head: Path, zoo: Path) -> None:
    (zoo / "net-00100-bad.safetensors").unlink()
    for jobs in (0, 2):
        program = Program(head, zoo, "--jobs", jobs, "--format", "csv")
        assert program.process.stdout is not None and program.process.stderr is not None
        assert program.process.stdout.readline().startswith("path,")
        program.process.stdout.close()
        assert program.process.stderr.read() == ""
        assert program.process.wait(timeout=60) == 0
        program.process.stderr.close()
