"""Errors for Python programs: the same as on the command line, but with keyword arguments in place of options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from nfn_cli.errors import NfnError

_PHRASES = {
    "the file does not state its activation": "its activation is not known",
    "state it with --activation, or in a file of its name that ends in .yaml (activation: relu)": (
        "give it, such as activation='relu'"
    ),
    "--chain": "chain=True",
    "give its module: --model FILE.py:FACTORY": "give the module itself",
    "give example inputs by the factory, or --input-shape": "give inputs that its forward pass takes: inputs=...",
    "(--model)": "(the torch.nn.Module itself)",
    "has no effect with --model, which": "has no effect with a module, which",
    "compare with --model": "compare with the module itself",
    "name it with --head": "name it with head=...",
    " (--scale none)": ": scale='none'",
}
_OPTION = re.compile(r"--(?:no-)?([a-z]+(?:-[a-z0-9]+)*)(?![\w-])")


def in_python(text: str) -> str:
    """A message with keyword arguments in place of options.

    >>> in_python("state it with --activation, or say which it is: --omega-0")
    'state it with activation=..., or say which it is: omega_0=...'
    """
    for phrase, own in _PHRASES.items():
        text = text.replace(phrase, own)
    return _OPTION.sub(lambda found: f"{found[1].replace('-', '_')}=...", text)


@contextmanager
def python_words() -> Iterator[None]:
    """Errors raised inside name keyword arguments in place of options."""
    try:
        yield
    except NfnError as error:
        parts = (error.subject, error.cause, error.remedy)
        own = (in_python(parts[0]).removesuffix("=..."), *map(in_python, parts[1:]))
        if own == parts:
            raise
        renamed = type(error).__new__(type(error))
        NfnError.__init__(renamed, *own)
        raise renamed from error
