"""What names and shapes tell: convolutional networks, recurrent stacks, actor-critics. Just one family may answer."""

from __future__ import annotations

from collections.abc import Callable

from nfn_cli.architectures.families.family import Config, Family, ReferenceModule, Shapes
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import FAMILIES


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """The network of these names and shapes; None if it has the marks of none of these families.

    Raises:
        Refusal: it has the marks of a family, and is none of it, or is of two.
    """
    return _only(lambda family: family.from_shapes(shapes))


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network that a configuration names (Hugging Face's resnet and convnext, some of timm's); else None.

    Raises:
        Refusal: as `from_shapes`, or a field is not understood.
    """
    return _only(lambda family: family.from_config(config, shapes))


def _only(ask: Callable[[Family], ReferenceModule | None]) -> ReferenceModule | None:
    found, refusals = [], []
    for family in (own for own in FAMILIES if own.by_shapes):
        try:
            network = ask(family)
        except Refusal as refusal:
            refusals.append(refusal)
        else:
            found += [network] if network is not None else []
    if len(found) > 1:
        raise Refusal(f"nothing tells {' from '.join(network.family for network in found)}")
    if not found and refusals:
        raise refusals[0]
    return found[0] if found else None
