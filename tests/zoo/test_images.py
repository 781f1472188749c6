"""Reading images: archives as they should be, and everything else refused in one line."""

from __future__ import annotations

import os
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nfn_cli.errors import DataError
from nfn_cli.zoo import load_images

Arrays = dict[str, Any]
Save = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Save an archive of 12 and 6 images of 16 × 16 pixels, with changes (None leaves an array out); its path."""

    def call(**changes: Any) -> str:
        rng = np.random.default_rng(0)
        arrays: Arrays = {
            "x_train": rng.integers(0, 256, (12, 16, 16), dtype=np.uint8),
            "y_train": np.arange(12) % 3,
            "x_test": rng.integers(0, 256, (6, 16, 16), dtype=np.uint8),
            "y_test": np.arange(6) % 3,
        }
        arrays = {name: array for name, array in {**arrays, **changes}.items() if array is not None}
        np.savez(tmp_path / "images.npz", **arrays)
        return str(tmp_path / "images.npz")

    return call


def refusal(source: str) -> str:
    """The one line that refuses an image set."""
    with pytest.raises(DataError) as refused:
        load_images(source)
    assert len(str(refused.value).splitlines()) == 1
    return str(refused.value)


def test_pixels_are_scaled_to_minus_one_to_one(save: Save) -> None:
    pixels = np.zeros((12, 16, 16), dtype=np.uint8)
    pixels[0, 0, 0], pixels[1, 2, 3] = 255, 51
    images = load_images(save(x_train=pixels))
    assert images.train_images.shape == (12, 1, 16, 16)
    assert images.train_images.dtype == torch.float32
    assert images.train_images[0, 0, 0, 0] == 1
    assert images.train_images[1, 0, 2, 3].item() == pytest.approx(-0.6)
    assert images.train_images[2].eq(-1).all()
    assert images.train_labels.tolist() == [0, 1, 2] * 4
    assert images.train_labels.dtype == torch.int64
    assert images.name == "images"
    assert images.classes == 3


def test_channels_come_first(save: Save) -> None:
    pixels = np.zeros((12, 16, 18, 3), dtype=np.uint8)
    pixels[4, 5, 6, 2] = 255
    images = load_images(save(x_train=pixels, x_test=pixels[:6]))
    assert images.train_images.shape == (12, 3, 16, 18)
    assert images.train_images[4, 2, 5, 6] == 1


def test_small_images_are_enlarged_by_a_whole_factor(save: Save) -> None:
    images = load_images(save(), smallest=33)
    assert images.train_images.shape == (12, 1, 48, 48)
    assert images.test_images.shape == (6, 1, 48, 48)


def test_large_images_stay_as_they_are(save: Save) -> None:
    path = save()
    assert torch.equal(load_images(path, smallest=16).train_images, load_images(path).train_images)


def test_a_limit_keeps_the_first_training_images_and_all_classes(save: Save) -> None:
    path = save()
    limited, whole = load_images(path, limit=2), load_images(path)
    assert torch.equal(limited.train_images, whole.train_images[:2])
    assert torch.equal(limited.test_images, whole.test_images)
    # A network with an output less could not be tested on the third class.
    assert limited.classes == 3


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.uint64])
def test_labels_may_be_any_integers(kind: type, save: Save) -> None:
    assert load_images(save(y_train=(np.arange(12) % 3).astype(kind))).train_labels.tolist() == [0, 1, 2] * 4


@pytest.mark.parametrize("name", ["x_train", "y_train", "x_test", "y_test"])
def test_a_missing_array_is_named(name: str, save: Save) -> None:
    assert f"the archive has no array {name};" in refusal(save(**{name: None}))


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"x_train": np.zeros((12, 16, 16), np.float32)}, "pixels of type float32"),
        ({"x_test": np.zeros((6, 16, 16), np.int64)}, "pixels of type int64"),
        ({"x_train": np.zeros((12, 256), np.uint8)}, "images of shape (12, 256)"),
        ({"x_train": np.zeros((0, 16, 16), np.uint8), "y_train": np.zeros(0, int)}, "images of shape (0, 16, 16)"),
        ({"x_train": np.zeros((12, 0, 16), np.uint8)}, "images of shape (12, 0, 16)"),
        ({"y_train": np.zeros(11, int)}, "labels of shape (11,)"),
        ({"y_test": np.zeros((6, 3), int)}, "labels of shape (6, 3)"),
        ({"y_train": np.zeros(12)}, "labels of type float64"),
        ({"y_train": np.full(12, -1)}, "are not classes"),
        ({"y_train": np.full(12, 10**9)}, "are not classes"),
        ({"y_test": np.full(6, 2**64 - 1, np.uint64)}, "are not classes"),
        ({"y_train": np.array(["cat"] * 12)}, "labels of type <U3"),
        ({"x_test": np.zeros((6, 16, 16, 3), np.uint8)}, "(16, 16) for training, but (16, 16, 3) for testing"),
        ({"x_test": np.zeros((6, 20, 20), np.uint8)}, "(16, 16) for training, but (20, 20) for testing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_arrays_that_are_no_images_or_classes_are_refused(changes: Arrays, cause: str, save: Save) -> None:
    assert cause in refusal(save(**changes))


class Trap:
    """An object whose unpickling leaves a trace."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_pickled_objects_are_never_loaded(save: Save, tmp_path: Path) -> None:
    trap = np.array([Trap(tmp_path / "trace")] * 12, dtype=object)
    assert "or one of Python objects, which could run code and are never loaded" in refusal(save(y_train=trap))
    assert not (tmp_path / "trace").exists()


def test_a_bare_pickle_is_never_loaded(tmp_path: Path) -> None:
    np.save(tmp_path / "images.npy", np.array([Trap(tmp_path / "trace")], dtype=object), allow_pickle=True)
    (tmp_path / "images.npy").rename(tmp_path / "images.npz")
    assert "or one of Python objects, which could run code and are never loaded" in refusal(
        str(tmp_path / "images.npz")
    )
    assert not (tmp_path / "trace").exists()


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"no archive at all", b"\x93NUMPY\x01\x00"], ids=repr)
def test_what_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(content)
    assert refusal(str(tmp_path / "a.npz")).startswith(f"{tmp_path / 'a.npz'}: not a ")


def test_a_single_array_is_no_archive(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros(3))
    assert "not a readable NumPy archive" in refusal(str(tmp_path / "a.npy"))


def test_a_folder_is_no_archive(tmp_path: Path) -> None:
    assert "not a readable NumPy archive" in refusal(str(tmp_path))


def test_a_missing_archive_is_no_such_file(tmp_path: Path) -> None:
    assert ": no such file;" in refusal(str(tmp_path / "a.npz"))


def test_damage_anywhere_is_refused_or_harmless(save: Save, tmp_path: Path) -> None:
    sound = bytearray(
        Path(save(x_train=np.zeros((12, 4, 4), np.uint8), x_test=np.zeros((6, 4, 4), np.uint8))).read_bytes()
    )
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(150):
        damaged = bytearray(sound)
        for position in rng.integers(0, len(sound), 3):
            damaged[position] = rng.integers(0, 256)
        damaged = damaged[: rng.integers(len(sound) // 2, len(sound) + 1)]
        (tmp_path / "damaged.npz").write_bytes(damaged)
        try:
            load_images(str(tmp_path / "damaged.npz"))
        except DataError:
            refused += 1
    assert refused > 100


def test_an_unknown_name_lists_the_known_ones() -> None:
    assert refusal("imagenet").endswith("or one of: digits, mnist, fashion-mnist, kmnist, cifar10, svhn")


def test_digits_are_split_into_balanced_parts_that_share_no_image() -> None:
    digits = load_images("digits", smallest=15)
    assert digits.train_images.shape == (1438, 1, 16, 16)
    assert digits.test_images.shape == (359, 1, 16, 16)
    assert digits.classes == 10
    assert digits.train_labels.bincount().min() > 120
    assert digits.test_labels.bincount(minlength=10).min() > 20
    assert digits.train_images.min() == -1 and digits.train_images.max() == 1
    seen = {image.numpy().tobytes() for image in digits.train_images}
    assert not any(image.numpy().tobytes() in seen for image in digits.test_images)


def test_a_folder_called_digits_does_not_hide_the_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "digits").mkdir()
    monkeypatch.chdir(tmp_path)
    assert load_images("digits").classes == 10


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> types.ModuleType:
    """Stands in for torchvision.datasets, which would download."""
    package, datasets = types.ModuleType("torchvision"), types.ModuleType("torchvision.datasets")
    package.datasets = datasets  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
    return datasets


def test_torchvision_sets_are_read_in_each_ones_own_layout(torchvision: types.ModuleType, tmp_path: Path) -> None:
    def mnist(root: Path, *, train: bool, download: bool) -> types.SimpleNamespace:
        assert (root, download) == (tmp_path, True)
        data = torch.full((4 if train else 2, 28, 28), 255, dtype=torch.uint8)
        return types.SimpleNamespace(data=data, targets=torch.arange(len(data)))

    def svhn(root: Path, *, split: str, download: bool) -> types.SimpleNamespace:
        data = np.zeros((4 if split == "train" else 2, 3, 32, 32), dtype=np.uint8)
        data[:, 1] = 255
        return types.SimpleNamespace(data=data, labels=np.arange(len(data)))

    torchvision.MNIST, torchvision.SVHN = mnist, svhn  # type: ignore[attr-defined]
    images = load_images("mnist", root=tmp_path)
    assert images.train_images.shape == (4, 1, 28, 28)
    assert images.test_labels.tolist() == [0, 1]
    images = load_images("svhn", root=tmp_path)
    assert images.train_images.shape == (4, 3, 32, 32)
    assert images.train_images[:, 1].eq(1).all() and images.train_images[:, [0, 2]].eq(-1).all()


def test_a_download_that_fails_offers_an_archive_instead(torchvision: types.ModuleType) -> None:
    def unreachable(*_: object, **__: object) -> None:
        raise OSError("no route to host")

    torchvision.CIFAR10 = unreachable  # type: ignore[attr-defined]
    message = refusal("cifar10")
    assert message == "cifar10: the download failed (no route to host); give the path of an .npz archive instead"


@pytest.mark.parametrize(
    ("source", "module", "name", "extra"),
    [("mnist", "torchvision", "torchvision", "torchvision"), ("digits", "sklearn", "scikit-learn", "zoo")],
)
def test_a_missing_library_is_named_with_the_extra_that_brings_it(
    source: str, module: str, name: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for loaded in [known for known in sys.modules if known.partition(".")[0] == module]:
        monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setitem(sys.modules, module, None)
    assert refusal(source) == f"{source}: {name} is not installed; pip install 'nfn-cli[{extra}]'"
