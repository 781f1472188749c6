"""The monomial group: its elements, its action on weight space, and sampling from it.

>>> import torch
>>> from nfn_cli.symmetry import GroupElement
>>> flip = GroupElement((torch.tensor([1, 0]),), (torch.tensor([2.0, -3.0]).double(),))
>>> flip.compose(flip.inverse()).diagonals[0].tolist()
[1.0, 1.0]
"""

from nfn_cli.symmetry.action import act
from nfn_cli.symmetry.alignment import Alignment, Watch, align
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind, diagonal_kind, group_kind
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.inspection import GroupFacts, Inspection, LayerFacts, inspect_network, read_leniently
from nfn_cli.symmetry.normal_form import NormalForm, NormalFormSettings, normal_form
from nfn_cli.symmetry.preservation import Check
from nfn_cli.symmetry.sampling import sample_element
from nfn_cli.symmetry.stored_element import load_element, save_element
from nfn_cli.symmetry.transform import Source, TransformedTensors, read_source, transformed
from nfn_cli.symmetry.trial import Trial, plan_trial
from nfn_cli.symmetry.unit_scale import unit_scaled

__all__ = [
    "Alignment",
    "Check",
    "DiagonalKind",
    "GroupElement",
    "GroupFacts",
    "Inspection",
    "LayerFacts",
    "NormalForm",
    "NormalFormSettings",
    "Source",
    "TransformedTensors",
    "Trial",
    "Watch",
    "act",
    "align",
    "diagonal_kind",
    "group_kind",
    "inspect_network",
    "load_element",
    "normal_form",
    "plan_trial",
    "read_leniently",
    "read_source",
    "sample_element",
    "save_element",
    "transformed",
    "unit_scaled",
]
