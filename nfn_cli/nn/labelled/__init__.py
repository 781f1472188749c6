"""Equivariant and invariant layers for any architecture on labels, derived from its labels and scale equations.

>>> import torch
>>> from torch import nn
>>> from nfn_cli.nn import assert_equivariant
>>> model = nn.Sequential(nn.Linear(2, 8), nn.GELU(), nn.Linear(8, 3))
>>> layout = LabelledLayout.from_module(model)
>>> layer = LabelledLinear(layout, layout.features, [4] * len(layout.fields))
>>> assert_equivariant(layer, layout)
"""

from nfn_cli.nn.labelled.acting import FieldAction, monomial
from nfn_cli.nn.labelled.activation import LabelledActivation
from nfn_cli.nn.labelled.commutant import Commutant
from nfn_cli.nn.labelled.field import Coordinate, LabelledField, Piece
from nfn_cli.nn.labelled.invariant import LabelledInvariant
from nfn_cli.nn.labelled.layout import LabelledLayout
from nfn_cli.nn.labelled.linear import LabelledLinear, Term, terms
from nfn_cli.nn.labelled.patterns import Pattern, patterns

__all__ = [
    "Commutant",
    "Coordinate",
    "FieldAction",
    "LabelledActivation",
    "LabelledField",
    "LabelledInvariant",
    "LabelledLayout",
    "LabelledLinear",
    "Pattern",
    "Piece",
    "Term",
    "monomial",
    "patterns",
    "terms",
]
