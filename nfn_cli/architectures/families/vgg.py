"""VGG with and without BatchNorms, as torchvision has it, and the one for small pictures with one linear layer.

Simonyan and Zisserman, https://arxiv.org/abs/1409.1556. Numbers in `features` tell where the poolings are: what lies
between two convolutions is the norm, the activation and, where there is room for one thing more, a pooling.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.families.family import ReferenceModule, Shapes
from nfn_cli.architectures.families.fitting import fitted
from nfn_cli.architectures.families.layers import convolution, pictures
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import name_of
from nfn_cli.architectures.families.scope import Scope

NAME = name_of(__name__)
_LONG = ("0", "3", "6")  # linear layers behind each other in torchvision's, with ReLU and dropout between


class VGG(nn.Module):
    """Convolutions 3×3 with ReLU, poolings between them, then one or three linear layers."""

    def __init__(self, scope: Scope) -> None:
        super().__init__()
        features = scope["features"]
        places, pools, self.norms = _layout(features) or ([], [], False)
        self.pools = pools
        layers: dict[str, nn.Module] = {}
        channels = features.size(f"{places[0]}.weight", 1)
        for place in places:
            layer = convolution(features, str(place), channels, 3, bias=True)
            layers[str(place)], channels = layer, layer.out_channels
            if self.norms:
                layers[str(place + 1)] = nn.BatchNorm2d(channels)
        self.features = nn.ModuleDict(layers)
        self._places = places
        if "classifier.weight" in scope:
            outputs, inputs = scope.shape("classifier.weight", 2)
            self.classifier: nn.Module = nn.Linear(inputs, outputs)
            self._long = False
        else:
            sizes = [scope["classifier"].shape(f"{place}.weight", 2) for place in _LONG]
            linear = {place: nn.Linear(size[1], size[0]) for place, size in zip(_LONG, sizes, strict=True)}
            self.classifier, inputs, self._long = nn.ModuleDict(linear), sizes[0][1], True
        self.side = math.isqrt(inputs // channels)
        if self.side * self.side * channels != inputs:
            raise Refusal(f"the first linear layer reads {inputs} features, not {channels} of a square each")

    def forward(self, x: Tensor) -> Tensor:
        for place, pool in zip(self._places, self.pools, strict=True):
            x = self.features[str(place)](x)
            x = F.relu(self.features[str(place + 1)](x) if self.norms else x)
            x = F.max_pool2d(x, 2, 2) if pool else x
        x = F.adaptive_avg_pool2d(x, self.side).flatten(1) if self.side > 1 else x.mean((2, 3))
        if not self._long:
            return self.classifier(x)
        first, second, last = (self.classifier[place] for place in _LONG)  # type: ignore[index]
        return last(F.relu(second(F.relu(first(x)))))


def _layout(features: Scope) -> tuple[list[int], list[bool], bool] | None:
    """The convolutions' numbers, whether a pooling is behind each, and whether BatchNorms are.

    None where the numbers leave no room for an activation behind each, or room for more than it and a pooling.
    """
    names = features.children()
    if not all(name.isdecimal() and name.isascii() and len(name) < 6 for name in names):
        return None
    numbers = sorted(map(int, names))
    norms = "1.running_mean" in features
    room = 3 if norms else 2
    places = [number for number in numbers if not norms or number - 1 not in numbers]
    gaps = [later - earlier for earlier, later in pairwise(places)]
    if places[:1] != [0] or any(gap not in (room, room + 1) for gap in gaps):
        return None
    return places, [*(gap > room for gap in gaps), True], norms


def _text(module: nn.Module) -> str:
    assert isinstance(module, VGG)
    linear = 3 if module._long else 1
    norms = " and BatchNorms" if module.norms else ""
    return f"VGG (torchvision's names), {len(module.pools)} convolutions{norms}, {linear} linear"


def from_shapes(shapes: Shapes) -> ReferenceModule | None:
    """A VGG by the names features.0, classifier.0 or classifier; as `Family.from_shapes`."""
    scope = Scope(shapes)
    first = tuple(shapes.get("features.0.weight", ()))
    if len(first) != 4 or first[2:] != (3, 3) or _layout(scope["features"]) is None or not scope.has("classifier"):
        return None
    if "classifier.weight" not in scope and set(scope["classifier"].children()) != set(_LONG):
        return None
    return fitted(
        NAME,
        lambda: VGG(Scope(shapes)),
        pictures(scope.size("features.0.weight", 1), 64 if "classifier.0.weight" in scope else 32),
        shapes,
        _text,
        (
            "the activation is ReLU, a free place between convolutions is a pooling of 2×2, "
            "and the linear layers read the pooled picture",
        ),
    )
