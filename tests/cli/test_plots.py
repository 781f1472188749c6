"""`--plot`: pictures of weights, whole or not at all."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

pytest.importorskip("matplotlib")

from nfn_cli.cli import plots

Nfn = Callable[..., Any]

SAMPLES = Path(__file__).parents[1] / "samples"
RELU = SAMPLES / "relu-1.safetensors"
PNG = b"\x89PNG\r\n\x1a\n"


def size(path: Path) -> tuple[int, int]:
    """Width and height of a PNG file."""
    data = path.read_bytes()
    assert data.startswith(PNG)
    assert data[12:16] == b"IHDR"
    assert data.endswith(b"IEND\xaeB`\x82")
    return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")


def commands(out: Path, picture: Path) -> dict[str, list[object]]:
    return {
        "inspect": ["inspect", RELU, "--plot", picture],
        "canonicalize": ["canonicalize", RELU, "-o", out, "--plot", picture],
    }


@pytest.fixture(params=["inspect", "canonicalize"])
def command(request: pytest.FixtureRequest, tmp_path: Path) -> list[object]:
    """A command that draws `tmp_path/a.png`."""
    return commands(tmp_path / "normal.safetensors", tmp_path / "a.png")[request.param]


def test_inspect_draws_every_layer(nfn: Nfn, tmp_path: Path) -> None:
    finished = nfn("inspect", RELU, "--plot", tmp_path / "a.png")
    assert (finished.code, finished.err) == (0, "")
    assert "conv1" in finished.out
    width, height = size(tmp_path / "a.png")
    assert width > 500 and height > 500


def test_canonicalize_draws_every_layer_before_and_after(nfn: Nfn, tmp_path: Path) -> None:
    out = tmp_path / "normal.safetensors"
    finished = nfn("canonicalize", RELU, "-o", out, "--plot", tmp_path / "a.png")
    assert (finished.code, finished.err) == (0, "")
    assert out.exists()
    width, height = size(tmp_path / "a.png")
    assert height > width  # four layers, two pictures each
    nfn("canonicalize", RELU, "-o", tmp_path / "other.safetensors")
    assert (tmp_path / "other.safetensors").read_bytes() == out.read_bytes()


def test_an_existing_picture_is_replaced_only_on_demand(nfn: Nfn, tmp_path: Path, command: list[object]) -> None:
    (tmp_path / "a.png").write_text("mine")
    finished = nfn(*command)
    assert finished.code == 3
    assert "--overwrite" in finished.err
    assert (tmp_path / "a.png").read_text() == "mine"
    assert not (tmp_path / "normal.safetensors").exists()
    assert nfn(*command, "--overwrite").code == 0
    size(tmp_path / "a.png")


@pytest.mark.parametrize("name", ["a.pdf", "a", "relu.safetensors"])
def test_a_picture_is_a_png_file(nfn: Nfn, tmp_path: Path, name: str) -> None:
    for arguments in commands(tmp_path / "normal.safetensors", tmp_path / name).values():
        finished = nfn(*arguments, "--overwrite")
        assert (finished.code, finished.out) == (2, "")
        assert ".png" in finished.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inputs", [[RELU, RELU], [SAMPLES]])
def test_there_is_one_picture_for_one_file(nfn: Nfn, tmp_path: Path, inputs: list[Path]) -> None:
    for arguments in (["inspect", *inputs], ["canonicalize", *inputs, "-o", tmp_path / "out"]):
        finished = nfn(*arguments, "--plot", tmp_path / "a.png")
        assert finished.code == 2
        assert "give a single file" in finished.err
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib_the_remedy_is_told(
    nfn: Nfn, tmp_path: Path, command: list[object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    finished = nfn(*command)
    assert (finished.code, finished.out) == (2, "")
    assert finished.err == "nfn: --plot: needs matplotlib; pip install 'nfn-cli[plot]'\n"
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_file_leaves_no_picture(nfn: Nfn, tmp_path: Path) -> None:
    bad = tmp_path / "bad.pt"
    bad.write_bytes(RELU.read_bytes()[:100])
    assert nfn("inspect", bad, "--plot", tmp_path / "a.png").code == 3
    assert nfn("canonicalize", bad, "-o", tmp_path / "b.pt", "--plot", tmp_path / "a.png").code == 3
    assert list(tmp_path.iterdir()) == [bad]


def test_a_full_disk_leaves_nothing_half_written(nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    finished = nfn("inspect", RELU, "--plot", tmp_path / "a.png")
    assert finished.code == 3
    assert "No space left on device" in finished.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "weight",
    [
        torch.randn(3, 2, 3),
        torch.randn(2, 3, 2, 2, 2),
        torch.zeros(4, 4),
        torch.randn(3000, 2),
        torch.randn(1, 5000).half(),
        torch.randn(4, 4).bfloat16(),
        torch.full((2, 2), 1e300, dtype=torch.float64),
    ],
    ids=lambda weight: f"{tuple(weight.shape)} {weight.dtype}",
)
def test_every_weight_can_be_drawn(weight: torch.Tensor) -> None:
    assert plots.draw([plots.Panel("layer", weight)], "net").startswith(PNG)


@pytest.mark.parametrize("name", ["$x_1$", "重み", "a\udcff", "[red]", "line\nbreak"])
@pytest.mark.filterwarnings("error")
def test_every_name_can_be_drawn(name: str) -> None:
    assert plots.draw([plots.Panel(name, torch.ones(2, 2))], name).startswith(PNG)


def test_layers_behind_a_batchnorm_are_drawn_as_the_file_has_them(nfn: Nfn, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(36, 2))
    torch.save(net.state_dict(), tmp_path / "net.pt")
    arguments = ["--activation", "relu", "--plot"]
    assert nfn("inspect", tmp_path / "net.pt", *arguments, tmp_path / "a.png").code == 0
    assert nfn("canonicalize", tmp_path / "net.pt", "-o", tmp_path / "n.pt", *arguments, tmp_path / "b.png").code == 0
    assert size(tmp_path / "b.png")[0] > 0
