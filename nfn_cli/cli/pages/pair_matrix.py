"""All pairs of some networks as a matrix of coloured squares. No torch here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from nfn_cli.cli.pages.document import named, text

MOST = 60  # networks in a matrix
_SIDE, _LABEL, _LEAST = 16, 26, 300
_COLOURS = {
    "same": ("#1b7f5c", "the same function"),
    "rounded": ("#58b391", "the same after rounding"),
    "derived": ("#2a62b8", "derived: the darker, the higher the score"),
    "independent": ("#d9dee5", "independent"),
    "unknown": ("#e3b341", "cannot tell"),
}
_OTHER = ("none", "not compared")


@dataclass(frozen=True)
class Square:
    """What is said of two networks."""

    verdict: str
    score: float | None


def pair_matrix(paths: Sequence[str], squares: Mapping[tuple[str, str], Square]) -> str:
    """The matrix, its colours' meanings and the numbered names.

    Args:
        squares: by two paths, in either order.
    """
    size = _LABEL + _SIDE * len(paths)
    shapes = []
    for row, one in enumerate(paths):
        at = _LABEL + row * _SIDE
        shapes.append(f'<text x="{_LABEL - 4}" y="{at + 12}" text-anchor="end">{row + 1}</text>')
        shapes.append(f'<text x="{at + _SIDE / 2}" y="{_LABEL - 6}" text-anchor="middle">{row + 1}</text>')
        for column, other in enumerate(paths):
            square = squares.get((one, other)) or squares.get((other, one))
            if row == column:
                fill, opacity, about = "#8a94a3", 1.0, one
            elif square is None:
                fill, opacity, about = "none", 1.0, _OTHER[1]
            else:
                fill, opacity = _COLOURS[square.verdict][0], _opacity(square)
                about = square.verdict if square.score is None else f"{square.verdict}, score {square.score:.3f}"
            title = f"{row + 1} and {column + 1}: {about}" if row != column else f"{row + 1}: {about}"
            shapes.append(
                f'<rect x="{_LABEL + column * _SIDE + 1}" y="{at + 1}" width="{_SIDE - 2}" height="{_SIDE - 2}"'
                f' rx="2" fill="{fill}" fill-opacity="{opacity:.2f}" stroke="#8a94a3" stroke-width="0.5">'
                f"<title>{text(title)}</title></rect>"
            )
    # Drawn at its own size, and smaller only where the screen is.
    picture = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size} {size}" width="{size}" role="img"'
        f' aria-label="Which networks are related">{"".join(shapes)}</svg>'
    )
    met = {square.verdict for square in squares.values()}
    key = [(colour, words) for verdict, (colour, words) in _COLOURS.items() if verdict in met]
    if len(squares) < len(paths) * (len(paths) - 1) // 2:
        key.append(_OTHER)
    keys = "".join(f'<li><i style="background:{colour}"></i>{text(words)}</li>' for colour, words in key)
    names = "".join(f"<li>{named(path)}</li>" for path in paths)
    return f'<div class="scroll">{picture}</div><ul class="key">{keys}</ul><ol class="numbered">{names}</ol>'


def _opacity(square: Square) -> float:
    if square.verdict != "derived" or square.score is None:
        return 1.0
    return min(1.0, max(0.35, square.score))
