"""Inputs to run a network on: the training images of an image set, or an array as the network takes it."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from nfn_cli.errors import DataError
from nfn_cli.zoo.images import load_images
from nfn_cli.zoo.unreadable_array import why_unreadable

ARRAY = "x"


def load_inputs(source: str) -> Tensor:
    """Inputs [count, *shape], float32.

    Args:
        source: an `.npz` archive with an array `x` of floating point, which is taken as it is; or an image set as
            `load_images` takes it (its training images, scaled to [-1, 1]).

    Raises:
        DataError: it cannot be read, or is neither.
    """
    if not (source.endswith(".npz") or os.path.exists(source)):
        return load_images(source).train_images
    remedy = f"give a NumPy archive with an array {ARRAY} of floating point, [count, ...], or an image set"
    try:
        with np.load(Path(source), allow_pickle=False) as archive:
            array = archive.get(ARRAY)
    except FileNotFoundError as error:
        raise DataError(source, "no such file", remedy) from error
    except Exception as error:  # a damaged archive makes NumPy fail in many ways
        raise DataError(source, why_unreadable(error, "archive"), remedy) from error
    if array is None:
        return load_images(source).train_images
    if array.dtype.kind != "f" or array.ndim < 2 or not array.size:
        raise DataError(source, f"its {ARRAY} is of type {array.dtype} and shape {array.shape}", remedy)
    if not np.isfinite(array).all():
        raise DataError(source, f"its {ARRAY} has numbers that are not finite", remedy)
    return torch.from_numpy(array.astype(np.float32))
