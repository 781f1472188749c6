"""The monomial group: its elements, its action on weight space, and sampling from it.

>>> import torch
>>> from nfn_cli.symmetry import GroupElement
>>> flip = GroupElement((torch.tensor([1, 0]),), (torch.tensor([2.0, -3.0]).double(),))
>>> flip.compose(flip.inverse()).diagonals[0].tolist()
[1.0, 1.0]
"""

from nfn_cli.symmetry.action import act
from nfn_cli.symmetry.alignment import (
    Alignment,
    Watch,
    align,
    architecture_difference,
    beside_residuals,
    orbit_tolerance,
)
from nfn_cli.symmetry.diagonal_kinds import DiagonalKind, diagonal_kind, group_kind
from nfn_cli.symmetry.element import GroupElement
from nfn_cli.symmetry.inspection import GroupFacts, Inspection, LayerFacts, inspect_network, read_leniently
from nfn_cli.symmetry.normal_form import NormalForm, NormalFormSettings, normal_form
from nfn_cli.symmetry.preservation import (
    USUAL_INPUTS,
    Check,
    check_outputs,
    compare,
    compare_each,
    fitting_shape,
    output_tolerance,
    random_inputs,
)
from nfn_cli.symmetry.sampling import sample_element
from nfn_cli.symmetry.stored_element import load_element, save_element
from nfn_cli.symmetry.transform import Source, TransformedTensors, named_places, read_source, transformed
from nfn_cli.symmetry.trial import Trial, plan_trial
from nfn_cli.symmetry.unit_scale import unit_scaled

__all__ = [
    "USUAL_INPUTS",
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
    "architecture_difference",
    "beside_residuals",
    "check_outputs",
    "compare",
    "compare_each",
    "diagonal_kind",
    "fitting_shape",
    "group_kind",
    "inspect_network",
    "load_element",
    "named_places",
    "normal_form",
    "orbit_tolerance",
    "output_tolerance",
    "plan_trial",
    "random_inputs",
    "read_leniently",
    "read_source",
    "sample_element",
    "save_element",
    "transformed",
    "unit_scaled",
]
