"""Networks that read networks: equivariant and invariant layers, and the heads made of them.

>>> from nfn_cli.architectures import Layer, chain
>>> from nfn_cli.nn import Layout, MonomialNFN, MonomialNFNSizes
>>> mlp = chain([Layer("0", "linear", 2, 8, ()), Layer("1", "linear", 8, 3, ())], activation="tanh")
>>> model = MonomialNFN(Layout.of(mlp), MonomialNFNSizes(channels=4))
>>> [linear.weight.shape for linear in model.equivariant[0].maps]  # no size depends on the width 8
[torch.Size([4, 6]), torch.Size([4, 3])]

Importing the package imports no torch; the first use of a name does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nfn_cli.lazy import lazily

if TYPE_CHECKING:
    from nfn_cli.nn.accepted import Accepted as Accepted
    from nfn_cli.nn.accepted import AcceptedLayer as AcceptedLayer
    from nfn_cli.nn.choose import choose_head as choose_head
    from nfn_cli.nn.choose import folder_of_head as folder_of_head
    from nfn_cli.nn.choose import load_config as load_config
    from nfn_cli.nn.choose import load_head as load_head
    from nfn_cli.nn.choose import shipped_heads_of as shipped_heads_of
    from nfn_cli.nn.choose import task_of_head as task_of_head
    from nfn_cli.nn.ensemble import Ensemble as Ensemble
    from nfn_cli.nn.equivariance import act_on_fields as act_on_fields
    from nfn_cli.nn.equivariance import assert_equivariant as assert_equivariant
    from nfn_cli.nn.equivariance import assert_invariant as assert_invariant
    from nfn_cli.nn.equivariant import EquivariantActivation as EquivariantActivation
    from nfn_cli.nn.equivariant import MonomialLinear as MonomialLinear
    from nfn_cli.nn.forward_pass import ForwardPass as ForwardPass
    from nfn_cli.nn.head import Head as Head
    from nfn_cli.nn.head import HeadConfig as HeadConfig
    from nfn_cli.nn.head import read_head as read_head
    from nfn_cli.nn.head_folder import contents_of as contents_of
    from nfn_cli.nn.inr.coordinate_probe import CoordinateProbe as CoordinateProbe
    from nfn_cli.nn.inr.coordinate_probe import CoordinateProbeSizes as CoordinateProbeSizes
    from nfn_cli.nn.invariant import MonomialInvariant as MonomialInvariant
    from nfn_cli.nn.kinds import Kind as Kind
    from nfn_cli.nn.kinds import kind_of as kind_of
    from nfn_cli.nn.kinds import load_kind as load_kind
    from nfn_cli.nn.kinds import sizes_of as sizes_of
    from nfn_cli.nn.labelled import Commutant as Commutant
    from nfn_cli.nn.labelled import LabelledActivation as LabelledActivation
    from nfn_cli.nn.labelled import LabelledField as LabelledField
    from nfn_cli.nn.labelled import LabelledInvariant as LabelledInvariant
    from nfn_cli.nn.labelled import LabelledLayout as LabelledLayout
    from nfn_cli.nn.labelled import LabelledLinear as LabelledLinear
    from nfn_cli.nn.layout import Field as Field
    from nfn_cli.nn.layout import Layout as Layout
    from nfn_cli.nn.monomial_nfn import MonomialNFN as MonomialNFN
    from nfn_cli.nn.monomial_nfn import MonomialNFNSizes as MonomialNFNSizes
    from nfn_cli.nn.monomial_probe import MonomialProbe as MonomialProbe
    from nfn_cli.nn.monomial_probe import MonomialProbeSizes as MonomialProbeSizes
    from nfn_cli.nn.monomial_probe import read_unit_form as read_unit_form
    from nfn_cli.nn.names import EDITS as EDITS
    from nfn_cli.nn.names import HEAD_KINDS as HEAD_KINDS
    from nfn_cli.nn.names import TASKS as TASKS
    from nfn_cli.nn.ood_detector import OODDetector as OODDetector
    from nfn_cli.nn.tasks.accuracy import AccuracyDetails as AccuracyDetails
    from nfn_cli.nn.tasks.accuracy import Predictions as Predictions
    from nfn_cli.nn.tasks.classification import ClassDetails as ClassDetails
    from nfn_cli.nn.tasks.classification import Classification as Classification
    from nfn_cli.nn.tasks.editing import EditDetails as EditDetails
    from nfn_cli.nn.unit_fields import read_fields as read_fields
    from nfn_cli.shipped import models_folder as models_folder
    from nfn_cli.shipped import shipped_heads as shipped_heads
else:
    __getattr__, __dir__ = lazily(__name__)
