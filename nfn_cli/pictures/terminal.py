"""Pictures in the terminal: two pixels a character, by half blocks in colour, or by shades where there is none."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch.nn.functional as F
from torch import Tensor

from nfn_cli.pictures.caption import one_line
from nfn_cli.pictures.pixels import opaque_pixels

if TYPE_CHECKING:
    from rich.text import Text

_UPPER = "▀"
_SHADES = " ░▒▓█"
_GAP = 2

_Pixels = list[list[tuple[int, int, int]]]


def terminal_lines(
    pictures: Sequence[Tensor], captions: Sequence[str], width: int, *, colours: bool = True
) -> list[Text]:
    """Lines that show pictures side by side, as many in a row as the width allows, each with its caption below.

    Args:
        pictures: [channels, height, width] each, in [0, 1]; see `pixels_of` for the channels. What is wider than the
            terminal is shrunk to its width.
        captions: one a picture, cut where it is wider.
        width: of the terminal, in characters.
        colours: whether it has any; otherwise a character is as light as its two pixels on average.
    """
    from rich.cells import set_cell_size
    from rich.text import Text

    lines: list[Text] = []
    width = max(1, width)
    shown = [_shrunk(picture, width) for picture in pictures]
    widest = max((len(pixels[0]) for pixels in shown), default=1)
    columns = max(1, (width + _GAP) // (widest + _GAP))
    for start in range(0, len(shown), columns):
        some = shown[start : start + columns]
        high = max(len(pixels) for pixels in some)
        for row in range(0, high, 2):
            line = Text()
            for pixels in some:
                line.append_text(_line(pixels, row, widest) if colours else _shaded(pixels, row, widest))
                line.append(" " * _GAP)
            line.rstrip()
            lines.append(line)
        below = (set_cell_size(one_line(caption), widest) for caption in captions[start : start + columns])
        lines += [Text((" " * _GAP).join(below).rstrip()), Text()]
    return lines


def _shrunk(picture: Tensor, width: int) -> _Pixels:
    """Red, green and blue of a picture's pixels, row by row; of one that is too wide, of means over areas."""
    pixels = opaque_pixels(picture)
    height, own = pixels.shape[:2]
    if own > width:
        size = (max(1, round(height * width / own)), width)
        pixels = F.adaptive_avg_pool2d(pixels.permute(2, 0, 1).float(), size).round_().byte().permute(1, 2, 0)
    found: _Pixels = pixels.tolist()
    return found


def _line(pixels: _Pixels, row: int, width: int) -> Text:
    from rich.text import Text

    line = Text()
    if row < len(pixels):
        below = pixels[row + 1] if row + 1 < len(pixels) else None
        for column, (red, green, blue) in enumerate(pixels[row]):
            style = f"rgb({red},{green},{blue})"
            if below is not None:
                style += " on rgb({},{},{})".format(*below[column])
            line.append(_UPPER, style)
    line.append(" " * (width - len(line)))
    return line


def _shaded(pixels: _Pixels, row: int, width: int) -> Text:
    from rich.text import Text

    both = pixels[row : row + 2]
    shades = [
        _SHADES[round(sum(sum(own[column]) for own in both) / (765 * len(both)) * (len(_SHADES) - 1))]
        for column in range(len(both[0]) if both else 0)
    ]
    return Text("".join(shades).ljust(width))
