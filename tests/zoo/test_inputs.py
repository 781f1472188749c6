"""Inputs for a network: images, or an array as it takes it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nfn_cli.errors import DataError
from nfn_cli.zoo.images import load_images
from nfn_cli.zoo.inputs import load_inputs


def test_an_array_is_taken_as_it_is(tmp_path: Path) -> None:
    array = np.random.default_rng(0).normal(size=(4, 3, 2))
    np.savez(tmp_path / "x.npz", x=array)
    assert torch.equal(load_inputs(str(tmp_path / "x.npz")), torch.from_numpy(array).float())


def test_images_are_scaled_as_for_a_zoo(tmp_path: Path) -> None:
    assert torch.equal(load_inputs("digits"), load_images("digits").train_images)
    pixels, labels = np.arange(48, dtype=np.uint8).reshape(3, 4, 4), np.array([0, 1, 2])
    np.savez(tmp_path / "images.npz", x_train=pixels, y_train=labels, x_test=pixels, y_test=labels)
    found = load_inputs(str(tmp_path / "images.npz"))
    assert found.shape == (3, 1, 4, 4)
    assert found[0, 0, 0, 0] == -1


@pytest.mark.parametrize(
    ("arrays", "cause"),
    [
        ({"x": np.zeros((3, 2), dtype=np.int64)}, "its x is of type int64"),
        ({"x": np.zeros(3)}, "and shape"),
        ({"x": np.full((2, 2), np.nan)}, "not finite"),
        ({"x": np.array([{}, 1])}, "Python objects"),
        ({"y": np.zeros((3, 2))}, "the archive has no array x_train"),
    ],
)
def test_what_is_refused(arrays: dict[str, np.ndarray], cause: str, tmp_path: Path) -> None:  # type: ignore[type-arg]
    np.savez(tmp_path / "x.npz", **arrays)  # type: ignore[arg-type]
    with pytest.raises(DataError, match=cause):
        load_inputs(str(tmp_path / "x.npz"))


def test_no_archive(tmp_path: Path) -> None:
    (tmp_path / "x.npz").write_bytes(b"no archive")
    np.save(tmp_path / "x.npy", np.zeros((2, 2)))
    for name, cause in (("x.npz", "not a"), ("none.npz", "no such file"), ("x.npy", "not a readable NumPy archive")):
        with pytest.raises(DataError, match=cause):
            load_inputs(str(tmp_path / name))
