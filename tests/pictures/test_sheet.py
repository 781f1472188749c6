"""Contact sheets: where pictures and captions stand, what channels become, and files that are whole or not there."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
import torch
from torch import Tensor

from nfn_cli.errors import CheckpointError, UsageError
from nfn_cli.pictures import Caption, contact_sheet, picture_image, png_bytes, save_png
from nfn_cli.pictures.sheet import GAP, LINE

Image = pytest.importorskip("PIL.Image")

WHITE = (255, 255, 255)


def pixels(image: object) -> Tensor:
    """[height, width, 3], or [height, width] of a gray one."""
    import numpy as np

    return torch.from_numpy(np.array(image))


def flat(value: float, height: int = 4, width: int = 6) -> Tensor:
    return torch.full((1, height, width), value)


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB"), (4, "RGBA")])
def test_a_single_picture_has_the_mode_of_its_channels(channels: int, mode: str) -> None:
    picture = torch.rand(channels, 3, 5)
    image = picture_image(picture)
    assert (image.mode, image.size) == (mode, (5, 3))
    found = pixels(image).view(3, 5, channels)
    assert torch.equal(found, (picture * 255).round().byte().permute(1, 2, 0))


@pytest.mark.parametrize("channels", [2, 5])
def test_other_channels_stand_side_by_side_in_gray(channels: int) -> None:
    picture = torch.rand(channels, 3, 4)
    image = picture_image(picture)
    assert (image.mode, image.size) == ("L", (4 * channels, 3))
    for number, panel in enumerate(pixels(image).split(4, dim=1)):
        assert torch.equal(panel, (picture[number] * 255).round().byte())


def test_scale_repeats_every_pixel() -> None:
    picture = torch.rand(3, 2, 3)
    found = pixels(picture_image(picture, scale=4))
    assert torch.equal(found, pixels(picture_image(picture)).repeat_interleave(4, 0).repeat_interleave(4, 1))


def test_pictures_stand_row_by_row_on_white_paper() -> None:
    sheet = contact_sheet([flat(value) for value in (0, 0.2, 0.4, 0.6, 0.8)], columns=2)
    assert sheet.size == (2 * (6 + GAP) + GAP, 3 * (4 + GAP) + GAP)
    found = pixels(sheet)
    white = torch.ones(found.shape[:2], dtype=torch.bool)
    for number, level in enumerate((0, 51, 102, 153, 204)):
        top, left = GAP + number // 2 * (4 + GAP), GAP + number % 2 * (6 + GAP)
        assert bool((found[top : top + 4, left : left + 6] == level).all())
        white[top : top + 4, left : left + 6] = False
    assert bool((found[white] == 255).all())


def test_without_a_frame_pictures_touch() -> None:
    found = pixels(contact_sheet([flat(0), flat(1)], columns=2, frame=False))
    assert found.shape == (4, 12, 3)
    assert found[:, :6].max() == 0 and found[:, 6:].min() == 255


@pytest.mark.parametrize(("count", "size"), [(1, (4, 4)), (9, (4, 4)), (10, (4, 4)), (30, (8, 2)), (30, (2, 8))])
def test_a_sheet_is_about_square_unless_told(count: int, size: tuple[int, int]) -> None:
    width, height = contact_sheet([flat(0, *size)] * count).size
    assert 0.5 < width / height < 2
    wide = contact_sheet([flat(0, *size)] * count, columns=100)
    assert wide.size == (count * (size[1] + GAP) + GAP, size[0] + 2 * GAP)


def test_what_is_transparent_shows_the_paper() -> None:
    picture = torch.zeros(4, 1, 3)
    picture[3, 0] = torch.tensor([0, 0.4, 1])
    assert pixels(contact_sheet([picture], frame=False))[0, :, 0].tolist() == [255, 153, 0]


def test_pictures_of_several_kinds_share_a_sheet() -> None:
    pictures = [torch.ones(channels, 4, 6) / 2 for channels in (1, 2, 3, 4)] + [flat(0, 2, 2)]
    sheet = contact_sheet(pictures, columns=5)
    assert sheet.size == (5 * (12 + GAP) + GAP, 4 + 2 * GAP)


def test_a_caption_stands_below_its_picture_in_its_colour() -> None:
    red, blue = (200, 0, 0), (0, 0, 200)
    captions = [Caption("wrong", red), Caption("right", blue)]
    found = pixels(contact_sheet([flat(0.5, 40, 40)] * 2, captions, columns=2)).int()
    below = found[GAP + 40 : GAP + 40 + LINE]
    left, right = below[:, : GAP + 40], below[:, GAP + 40 :]
    # Letters are smoothed towards white: of red ones the red stays highest, and is darkest at 200.
    for part, channel, others in ((left, 0, (1, 2)), (right, 2, (0, 1))):
        ink = part[(part < 255).any(-1)]
        assert len(ink) > 20
        assert all(bool((ink[:, channel] >= ink[:, other]).all()) for other in others)
    above = found[: GAP + 40]
    assert set(above.flatten().tolist()) <= {128, 255}


def test_captions_make_room_for_themselves_up_to_a_limit() -> None:
    narrow = contact_sheet([flat(0)] * 2, [Caption("a"), Caption("b")], columns=2)
    wider = contact_sheet([flat(0)] * 2, [Caption("a"), Caption("airplane 93%")], columns=2)
    widest = contact_sheet([flat(0)] * 2, [Caption("a"), Caption("airplane " * 100)], columns=2)
    wide = contact_sheet([flat(0, 4, 300)] * 2, [Caption("a"), Caption("airplane " * 100)], columns=2)
    assert narrow.width < wider.width < widest.width < 320
    assert wide.width == 2 * (300 + GAP) + GAP
    # The cut caption ends before the sheet does.
    assert bool((pixels(wide)[:, -GAP:] == 255).all())


@pytest.mark.parametrize("text", ["", "重み", "a\udcff", "line\nbreak\x1b[2J", "x" * 5000, "$x_1$ [red]"])
@pytest.mark.filterwarnings("error")
def test_every_name_can_be_drawn(text: str) -> None:
    sheet = contact_sheet([flat(0)], [Caption(text)])
    assert sheet.height == 4 + 2 * GAP + LINE
    assert png_bytes(sheet).startswith(b"\x89PNG")


def test_too_large_an_image_is_refused_before_it_is_made() -> None:
    with pytest.raises(UsageError, match="too large"):
        contact_sheet([flat(0, 1000, 1000)], scale=64)
    with pytest.raises(UsageError, match="too large"):
        contact_sheet([flat(0, 1, 6000)] * 20, columns=20)
    with pytest.raises(UsageError, match="too large"):
        picture_image(flat(0, 1, 70_000))


def test_a_file_holds_the_image_and_is_replaced_only_on_demand(tmp_path: Path) -> None:
    path, picture = tmp_path / "a.png", torch.rand(3, 4, 4)
    save_png(path, picture_image(picture))
    assert torch.equal(pixels(Image.open(io.BytesIO(path.read_bytes()))), pixels(picture_image(picture)))
    with pytest.raises(CheckpointError, match="--overwrite"):
        save_png(path, picture_image(flat(0)))
    assert pixels(Image.open(path)).shape == (4, 4, 3)
    save_png(path, picture_image(flat(0)), overwrite=True)
    assert pixels(Image.open(path)).shape == (4, 6)
    assert list(tmp_path.iterdir()) == [path]


def test_without_pillow_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    for draw in (lambda: contact_sheet([flat(0)]), lambda: picture_image(flat(0))):
        with pytest.raises(UsageError, match=r"needs Pillow; pip install 'nfn-cli\[render\]'"):
            draw()
