"""The families that names and shapes tell: convolutional networks, recurrent stacks, actor-critics."""

from __future__ import annotations

from collections.abc import Callable

from nfn_cli.architectures.families import (
    actor_critic,
    cifar_resnet,
    convnext,
    densenet,
    efficientnet,
    hf_resnet,
    mobilenet_v2,
    mobilenet_v3,
    preact_resnet,
    recurrent,
    resnet,
    unet,
    vgg,
)
from nfn_cli.architectures.families.family import Config, Family, ReferenceModule, Shapes
from nfn_cli.architectures.families.refusal import Refusal

CONVOLUTIONAL: tuple[Family, ...] = (
    resnet.FAMILY,
    cifar_resnet.FAMILY,
    preact_resnet.FAMILY,
    preact_resnet.WIDE_FAMILY,
    vgg.FAMILY,
    densenet.FAMILY,
    mobilenet_v2.FAMILY,
    mobilenet_v3.FAMILY,
    efficientnet.FAMILY,
    convnext.TORCHVISION_FAMILY,
    convnext.TIMM_FAMILY,
    convnext.HUGGING_FACE_FAMILY,
    hf_resnet.FAMILY,
    unet.FAMILY,
    recurrent.FAMILY,
    actor_critic.POLICY_FAMILY,
    actor_critic.TRUNK_FAMILY,
)


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
    for family in CONVOLUTIONAL:
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
