"""Where long work is: on a terminal, without one, and not at all; and what Ctrl-C leaves."""

from __future__ import annotations

import io
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import typer
from safetensors.torch import save_file

from nfn_cli.cli.app import make_app
from nfn_cli.cli.progress import bars
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.cli.progress.fit_progress import FitProgress
from nfn_cli.cli.progress.scoring_progress import ScoringProgress
from nfn_cli.cli.progress.zoo_progress import ZooProgress
from nfn_cli.learning import FitPlan

Nfn = Callable[..., Any]


class Stream(io.StringIO):
    """What is written, to a terminal or not."""

    def __init__(self, terminal: bool) -> None:
        super().__init__()
        self.terminal = terminal

    def isatty(self) -> bool:
        return self.terminal

    def wait_for(self, text: str) -> None:
        """Until it is written by the thread that draws; a `#` in it stands for a number."""
        pattern, end = re.escape(text).replace(r"\#", r"\d+"), time.monotonic() + 5
        while not re.search(pattern, self.getvalue()):
            assert time.monotonic() < end, (text, self.getvalue()[-400:])
            time.sleep(0.005)

    def left(self) -> str:
        """What stands on the screen in the end."""
        return re.sub(r"[^\r\n]*\r", "", self.getvalue()).replace("\x1b[K", "")


def _stream(monkeypatch: pytest.MonkeyPatch, *, terminal: bool) -> Stream:
    """In place of stderr; in a fixture, pytest would put its own back."""
    stream = Stream(terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    return stream


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SECONDS_BEFORE_BAR", "SECONDS_BETWEEN_LINES", "_SECONDS_BETWEEN_DRAWINGS"):
        monkeypatch.setattr(bars, name, 0.01)


@pytest.mark.usefixtures("at_once")
def test_a_bar_names_its_stage_and_goes_away(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _stream(monkeypatch, terminal=True)
    with Progress(stage="reading") as progress:
        terminal.wait_for("reading [#:#]")
        progress.stage("writing", 40, "files")
        progress.advance(10, "2 failed")
        terminal.wait_for(" 10/40 files [#:#<#:#, 2 failed]")
        assert "writing:  25%|" in terminal.getvalue()
    assert terminal.left() == ""
    assert "\n" not in terminal.getvalue()
    # With room for the ^C of an interrupt, which would break a full line.
    assert max(map(len, terminal.getvalue().split("\r"))) < 80


@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_short_work_shows_nothing(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stream = _stream(monkeypatch, terminal=terminal)
    with Progress() as progress:
        for _ in progress.each("writing", range(20)):
            time.sleep(0.005)
    assert stream.getvalue() == ""


@pytest.mark.usefixtures("at_once")
def test_without_a_terminal_there_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = _stream(monkeypatch, terminal=False)
    with Progress(stage="reading") as progress:
        pipe.wait_for("nfn: reading, for # s\n")
        progress.stage("writing", 4_000, "files")
        progress.skip(1_000)
        progress.advance(1_000, "2 failed")
        pipe.wait_for("nfn: writing: 2,000 of 4,000 files done, 2 failed, about # s left\n")
        progress.total(None)
        pipe.wait_for("nfn: writing: 2,000 files done, 2 failed, for # s\n")
    assert all(character.isprintable() or character == "\n" for character in pipe.getvalue())


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("terminal", [True, False], ids=["terminal", "pipe"])
def test_quiet_work_shows_nothing_but_what_is_told(monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    stream = _stream(monkeypatch, terminal=terminal)
    with Progress(quiet=True) as progress:
        for _ in progress.each("writing", range(10)):
            time.sleep(0.01)
        progress.print_line("a.pt: is empty")
    assert stream.getvalue() == "nfn: a.pt: is empty\n"


@pytest.mark.usefixtures("at_once")
def test_a_line_is_told_above_the_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _stream(monkeypatch, terminal=True)
    with Progress(stage="reading") as progress:
        terminal.wait_for("reading [")
        progress.print_line("a.pt: is empty")
    assert terminal.left() == "nfn: a.pt: is empty\n"


@pytest.mark.usefixtures("at_once")
def test_an_error_finds_no_bar_on_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _stream(monkeypatch, terminal=True)

    def work() -> None:
        with Progress(stage="reading"):
            terminal.wait_for("reading [")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    print("nfn: interrupted", file=sys.stderr)
    assert terminal.left() == "nfn: interrupted\n"


@pytest.mark.usefixtures("at_once")
def test_a_fit_names_member_and_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = _stream(monkeypatch, terminal=False)
    with Progress(stage="reading") as progress:
        fit = FitProgress(progress, "epochs")
        fit.plan(FitPlan(networks=90, members=2, epochs=10))
        fit.stage("member 1 of 2")
        fit.skip(4)  # of an earlier sitting
        fit.step(0.5)
        pipe.wait_for("nfn: member 1 of 2, epoch 6: 5 of 20 epochs done, loss 0.5, about # s left\n")
        fit.skip(5)
        fit.stage("member 2 of 2")
        fit.step(0.25)
        pipe.wait_for("nfn: member 2 of 2, epoch 2: 11 of 20 epochs done, loss 0.25, about")
        fit.skip(9)
        fit.stage("calibrating")
        pipe.wait_for("nfn: calibrating, for # s\n")


@pytest.mark.parametrize(("quiet", "epochs", "told"), [(False, 500, 1), (False, 10, 0), (True, 500, 0)])
def test_a_long_fit_says_what_it_costs(
    quiet: bool, epochs: int, told: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    monkeypatch.setattr("nfn_cli.cli.progress.fit_progress.time.monotonic", lambda: now[0])
    fit = FitProgress(Progress(quiet=quiet), "epochs")
    fit.plan(FitPlan(networks=1_090, members=4, epochs=epochs))
    for _ in range(12):
        now[0] += 1.0
        fit.step(0.5)
    line = "nfn: fitting to 1,090 networks, 4 members of 500 epochs: about 33 min\n"
    assert capsys.readouterr().err == told * line


@pytest.mark.usefixtures("at_once")
def test_a_zoo_says_how_many_runs_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = _stream(monkeypatch, terminal=False)
    with Progress(stage="reading") as progress:
        zoo = ZooProgress(progress, "training", "runs", "samples")
        zoo.start(1_000)
        zoo.things(16, 60)
        zoo.steps(250)
        pipe.wait_for("nfn: training, 16 of 60 runs done: 250 of 1,000 samples done, about")
    assert zoo.kept() == "16 of 60 runs are kept, the same command goes on from here"


@pytest.mark.usefixtures("at_once")
def test_scoring_counts_files(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = _stream(monkeypatch, terminal=False)

    class Row:
        error = None

    class Scored:
        row = Row()

    progress = ScoringProgress(8, quiet=False)
    progress.advance([Scored()] * 3, 1)  # type: ignore[list-item]
    pipe.wait_for("nfn: scoring: 4 of 8 files done, 0 failed, about # s left\n")
    progress.close()


def _commands(command: Any, name: str) -> dict[str, Any]:
    if not hasattr(command, "commands"):
        return {name: command}
    found: dict[str, Any] = {}
    for own, below in command.commands.items():
        found |= _commands(below, f"{name} {own}".strip())
    return found


def test_every_command_can_be_quiet() -> None:
    commands = _commands(typer.main.get_command(make_app()), "")
    assert {"train", "zoo cnn", "zoo import siren", "verify"} <= set(commands)
    loud = [name for name, own in commands.items() if not any("--quiet" in option.opts for option in own.params)]
    assert loud == ["heads"]  # which takes no time


@pytest.fixture
def inr(tmp_path: Path) -> Path:
    tensors = {"0.weight": (8, 2), "0.bias": (8,), "1.weight": (1, 8), "1.bias": (1,)}
    path = tmp_path / "inr.safetensors"
    save_file(
        {name: torch.randn(shape) for name, shape in tensors.items()}, path, {"activation": "sin", "omega_0": "9"}
    )
    return path


ANEW = "nothing is kept, the same command starts over"
WORK: dict[str, tuple[list[object], str, str]] = {
    "train": (["IN", "--out", "OUT"], "nfn_cli.learning.train_head", f"OUT: interrupted; {ANEW}"),
    "train-inr": (["IN", "--out", "OUT"], "nfn_cli.learning.train_head", f"OUT: interrupted; {ANEW}"),
    "train-editor": (
        ["IN", "--edit", "erode", "--out", "OUT"],
        "nfn_cli.learning.train_head",
        f"OUT: interrupted; {ANEW}",
    ),
    "evaluate": (["small-cnn-relu", "IN"], "nfn_cli.learning.evaluate_head", "interrupted; nothing was written"),
    "zoo cnn": (
        ["--data", "digits", "--activation", "relu", "--count", 3, "--out", "OUT"],
        "nfn_cli.zoo.generate_zoo",
        "OUT: interrupted; the same command goes on from here",
    ),
    "zoo inr": (
        ["--data", "digits", "--count", 3, "--out", "OUT"],
        "nfn_cli.zoo.generate_zoo",
        "OUT: interrupted; the same command goes on from here",
    ),
    "zoo import model-zoo": (["IN", "--out", "OUT"], "nfn_cli.zoo.import_model_zoo", f"OUT: interrupted; {ANEW}"),
    "zoo import small-cnn-zoo": (
        ["IN", "--out", "OUT"],
        "nfn_cli.zoo.import_small_cnn_zoo",
        f"OUT: interrupted; {ANEW}",
    ),
    "zoo import siren": (["IN", "--out", "OUT"], "nfn_cli.zoo.import_sirens", f"OUT: interrupted; {ANEW}"),
    "verify": (["IN"], "nfn_cli.symmetry.verification.check_orbit", "interrupted; nothing was decided"),
    "render": (["IN"], "nfn_cli.pictures.gathered", "interrupted; nothing was drawn"),
    "inspect": (["IN"], "nfn_cli.symmetry.inspect_network", "interrupted; nothing was shown"),
}


@pytest.mark.parametrize("command", WORK)
def test_an_interrupt_says_what_is_kept_and_how_to_go_on(
    tmp_path: Path, nfn: Nfn, monkeypatch: pytest.MonkeyPatch, inr: Path, command: str
) -> None:
    arguments, work, line = WORK[command]
    places = {"IN": inr, "OUT": tmp_path / "out"}

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(work, interrupted)
    finished = nfn(*command.split(), *[places.get(str(own), own) for own in arguments])
    assert finished == (130, "", f"nfn: {line.replace('OUT', str(places['OUT']))}\n")
    assert not places["OUT"].exists()


def test_an_interrupted_edit_says_how_many_files_are_written(
    tmp_path: Path, nfn: Nfn, monkeypatch: pytest.MonkeyPatch, inr: Path
) -> None:
    from nfn_cli.scoring.editing import Edited

    def edited(path: Path, target: Path, *_: Any, **__: Any) -> Edited:
        if path.name.startswith("2"):
            raise KeyboardInterrupt
        return Edited(0.1, "a-head")

    for number in range(3):
        inr.with_name(f"{number}.safetensors").write_bytes(inr.read_bytes())
    inr.unlink()
    monkeypatch.setattr("nfn_cli.scoring.editing.edit_checkpoint", edited)
    finished = nfn("edit-inr", tmp_path, "--edit", "erode", "-o", tmp_path / "out")
    line = "nfn: interrupted; 2 of 3 files are done; the same command with --skip-existing goes on\n"
    assert (finished.code, finished.err) == (130, line)
    assert len(finished.out.splitlines()) == 3  # with the header


@pytest.mark.parametrize("quiet", [False, True])
def test_quiet_keeps_assumptions_and_what_is_wrong(tmp_path: Path, nfn: Nfn, quiet: bool) -> None:
    shapes = {"a.weight": (5, 3), "a.bias": (5,), "b.weight": (2, 5), "b.bias": (2,)}
    one, two = tmp_path / "one.safetensors", tmp_path / "two.safetensors"
    for path in (one, two):
        save_file({name: torch.randn(shape) for name, shape in shapes.items()}, path, {"activation": "relu"})
    options = ["--quiet"] if quiet else []
    lines = nfn("verify", one, *options).err.splitlines()
    assert [line.partition(",")[0].partition(":")[2][:12] for line in lines] == [" preserved"] * (not quiet) + [
        " assumed: la"
    ]
    finished = nfn("verify", one, two, *options)
    assert (finished.code, finished.err.startswith("nfn: not the same orbit")) == (1, True)
