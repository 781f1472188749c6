"""From files to pictures: every network once, in order, whatever is drawn together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from nfn_cli.checkpoints import POPULATION_KEY
from nfn_cli.errors import NfnError, UsageError
from nfn_cli.pictures import DrawSettings, drawn, gallery, gathered

TOLD = {"activation": "sin", "value_range": "-1 1"}


def weights(count: int, width: int = 4, seed: int = 0) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return {
        "0.weight": torch.randn(count, width, 2, generator=generator) / 10,
        "0.bias": torch.randn(count, width, generator=generator) / 10,
        "1.weight": torch.randn(count, 1, width, generator=generator) / 2,
        "1.bias": torch.randn(count, 1, generator=generator) / 4,
    }


def save(path: Path, tensors: dict[str, Tensor], place: int | None = None, **told: str) -> Path:
    """One network of a batch, or all of them as a packed file."""
    if place is None:
        count = str(len(tensors["0.weight"]))
        save_file(tensors, path, metadata=TOLD | told | {POPULATION_KEY: count})
    else:
        save_file({name: tensor[place].clone() for name, tensor in tensors.items()}, path, metadata=TOLD | told)
    return path


def draw(files: list[Path], **settings: Any) -> dict[str, Tensor]:
    def fail(path: Path, error: NfnError) -> None:
        raise AssertionError(error)

    return {own.path: own.pixels for own in drawn(files, DrawSettings(5, 6, **settings), on_error=fail)}


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Files of two architectures and two ranges in turn, and packed ones among them."""
    some = [
        save(tmp_path / f"a{place}.safetensors", weights(6), place, value_range=f"{-1 - place % 2} 1")
        for place in range(6)
    ]
    packed = save(tmp_path / "packed.safetensors", weights(7, seed=1))
    other = [save(tmp_path / f"b{place}.safetensors", weights(2, width=3, seed=2), place) for place in range(2)]
    return [*some[:3], other[0], packed, *some[3:], other[1]]


def test_every_network_is_drawn_in_order(files: list[Path]) -> None:
    found = draw(files)
    expected = [str(path) for path in files]
    expected[4:5] = [f"{files[4]}#{place}" for place in range(7)]
    assert list(found) == expected
    assert all(pixels.shape == (1, 5, 6) for pixels in found.values())
    assert len({tuple(pixels.flatten().tolist()) for pixels in found.values()}) == len(found)


@pytest.mark.parametrize(("networks", "numbers"), [(1, 1), (2, 60), (5, 100), (256, 1), (3, 1 << 24)])
def test_what_is_drawn_together_changes_no_picture(
    networks: int, numbers: int, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    alone = {name: pixels for path in files for name, pixels in draw([path]).items()}
    monkeypatch.setattr(gallery, "_TOGETHER", networks)
    monkeypatch.setattr(gallery, "_NUMBERS_TOGETHER", numbers)
    found = draw(files)
    assert list(found) == list(alone)
    assert all(torch.allclose(pixels, alone[name], rtol=0, atol=1e-5) for name, pixels in found.items())


def test_no_more_networks_than_the_limit(files: list[Path]) -> None:
    whole = draw(files)
    for limit in range(1, len(whole) + 2):
        found = draw(files, limit=limit)
        assert list(found) == list(whole)[:limit]
        assert all(torch.allclose(pixels, whole[name], rtol=0, atol=1e-5) for name, pixels in found.items())


def test_networks_of_a_packed_file_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    tensors = weights(5)
    tensors["1.bias"][2] = float("nan")
    tensors["0.weight"][4, 1, 1] = float("inf")
    path, errors = save(tmp_path / "packed.safetensors", tensors), []
    found = list(drawn([path], DrawSettings(), on_error=lambda _, error: errors.append(str(error))))
    assert [own.path for own in found] == [f"{path}#{place}" for place in (0, 1, 3)]
    assert [error.partition(":")[0] for error in errors] == [f"{path}#2", f"{path}#4"]


def test_what_nothing_tells_is_told(tmp_path: Path) -> None:
    path = tmp_path / "silent.safetensors"
    save_file({name: tensor[0] for name, tensor in weights(1).items()}, path)
    told: list[tuple[Path, str]] = []

    def draw_with(**settings: Any) -> Tensor:
        told.clear()
        options = DrawSettings(5, 6, **settings)
        (own,) = drawn([path], options, on_error=lambda *_: None, on_assumed=lambda *about: told.append(about))
        return own.pixels

    found = draw_with()
    assert told == [(path, "activation"), (path, "omega_0"), (path, "value_range")]
    path.with_suffix(".yaml").write_text("omega_0: 30")
    assert torch.equal(draw_with(activation="sin", value_range=(-1, 1)), found) and told == []
    assert not torch.equal(draw_with(activation="relu"), found) and told == [(path, "value_range")]


def test_a_gallery_that_is_too_large_is_refused(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = list(drawn(files, DrawSettings(5, 6), on_error=lambda *_: None))
    assert gathered(iter(pictures)) == pictures
    monkeypatch.setattr(gallery, "_MOST_NUMBERS", len(pictures) * 30 - 1)
    with pytest.raises(UsageError, match="too large together"):
        gathered(iter(pictures))
