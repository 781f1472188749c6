"""Skips over a bottleneck: a later layer may read the neurons of an earlier one as well, as in a U-Net."""

from __future__ import annotations

from nfn_cli.architectures.joints.outline import Doubts, Outline


def fix_ways_back(outline: Outline, doubts: Doubts) -> None:
    """A later layer with narrower ones before it may read the neurons of an earlier layer of its width too: a U-Net.

    Only where names do not count all the way from the one to the other.
    """
    last = len(outline.layers) - 1
    for place in range(last):
        width, kind = outline.layers[place].out_features, outline.layers[place].kind
        counted, narrower = True, False
        for later in range(place + 1, last):
            counted &= outline.linked(later - 1)
            layer = outline.layers[later]
            if layer.kind != kind:
                break
            if narrower and not counted and layer.out_features == width:
                what = f"{outline.layers[later + 1].name} may read the neurons of {outline.layers[place].name} as well"
                doubts.widths.setdefault(width, what)
                break
            narrower |= layer.out_features < width
