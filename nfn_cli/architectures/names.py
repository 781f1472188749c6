"""What the names of modules say: their words and numbers, and from these which of two modules comes first.

>>> tokens("features.10.conv2"), tokens("fc_out")
(('features', 10, 'conv', 2), ('fc_out',))
>>> precedes(tokens("conv2"), tokens("conv10"), by_convention=False)
True
"""

from __future__ import annotations

import re
from itertools import takewhile, zip_longest

Token = int | str

# A kernel (conv1x1) is a word: it numbers nothing. Longer digit strings are cut; int() refuses endless ones.
_PIECE = re.compile(r"\d+(?:x\d+)+|\d{1,18}|\D+")
_FIRST = {"in", "inp", "input", "inputs", "first", "initial", "stem", "embed", "embedder", "encoder", "enc"}
_FIRST |= {"feature", "features", "extractor", "backbone", "body", "trunk", "base"}
_LAST = {"out", "outp", "output", "outputs", "last", "final", "head", "heads", "classifier", "cls", "regressor"}
_LAST |= {"decoder", "dec", "logit", "logits", "readout", "predict", "prediction", "predictor", "tail", "top"}


def tokens(name: str) -> tuple[Token, ...]:
    """The words (lower case) and numbers of a dotted name."""
    found: list[Token] = []
    for part in name.lower().split("."):
        for piece in _PIECE.findall(part):
            if piece.isdecimal():
                found.append(int(piece))
            elif word := piece.strip("_-"):
                found.append(word)
    return tuple(found)


def numbers(name: str) -> tuple[int, ...]:
    """The numbers alone: () for `stem.conv`, (1, 2) for `layer1.bn2`."""
    return tuple(token for token in tokens(name) if isinstance(token, int))


def words(name: str) -> tuple[str, ...]:
    """The words alone: `layer`, `bn` for `layer1.bn2`."""
    return tuple(token for token in tokens(name) if isinstance(token, str))


def shared_tokens(left: tuple[Token, ...], right: tuple[Token, ...]) -> int:
    """How many tokens two names have in common before they first differ."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(left, right, strict=False)))


def follows_by_number(left: tuple[Token, ...], right: tuple[Token, ...]) -> bool:
    """Whether two names differ first in a number, higher in `right`: `conv1` and `conv2`, `dense` and `dense_1`."""
    mine, theirs = first_difference(left, right)
    return isinstance(theirs, int) and (mine is None or (isinstance(mine, int) and mine < theirs))


def first_difference(left: tuple[Token, ...], right: tuple[Token, ...]) -> tuple[Token | None, Token | None]:
    """The tokens in which two names first differ; None where one has ended."""
    return next(((a, b) for a, b in zip_longest(left, right) if a != b), (None, None))


def precedes(left: tuple[Token, ...], right: tuple[Token, ...], *, by_convention: bool) -> bool:
    """Whether `left` must come before `right`: where they first differ, it has the lower number.

    By convention, too, no number comes before a number (`conv`, `conv2`), and words such as `encoder` and `input` come
    before other words, those before `decoder` and `output`.
    """
    for mine, theirs in zip_longest(left, right):
        if mine == theirs:
            continue
        if isinstance(mine, int) and isinstance(theirs, int):
            return mine < theirs
        if not by_convention:
            return False
        if mine is None or theirs is None:
            return mine is None and isinstance(theirs, int)
        return rank(mine) < rank(theirs)
    return False


def rank(token: Token) -> int:
    """-1 for a word such as `input` that names what comes first, 1 for one such as `output`, 0 for others."""
    if isinstance(token, int):
        return 0
    ranks = [(part in _LAST) - (part in _FIRST) for part in re.split("[_-]", token)]
    return next((rank for rank in reversed(ranks) if rank), 0)
