"""ResNets for small pictures, by the names of the common repositories: conv1, bn1, layer1.0.conv1, ..., linear.

Two shortcuts are known where the width grows. Option B is a convolution and a BatchNorm, `shortcut.0` and `shortcut.1`.
Option A has no tensors: zeros are put before and behind the channels. A network without any
shortcut has the same names and shapes as option A. The module computes both, so that its group holds for either.
"""

from __future__ import annotations

from torch import nn

from nfn_cli.architectures.families.family import ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import pictures
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.resnet import Names, ResNet, depths, is_activated_first
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)
_NAMES = Names("shortcut", "linear", padded=True)
_MARKS = ("conv1.weight", "bn1.weight", "layer1.0.conv1.weight", "layer1.0.bn1.weight", "linear.weight")
_COMMON = "the activation is ReLU, strides are 1, and 2 at the start of each further stage"
_PADDED = (
    "where the width grows, zeros are added to the shortcut, as many before as behind the channels, "
    "or there are no shortcuts at all: the group holds for both"
)


def _text(module: nn.Module) -> str:
    assert isinstance(module, ResNet)
    return f"CIFAR ResNet, shortcuts {'padded with zeros' if module.padded else 'by convolution'}, {depths(module)}"


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A post-activation ResNet with a head called `linear`; as `Family.from_shapes`."""
    scope = Scope(shapes)
    if not all(name in scope for name in _MARKS):
        return None
    if is_activated_first(scope):
        return None
    first = [scope[f"layer{number}"]["0"] for number in range(2, 2 + scope.count(2, "layer"))]
    padded = not any(block.has("shortcut") for block in first)
    return fitted(
        NAME,
        lambda: ResNet(Scope(shapes), _NAMES),
        pictures(scope.size("conv1.weight", 1), 32),
        shapes,
        _text,
        (_COMMON, _PADDED) if padded else (_COMMON,),
    )
