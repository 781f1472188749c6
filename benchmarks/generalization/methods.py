"""The rows of the table. A method more is one entry of `METHODS`.

Learning rates are those of arXiv 2409.11697 for NP and HNP (1e-3), that of its authors for ScaleGMN (1e-3), and for all
others the better one of two on the calibration part. ProbeGen takes 1e-3, which was better than its authors' 3e-4 on
ReLU networks. ScaleGMN has 32 channels where its authors took 128, and ProbeGen 64 probes, the smaller one of its
authors' two settings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fitting import Fit, member, trees
from torch import Tensor, nn

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.nn import (
    ForwardPass,
    Layout,
    MonomialNFN,
    MonomialNFNSizes,
    MonomialProbe,
    MonomialProbeSizes,
    read_fields,
    read_unit_form,
)
from nfn_cli.nn.baselines import (
    PermutationNFN,
    ProbeGen,
    ScaleGMN,
    VectorMLP,
    read_statistics,
    read_tensors,
    read_weights,
)
from nfn_cli.nn.sized_fields import read_sized_fields

_RUN = ForwardPass((32, 32), stride=2)


@dataclass(frozen=True)
class Method:
    """A row.

    Attributes:
        title: at the head of the row.
        fit: see `fitting`.
        invariant: whether a network and its moved copy are the same to it, up to rounding. It is then fitted once for
            each activation, to the networks as they are, and measured in every setting.
    """

    title: str
    fit: Fit
    invariant: bool = False


def _statnn(architecture: Architecture, inputs: Sequence[Tensor]) -> nn.Module:
    return VectorMLP(inputs[0].shape[1])


def _flat_mlp(architecture: Architecture, inputs: Sequence[Tensor]) -> nn.Module:
    # With 1000 hidden units it would have twice the parameters of HNP.
    return VectorMLP(inputs[0].shape[1], hidden=256)


def _np(architecture: Architecture, inputs: Sequence[Tensor]) -> nn.Module:
    return PermutationNFN(architecture, "NP")


def _hnp(architecture: Architecture, inputs: Sequence[Tensor]) -> nn.Module:
    return PermutationNFN(architecture, "HNP")


def _scale_gmn(architecture: Architecture, inputs: Sequence[Tensor]) -> nn.Module:
    return ScaleGMN(architecture, channels=32)


def _probe_gen(architecture: Architecture, inputs: Sequence[Tensor]) -> nn.Module:
    return ProbeGen(architecture, _RUN, probes=64)


def _monomial_nfn(architecture: Architecture, inputs: Sequence[Tensor]) -> nn.Module:
    return MonomialNFN(Layout.of(architecture), MonomialNFNSizes())


def _monomial_nfn_unit_form(architecture: Architecture, inputs: Sequence[Tensor]) -> nn.Module:
    return MonomialNFN(Layout.of(architecture), MonomialNFNSizes(dropout=0.3, unit_form=True))


def _monomial_probe(architecture: Architecture, inputs: Sequence[Tensor]) -> nn.Module:
    return MonomialProbe(architecture, MonomialProbeSizes(), _RUN)


def _fields(point: NetworkWeights) -> list[Tensor]:
    return read_fields(Layout.of(point.architecture), point)


def _sized_fields(point: NetworkWeights) -> list[Tensor]:
    return read_sized_fields(Layout.of(point.architecture), point)


METHODS = {
    "statnn-mlp": Method("STATNN, MLP", member(_statnn, read_statistics, 1e-3, 1e-4)),
    "statnn-trees": Method("STATNN, boosted trees", trees(read_statistics, 0.1, 0.03)),
    "flat-mlp": Method("MLP on all weights", member(_flat_mlp, read_weights, 1e-3, 1e-4)),
    "np": Method("NP", member(_np, read_tensors, 1e-3)),
    "hnp": Method("HNP", member(_hnp, read_tensors, 1e-3)),
    "scale-gmn": Method("ScaleGMN", member(_scale_gmn, read_tensors, 1e-3), invariant=True),
    "probe-gen": Method("ProbeGen", member(_probe_gen, read_tensors, 1e-3), invariant=True),
    "monomial-nfn": Method("Monomial-NFN, unit norms", member(_monomial_nfn, _fields, 3e-3, 1e-3), invariant=True),
    "monomial-nfn-unit-form": Method(
        "Monomial-NFN, unit form", member(_monomial_nfn_unit_form, _sized_fields, 3e-3, 1e-3), invariant=True
    ),
    "monomial-probe": Method(
        "Monomial-Probe (ours)", member(_monomial_probe, read_unit_form, 3e-3, 1e-3), invariant=True
    ),
}
