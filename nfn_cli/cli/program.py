"""What happens to the errors of a command, and to an interrupted or unread one."""

from __future__ import annotations

import os
import re
import sys
from typing import Any

from typer.core import TyperGroup

from nfn_cli.cli.failures import tell
from nfn_cli.errors import NfnError, UsageError

INTERRUPTED = 130  # exit code
_QUOTES = "'\""


class Program(TyperGroup):
    """The group of all commands.

    Bad input ends in one line on stderr and its documented exit code. Typer's own main loop would turn an interrupt
    into silence and a closed pipe into exit code 1, so both are met here, before it sees them.
    """

    def make_context(self, *args: Any, **kwargs: Any) -> Any:
        """Take the program's own options."""
        try:
            return super().make_context(*args, **kwargs)
        except Exception as error:
            _leave_if_usage(error)
            raise

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
            tell(str(error))
            raise SystemExit(error.exit_code) from None
        except KeyboardInterrupt:
            tell("interrupted")
            raise SystemExit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader has gone (`nfn ... | head`): leave quietly, and keep Python from flushing into the closed pipe.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise SystemExit(0) from None


def _leave_if_usage(error: Exception) -> None:
    """A call that names no such option, choice or command is told in one line, too.

    The errors are Click's, of which Typer has a copy of its own or not, so that they are known by what they can do.

    Raises:
        SystemExit: it is one.
    """
    told = getattr(error, "format_message", None)
    if told is None or getattr(error, "exit_code", None) != UsageError.exit_code or "NoArgs" in type(error).__name__:
        return
    message = " ".join(str(told()).split()).removesuffix(".").replace("Value error, ", "")
    option = re.fullmatch(r"Invalid value for (.*?): (.*)", message)
    if option:
        message = f"{option[1].strip(_QUOTES)}: {option[2]}"
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "nfn"
    tell(f"{message[:1].lower()}{message[1:]}; see {command} --help")
    raise SystemExit(UsageError.exit_code) from None
