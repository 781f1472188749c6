"""Learned inputs of a head that start as training images, class by class, instead of as noise."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nfn_cli.architectures import Architecture
from nfn_cli.errors import DataError
from nfn_cli.learning.accuracy_settings import AccuracySettings
from nfn_cli.nn import ForwardPass
from nfn_cli.zoo import ImageSet


def start_probes(model: Any, images: ImageSet, settings: AccuracySettings) -> None:
    """Make the probes of every member training images, others for each.

    Args:
        model: an ensemble of members that have `probes`.
        settings: decided ones; the seed of the fit decides which images.

    Raises:
        DataError: the networks read no such images.
    """
    assert settings.forward_pass is not None and settings.probe_images is not None
    for number, member in enumerate(model.members):
        chosen = images_by_class(images, len(member.probes.series), settings.fit.seed * 1_000 + number)
        start = as_probes(chosen, member.architecture, settings.forward_pass, settings.probe_images)
        member.probes.start_at(start)


def images_by_class(images: ImageSet, count: int, seed: int) -> Tensor:
    """Training images, drawn at random, the first of class 0, the second of class 1, and so on in turn.

    Returns:
        Float32 [count, channels, height, width]; no image comes twice while its class has others left.
    """
    generator = torch.Generator().manual_seed(seed)
    positions = [(images.train_labels == label).nonzero()[:, 0] for label in range(images.classes)]
    drawn = [own[torch.randperm(len(own), generator=generator)].tolist() for own in positions if len(own)]
    chosen = [drawn[turn % len(drawn)][turn // len(drawn) % len(drawn[turn % len(drawn)])] for turn in range(count)]
    return images.train_images[chosen]


def as_probes(images: Tensor, architecture: Architecture, forward_pass: ForwardPass, source: str) -> Tensor:
    """Images as networks read them: at the size that they are run at, or one row of pixels for a linear layer.

    Args:
        images: [count, channels, height, width].
        source: of the images, for the error.

    Returns:
        [count, channels, *space], or [count, features].

    Raises:
        DataError: the networks read no such images.
    """
    first, shape = architecture.first, "x".join(map(str, images.shape[1:]))
    if not forward_pass.space:
        rows = images.flatten(1)
        if rows.shape[1] != first.in_features:
            cause = f"images of {shape}, and the networks read {first.in_features} numbers"
            raise DataError(source, cause, "give the images that they were trained on")
        return rows
    if len(forward_pass.space) != 2 or images.shape[1] != first.in_features:
        dimensions = f"{first.in_features} channels of {len(forward_pass.space)} dimensions"
        cause = f"images of {shape}, and the networks read {dimensions}"
        raise DataError(source, cause, "give the images that they were trained on")
    if images.shape[2:] == forward_pass.space:
        return images
    return F.interpolate(images, forward_pass.space, mode="bilinear", antialias=True, align_corners=False)
