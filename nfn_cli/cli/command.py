"""One command: how its help looks, and the old names that its options answer to."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from typer.core import TyperCommand

from nfn_cli.cli.help import Sections, help_page, options_of, summary_and_rest, usage_of
from nfn_cli.cli.takes import Hidden, TwoNumbers, beside

if TYPE_CHECKING:
    from nfn_cli.cli.help import AnyCommand

_NUMBER = re.compile(r"\d{1,6}")


class Command(TyperCommand):
    """A command whose help is laid out by `nfn_cli.cli.help`."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help to a formatter."""
        write_help(self, ctx, formatter, {})

    def make_parser(self, ctx: Any) -> Any:
        """The parser of its arguments, which takes the hidden names of options as well."""
        hidden: dict[str, Hidden] = beside(self.callback, Hidden)
        shown = {param.name: param.opts for param in self.params}
        try:
            for param in self.params:
                if param.name in hidden:
                    param.opts = [*param.opts, *hidden[param.name].names]
            return super().make_parser(ctx)
        finally:
            for param in self.params:
                param.opts = shown[param.name]

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Take options and arguments apart."""
        try:
            return list(super().parse_args(ctx, _joined_sizes(args, self.callback)))
        except Exception as error:
            if possible := getattr(error, "possibilities", None):  # hidden names are not offered
                hidden = {name for own in beside(self.callback, Hidden).values() for name in own.names}
                error.possibilities = [name for name in possible if name not in hidden]  # type: ignore[attr-defined]
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined]  # so that the command's own help is named
            raise


def write_help(command: AnyCommand, ctx: Any, formatter: Any, more: Sections) -> None:
    """Write a command's help to a formatter, with sections of its own before those of its options."""
    summary, rest, examples = summary_and_rest(command.help or "")
    formatter.write(
        help_page(usage_of(command, ctx), summary, rest, examples, [more, options_of(command, ctx)], formatter.width)
    )


def _joined_sizes(args: Sequence[str], callback: Callable[..., None] | None) -> list[str]:
    """The arguments with `--size 28x28` in place of `--size 28 28`, of options that once took two numbers."""
    names = {f"--{name.replace('_', '-')}" for name in beside(callback, TwoNumbers)}
    joined: list[str] = []
    left = list(args)
    while left:
        joined.append(left.pop(0))
        if joined[-1] in names and len(left) > 1 and all(_NUMBER.fullmatch(own) for own in left[:2]):
            joined.append("x".join(left[:2]))
            del left[:2]
    return joined
