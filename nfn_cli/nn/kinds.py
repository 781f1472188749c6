"""The kinds of heads: what their members are made of, by the name in `config.yaml`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nfn_cli.architectures import Architecture
from nfn_cli.errors import HeadError
from nfn_cli.nn.forward_pass import ForwardPass
from nfn_cli.nn.layout import Layout
from nfn_cli.nn.monomial_nfn import MonomialNFN, MonomialNFNSizes
from nfn_cli.nn.monomial_probe import MonomialProbe, MonomialProbeSizes

Sizes = MonomialNFNSizes | MonomialProbeSizes
HeadMember = MonomialNFN | MonomialProbe


@dataclass(frozen=True)
class Kind:
    """A kind of head.

    Attributes:
        title: for people, with its source.
        sizes: the class of its sizes.
        make: a member from an architecture that the head reads, sizes, and how networks are run.
        runs: whether it runs the networks, and so must know how.
        epochs: passes over the training networks that a member is fitted with, where nothing else is said.
    """

    title: str
    sizes: type[Sizes]
    make: Callable[[Architecture, Any, ForwardPass], HeadMember]
    runs: bool
    epochs: int


def _monomial_nfn(architecture: Architecture, sizes: MonomialNFNSizes, forward_pass: ForwardPass) -> MonomialNFN:
    return MonomialNFN(Layout.of(architecture), sizes)


def _monomial_probe(architecture: Architecture, sizes: MonomialProbeSizes, forward_pass: ForwardPass) -> MonomialProbe:
    reason = forward_pass.mismatch(architecture)
    if reason:
        raise HeadError(
            architecture.describe(), reason, "tell how the networks are run by --input-size, --stride and --padding"
        )
    return MonomialProbe(architecture, sizes, forward_pass)


KINDS = {
    "monomial-nfn": Kind("Monomial-NFN (arXiv 2409.11697)", MonomialNFNSizes, _monomial_nfn, runs=False, epochs=60),
    "monomial-probe": Kind(
        "Monomial-Probe (learned probes and invariant weight statistics)",
        MonomialProbeSizes,
        _monomial_probe,
        runs=True,
        epochs=20,
    ),
}


def kind_of(sizes: Sizes) -> str:
    """The name of the kind that has sizes of this class."""
    return next(name for name, kind in KINDS.items() if type(sizes) is kind.sizes)
