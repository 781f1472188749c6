"""More contrast, against the plain algorithm."""

from __future__ import annotations

import pytest
import torch

from nfn_cli.errors import DataError
from nfn_cli.nn.inr.clahe import equalised, stronger_contrast
from nfn_cli.nn.names import EDITS


def plain_clahe(picture: list[list[int]], tiles: int) -> list[list[int]]:
    """OpenCV's algorithm in plain loops, for sides that the tiles divide and a clip limit of 1."""
    side = len(picture)
    tile = side // tiles
    limit = max(1, tile * tile // 256)
    maps = {}
    for row in range(tiles):
        for column in range(tiles):
            histogram = [0] * 256
            for y in range(row * tile, (row + 1) * tile):
                for x in range(column * tile, (column + 1) * tile):
                    histogram[picture[y][x]] += 1
            excess = sum(max(0, count - limit) for count in histogram)
            histogram = [min(count, limit) + excess // 256 for count in histogram]
            left = excess % 256
            level, apart = 0, max(1, 256 // left) if left else 1
            while level < 256 and left > 0:
                histogram[level] += 1
                level, left = level + apart, left - 1
            total, values = 0, []
            for count in histogram:
                total += count
                values.append(min(255, round(total * 255 / tile**2)))
            maps[row, column] = values
    result = []
    for y in range(side):
        line = []
        for x in range(side):
            top, left_of = y / tile - 0.5, x / tile - 0.5
            value = 0.0
            for row in (0, 1):
                for column in (0, 1):
                    i, j = int(top // 1) + row, int(left_of // 1) + column
                    share = (top % 1 if row else 1 - top % 1) * (left_of % 1 if column else 1 - left_of % 1)
                    own = maps[min(max(i, 0), tiles - 1), min(max(j, 0), tiles - 1)]
                    value += share * own[picture[y][x]]
            line.append(round(value))
        result.append(line)
    return result


@pytest.mark.parametrize("side", [12, 30])
def test_equalisation_is_that_of_the_plain_algorithm(side: int) -> None:
    generator = torch.Generator().manual_seed(0)
    levels = (torch.randn(3, side, side, generator=generator) * 20 + 90).round().clamp(0, 255).long()
    levels[2, : side // 2] = 17  # much to redistribute
    expected = torch.tensor([plain_clahe(picture, 3) for picture in levels.tolist()])
    assert (equalised(levels) - expected).abs().max() <= 1  # a half may be rounded either way


def test_contrast_grows_and_a_side_need_not_be_divisible() -> None:
    pictures = torch.randn(4, 1, 32, 31, generator=torch.Generator().manual_seed(0)) * 0.1
    found = stronger_contrast(pictures)
    assert found.shape == pictures.shape and found.abs().max() <= 1
    assert (found.std((1, 2, 3)) > 1.5 * pictures.std((1, 2, 3))).all()


def test_contrast_of_colours_is_refused() -> None:
    with pytest.raises(DataError, match="gray"):
        EDITS["contrast"](torch.zeros(1, 3, 9, 9))
