"""Ways back: a later layer may add the neurons that an earlier one gave, as a U-Net does."""

from __future__ import annotations

from nfn_cli.architectures.joints.outline import Doubts, Outline


def fix_ways_back(outline: Outline, doubts: Doubts) -> None:
    """A layer further on may add the neurons that an earlier one gave, once fewer have been between them: a U-Net.

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
