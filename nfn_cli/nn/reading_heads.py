"""Which heads read a network, and where none does, which comes nearest."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from nfn_cli.architectures import Architecture
from nfn_cli.nn.accepted import Accepted, nearest
from nfn_cli.symmetry import Inspection


@dataclass(frozen=True)
class HeadFacts:
    """Whether a head reads a network.

    Attributes:
        reason: why it does not.
        assumes: the activation under which it does, where no file says the network's.
        other_layers: whether it is for networks of other layers, which where some head reads this one says little.
    """

    name: str
    accepts: bool
    reason: str | None = None
    assumes: str | None = None
    other_layers: bool = False


def head_facts(inspection: Inspection, accepted: Mapping[str, Accepted]) -> tuple[tuple[HeadFacts, ...], str | None]:
    """What every head says of a network; and where none reads it, the one that comes nearest, and why it does not.

    Heads for any classifier say something where no head for certain layers reads it, as they are asked then.
    """
    special = {name: own for name, own in accepted.items() if not own.is_any}
    heads = tuple(_head(name, own, inspection) for name, own in special.items())
    if any(head.accepts for head in heads):
        return heads, None
    others = tuple(_any_head(name, own, inspection) for name, own in accepted.items() if own.is_any)
    if not heads or any(head.accepts for head in others):
        return (*heads, *others), None
    differences = {name: own.differences(_under(own, inspection)) for name, own in special.items()}
    # A head that reads the layers does not know what is beside them.
    beside = next((head.reason for head in heads if not differences[head.name]), None)
    return (*heads, *others), beside or nearest(differences)


def _any_head(name: str, accepted: Accepted, inspection: Inspection) -> HeadFacts:
    reason = accepted.mismatch(inspection.architecture)
    return HeadFacts(name, reason is None, reason, other_layers=reason is not None)


def _head(name: str, accepted: Accepted, inspection: Inspection) -> HeadFacts:
    architecture = _under(accepted, inspection)
    reason = accepted.mismatch(architecture)
    if reason is None and inspection.left:
        reason = f"it has more than layers ({', '.join(inspection.left)}), which no head knows"
    assumes = accepted.activation if reason is None and inspection.activation is None else None
    alike = Accepted.of(architecture).layers == accepted.layers
    return HeadFacts(name, reason is None, reason, assumes, not alike)


def _under(accepted: Accepted, inspection: Inspection) -> Architecture:
    """The architecture, with the head's activation where no file says the network's."""
    if inspection.activation is None:
        return inspection.architecture.with_activation(accepted.activation)
    return inspection.architecture
