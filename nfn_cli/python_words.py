"""Errors for Python programs: the same ones, with keyword arguments where the command line has options."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from nfn_cli.errors import NfnError

_PHRASES = {
    "the file does not tell its activation": "nothing tells its activation",
    "tell it by --activation, or in a file of its name that ends in .yaml (activation: relu)": (
        "tell it, such as activation='relu'"
    ),
    "--chain": "chain=True",
    "give its module: --model FILE.py:FACTORY": "give the module itself",
    "give example inputs by the factory, or --input-shape": "give inputs that its forward pass takes: inputs=...",
    "(--model)": "(the torch.nn.Module itself)",
    "compare with --model": "compare with the module itself",
    "name it with --head": "name it with head=...",
}
_OPTION = re.compile(r"--(?:no-)?([a-z]+(?:-[a-z0-9]+)*)(?![\w-])")


def in_python(text: str) -> str:
    """A text with options as keyword arguments.

    >>> in_python("tell it by --activation, or say which it is: --omega-0")
    'tell it by activation=..., or say which it is: omega_0=...'
    """
    for phrase, own in _PHRASES.items():
        text = text.replace(phrase, own)
    return _OPTION.sub(lambda found: f"{found[1].replace('-', '_')}=...", text)


@contextmanager
def python_words() -> Iterator[None]:
    """Raise the errors of what is within with a program's words."""
    try:
        yield
    except NfnError as error:
        parts = (error.subject, error.cause, error.remedy)
        told = tuple(in_python(part) for part in parts)
        if told == parts:
            raise
        spoken = type(error).__new__(type(error))
        NfnError.__init__(spoken, *told)
        raise spoken from error
