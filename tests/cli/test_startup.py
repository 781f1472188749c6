"""Help, version and completion must answer at once: no torch, and little else."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import nfn_cli
from nfn_cli.cli import options

HEAVY = ("torch", "numpy", "safetensors", "yaml", "tqdm")
QUICK = [["--help"], ["--version"], ["predict-accuracy", "--help"], ["zoo", "cnn", "--help"]]


def run(*arguments: str, python: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *python, "-m", "nfn_cli", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def imported_by(finished: subprocess.CompletedProcess[str]) -> set[str]:
    """Names of the packages in what `-X importtime` printed."""
    return {line.rpartition("|")[2].strip().partition(".")[0] for line in finished.stderr.splitlines()}


@pytest.mark.parametrize("arguments", QUICK, ids=" ".join)
def test_help_and_version_import_nothing_heavy(arguments: list[str]) -> None:
    finished = run(*arguments, python=("-X", "importtime"))
    assert finished.returncode == 0
    assert "nfn_cli" in imported_by(finished)
    assert not imported_by(finished).intersection(HEAVY)


def test_heads_are_listed_without_torch() -> None:
    finished = run("heads", "--format", "json", python=("-X", "importtime"))
    assert finished.returncode == 0
    assert not imported_by(finished).intersection({"torch", "numpy", "safetensors"})


def test_version_is_the_packages() -> None:
    assert run("--version").stdout == f"nfn {nfn_cli.__version__}\n"


def test_help_names_every_command() -> None:
    shown = run("--help").stdout
    for command in ("predict-accuracy", "train", "evaluate", "zoo"):
        assert command in shown


@pytest.mark.parametrize(
    ("typed", "names"), [("", ["one", "other", "third"]), ("o", ["one", "other"]), ("ot", ["other"]), ("x", [])]
)
def test_heads_are_completed_by_name(typed: str, names: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(options, "shipped_heads", lambda: ["one", "other", "third"])
    assert options.heads_of()(typed) == names


@pytest.mark.parametrize(
    ("typed", "offered"), [("nfn pred", "predict-accuracy"), ("nfn predict-accuracy --form", "--format")]
)
def test_the_shell_completes_commands_and_options_without_torch(typed: str, offered: str) -> None:
    asked = {"_NFN_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    program = "import sys; sys.argv = ['nfn']; from nfn_cli.cli.app import main; main()"
    finished = subprocess.run(
        [sys.executable, "-X", "importtime", "-c", program],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | asked,
    )
    assert finished.stdout.split() == [offered]
    assert not imported_by(finished).intersection(HEAVY)
