"""Whatever goes wrong: one line on stderr, and an exit code that a script can rely on."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nfn_cli.scoring
from nfn_cli.checkpoints import find_checkpoints
from nfn_cli.cli.app import COMMANDS
from nfn_cli.errors import ArchitectureError, CheckpointError, DataError, HeadError, NfnError, UsageError
from nfn_cli.scoring import score

Nfn = Callable[..., tuple[int, str, str]]

NOISY = """
from nfn_cli.cli.app import make_app

app = make_app([])

@app.command()
def noisy():
    for number in range(100_000):
        print(number)

app(prog_name="nfn")
"""


@pytest.mark.parametrize(
    "arguments",
    [
        ["predict-accuracy"],
        ["predict-accuracy", "a.pt", "--format", "xml"],
        ["predict-accuracy", "a.pt", "--device", "abacus"],
        ["no-such-command"],
        ["--no-such-option"],
        ["train", "zoo"],
        ["zoo", "cnn", "--data", "digits", "--activation", "relu", "--count", "0", "--out", "zoo"],
        ["zoo", "cnn", "--data", "digits", "--activation", "gelu", "--count", "1", "--out", "zoo"],
        ["evaluate", "head", "zoo", "--samples", "0"],
        ["evaluate", "head", "zoo", "--scale-range", "0", "1"],
        ["evaluate", "head", "zoo", "--scale-range", "10", "1"],
    ],
    ids=" ".join,
)
def test_wrong_usage_is_told_on_stderr_with_exit_code_2(arguments: list[str], nfn: Nfn) -> None:
    code, out, err = nfn(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith("nfn: ") and err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            ["inspect", "a.pt", "--pool", "foo"],
            "--pool: 'foo' is not one of 'max', 'avg', 'none'; see nfn inspect --help",
        ),
        (["inspect", "--bogus"], "no such option: --bogus; see nfn inspect --help"),
        (["train", "zoo"], "missing option '--output'; see nfn train --help"),
        (["bogus"], "no such command 'bogus'; see nfn --help"),
        (["zoo", "bogus"], "no such command 'bogus'; see nfn zoo --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage_is_one_line_that_names_the_help(arguments: list[str], told: str, nfn: Nfn) -> None:
    code, out, err = nfn(*arguments)
    assert (code, out, err) == (2, "", f"nfn: {told}\n")


@pytest.mark.parametrize("arguments", [[], ["zoo"], ["inspect", "--help"]], ids=" ".join)
def test_help_is_still_shown(arguments: list[str], nfn: Nfn) -> None:
    _, out, err = nfn(*arguments)
    assert "Usage: nfn" in out + err and not (out + err).startswith("nfn: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [(CheckpointError, 3), (ArchitectureError, 3), (HeadError, 3), (DataError, 3), (UsageError, 2)],
)
def test_bad_input_is_one_line_on_stderr(
    error: type[NfnError], code: int, nfn: Nfn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def run_engine(*_: object, **__: object) -> None:
        raise error("the [bold]subject[/bold]", "a cause\nof two lines", "a remedy")

    monkeypatch.setattr(nfn_cli.scoring, "run_engine", run_engine)
    assert nfn("predict-accuracy", tmp_path / "a.pt") == (
        code,
        "",
        "nfn: the [bold]subject[/bold]: a cause of two lines; a remedy\n",
    )


def test_an_interrupt_ends_with_130_and_one_line(nfn: Nfn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run_engine(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(nfn_cli.scoring, "run_engine", run_engine)
    code, out, err = nfn("predict-accuracy", tmp_path / "a.pt")
    assert (code, out) == (130, "")
    assert err.startswith("nfn: interrupted; ") and err.count("\n") == 1


def test_a_bug_is_not_disguised_as_bad_input(nfn: Nfn, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def run_engine(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(nfn_cli.scoring, "run_engine", run_engine)
    with pytest.raises(ZeroDivisionError):
        nfn("predict-accuracy", tmp_path / "a.pt")


def test_a_reader_that_leaves_early_ends_the_program_quietly() -> None:
    program = subprocess.Popen(
        [sys.executable, "-c", NOISY, "noisy"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None and program.stderr is not None
    assert program.stdout.readline() == "0\n"
    program.stdout.close()
    assert program.stderr.read() == ""
    assert program.wait() == 0
    program.stderr.close()


def commands() -> list[list[str]]:
    """Every command, those of `zoo` among them."""
    zoo = [["zoo", name] for name in ("cnn", "inr")]
    zoo += [["zoo", "import", name] for name in ("small-cnn-zoo", "model-zoo", "siren")]
    return [*([name] for name in COMMANDS if name != "zoo"), *zoo]


@pytest.mark.parametrize("command", commands(), ids=" ".join)
def test_an_empty_argument_is_never_the_current_folder(
    command: list[str], nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    refused = "is empty and names nothing; give a value, or leave it out"
    for empty in ([""], ["a.safetensors", ""], ["--", ""], ["a.safetensors", "--out", ""]):
        assert nfn(*command, *empty) == (2, "", f"nfn: '': {refused}\n")
    assert nfn(*command, "a.safetensors", "--output=") == (2, "", f"nfn: --output=: {refused}\n")
    assert [path.name for path in tmp_path.iterdir()] == ["a.safetensors"]


def test_an_empty_name_is_no_folder_from_python_either(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.safetensors").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    for attempt in (lambda: find_checkpoints([""]), lambda: list(score([""])), lambda: list(score(""))):
        with pytest.raises(CheckpointError, match="'': is empty and names no file; give a path"):
            attempt()
