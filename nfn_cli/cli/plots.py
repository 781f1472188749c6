"""Heat maps of weights as a PNG file. matplotlib is an extra, and imported only to draw."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from nfn_cli.cli.options import OUTPUT, require_png
from nfn_cli.cli.takes import option
from nfn_cli.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

PlotOption = Annotated[
    Path | None, option(OUTPUT, "Draw heat maps of the weights, of a single file.", metavar="FILE.png")
]

_MOST_ENTRIES = 1024  # along a side of a panel: a picture has no more pixels than that
_MOST_INCHES = 600.0  # 60,000 pixels; PNG and matplotlib end at 65,536


@dataclass(frozen=True)
class Panel:
    """One heat map: a weight [out, in, *kernel], drawn as the matrix [out, in · kernel]."""

    title: str
    weight: Tensor


def check_plot(path: Path, inputs: Sequence[Path], *, overwrite: bool) -> None:
    """Refuse a picture that cannot be made, before any work.

    Raises:
        UsageError: not one input file, no name of a PNG file, or matplotlib is missing.
        CheckpointError: the file exists (without `overwrite`) or cannot be written.
    """
    if len(inputs) != 1 or os.path.isdir(inputs[0]):
        raise UsageError("--plot", "there is one picture for each file", "give a single file")
    require_png("--plot", path)
    _figure_class()
    from nfn_cli.checkpoints import require_writable

    require_writable(path, overwrite=overwrite)


def draw(panels: Sequence[Panel], title: str, columns: int | None = None) -> bytes:
    """Panels row by row, each with a colour scale of its own that is symmetric about zero.

    Args:
        columns: panels in a row; by default as many as make the picture about square, up to four.

    Returns:
        A PNG file.
    """
    columns = columns or min(4, math.ceil(math.sqrt(len(panels))))
    rows = math.ceil(len(panels) / columns)
    height = min(2.9, _MOST_INCHES / rows)
    with _default_style():
        # Without pyplot there is no window, no state, and no backend to choose: saving a PNG takes Agg.
        figure = _figure_class()(figsize=(4.4 * columns, height * rows + 0.5), layout="constrained", dpi=100)
        figure.suptitle(_text(title), parse_math=False)
        grid = figure.subplots(rows, columns, squeeze=False).flatten()
        for axes, panel in zip(grid, panels, strict=False):
            _draw_panel(figure, axes, panel)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        file = io.BytesIO()
        figure.savefig(file, format="png")
    return file.getvalue()


def write_plot(path: Path, picture: bytes, *, overwrite: bool) -> None:
    """Write a picture, whole or not at all.

    Raises:
        CheckpointError: the file exists (without `overwrite`) or cannot be written.
    """
    from nfn_cli.checkpoints import write_atomically

    def write(temporary: Path) -> None:
        temporary.write_bytes(picture)

    write_atomically(path, write, overwrite=overwrite)


def _draw_panel(figure: Any, axes: Any, panel: Panel) -> None:
    matrix = panel.weight.detach().flatten(1)
    bound = matrix.double().abs().max().item() or 1.0
    rows, columns = matrix.shape
    image = axes.imshow(
        _shrunk(matrix).numpy(),
        cmap="RdBu_r",
        vmin=-bound,
        vmax=bound,
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
    )
    figure.colorbar(image, ax=axes).ax.tick_params(labelsize=7)
    shape = "×".join(map(str, panel.weight.shape))
    axes.set_title(_text(f"{panel.title}  {shape}"), fontsize=10, parse_math=False)
    axes.set_xlabel("in · kernel" if panel.weight.ndim > 2 else "in", fontsize=8)
    axes.set_ylabel("out", fontsize=8)
    axes.tick_params(labelsize=7)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.yaxis.get_major_locator().set_params(integer=True)


def _shrunk(matrix: Tensor) -> Tensor:
    """As many entries a side as can be seen, every k-th of a larger matrix.

    Means of blocks would bleach a large matrix, and their extremes saturate it: both would show its size, not its
    weights.
    """
    rows, columns = (math.ceil(size / _MOST_ENTRIES) for size in matrix.shape)
    part = matrix[::rows, ::columns]
    return part if part.dtype.itemsize == 8 else part.float()


def _text(text: str) -> str:
    """What can be drawn: a file's name need not be text, and matplotlib's own font lacks many letters."""
    return text.encode("latin-1", "backslashreplace").decode("latin-1")


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError("--plot", "needs matplotlib", "pip install 'nfn-cli[plot]'") from error
    return Figure


def _default_style() -> Any:
    """matplotlib's own settings, whatever those of the user, so that a picture is the same everywhere."""
    from matplotlib import style

    return style.context("default")
