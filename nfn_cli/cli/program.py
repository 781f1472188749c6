"""What happens to the errors of a command, and to an interrupted one."""

from __future__ import annotations

import re
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from nfn_cli.cli.streams import guarded
from nfn_cli.errors import NfnError, UsageError

INTERRUPTED = 130  # exit code
_NO_VALUE = re.compile(r"--[a-z0-9-]+=")


class Program(TyperGroup):
    """The group of all commands.

    Bad input ends in one line on stderr and its documented exit code, and so does a stream that cannot be written.
    Typer's own main loop would turn an interrupt into silence and a closed pipe into exit code 1, so both are met here,
    before it sees them.
    """

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the program, see `guarded`."""
        with guarded():
            return super().main(*arguments, **options)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take the program's own options off the arguments; the rest are the command's.

        No argument of any command may be empty: it comes from a variable of a shell that is not set, and as a path it
        would be the current folder.
        """
        empty = next((argument for argument in args if argument == "" or _NO_VALUE.fullmatch(argument)), None)
        if empty is not None and not ctx.resilient_parsing:
            raise _left(UsageError(empty or "''", "is empty and names nothing", "give a value, or leave it out"))
        return list(super().parse_args(ctx, args))

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            try:
                return super().invoke(ctx)
            finally:
                sys.stdout.flush()
        except NfnError as error:
            raise _left(error) from None
        except (MemoryError, RuntimeError, TypeError) as error:
            told = _device_trouble(error)
            if told is None:
                raise
            print(f"nfn: {told.cause}; {told.remedy}", file=sys.stderr)
            raise SystemExit(told.exit_code) from None
        except KeyboardInterrupt:
            print("nfn: interrupted", file=sys.stderr)
            raise SystemExit(INTERRUPTED) from None


def _left(error: NfnError) -> SystemExit:
    """Say what is wrong, in one line; how the program ends."""
    print(f"nfn: {error}", file=sys.stderr)
    return SystemExit(error.exit_code)


def _device_trouble(error: BaseException) -> NfnError | None:
    if "torch" not in sys.modules or isinstance(error, typer.Exit | typer.Abort):
        return None
    from nfn_cli.scoring.device import device_trouble

    return device_trouble(error)
