"""What shows that a network is no classifier of pictures: its layers, and what it takes and gives."""

from __future__ import annotations

import math

from nfn_cli.architectures.architecture import Architecture

LEAST_CLASSES, MOST_CLASSES = 2, 1_000
MOST_CHANNELS = 4  # of pictures that nothing states
_LEAST_SIDE = 4  # of one that is flattened


def flat_picture(numbers: int) -> tuple[int, int, int] | None:
    """The picture of one or three channels whose pixels stand in a row, channels, height and width; None where no
    square one has so many.

    >>> flat_picture(784), flat_picture(3072), flat_picture(13)
    ((1, 28, 28), (3, 32, 32), None)
    """
    for channels in (1, 3):
        side = math.isqrt(numbers // channels)
        if side >= _LEAST_SIDE and channels * side * side == numbers:
            return channels, side, side
    return None


def not_classes(outputs: int) -> str:
    """That so many outputs are no classes."""
    given = "1 output" if outputs == 1 else f"{outputs:,} outputs"
    return f"it has {given}, not {LEAST_CLASSES} to {MOST_CLASSES:,} classes"


def why_no_classifier(architecture: Architecture, shape: tuple[int, ...] | None = None) -> str | None:
    """Why a network of one chain of layers is no classifier of pictures, as far as its layers show; None if it may be
    one.

    Args:
        shape: of one picture, where it is stated.
    """
    first, last = architecture.layers[0], architecture.layers[-1]
    axes = next(
        (len(layer.kernel) for layer in architecture.layers if layer.kind == "conv" and len(layer.kernel) != 2), 2
    )
    if architecture.activation == "sin":
        return "its activation is sin, as implicit neural representations have it"
    if architecture.is_picture:
        return "it takes two coordinates, as an implicit neural representation does"
    if axes != 2:
        return f"its convolutions have {'one axis' if axes == 1 else 'three axes'}"
    if last.kind == "conv":
        return f"its last layer, {last.name}, is a convolution, and it does not show whether it tells classes apart"
    if first.kind == "linear" and first.in_features == last.out_features:
        return f"it gives as many numbers as it takes ({last.out_features:,}), as an autoencoder does"
    if not LEAST_CLASSES <= last.out_features <= MOST_CLASSES:
        return not_classes(last.out_features)
    if first.kind == "linear":
        if flat_picture(first.in_features) is None and (shape is None or math.prod(shape) != first.in_features):
            return f"its first layer, {first.name}, reads {first.in_features:,} numbers, which are no square picture"
    elif first.in_features > MOST_CHANNELS and (shape is None or shape[0] != first.in_features):
        return f"its first layer, {first.name}, reads {first.in_features:,} channels, more than pictures have"
    return None
