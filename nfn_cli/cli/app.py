"""The `nfn` program and its commands."""

from __future__ import annotations

import io
import sys
from typing import Annotated

import typer

from nfn_cli import __version__
from nfn_cli.cli.apply import apply
from nfn_cli.cli.canonicalize import canonicalize
from nfn_cli.cli.classify_inr import classify_inr
from nfn_cli.cli.edit_inr import edit_inr
from nfn_cli.cli.evaluate import evaluate
from nfn_cli.cli.evaluate_inr import evaluate_inr
from nfn_cli.cli.inspect import inspect_checkpoints
from nfn_cli.cli.predict_accuracy import predict_accuracy
from nfn_cli.cli.program import Program
from nfn_cli.cli.rank import rank
from nfn_cli.cli.render import render
from nfn_cli.cli.train import train
from nfn_cli.cli.train_inr import train_inr
from nfn_cli.cli.verify import verify
from nfn_cli.cli.zoo import zoo

app = typer.Typer(
    name="nfn",
    cls=Program,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(predict_accuracy)
app.command()(rank)
app.command("classify-inr")(classify_inr)
app.command()(render)
app.command("edit-inr")(edit_inr)
app.command("inspect")(inspect_checkpoints)
app.command()(canonicalize)
app.command()(apply)
app.command()(verify)
app.command()(train)
app.command()(evaluate)
app.command("train-inr")(train_inr)
app.command("evaluate-inr")(evaluate_inr)
app.add_typer(zoo, name="zoo")


def _show_version(asked: bool) -> None:
    if asked:
        typer.echo(f"nfn {__version__}")
        raise typer.Exit()


@app.callback()
def _nfn(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit."),
    ] = False,
) -> None:
    """Read a trained network's weights like an instrument: how well it generalises, from its weights alone.

    Exit codes: 0 all done, 1 some inputs failed, 2 wrong usage, 3 nothing could be done.
    """


def main() -> None:
    """Run the program."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name need not be text, and a terminal need not know every letter; neither may end a run.
            stream.reconfigure(errors="backslashreplace")
    app(prog_name="nfn")
