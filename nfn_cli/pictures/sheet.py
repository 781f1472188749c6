"""Contact sheets: many pictures side by side, with captions, as a PNG. Pillow is an extra, and imported to draw."""

from __future__ import annotations

import io
import math
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import Tensor

from nfn_cli.checkpoints import write_atomically
from nfn_cli.errors import UsageError
from nfn_cli.pictures.caption import Caption, one_line
from nfn_cli.pictures.pixels import PAPER, pixels_of

if TYPE_CHECKING:
    from PIL.Image import Image

GAP = 4  # pixels between pictures and around them
LINE = 13  # height of a caption
_WIDEST_CAPTION = 140  # pixels that a caption may take where its picture is narrower
_LARGEST_SIDE = 65_000  # PNG and Pillow end a little above
_MOST_PIXELS = 1 << 27


def require_pillow(option: str) -> None:
    """Check, before any work, that Pillow is there.

    Raises:
        UsageError: it is not; `option` needs it.
    """
    try:
        import PIL.Image  # noqa: F401
    except ImportError as error:
        raise UsageError(option, "needs Pillow", "pip install 'nfn-cli[render]'") from error


def picture_image(picture: Tensor, scale: int = 1) -> Image:
    """One picture, without paper around it: gray, RGB or RGBA as its channels are (see `pixels_of`).

    Args:
        picture: [channels, height, width], in [0, 1].
        scale: pixels of the image along each side of a picture's pixel.

    Raises:
        UsageError: Pillow is missing, or the image would be larger than a PNG can be.
    """
    require_pillow("pictures")
    from PIL import Image

    pixels = pixels_of(picture)
    height, width, channels = pixels.shape
    _require_room(width * scale, height * scale)
    image = Image.fromarray((pixels[..., 0] if channels == 1 else pixels).numpy())
    return image if scale == 1 else image.resize((width * scale, height * scale), Image.Resampling.NEAREST)


def contact_sheet(
    pictures: Sequence[Tensor],
    captions: Sequence[Caption] | None = None,
    *,
    columns: int | None = None,
    scale: int = 1,
    frame: bool = True,
) -> Image:
    """Pictures in rows on white paper.

    Args:
        pictures: [channels, height, width] each, in [0, 1], at least one; see `pixels_of` for the channels.
        captions: one a picture. A column is as wide as they need, up to 140 pixels; what is longer is cut.
        columns: pictures in a row; by default as many as make the sheet about square.
        scale: pixels of the sheet along each side of a picture's pixel.
        frame: leave paper around and between the pictures.

    Returns:
        An RGB image.

    Raises:
        UsageError: Pillow is missing, or the sheet would be larger than a PNG can be.
    """
    require_pillow("pictures")
    from PIL import Image, ImageDraw

    pen: Any = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    wide = max(picture.shape[2] * _panels(picture) for picture in pictures) * scale
    high = max(picture.shape[1] for picture in pictures) * scale
    gap = GAP if frame else 0
    cell = wide
    if captions:
        longest = max(math.ceil(pen.textlength(_drawable(caption.text))) for caption in captions)
        cell = max(wide, min(longest, _WIDEST_CAPTION))
    step = (cell + gap, high + gap + (LINE if captions else 0))
    columns = min(len(pictures), columns or max(1, round(math.sqrt(len(pictures) * step[1] / step[0]))))
    rows = -(-len(pictures) // columns)
    size = (columns * step[0] + gap, rows * step[1] + gap)
    _require_room(*size)
    sheet = Image.new("RGB", size, (PAPER, PAPER, PAPER))
    pen = ImageDraw.Draw(sheet)
    for number, picture in enumerate(pictures):
        left, top = gap + number % columns * step[0], gap + number // columns * step[1]
        image = picture_image(picture, scale)
        sheet.paste(image, (left, top), image if image.mode == "RGBA" else None)
        if captions:
            text = _cut(_drawable(captions[number].text), cell, pen)
            pen.text((left, top + high), text, fill=captions[number].colour)
    return sheet


def png_bytes(image: Image) -> bytes:
    """The image as a PNG file's contents."""
    buffer = io.BytesIO()
    image.save(buffer, format="PNG")
    return buffer.getvalue()


def save_png(path: Path, image: Image, *, overwrite: bool = False) -> None:
    """Write the image as a PNG file, whole or not at all.

    Raises:
        CheckpointError: the file exists (without `overwrite`) or cannot be written.
    """
    content = png_bytes(image)

    def write(temporary: Path) -> None:
        temporary.write_bytes(content)

    write_atomically(path, write, overwrite=overwrite)


def _panels(picture: Tensor) -> int:
    """Gray pictures that stand side by side for one picture."""
    return 1 if len(picture) in (1, 3, 4) else len(picture)


def _require_room(width: int, height: int) -> None:
    if max(width, height) > _LARGEST_SIDE or width * height > _MOST_PIXELS:
        cause = f"an image of {width:,} x {height:,} pixels is too large"
        raise UsageError("pictures", cause, "give fewer networks (--limit), or a smaller --size or --scale")


def _drawable(text: str) -> str:
    """The text as one line of letters that Pillow's own font has, the others as ?."""
    return one_line(text).encode("latin-1", "replace").decode("latin-1")


def _cut(text: str, width: int, pen: Any) -> str:
    """As much of a text as is not wider than so many pixels."""
    if pen.textlength(text) <= width:
        return text
    longest = bisect_right(range(len(text)), width, key=lambda length: pen.textlength(f"{text[:length]}..."))
    return f"{text[: max(0, longest - 1)]}..." if longest > 1 else text[:longest]
