"""The two sides of a pattern: averages over neurons that do not go out, and copies to neurons that did not come in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from nfn_cli.nn.labelled.patterns import Pattern


def mean_over(values: Tensor, pattern: Pattern) -> Tensor:
    """A field [batch, *sizes, features] on the diagonals of a pattern, averaged over neurons that do not go out:
    [batch, one size for each letter of `pattern.kept`, features]."""
    word, kept = pattern.before, pattern.kept
    if word == kept:
        return values
    last = max(word) + 1
    if len(set(word)) == len(word):
        return values.mean([1 + place for place, letter in enumerate(word) if letter not in kept])
    summed = torch.einsum(values, [last, *word, last + 1], [last, *kept, last + 1])
    sizes = dict(zip(word, values.shape[1:-1], strict=True))
    return summed / math.prod(size for letter, size in sizes.items() if letter not in kept)


def spread(values: Tensor, pattern: Pattern, sizes: Sequence[int]) -> Tensor:
    """What `mean_over` gives, at all neurons of the field that goes out, in a shape that broadcasts against it."""
    word, kept = pattern.after, pattern.kept
    if word == kept:
        return values
    letters = list(dict.fromkeys(word))
    own = [letter for letter in letters if letter in kept]
    values = values.permute(0, *(1 + kept.index(letter) for letter in own), -1)
    of = dict(zip(word, sizes, strict=True))
    values = values.reshape(len(values), *(of[letter] if letter in own else 1 for letter in letters), values.shape[-1])
    if len(letters) == len(word):
        return values
    # A letter that stands several times: entries off the diagonal are zero.
    places = [letters.index(letter) for letter in word]
    shape = [1 if places.count(place) == 1 else of[letters[place]] for place in places]
    first = [places.index(place) == number for number, place in enumerate(places)]
    values = values.reshape(
        len(values), *(values.shape[1 + place] if here else 1 for place, here in zip(places, first, strict=True)), -1
    )
    mask = values.new_ones([1] * len(word))
    for number, here in enumerate(first):
        if not here:
            earlier = places.index(places[number])
            eye = torch.eye(of[word[number]], dtype=values.dtype, device=values.device)
            mask = mask * eye.reshape([of[word[number]] if at in (earlier, number) else 1 for at in range(len(word))])
    return values * mask.expand(shape)[None, ..., None]
