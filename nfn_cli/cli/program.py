"""What happens to the errors of a command, and to an interrupted or unread one."""

from __future__ import annotations

import os
import sys
from typing import Any

from typer.core import TyperGroup

from nfn_cli.cli.failures import tell
from nfn_cli.errors import NfnError

INTERRUPTED = 130  # exit code


class Program(TyperGroup):
    """The group of all commands.

    Bad input ends in one line on stderr and its documented exit code. Typer's own main loop would turn an interrupt
    into silence and a closed pipe into exit code 1, so both are met here, before it sees them.
    """

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            try:
                return super().invoke(ctx)
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
