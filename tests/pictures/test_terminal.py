"""Drawings in the terminal, read back from the colours of their characters."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence

import pytest
import torch
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text
from torch import Tensor

from nfn_cli.pictures import terminal_lines
from nfn_cli.pictures.pixels import opaque_pixels


def colours(line: Text) -> list[tuple[tuple[int, ...], tuple[int, ...] | None] | None]:
    """Of every character, the colours of its upper and lower half; None where it is blank."""
    found: list[tuple[tuple[int, ...], tuple[int, ...] | None] | None] = [None] * len(line)
    for span in line.spans:
        upper, _, lower = str(span.style).partition(" on ")
        halves = [tuple(map(int, re.findall(r"\d+", half))) for half in (upper, lower) if half]
        for place in range(span.start, span.end):
            assert line.plain[place] == "▀"
            found[place] = (halves[0], halves[1] if len(halves) > 1 else None)
    return found


def read_back(lines: Sequence[Text], left: int, height: int, width: int) -> Tensor:
    """Pixels [height, width, 3] of a drawing that begins in the column `left`."""
    rows: list[list[tuple[int, ...] | None]] = []
    for line in lines[: (height + 1) // 2]:
        some = colours(line)[left : left + width]
        assert len(some) == width and all(pair is not None for pair in some)
        rows.append([pair[0] for pair in some if pair])
        rows.append([pair[1] for pair in some if pair])
    if height % 2:
        assert rows.pop() == [None] * width
    return torch.tensor(rows)


@pytest.mark.parametrize("size", [(6, 5), (5, 6), (1, 1), (28, 28)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_every_pixel_is_half_a_character(size: tuple[int, int], channels: int) -> None:
    picture = torch.rand(channels, *size)
    lines = terminal_lines([picture], ["net"], 100)
    expected = opaque_pixels(picture)
    assert torch.equal(read_back(lines, 0, *expected.shape[:2]), expected.long())
    assert lines[(size[0] + 1) // 2].plain == "net"[: size[1] * (2 if channels == 2 else 1)]


def test_a_dark_top_and_a_bright_bottom_come_out_that_way() -> None:
    (line, *_) = terminal_lines([torch.tensor([[[0.0], [1.0]]])], [""], 80)
    assert colours(line) == [((0, 0, 0), (255, 255, 255))]


def test_channels_are_colours_on_white_paper_or_gray_panels() -> None:
    assert opaque_pixels(torch.tensor([0.2, 0.4, 0.6]).view(3, 1, 1)).tolist() == [[[51, 102, 153]]]
    half = torch.tensor([0.0, 0.2, 1.0, 0.6]).view(4, 1, 1)
    assert opaque_pixels(half).tolist() == [[[102, 133, 255]]]  # 255 · 0.4 + 0.6 · the colour
    assert opaque_pixels(torch.tensor([0.2, 0.4]).view(2, 1, 1)).tolist() == [[[51] * 3, [102] * 3]]


def test_pictures_stand_side_by_side_as_the_width_allows() -> None:
    pictures = [torch.rand(1, 4, 10) for _ in range(5)]
    names = [f"net-{number}" for number in range(5)]
    lines = terminal_lines(pictures, names, 34)  # three of ten characters, and two gaps of two
    captions = [line.plain.split() for line in lines if "net" in line.plain]
    assert captions == [names[:3], names[3:]]
    for number, picture in enumerate(pictures):
        row, column = divmod(number, 3)
        found = read_back(lines[row * 4 :], column * 12, 4, 10)
        assert torch.equal(found, opaque_pixels(picture).long())
    assert len(terminal_lines(pictures, names, 33)) > len(lines)  # two in a row
    assert max(cell_len(line.plain) for line in lines) <= 34


def test_pictures_of_several_sizes_share_a_row() -> None:
    pictures = [torch.rand(1, 2, 3), torch.rand(1, 6, 5)]
    lines = terminal_lines(pictures, ["a", "b"], 80)
    for left, picture in ((0, pictures[0]), (7, pictures[1])):
        assert torch.equal(read_back(lines, left, *picture.shape[1:]), opaque_pixels(picture).long())
    assert lines[3].plain == "a      b"


def test_what_is_too_wide_is_shrunk_to_the_width() -> None:
    picture = torch.zeros(1, 40, 80)
    picture[:, :, 40:] = 1
    lines = terminal_lines([picture], ["net"], 20)
    found = read_back(lines, 0, 10, 20)
    assert found[:, :10].max() == 0 and found[:, 10:].min() == 255
    assert max(len(line) for line in lines) == 20


@pytest.mark.parametrize("width", [0, 1, 2, 79])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    names = ["重み" * 20, "a\x1b[2J\nb", ""]
    for colour in (True, False):
        lines = terminal_lines([torch.rand(1, 5, 30)] * 3, names, width, colours=colour)
        assert max(cell_len(line.plain) for line in lines) <= max(1, width)
        assert not any("\x1b" in line.plain or "\n" in line.plain for line in lines)


def test_without_colours_characters_are_as_light_as_the_pixels() -> None:
    levels = torch.tensor([0, 0.25, 0.5, 0.75, 1])
    picture = levels.expand(1, 2, 5)
    line, caption, blank = terminal_lines([picture], ["net"], 80, colours=False)
    assert (line.plain, caption.plain, blank.plain) == (" ░▒▓█", "net", "")
    assert not line.spans
    half = torch.tensor([[[0.0, 1.0], [1.0, 1.0]]])
    assert terminal_lines([half], ["a"], 80, colours=False)[0].plain == "▒█"


def test_a_terminal_of_24_bit_colour_gets_the_very_colours() -> None:
    lines = terminal_lines([torch.tensor([[[0.2], [0.4]]])], [""], 80)
    out = io.StringIO()
    Console(file=out, force_terminal=True, color_system="truecolor").print(lines[0])
    assert "38;2;51;51;51;48;2;102;102;102m▀" in out.getvalue()


def test_no_picture_gives_no_line() -> None:
    assert terminal_lines([], [], 80) == []
