"""Equivariant linear layers between fields of any architecture on labels.

For every pair of fields, the contractions, copies and broadcasts that keep permutations and scales (see `patterns`),
each with one matrix of features: their number does not depend on any width. With scales this generalises arXiv
2409.11697, equations 14 to 19, with permutations alone universal neural functionals (Zhou et al. 2024, arXiv
2402.05232).

>>> from nfn_cli.nn.labelled.layout import LabelledLayout
>>> layout = LabelledLayout.from_module(nn.Sequential(nn.Linear(2, 8), nn.ReLU(), nn.Linear(8, 3)))
>>> layer = LabelledLinear(layout, layout.features, [4, 4, 4])
>>> [tuple(values.shape) for values in layer([torch.ones(5, 8, 3), torch.ones(5, 8, 3), torch.ones(5, 3)])]
[(5, 8, 4), (5, 8, 4), (5, 4)]
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from nfn_cli.nn.labelled.contraction import mean_over, spread
from nfn_cli.nn.labelled.field import CONSTANT, LabelledField
from nfn_cli.nn.labelled.layout import LabelledLayout
from nfn_cli.nn.labelled.patterns import Pattern, patterns


@dataclass(frozen=True)
class Term:
    """One block of a layer.

    Attributes:
        source: the place of the field that comes in; None for a constant.
        target: of the one that goes out.
        pattern: which neurons are equal.
        key: of its matrix; terms of one key share it.
    """

    source: int | None
    target: int
    pattern: Pattern
    key: str


def terms(fields: Sequence[LabelledField], *, bias: bool = True, local: bool = False) -> list[Term]:
    """All blocks of an equivariant linear layer between weight spaces of one architecture.

    Args:
        bias: whether constants are among them, where something stays what it is under the whole group.
        local: leave out those that carry nothing from neuron to neuron, but for averages of all neurons.
    """
    found = []
    for target, after in enumerate(fields):
        blocks = {own.path[0] for own in after.coordinates}
        for source, before in enumerate(fields):
            if local and not any(own.path[0] in blocks for own in before.coordinates):
                continue
            for pattern in patterns(before, after):
                if pattern.kept or not local:
                    found.append(Term(source, target, pattern, f"{before.kind} | {pattern} | {after.kind}"))
        for pattern in patterns(CONSTANT, after) if bias else ():
            found.append(Term(None, target, pattern, f"1 | {pattern} | {after.kind}"))
    return found


class TermPlan:
    """Applies the blocks of a layer; those of one target and one key as one, to the average of what comes in.

    Args:
        fields: of the architecture.
        terms: see `terms`.
    """

    def __init__(self, fields: Sequence[LabelledField], terms: Sequence[Term]) -> None:
        self._sizes = [field.sizes for field in fields]
        grouped: dict[tuple[int, str, Pattern], list[int | None]] = {}
        for term in terms:
            grouped.setdefault((term.target, term.key, term.pattern), []).append(term.source)
        self._groups = [(target, key, pattern, tuple(own)) for (target, key, pattern), own in grouped.items()]

    def __call__(self, fields: Sequence[Tensor], weights: Mapping[str, Tensor], outputs: Sequence[int]) -> list[Tensor]:
        """Map fields [batch, *sizes, inputs] to fields [batch, *sizes, outputs].

        Args:
            weights: matrices [outputs, inputs] by key; blocks without one are left out.
            outputs: features of each field that goes out.
        """
        one = fields[0].new_ones(1, 1)

        @cache
        def average(sources: tuple[int | None, ...], pattern: Pattern) -> Tensor:
            own = [mean_over(one if source is None else fields[source], pattern) for source in sources]
            return own[0] if len(own) == 1 else torch.stack(own).mean(0)

        @cache
        def mapped(key: str, sources: tuple[int | None, ...], pattern: Pattern) -> Tensor:
            return nn.functional.linear(average(sources, pattern), weights[key])

        found: dict[int, Tensor] = {}
        for target, key, pattern, sources in self._groups:
            if key in weights:
                values = spread(mapped(key, sources, pattern), pattern, self._sizes[target])
                found[target] = found[target] + values if target in found else values
        shapes = [(len(fields[0]), *sizes, count) for sizes, count in zip(self._sizes, outputs, strict=True)]
        return [
            found[place].expand(shape) if place in found else one.new_zeros(shape) for place, shape in enumerate(shapes)
        ]


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
        self.terms = terms(layout.fields, bias=bias)
        self._plan = TermPlan(layout.fields, self.terms)
        fan_in: Counter[int] = Counter()
        for target, source, _ in {(term.target, term.source, term.key) for term in self.terms}:
            fan_in[target] += 1 if source is None else inputs[source]
        self.weights = nn.ParameterDict()
        for term in self.terms:
            shape = (outputs[term.target], 1 if term.source is None else inputs[term.source])
            name = self.name(term)
            if name not in self.weights:
                bound = fan_in[term.target] ** -0.5
                self.weights[name] = nn.Parameter(torch.empty(shape).uniform_(-bound, bound))
            elif tuple(self.weights[name].shape) != shape:
                raise ValueError(f"fields of kind {layout.fields[term.target].kind} differ in their features")

    def forward(self, fields: Sequence[Tensor]) -> list[Tensor]:
        """Map fields [batch, *sizes, inputs] to fields [batch, *sizes, outputs]."""
        return self._plan(fields, {term.key: self.matrix(term) for term in self.terms}, self.outputs)

    @staticmethod
    def name(term: Term) -> str:
        """Of the parameter of a block: its key without dots, which such a name has not."""
        return term.key.replace(".", "/")

    def matrix(self, term: Term) -> nn.Parameter:
        """The matrix [outputs, inputs] of a block; of a constant [outputs, 1]."""
        return self.weights[self.name(term)]
