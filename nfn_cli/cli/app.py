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

# Every command, under the headings of the help: `edit-inr` is the function `edit_inr` of `commands/edit_inr.py`. A call
# builds its own command alone: to inspect the options of all takes a tenth of the time in which torch is imported.
GROUPS = {
    "Predict": ("predict-accuracy", "rank", "heads"),
    "Read and rewrite": ("inspect", "canonicalize", "apply", "verify", "compare", "align", "families"),
    "Pictures (implicit neural representations, INRs)": ("classify-inr", "edit-inr", "render"),
    "Make and measure heads": (
        *("train", "train-inr", "train-editor"),
        *("evaluate", "evaluate-inr", "calibrate", "zoo"),
    ),
}
COMMANDS = tuple(name for commands in GROUPS.values() for name in commands)


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

    nfn predicts how well they generalise, shows their symmetry groups, rewrites them along their orbits, and draws,
    classifies and edits the pictures that implicit neural representations hold.

    Exit codes: 0 all done, 1 some inputs failed (verify, compare: not the same function), 2 wrong usage, 3 nothing
    could be done, 130 interrupted.

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
                function = name.replace("-", "_")
                command: Any = getattr(import_module(f"nfn_cli.cli.commands.{function}"), function)
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
