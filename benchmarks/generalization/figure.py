"""Draw τ against the range of the scales, and beside it the sign flips."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from agreement import tau
from methods import METHODS
from results import Cache
from settings import Setting
from table import present, rankings

from nfn_cli.checkpoints.atomic import write_atomically
from nfn_cli.errors import UsageError

FIGURE_FILE = "figure.png"


def draw_figure(cache: Cache, ours: str) -> Path:
    """Write `figure.png` beside the results.

    Raises:
        UsageError: matplotlib is not installed.
        DataError, CheckpointError: the cache is empty or damaged, or the figure cannot be written.
    """
    try:
        import matplotlib
        from matplotlib.figure import Figure
    except ImportError as error:
        raise UsageError(FIGURE_FILE, "matplotlib is not installed", "pip install 'nfn-cli[bench]'") from error
    methods, settings = present(cache)
    panels = [[s for s in settings if s.activation == activation] for activation in ("relu", "tanh")]
    panels = [panel for panel in panels if panel]
    figure = Figure(figsize=(3 + 1.2 * sum(len(panel) for panel in panels), 4.2), layout="constrained", dpi=160)
    axes = figure.subplots(1, len(panels), sharey=True, squeeze=False, width_ratios=[len(panel) for panel in panels])
    # Ours stands out; the others keep their colours whichever of them are there.
    colours = dict(zip((name for name in METHODS if name != ours), matplotlib.color_sequences["tab10"], strict=False))
    for axis, panel in zip(axes[0], panels, strict=True):
        for name in methods:
            style: dict[str, Any] = {"color": colours.get(name, "black"), "linewidth": 2.6 if name == ours else 1.4}
            _draw_line(axis, cache, name, panel, style)
        _label(axis, panel)
    axes[0][0].set_ylabel("Kendall's τ on test runs")
    handles, labels = axes[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right center", frameon=False)
    path = cache.folder / FIGURE_FILE
    write_atomically(path, lambda temporary: figure.savefig(temporary, format="png"), overwrite=True)
    return path


def _draw_line(axis: Any, cache: Cache, name: str, panel: list[Setting], style: dict[str, Any]) -> None:
    cells = [(_place(setting, place), rankings(cache, name, setting)) for place, setting in enumerate(panel)]
    points = [(place, tau(cell)) for place, cell in cells if cell]
    places = [place for place, _ in points]
    values, lows, highs = ([getattr(found, part) for _, found in points] for part in ("value", "low", "high"))
    axis.plot(places, values, marker="o", markersize=4, label=METHODS[name].title, **style)
    axis.fill_between(places, lows, highs, color=style["color"], alpha=0.15, linewidth=0)


def _place(setting: Setting, number: int) -> float:
    return math.log10(setting.scale) if setting.activation == "relu" else number


def _label(axis: Any, panel: list[Setting]) -> None:
    places = [_place(setting, number) for number, setting in enumerate(panel)]
    if panel[0].activation == "relu":
        names = [f"{place:g}" if setting.moved else "none" for setting, place in zip(panel, places, strict=True)]
        axis.set_xlabel("log₁₀ of the largest scale")
        axis.set_title("ReLU, scales from U[1, s]")
    else:
        names = ["none" if not setting.moved else "flips" for setting in panel]
        axis.set_xlabel("symmetries")
        axis.set_title("tanh")
    axis.set_xticks(places, names)
    axis.margins(x=0.08)
    axis.grid(axis="y", alpha=0.3)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
