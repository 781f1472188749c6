"""What a network's answers to the probe pictures say, whatever its classes mean and in whichever order they stand.

A good classifier of such pictures gives pictures of one class alike answers, those of different classes different ones,
and is sure of them; a network that saw other pictures, or learned little, does not. How its pixels were prepared is not
known, so that pictures are shown in four ways.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

PER_SOURCE = 16  # numbers that `answer_statistics` gives
_SHARP = 4.0
_TINY = 1e-9


def prepared(pictures: Tensor) -> dict[str, Tensor]:
    """Pictures [count, channels, height, width] in [-1, 1] as people prepare them.

    In [-1, 1], in [0, 1], of mean 0 and deviation 1 in every channel, and inverted.
    """
    mean, deviation = pictures.mean((0, 2, 3), keepdim=True), pictures.std((0, 2, 3), keepdim=True)
    return {
        "signed": pictures,
        "unit": (pictures + 1) / 2,
        "standard": (pictures - mean) / deviation,
        "inverted": -pictures,
    }


def disturbed(pictures: Tensor) -> dict[str, Tensor]:
    """Pictures moved by a pixel or two, with noise, and with less contrast, to see what a network makes of it."""
    generator = torch.Generator().manual_seed(0)
    step = max(1, pictures.shape[-1] // 16)
    return {
        "moved": pictures.roll((step, step), (2, 3)),
        "noisy": pictures + 0.2 * torch.randn(pictures.shape, generator=generator),
    }


def scaled_logits(logits: Tensor) -> Tensor:
    """Logits [pictures, classes] less their mean, of deviation 1 over pictures and classes; float64."""
    own = logits.double()
    own = own - own.mean(1, keepdim=True)
    size = own.abs().amax()
    return own / (own.square().mean().sqrt() + 1e-4 * size + 1e-12)


def told_apart(logits: Tensor, labels: Tensor) -> Tensor:
    """How much the answers say of the class of the picture, [4]: their mutual information, and how even answers are, as
    shares of what is possible; how near answers lie to the mean of their class, and how much varies between classes."""
    scaled, groups = scaled_logits(logits), _groups(labels)
    sharp = (_SHARP * scaled).softmax(1)
    parts = *_told_apart(sharp, groups), _near_centre(scaled, labels, groups), _between(scaled, groups)
    return torch.stack(parts)


def answer_statistics(logits: Tensor, labels: Tensor) -> Tensor:
    """Statistics of the logits of pictures of one source, float64 [16].

    Args:
        logits: [pictures, classes].
        labels: of the pictures [pictures]; their order has no meaning for the network.
    """
    own = logits.double()
    classes = own.shape[1]
    shares, scaled = own.softmax(1), scaled_logits(logits)
    sharp = (_SHARP * scaled).softmax(1)
    groups = _groups(labels)
    return torch.stack(
        [
            shares.amax(1).mean(),
            _entropy(shares).mean(),
            own.std().clamp(1e-3, 1e4).log(),
            (scaled.topk(2, dim=1).values @ torch.tensor([1.0, -1.0]).double()).mean(),
            *_told_apart(shares, groups),
            *_told_apart(sharp, groups),
            _near_centre(scaled, labels, groups),
            _between(scaled, groups),
            torch.tensor(math.log2(classes) / 4).double(),
            *_most_agreed(sharp, groups),
        ]
    )


def change_of_answers(before: Tensor, after: Tensor) -> Tensor:
    """How far answers [pictures, classes] move where pictures are disturbed: probabilities, and scaled logits; [2]."""
    shares = (before.double().softmax(1) - after.double().softmax(1)).abs().sum(1).mean() / 2
    scaled = scaled_logits(torch.cat([before, after]))
    half = len(before)
    return torch.stack([shares, (scaled[:half] - scaled[half:]).square().mean().add(1e-12).sqrt()])


def _groups(labels: Tensor) -> Tensor:
    """Weights [pictures, classes] of a mean over each class."""
    groups = F.one_hot(labels).double()
    return groups / groups.sum(0)


def _entropy(shares: Tensor) -> Tensor:
    """Of distributions [n, classes], as a share of the largest that is possible."""
    return -(shares * shares.clamp_min(_TINY).log()).sum(-1) / math.log(shares.shape[-1])


def _told_apart(shares: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """How much the answer says of the class of the picture: their mutual information; and how even answers are."""
    of_group = groups.T @ shares
    whole = of_group.mean(0)
    return _entropy(whole) - _entropy(of_group).mean(), _entropy(whole)


def _near_centre(scaled: Tensor, labels: Tensor, groups: Tensor) -> Tensor:
    """How surely a picture's answer lies nearest to the mean answer of the other pictures of its class, [0, 1]."""
    count = (groups > 0).double().sum(0)[labels][:, None]
    centres = groups.T @ scaled
    own = (centres[labels] * count - scaled) / (count - 1).clamp_min(1)
    distances = torch.cdist(scaled, centres).square()
    distances = distances.scatter(1, labels[:, None], (scaled - own).square().sum(1, keepdim=True))
    return (-_SHARP * distances / scaled.shape[1]).softmax(1).gather(1, labels[:, None]).mean()


def _between(scaled: Tensor, groups: Tensor) -> Tensor:
    """The share of the variance of answers that lies between classes."""
    total = scaled.var(0, correction=0).sum() + 1e-6
    return (groups.T @ scaled).var(0, correction=0).sum() / total


def _most_agreed(sharp: Tensor, groups: Tensor) -> tuple[Tensor, ...]:
    """How far the pictures of a class agree, in the classes that agree most: as many as the network tells apart, half
    as many, and all; then the share that each of its own classes has of the class that it names most: mean and least.

    A network of two classes has learned two of these, and says anything of the others.
    """
    of_class = groups.T @ sharp
    agreed = of_class.amax(1).sort(descending=True).values
    own = of_class.amax(0)
    count = min(len(own), len(agreed))
    return agreed[:count].mean(), agreed[: max(1, count // 2)].mean(), agreed.mean(), own.mean(), own.min()
