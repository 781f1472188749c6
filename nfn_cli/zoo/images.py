"""Image sets to train a zoo on: a NumPy archive by path, or a scikit-learn or torchvision data set by name.

An archive holds `x_train`, `y_train`, `x_test`, `y_test` (the layout of Keras' `mnist.npz`): images uint8 of shape
[count, height, width] or [count, height, width, channels], labels integers of shape [count].
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.zoo.unreadable_array import why_unreadable

_ARRAYS = ("x_train", "y_train", "x_test", "y_test")
_TORCHVISION = {
    "mnist": "MNIST",
    "fashion-mnist": "FashionMNIST",
    "kmnist": "KMNIST",
    "cifar10": "CIFAR10",
    "svhn": "SVHN",
}
_DIGITS_TEST_SHARE = 0.2
_MOST_CLASSES = 10_000


@dataclass(frozen=True)
class ImageSet:
    """Images scaled to [-1, 1] as in the published zoo, and their classes."""

    name: str
    train_images: Tensor  # float32 [count, channels, height, width]
    train_labels: Tensor  # int64 [count]
    test_images: Tensor
    test_labels: Tensor

    @property
    def classes(self) -> int:
        """Also those that `limit` leaves no training image of."""
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1


def load_images(source: str, *, smallest: int = 1, limit: int | None = None, root: Path | None = None) -> ImageSet:
    """Load an image set.

    Args:
        source: path of an `.npz` archive; `digits` (scikit-learn, nothing to download); or a torchvision name.
        smallest: images with a shorter side are enlarged (bilinear, by a whole factor) until it is at least this.
        limit: keep this many training images, the first ones.
        root: where torchvision keeps its downloads; default `~/.cache/nfn`.

    Raises:
        DataError: the archive is missing, unreadable or of another layout, or the name is unknown.
    """
    if source == "digits":
        arrays = _sklearn_digits()
    elif source in _TORCHVISION:
        arrays = _torchvision(source, root or Path.home() / ".cache" / "nfn")
    elif source.endswith(".npz") or os.path.exists(source):
        arrays = _read_archive(Path(source))
    else:
        known = ", ".join(["digits", *_TORCHVISION])
        raise DataError(source, "no such archive or data set", f"give the path of an .npz archive or one of: {known}")
    x_train, y_train, x_test, y_test = arrays
    return ImageSet(
        name=Path(source).stem,
        train_images=_scaled(x_train[:limit], source, smallest),
        train_labels=torch.from_numpy(y_train[:limit].astype(np.int64)),
        test_images=_scaled(x_test, source, smallest),
        test_labels=torch.from_numpy(y_test.astype(np.int64)),
    )


def _read_archive(path: Path) -> list[np.ndarray[Any, Any]]:
    remedy = f"give a NumPy archive that holds {', '.join(_ARRAYS)}"
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [name for name in _ARRAYS if name not in archive]
            arrays = [archive[name] for name in _ARRAYS if name not in missing]
    except FileNotFoundError as error:
        raise DataError(path, "no such file", remedy) from error
    except Exception as error:
        # A damaged archive makes NumPy fail in many ways (BadZipFile, zlib.error, MemoryError ...).
        raise DataError(path, why_unreadable(error, "archive"), remedy) from error
    if missing:
        raise DataError(path, f"the archive has no array {', '.join(missing)}", remedy)
    for images, labels in (arrays[:2], arrays[2:]):
        if images.ndim not in (3, 4) or not images.size or labels.shape != (len(images),):
            raise DataError(path, f"images of shape {images.shape} with labels of shape {labels.shape}", remedy)
        if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= _MOST_CLASSES:
            raise DataError(path, f"labels of type {labels.dtype} are not classes 0, 1, 2, ...", remedy)
    train, test = arrays[0].shape[1:], arrays[2].shape[1:]
    if train != test:
        raise DataError(path, f"images of shape {train} for training, but {test} for testing", remedy)
    return arrays


def _sklearn_digits() -> list[np.ndarray[Any, Any]]:
    try:
        from sklearn.datasets import load_digits
    except ImportError as error:
        raise DataError("digits", "scikit-learn is not installed", "pip install 'nfn-cli[zoo]'") from error
    digits = load_digits()
    images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    order = np.random.default_rng(0).permutation(len(images))
    images, labels = images[order], digits.target[order]
    test = round(_DIGITS_TEST_SHARE * len(images))
    return [images[test:], labels[test:], images[:test], labels[:test]]


def _torchvision(name: str, root: Path) -> list[np.ndarray[Any, Any]]:
    try:
        import torchvision.datasets
    except ImportError as error:
        raise DataError(name, "torchvision is not installed", "pip install 'nfn-cli[torchvision]'") from error
    factory = getattr(torchvision.datasets, _TORCHVISION[name])
    splits = [{"split": "train"}, {"split": "test"}] if name == "svhn" else [{"train": True}, {"train": False}]
    arrays = []
    for split in splits:
        try:
            data = factory(root, download=True, **split)
        except (OSError, RuntimeError) as error:
            raise DataError(
                name, f"the download failed ({error})", "give the path of an .npz archive instead"
            ) from error
        images = np.asarray(data.data)
        if name == "svhn":  # the one set that stores channels first, and its classes under another name
            images = images.transpose(0, 2, 3, 1)
        arrays += [images, np.asarray(data.labels if name == "svhn" else data.targets)]
    return arrays


def _scaled(images: np.ndarray[Any, Any], source: str, smallest: int) -> Tensor:
    if images.dtype != np.uint8:
        raise DataError(source, f"pixels of type {images.dtype}", "store images as uint8, 0 to 255")
    pixels = torch.from_numpy(images)
    pixels = pixels[:, None] if pixels.ndim == 3 else pixels.permute(0, 3, 1, 2)
    scaled = pixels.float() / 127.5 - 1
    factor = -(-smallest // min(scaled.shape[2:]))
    return F.interpolate(scaled, scale_factor=factor, mode="bilinear") if factor > 1 else scaled
