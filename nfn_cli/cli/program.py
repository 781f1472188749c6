"""What happens to the errors of a command, and to an interrupted one."""

from __future__ import annotations

import re
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from nfn_cli.cli.command import write_help
from nfn_cli.cli.failures import print_note
from nfn_cli.cli.help import summary_and_rest
from nfn_cli.cli.streams import guarded
from nfn_cli.errors import NfnError, UsageError

INTERRUPTED = 130  # exit code
_NO_VALUE = re.compile(r"--[a-z0-9-]+=")
_QUOTES = "'\""
# What Typer's own checks say, and what it means.
_PLAIN = {
    r"Value error, ": "",
    r"Input should be a valid integer, .*": "is no whole number",
    r"Input should be a valid number, .*": "is no number",
    r"Input should be a finite number": "is no number",
    r"Input should be (greater than or equal to|greater than|less than or equal to|less than) (.*)": r"must be \1 \2",
}


class Group(TyperGroup):
    """A group of commands, listed under their headings, each with its summary."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help to a formatter."""
        by_heading: dict[str, list[tuple[str, str]]] = {}
        for name, command in self.commands.items():
            heading = getattr(command, "rich_help_panel", None) or "Commands"
            by_heading.setdefault(str(heading), []).append((name, summary_and_rest(command.help or "")[0]))
        write_help(self, ctx, formatter, by_heading)


class Program(Group):
    """The group of all commands.

    Bad input ends in one line on stderr and its documented exit code, and so does a stream that cannot be written.
    Typer's own main loop would turn an interrupt into silence and a closed pipe into exit code 1, so both are met here,
    before it sees them.
    """

    def main(self, *arguments: Any, **options: Any) -> Any:
        """Run the program, see `guarded`."""
        with guarded():
            return super().main(*arguments, **options)

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Take the program's own options."""
        try:
            return super().make_context(*args, **kwargs)
        except Exception as error:
            _leave_if_usage(error)
            raise

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
            except Exception as error:
                _leave_if_usage(error)
                raise
            finally:
                sys.stdout.flush()
        except NfnError as error:
            raise _left(error) from None
        except (MemoryError, RuntimeError, TypeError) as error:
            trouble = _device_trouble(error)
            if trouble is None:
                _leave_if_usage(error)
                raise
            print_note(f"{trouble.cause}; {trouble.remedy}")
            raise SystemExit(trouble.exit_code) from None
        except KeyboardInterrupt:
            print_note("interrupted")
            raise SystemExit(INTERRUPTED) from None


def _left(error: NfnError) -> SystemExit:
    """Print the error in one line; returns how the program ends."""
    print_note(str(error))
    return SystemExit(error.exit_code)


def _device_trouble(error: BaseException) -> NfnError | None:
    if "torch" not in sys.modules or isinstance(error, typer.Exit | typer.Abort):
        return None
    from nfn_cli.scoring.device import device_trouble

    return device_trouble(error)


def _leave_if_usage(error: Exception) -> None:
    """A call with an unknown option, choice or command ends in one line, too.

    The errors are Click's, of which Typer has a copy of its own or not, so that they are known by what they can do.

    Raises:
        SystemExit: it is one.
    """
    format_message = getattr(error, "format_message", None)
    if (
        format_message is None
        or getattr(error, "exit_code", None) != UsageError.exit_code
        or "NoArgs" in type(error).__name__
    ):
        return
    message = _plain(" ".join(str(format_message()).split()).removesuffix("."))
    option = re.fullmatch(r"Invalid value for (.*?): (.*)", message)
    if option:
        message = f"{option[1].strip(_QUOTES)}: {option[2]}"
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "nfn"
    print_note(f"{message[:1].lower()}{message[1:]}; see {command} --help")
    raise SystemExit(UsageError.exit_code) from None


def _plain(message: str) -> str:
    """The message in plain words, which names an option once.

    >>> _plain("Invalid value for '--output' / '-o': Input should be a valid number, unable to parse it")
    "Invalid value for '--output': is no number"
    """
    message = re.sub(r"('--[\w-]+')(?: / '[^']*')+", r"\1", message)
    for theirs, ours in _PLAIN.items():
        message = re.sub(theirs, ours, message)
    return message
