"""Draw batches of implicit neural representations by batched matrix products, a cacheful at a time."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures import DEFAULT_RANGE, Architecture, NetworkWeights, picture_values, places_along
from nfn_cli.errors import ArchitectureError, UsageError
from nfn_cli.threads import threads_for

LARGEST_PICTURE = 1 << 26  # numbers, over all channels: 256 megabytes
# Numbers of one hidden layer that are computed together: one megabyte.
_CACHED = 1 << 18


def require_picture(architecture: Architecture, subject: str) -> None:
    """Check that networks of this architecture are pictures: linear layers from two coordinates.

    Raises:
        ArchitectureError: they are not; `subject` is the file.
    """
    if not architecture.is_picture:
        cause = f"{architecture.describe()} is no picture, which takes two coordinates through linear layers"
        raise ArchitectureError(subject, cause, "give an implicit neural representation of a picture")


def require_size(height: int, width: int, channels: int = 1) -> None:
    """Check that a picture has pixels, and not more than fit into memory.

    Raises:
        UsageError: it is not so.
    """
    if height < 1 or width < 1:
        raise UsageError("--size", f"{height} {width} is no size", "give a height and a width of 1 or more")
    if height * width * channels > LARGEST_PICTURE:
        cause = f"{height} x {width} pixels of {channels} channel{'s' if channels > 1 else ''} are too many"
        raise UsageError("--size", cause, f"give a size of at most {LARGEST_PICTURE // channels:,} pixels")


@torch.inference_mode()
def render(
    point: NetworkWeights, height: int, width: int, *, value_range: tuple[float, float] = DEFAULT_RANGE
) -> Tensor:
    """Pictures of a batch of networks that take coordinates, (row, column) from -1 to 1, to channels.

    What is needed besides the result is bounded, whatever the number of networks and pixels.

    Args:
        point: tensors [networks, *shape] of a picture's architecture, see `require_picture`.
        height, width: in pixels; the corners' are at the corners of [-1, 1]².
        value_range: what the networks give for black and for white.

    Returns:
        float32 [networks, channels, height, width], cut to [0, 1]; where a network gives NaN, 0.

    Raises:
        ArchitectureError: the networks are no pictures.
    """
    architecture = point.architecture
    require_picture(architecture, "render")
    named = zip(architecture.weights, architecture.biases, strict=True)
    tensors = [point.tensors[spec.name].float() for pair in named for spec in pair]
    frequencies = [architecture.frequency(position) for position in range(len(architecture.hidden_widths))]
    networks, pixels = len(tensors[0]), height * width
    rows, columns = places_along(height), places_along(width)
    pictures = torch.empty(networks, architecture.outputs, pixels)
    widest = max((*architecture.hidden_widths, architecture.outputs))
    pixels_together = max(1, min(pixels, _CACHED // widest))
    together = max(1, _CACHED // (widest * pixels_together))
    with threads_for(networks * pixels * widest):
        for first in range(0, pixels, pixels_together):
            # Row by row, as `pixel_grid` lists them: a part of it, for all of it may be large.
            numbers = torch.arange(first, min(pixels, first + pixels_together))
            places = torch.stack([rows[numbers // width], columns[numbers % width]], dim=1)
            for start in range(0, networks, together):
                some = slice(start, start + together)
                values = picture_values(
                    [own[some] for own in tensors], places, architecture.activation, frequencies, channels_first=True
                )
                pictures[some, :, first : first + pixels_together] = values
    low, high = value_range
    return pictures.sub_(low).div_(high - low).nan_to_num_(0.0).clamp_(0, 1).unflatten(2, (height, width))
