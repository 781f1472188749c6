"""`nfn render`: pictures of INRs as PNG files and in the terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY

Image = pytest.importorskip("PIL.Image")

Nfn = Callable[..., Any]

INRS = Path(__file__).parents[2] / "inrs"
RELU = Path(__file__).parents[2] / "samples" / "relu-1.safetensors"
TOLD = {"activation": "sin", "value_range": "-1 1"}


def coordinate(path: Path, channels: int = 1, **told: str | None) -> Path:
    """A network whose outputs are its row."""
    weight = torch.tensor([[1.0, 0.0]]).repeat(channels, 1)
    metadata = {key: value for key, value in (TOLD | told).items() if value is not None}
    save_file({"0.weight": weight, "0.bias": torch.zeros(channels)}, path, metadata=metadata)
    return path


def population(path: Path, count: int, **changes: Tensor) -> Path:
    generator = torch.Generator().manual_seed(0)
    tensors = {"0.weight": torch.randn(count, 1, 2, generator=generator), "0.bias": torch.zeros(count, 1)}
    save_file(tensors | changes, path, metadata=TOLD | {POPULATION_KEY: str(count)})
    return path


def levels(path: Path) -> list[int]:
    """Of the left edge of a picture, from top to bottom."""
    with Image.open(path) as image:
        return [image.convert("L").getpixel((0, row)) for row in range(image.height)]


@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (2, "L"), (3, "RGB"), (4, "RGBA"), (5, "L")])
def test_one_network_gives_its_picture(channels: int, mode: str, nfn: Nfn, tmp_path: Path) -> None:
    path, out = coordinate(tmp_path / "a.safetensors", channels), tmp_path / "a.png"
    finished = nfn("render", path, "-o", out, "--size", 3, 5)
    assert (finished.code, finished.out, finished.err) == (0, "", "")
    with Image.open(out) as image:
        assert image.mode == mode
        assert image.size == (5 if channels in (1, 3, 4) else 5 * channels, 3)
    assert levels(out) == [0, 128, 255]


def test_the_default_size_and_the_scale(nfn: Nfn, tmp_path: Path) -> None:
    path, out = coordinate(tmp_path / "a.safetensors"), tmp_path / "a.png"
    assert nfn("render", path, "-o", out).code == 0
    assert len(levels(out)) == 28
    assert nfn("render", path, "-o", out, "--size", 2, 3, "--scale", 4, "--overwrite").code == 0
    assert levels(out) == [0] * 4 + [255] * 4


def test_a_folder_and_a_packed_file_give_a_sheet(nfn: Nfn, tmp_path: Path) -> None:
    sizes = {}
    for name, inputs in {"folder": [INRS], "packed": [population(tmp_path / "p.safetensors", 12)]}.items():
        out = tmp_path / f"{name}.png"
        finished = nfn("render", *inputs, "-o", out)
        assert (finished.code, finished.err) == (0, "")
        sizes[name] = Image.open(out).size
    assert sizes["folder"] == sizes["packed"] == (4 * 32 + 4, 3 * 32 + 4) or sizes["folder"] == (3 * 32 + 4, 4 * 32 + 4)
    both = tmp_path / "both.png"
    assert nfn("render", INRS, tmp_path / "p.safetensors", "-o", both, "--columns", 24).code == 0
    assert Image.open(both).size == (24 * 32 + 4, 32 + 4)
    captioned = tmp_path / "captioned.png"
    assert nfn("render", INRS, "-o", captioned, "--columns", 3, "--captions").code == 0
    assert Image.open(captioned).height > 4 * 32 + 4


def test_shipped_inrs_show_what_they_were_fitted_to(nfn: Nfn, tmp_path: Path) -> None:
    # A digit is white on black, and in the middle.
    out = tmp_path / "a.png"
    assert nfn("render", INRS / "mnist-1.safetensors", "-o", out).code == 0
    with Image.open(out) as image:
        values = torch.tensor([[image.getpixel((column, row)) for column in range(28)] for row in range(28)])
    assert values.max() > 240 and values[7:21, 7:21].float().mean() > 4 * values[:4].float().mean() + 20


@pytest.mark.parametrize("where", ["metadata", "sidecar", "option"])
def test_the_range_of_values_is_found(where: str, nfn: Nfn, tmp_path: Path) -> None:
    told = {"value_range": "0 2"} if where == "metadata" else {"value_range": "-7 7"}
    path, out = coordinate(tmp_path / "a.safetensors", **told), tmp_path / "a.png"
    if where == "sidecar":
        (tmp_path / "a.yaml").write_text("value_range: [0, 2]\n")
    options = ["--value-range", 0, 2] if where == "option" else []
    finished = nfn("render", path, "-o", out, "--size", 3, 1, *options)
    assert (finished.code, finished.err) == (0, "")
    assert levels(out) == [0, 0, 128]


def test_a_range_from_white_to_black_inverts(nfn: Nfn, tmp_path: Path) -> None:
    path, out = coordinate(tmp_path / "a.safetensors"), tmp_path / "a.png"
    assert nfn("render", path, "-o", out, "--size", 3, 1, "--value-range", 1, -1).code == 0
    assert levels(out) == [255, 128, 0]


def test_what_is_assumed_is_said(nfn: Nfn, tmp_path: Path) -> None:
    path = coordinate(tmp_path / "a.safetensors", value_range=None)
    finished = nfn("render", path, "-o", tmp_path / "a.png", "--size", 3, 1)
    assert (finished.code, levels(tmp_path / "a.png")) == (0, [0, 128, 255])
    assert finished.err == "nfn: assumed: black at -1 and white at 1 (1 file does not say); see --value-range\n"
    weights = {"0.weight": torch.randn(4, 2), "1.weight": torch.randn(1, 4)}
    for number in range(2):
        save_file(weights, tmp_path / f"{number}.safetensors", metadata={"value_range": "-1 1", "omega_0": "30"})
    finished = nfn("render", *(tmp_path / f"{number}.safetensors" for number in range(2)), "-o", tmp_path / "b.png")
    assert finished.code == 0
    assert finished.err == "nfn: assumed: activation sin (2 files do not say); see --activation\n"


@pytest.mark.parametrize("told", ["", "1", "1 1", "a b", "nan 1", "0 inf", "1 2 3"])
def test_a_range_that_is_none_is_refused(told: str, nfn: Nfn, tmp_path: Path) -> None:
    path = coordinate(tmp_path / "a.safetensors", value_range=told)
    finished = nfn("render", path, "-o", tmp_path / "a.png")
    assert finished.code == 3 and finished.err.count("\n") == 1
    assert finished.err.startswith(f"nfn: {path}: value_range is {told!r}; ")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("options", "cause"),
    [
        (["--size", 0, 28], "is no size"),
        (["--size", -3, 28], "is no size"),
        (["--size", 100000, 100000], "too many"),
        (["--value-range", 1, 1], "1 1 is no range"),
        (["--value-range", "nan", 1], "nan 1 is no range"),
        (["--value-range", "-inf", "inf"], "-inf inf is no range"),
    ],
    ids=str,
)
def test_silly_options_get_one_line(options: list[object], cause: str, nfn: Nfn, tmp_path: Path) -> None:
    finished = nfn("render", INRS, "-o", tmp_path / "a.png", *options)
    assert (finished.code, finished.out) == (2, "")
    assert cause in finished.err and finished.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [["--size", 60, 60], ["--scale", 64, "--size", 400, 400]], ids=str)
def test_too_large_a_sheet_gets_one_line(
    options: list[object], nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = population(tmp_path / "p.safetensors", 30)
    monkeypatch.setattr("nfn_cli.pictures.gallery._MOST_NUMBERS", 100_000 if "--scale" not in options else 1 << 27)
    finished = nfn("render", path, "-o", tmp_path / "a.png", *options)
    assert finished.code == 2 and "too large" in finished.err and finished.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.pdf", "a", "inr.safetensors"])
def test_a_picture_is_a_png_file(name: str, nfn: Nfn, tmp_path: Path) -> None:
    finished = nfn("render", INRS, "-o", tmp_path / name)
    assert finished.code == 2 and ".png" in finished.err
    assert list(tmp_path.iterdir()) == []


def test_an_existing_picture_is_replaced_only_on_demand(nfn: Nfn, tmp_path: Path) -> None:
    out = tmp_path / "a.png"
    out.write_text("mine")
    finished = nfn("render", INRS, "-o", out)
    assert finished.code == 2 and "--overwrite" in finished.err and out.read_text() == "mine"
    assert nfn("render", INRS, "-o", out, "--overwrite").code == 0
    assert Image.open(out).width > 28


def test_a_full_disk_leaves_nothing_half_written(nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    finished = nfn("render", INRS, "-o", tmp_path / "a.png")
    assert finished.code == 3 and "No space left on device" in finished.err
    assert list(tmp_path.iterdir()) == []


def test_broken_inputs_get_a_line_each_and_stop_no_other(nfn: Nfn, tmp_path: Path) -> None:
    good, out = coordinate(tmp_path / "good.safetensors"), tmp_path / "a.png"
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(good.read_bytes()[:-3])
    broken = [RELU, cut, tmp_path / "missing.pt"]
    finished = nfn("render", RELU, good, cut, tmp_path / "missing.pt", "-o", out, "--size", 3, 3)
    assert finished.code == 1 and levels(out) == [0, 128, 255]
    lines = finished.err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith(f"nfn: {path}: ") for line, path in zip(lines, broken, strict=True))
    assert "is no picture" in lines[0]
    finished = nfn("render", *broken, "-o", tmp_path / "b.png")
    assert (finished.code, len(finished.err.splitlines())) == (3, 3)
    assert not (tmp_path / "b.png").exists()


def test_a_network_of_a_packed_file_that_is_not_finite_is_left_out(nfn: Nfn, tmp_path: Path) -> None:
    bias = torch.zeros(4, 1)
    bias[2] = float("nan")
    path = population(tmp_path / "p.safetensors", 4, **{"0.bias": bias})
    finished = nfn("render", path, "-o", tmp_path / "a.png", "--columns", 9)
    assert finished.code == 1 and finished.err.startswith(f"nfn: {path}#2: ") and finished.err.count("\n") == 1
    assert Image.open(tmp_path / "a.png").size == (3 * 32 + 4, 32 + 4)


def test_a_limit_is_obeyed_and_the_bound_is_told(nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = population(tmp_path / "p.safetensors", 9)
    finished = nfn("render", path, "-o", tmp_path / "a.png", "--limit", 4, "--columns", 9)
    assert (finished.code, finished.err) == (0, "")
    assert Image.open(tmp_path / "a.png").size == (4 * 32 + 4, 32 + 4)
    monkeypatch.setattr(sys.modules["nfn_cli.cli.commands.render"], "_MOST_NETWORKS", 5)
    finished = nfn("render", path, "-o", tmp_path / "b.png", "--columns", 9)
    assert (finished.code, finished.err) == (0, "nfn: the first 5 networks are drawn; see --limit\n")
    assert Image.open(tmp_path / "b.png").size == (5 * 32 + 4, 32 + 4)


def test_without_pillow_the_remedy_is_told(nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "PIL.Image", None)
    finished = nfn("render", INRS, "-o", tmp_path / "a.png")
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == "nfn: --output: needs Pillow; pip install 'nfn-cli[render]'\n"
    assert nfn("render", INRS / "mnist-1.safetensors").code == 0  # the terminal needs none


def test_without_a_file_it_is_drawn_as_text(nfn: Nfn, tmp_path: Path) -> None:
    path = coordinate(tmp_path / "ramp.safetensors")
    finished = nfn("render", path, "--size", 6, 4)
    assert (finished.code, finished.err) == (0, "")
    assert [line.rstrip() for line in finished.out.splitlines()] == ["", "▒▒▒▒", "████", "ramp", ""]


def test_a_terminal_gets_colours(nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"FORCE_COLOR": "1", "COLORTERM": "truecolor", "TERM": "xterm-256color"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    finished = nfn("render", coordinate(tmp_path / "ramp.safetensors"), "--size", 2, 1)
    assert finished.code == 0 and "38;2;0;0;0;48;2;255;255;255m▀" in finished.out
