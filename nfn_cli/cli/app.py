"""The `nfn` program and its commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from importlib import import_module
from typing import Annotated, Any

import typer

from nfn_cli import __version__
from nfn_cli.cli.program import Program
from nfn_cli.threads import sleep_while_waiting

# Every command's module in this package, and its function there. A call builds its own command alone: to inspect the
# options of all takes a tenth of the time in which torch is imported.
COMMANDS = {
    "predict-accuracy": ("predict_accuracy", "predict_accuracy"),
    "rank": ("rank", "rank"),
    "classify-inr": ("classify_inr", "classify_inr"),
    "render": ("render", "render"),
    "edit-inr": ("edit_inr", "edit_inr"),
    "inspect": ("inspect", "inspect_checkpoints"),
    "canonicalize": ("canonicalize", "canonicalize"),
    "apply": ("apply", "apply"),
    "verify": ("verify", "verify"),
    "train": ("train", "train"),
    "evaluate": ("evaluate", "evaluate"),
    "calibrate": ("calibrate", "calibrate"),
    "train-inr": ("train_inr", "train_inr"),
    "train-editor": ("train_editor", "train_editor"),
    "evaluate-inr": ("evaluate_inr", "evaluate_inr"),
    "zoo": ("zoo", "zoo"),
}


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"nfn {__version__}")
        raise typer.Exit()


def _nfn(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Read a trained network's weights like an instrument: how well it generalises, from its weights alone.

    Exit codes: 0 all done, 1 some inputs failed (verify: not the same function), 2 wrong usage, 3 nothing could be
    done, 130 interrupted.
    """


def make_app(names: Collection[str] = COMMANDS) -> typer.Typer:
    """The program with some of its commands."""
    app = typer.Typer(
        name="nfn",
        cls=Program,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_nfn)
    for name in names:
        module, function = COMMANDS[name]
        command: Any = getattr(import_module(f"nfn_cli.cli.commands.{module}"), function)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command(name)(command)
    return app


def main() -> None:
    """Run the program."""
    sleep_while_waiting()
    # Before torch is imported: what Apple's GPUs have no operator for is computed on the CPU (see `scoring.device`).
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    named = sys.argv[1] if len(sys.argv) > 1 else None
    make_app([named] if named in COMMANDS else COMMANDS)(prog_name="nfn")
