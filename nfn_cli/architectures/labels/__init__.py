"""Networks on labels: see `spec` for how tensors are read, `group` for the group.

`blocks` finds the permutations, `equations` the scales.
"""

from nfn_cli.architectures.labels.blocks import log10_order, solve_permutations
from nfn_cli.architectures.labels.equations import Equations, Terms
from nfn_cli.architectures.labels.group import AbsorbedGain, Block, Gauge, GaugeAction, LabelledArchitecture, Solutions
from nfn_cli.architectures.labels.permuting import permutation, random_places
from nfn_cli.architectures.labels.spec import NONE, LabelledTensor, Labels, Relations, Role, Stored, Use
from nfn_cli.architectures.labels.union import UnionFind

__all__ = [
    "NONE",
    "AbsorbedGain",
    "Block",
    "Equations",
    "Gauge",
    "GaugeAction",
    "LabelledArchitecture",
    "LabelledTensor",
    "Labels",
    "Relations",
    "Role",
    "Solutions",
    "Stored",
    "Terms",
    "UnionFind",
    "Use",
    "log10_order",
    "permutation",
    "random_places",
    "solve_permutations",
]
