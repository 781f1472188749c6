"""The `nfn` program and its commands."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection
from importlib import import_module
from typing import Annotated, Any

import typer

from nfn_cli import __version__
from nfn_cli.cli.command import Command
from nfn_cli.cli.program import Program
from nfn_cli.threads import sleep_while_waiting

# Every command's module in this package, and its function there, under the headings of the help. A call builds its own
# command alone: to inspect the options of all takes a tenth of the time in which torch is imported.
GROUPS = {
    "Predict": {
        "predict-accuracy": ("predict_accuracy", "predict_accuracy"),
        "rank": ("rank", "rank"),
        "heads": ("heads", "heads"),
    },
    "Read and rewrite": {
        "inspect": ("inspect", "inspect_checkpoints"),
        "canonicalize": ("canonicalize", "canonicalize"),
        "apply": ("apply", "apply"),
        "verify": ("verify", "verify"),
    },
    "Pictures (implicit neural representations, INRs)": {
        "classify-inr": ("classify_inr", "classify_inr"),
        "edit-inr": ("edit_inr", "edit_inr"),
        "render": ("render", "render"),
    },
    "Make and measure heads": {
        "train": ("train", "train"),
        "train-inr": ("train_inr", "train_inr"),
        "train-editor": ("train_editor", "train_editor"),
        "evaluate": ("evaluate", "evaluate"),
        "evaluate-inr": ("evaluate_inr", "evaluate_inr"),
        "calibrate": ("calibrate", "calibrate"),
        "zoo": ("zoo", "zoo"),
    },
}
COMMANDS = {name: place for commands in GROUPS.values() for name, place in commands.items()}


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"nfn {__version__}")
        raise typer.Exit()


def _nfn(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Read trained networks from their weights alone.

    It predicts how well they generalise, tells and rewrites their symmetries, and draws, classifies and edits the
    pictures that implicit neural representations hold.

    Exit codes: 0 all done, 1 some inputs failed (verify: not the same function), 2 wrong usage, 3 nothing could be
    done, 130 interrupted.

    Examples:
        nfn predict-accuracy runs/
        nfn inspect model.safetensors
    """


def make_app(names: Collection[str] = COMMANDS) -> typer.Typer:
    """The program with some of its commands."""
    app = typer.Typer(
        name="nfn",
        cls=Program,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
        context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    )
    app.callback()(_nfn)
    for heading, commands in GROUPS.items():
        for name in commands:
            if name in names:
                module, function = commands[name]
                command: Any = getattr(import_module(f"nfn_cli.cli.commands.{module}"), function)
                if isinstance(command, typer.Typer):
                    app.add_typer(command, name=name, rich_help_panel=heading)
                else:
                    app.command(name, cls=Command, rich_help_panel=heading)(command)
    return app


def main() -> None:
    """Run the program."""
    sleep_while_waiting()
    # Before torch is imported: what Apple's GPUs have no operator for is computed on the CPU (see `scoring.device`).
    os.environ.setdefault("PYTORCH_ENABLE_MPS_FALLBACK", "1")
    named = sys.argv[1] if len(sys.argv) > 1 else None
    make_app([named] if named in COMMANDS else COMMANDS)(prog_name="nfn")
