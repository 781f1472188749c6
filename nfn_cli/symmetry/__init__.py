"""The monomial group: its elements, its action on weight space, and sampling from it.

>>> import torch
>>> from nfn_cli.symmetry import GroupElement
>>> flip = GroupElement((torch.tensor([1, 0]),), (torch.tensor([2.0, -3.0]).double(),))
>>> flip.compose(flip.inverse()).diagonals[0].tolist()
[1.0, 1.0]
"""

from nfn_cli.symmetry.action import act
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.kinds import DiagonalKind, diagonal_kind
from nfn_cli.symmetry.normal_form import NormalForm, NormalFormSettings, normal_form
from nfn_cli.symmetry.sampling import sample_element

__all__ = [
    "DiagonalKind",
    "GroupElement",
    "NormalForm",
    "NormalFormSettings",
    "act",
    "diagonal_kind",
    "normal_form",
    "sample_element",
]
