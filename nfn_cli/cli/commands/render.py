"""`nfn render`."""

from __future__ import annotations

import math
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nfn_cli.cli.failures import failure_lines, tell
from nfn_cli.cli.interrupts import interrupt_message
from nfn_cli.cli.options import INPUT, OUTPUT, ActivationOption, OverwriteOption, QuietOption, require_free, require_png
from nfn_cli.cli.progress.bars import Progress
from nfn_cli.cli.sizes import parsed_size
from nfn_cli.cli.takes import Hidden, TwoNumbers, argument, option, takes
from nfn_cli.cli.terminal_pictures import print_pictures
from nfn_cli.errors import CheckpointError, NfnError, UsageError
from nfn_cli.phrases import assumption

if TYPE_CHECKING:
    from nfn_cli.pictures import Assumed, Drawn

_ASSUMED = {
    "activation": ("activation sin", "--activation"),
    "omega_0": ("omega_0 30", "omega_0 in a file beside it"),
    "value_range": ("black at -1 and white at 1", "--value-range"),
}
_PICTURE = "Picture"
_LARGEST_SIDE = 999_999  # `require_size` says what fits
_MOST_NETWORKS = 10_000
_MOST_IN_TERMINAL = 64
_LIMIT_HELP = (
    "Draw so many networks, the first ones. "
    f"[default: {_MOST_NETWORKS:,} on a sheet, {_MOST_IN_TERMINAL} in the terminal]"
)


@takes
def render(
    paths: Annotated[list[Path], argument("PATH", "INRs, folders of them, or packed files of a zoo.")],
    output: Annotated[
        Path | None,
        option(OUTPUT, "PNG to write; without it, draw in the terminal.", "--output", "-o", metavar="FILE.png"),
        Hidden("--out"),
    ] = None,
    size: Annotated[
        str, option(_PICTURE, "Height and width at which the networks are asked.", metavar="HxW"), TwoNumbers()
    ] = "28x28",
    scale: Annotated[int, option(_PICTURE, "Enlarge every pixel of a PNG so many times.", min=1, max=64)] = 1,
    columns: Annotated[int | None, option(_PICTURE, "Pictures in a row. [default: about square]", min=1)] = None,
    captions: Annotated[bool, option(_PICTURE, "File names below the pictures.", "--captions/--no-captions")] = False,
    value_range: Annotated[
        tuple[float, float] | None,
        option(INPUT, "What is black and what is white, over what the files say.", metavar="LOW HIGH"),
    ] = None,
    limit: Annotated[int | None, option(INPUT, _LIMIT_HELP, min=1)] = None,
    activation: ActivationOption = None,
    overwrite: OverwriteOption = False,
    quiet: QuietOption = False,
) -> None:
    """Draw the pictures in INRs, at any resolution.

    One network gives its picture, several a sheet. One output is gray, three are red, green and blue.

    Examples:
        nfn render digit.safetensors
        nfn render inrs/ --size 64x64 --limit 100 -o sheet.png
    """
    from nfn_cli.checkpoints import find_checkpoints
    from nfn_cli.pictures import DrawSettings, drawn, gathered, require_pillow, require_size

    height, width = parsed_size("--size", size, most=_LARGEST_SIDE)
    require_size(height, width)
    if value_range is not None and not (value_range[0] != value_range[1] and all(map(math.isfinite, value_range))):
        cause = "{:g} {:g} is no range".format(*value_range)
        raise UsageError("--value-range", cause, "give two different numbers, such as -1 1")
    if output is not None:
        require_png("--output", output)
        require_pillow("--output")
        require_free(output, overwrite=overwrite)
    most = (_MOST_NETWORKS if output else _MOST_IN_TERMINAL) if limit is None else limit
    failed: list[tuple[str, str]] = []
    assumed: Counter[Assumed] = Counter()

    def on_error(path: Path, error: NfnError) -> None:
        # Of a network in a packed file, its own name.
        own = error.subject if error.subject.startswith(str(path)) else str(path)
        failed.append((own, str(error) if own == error.subject else f"{path}: {error}"))

    def on_assumed(path: Path, what: Assumed) -> None:
        assumed[what] += 1

    settings = DrawSettings(height, width, value_range, activation, most + 1)
    with interrupt_message(lambda: "nothing was drawn"), Progress(quiet=quiet, stage="looking for files") as progress:
        files = progress.each("reading", find_checkpoints(paths))
        pictures = gathered(drawn(files, settings, on_error=on_error, on_assumed=on_assumed))
    for line in failure_lines(failed):
        tell(line)
    if not pictures:
        raise typer.Exit(CheckpointError.exit_code)
    if len(pictures) > most:
        pictures = pictures[:most]
        if limit is None:
            tell(f"the first {most:,} networks are drawn; see --limit")
    for what, count in assumed.items():
        told, place = _ASSUMED[what]
        tell(assumption(told, count, remedy=f"see {place}"))
    if output is None:
        print_pictures([own.pixels for own in pictures], [_caption(own) for own in pictures], sys.stdout)
    else:
        _write(output, pictures, columns, scale, captions=captions, overwrite=overwrite)
    if failed:
        raise typer.Exit(1)


def _write(
    path: Path, pictures: list[Drawn], columns: int | None, scale: int, *, captions: bool, overwrite: bool
) -> None:
    from nfn_cli.pictures import Caption, contact_sheet, picture_image, save_png

    if len(pictures) == 1 and not captions:
        image = picture_image(pictures[0].pixels, scale)
    else:
        below = [Caption(_caption(own)) for own in pictures] if captions else None
        image = contact_sheet([own.pixels for own in pictures], below, columns=columns, scale=scale)
    save_png(path, image, overwrite=overwrite)


def _caption(picture: Drawn) -> str:
    """The file's name without its suffix, and the place in a packed one."""
    file, mark, place = picture.path.rpartition("#")
    if mark and place.isdigit():
        return f"{Path(file).stem}#{place}"
    return Path(picture.path).stem
