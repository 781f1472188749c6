"""Equivariant linear layers between fields of any architecture on labels.

For every pair of fields, the contractions, copies and broadcasts that keep permutations and scales (see `patterns`),
each with one matrix of features: their number does not depend on any width. With scales this generalises arXiv
2409.11697, equations 14 to 19, with permutations alone universal neural functionals (Zhou et al. 2024, arXiv 2402.05232).

>>> from nfn_cli.nn.labelled.layout import LabelledLayout
>>> layout = LabelledLayout.from_module(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3)))
>>> layer = LabelledLinear(layout, layout.features, [4, 4, 4])
>>> [tuple(values.shape) for values in layer([torch.ones(5, 8, 3), torch.ones(5, 8, 3), torch.ones(5, 3)])]
[(5, 8, 4), (5, 8, 4), (5, 4)]
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.nn.labelled.field import CONSTANT
from nfn_cli.nn.labelled.layout import LabelledLayout
from nfn_cli.nn.labelled.patterns import Pattern, patterns


@dataclass(frozen=True)
class Term:
    """One block of a layer.

    Attributes:
        source: the place of the field that comes in; None for a constant.
        target: of the one that goes out.
        pattern: which neurons are equal.
        key: of its matrix.
    """

    source: int | None
    target: int
    pattern: Pattern
    key: str


def terms(layout: LabelledLayout, *, bias: bool = True) -> list[Term]:
    """All blocks of an equivariant linear layer between weight spaces of one architecture.

    Args:
        bias: whether constants are among them, where something stays what it is under the whole group.
    """
    found = []
    for target, after in enumerate(layout.fields):
        for source, before in enumerate(layout.fields):
            for pattern in patterns(before, after):
                found.append(Term(source, target, pattern, f"{before.kind} | {pattern} | {after.kind}"))
        for pattern in patterns(CONSTANT, after) if bias else ():
            found.append(Term(None, target, pattern, f"1 | {pattern} | {after.kind}"))
    return found


class LabelledLinear(nn.Module):
    """Every linear map between weight spaces of one architecture that commutes with its group.

    Fields of one `kind` share their parameters (see `LabelledLayout.of`).

    Args:
        layout: the fields.
        inputs: features of each field that comes in; `layout.features` for a weight space itself.
        outputs: features of each field that goes out.
        bias: whether constants are added where the group allows it.

    Raises:
        ValueError: fields that share parameters have different features.
    """

    def __init__(
        self, layout: LabelledLayout, inputs: Sequence[int], outputs: Sequence[int], *, bias: bool = True
    ) -> None:
        super().__init__()
        self.layout, self.outputs = layout, tuple(outputs)
        self.terms = terms(layout, bias=bias)
        fan_in = Counter[int]()
        for term in self.terms:
            fan_in[term.target] += 1 if term.source is None else inputs[term.source]
        # Fields that share their parameters come in as an average.
        shared = Counter((term.target, term.key) for term in self.terms)
        self._shares = [1.0 / shared[term.target, term.key] for term in self.terms]
        self.weights = nn.ParameterDict()
        for term in self.terms:
            shape = (outputs[term.target], 1 if term.source is None else inputs[term.source])
            name = self.name(term)
            if name not in self.weights:
                bound = 1 / math.sqrt(fan_in[term.target])
                self.weights[name] = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
            elif tuple(self.weights[name].shape) != shape:
                raise ValueError(f"fields of kind {layout.fields[term.target].kind} differ in their features")

    def forward(self, fields: Sequence[Tensor]) -> list[Tensor]:
        """Map fields [batch, *sizes, inputs] to fields [batch, *sizes, outputs]."""
        reduced: dict[tuple[int | None, tuple[int, ...], tuple[int, ...]], Tensor] = {}
        found: list[Tensor | None] = [None] * len(self.layout.fields)
        for term, share in zip(self.terms, self._shares, strict=True):
            key = (term.source, term.pattern.before, term.pattern.kept)
            if key not in reduced:
                own = fields[0].new_ones(1, 1) if term.source is None else fields[term.source]
                reduced[key] = mean_over(own, term.pattern)
            weight = self.matrix(term)
            values = nn.functional.linear(reduced[key], weight if share == 1 else weight * share)
            values = spread(values, term.pattern, self.layout.fields[term.target].sizes)
            before = found[term.target]
            found[term.target] = values if before is None else before + values
        batch = len(fields[0])
        return [self._whole(values, number, fields[0], batch) for number, values in enumerate(found)]

    @staticmethod
    def name(term: Term) -> str:
        """Of the parameter of a block: its key without dots, which such a name has not."""
        return term.key.replace(".", "/")

    def matrix(self, term: Term) -> nn.Parameter:
        """The matrix [outputs, inputs] of a block; of a constant [outputs, 1]."""
        return self.weights[self.name(term)]

    def _whole(self, values: Tensor | None, number: int, like: Tensor, batch: int) -> Tensor:
        shape = (batch, *self.layout.fields[number].sizes, self.outputs[number])
        return like.new_zeros(shape) if values is None else values.expand(shape)


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
