"""Run a network on the probe pictures: its logits, and what its layers see and say meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.nn.any_classifier.answers import (
    PER_SOURCE,
    answer_statistics,
    change_of_answers,
    disturbed,
    prepared,
    told_apart,
)
from nfn_cli.nn.any_classifier.probe_pictures import ProbePictures, probe_pictures, shaped_pictures

SEEN = 4  # numbers that `_seen` gives
_SOURCES, _WAYS = 2, 4
_TRIED = 4  # numbers that `told_apart` gives
ANSWERS = _SOURCES * (_WAYS * _TRIED + PER_SOURCE + 4) + PER_SOURCE
_TOLD_APART = 6  # the place of the mutual information of sharpened answers in `answer_statistics`
_CHOSEN_BY = 12.0
_TINY = 1e-12
_DEAD = 1e-4
_TOGETHER = 250
# Pictures of each source that are shown in every way; all of them in the way whose answers say most.
_FIRST = {"digits": 50, "things": 80}


@dataclass(frozen=True)
class RunLayer:
    """What a layer of weights saw and said.

    Attributes:
        sizes_in, sizes_out: root mean squares of channels over pictures and places, [in] and [out].
        seen: statistics of what it said, float64 [4].
    """

    sizes_in: Tensor
    sizes_out: Tensor
    seen: Tensor


@dataclass(frozen=True)
class Run:
    """What running a network gave.

    Attributes:
        answers: statistics of its answers, float64 [88].
        layers: by name.
        classes: how many it tells apart.
    """

    answers: Tensor
    layers: dict[str, RunLayer]
    classes: int


@torch.no_grad()
def run_on_probes(module: nn.Module, picture: tuple[int, int, int]) -> Run:
    """Run a network in evaluation mode.

    Args:
        module: takes [batch, *picture] and gives logits [batch, classes].

    Raises:
        RuntimeError: what the module raises for such pictures.
    """
    device = next((own.device for own in module.parameters()), torch.device("cpu"))

    def answers(pictures: Tensor) -> Tensor:
        return torch.cat([module(part.to(device)).cpu() for part in pictures.split(_TOGETHER)])

    sources = list(zip(probe_pictures(), shaped_pictures(*picture), strict=True))
    counts = [_FIRST[own.name] for own, _ in sources]
    ways = [prepared(pictures) for _, pictures in sources]
    first = {
        way: answers(torch.cat([own[way][:count] for own, count in zip(ways, counts, strict=True)])).split(counts)
        for way in ways[0]
    }
    blocks, best, shown, answered = [], [], [], []
    for number, (own, _) in enumerate(sources):
        tried = torch.stack([told_apart(said[number], own.labels[: counts[number]]) for said in first.values()])
        way = list(first)[int(tried[:, 0].argmax())]
        pictures = ways[number][way]
        said = torch.cat([first[way][number], answers(pictures[counts[number] :])])
        best.append(answer_statistics(said, own.labels))
        blocks += [tried.flatten(), best[-1]]
        shown.append(pictures[: counts[number]])
        answered.append(first[way][number])
    layers = _layers(module, shown, sources, device)
    for pictures, before in zip(shown, answered, strict=True):
        blocks += [change_of_answers(before, answers(changed)) for changed in disturbed(pictures).values()]
    chosen = torch.stack(best)
    blocks.append((_CHOSEN_BY * chosen[:, _TOLD_APART]).softmax(0) @ chosen)
    return Run(torch.cat(blocks).nan_to_num(0.0, 0.0, 0.0), layers, said.shape[1])


def _layers(
    module: nn.Module,
    shown: Sequence[Tensor],
    sources: Sequence[tuple[ProbePictures, Tensor]],
    device: torch.device,
) -> dict[str, RunLayer]:
    """What the layers see and say of some pictures of each source."""
    labels = [own.labels[: len(pictures)].to(device) for (own, _), pictures in zip(sources, shown, strict=True)]
    layers: dict[str, RunLayer] = {}
    hooks = [
        own.register_forward_hook(_watch(layers, name, labels))
        for name, own in module.named_modules()
        if isinstance(own, nn.Linear | nn.Conv1d | nn.Conv2d)
    ]
    try:
        module(torch.cat(list(shown)).to(device))
    finally:
        for hook in hooks:
            hook.remove()
    return layers


def _watch(layers: dict[str, RunLayer], name: str, labels: list[Tensor]) -> Callable[..., None]:
    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        axis = -1 if isinstance(module, nn.Linear) else 1
        said = output.movedim(axis, 1).flatten(2) if output.ndim > 2 else output[:, :, None]
        seen = _seen(said, labels) if len(said) == sum(map(len, labels)) else torch.zeros(SEEN).double()
        layers[name] = RunLayer(_sizes(inputs[0], axis).cpu(), _sizes(output, axis).cpu(), seen.cpu())

    return watch


def _sizes(values: Tensor, axis: int) -> Tensor:
    return values.double().movedim(axis, 0).flatten(1).square().mean(1).sqrt()


def _seen(said: Tensor, labels: list[Tensor]) -> Tensor:
    """Of what a layer says [pictures, channels, places]: how many directions it uses, how much of the variance of its
    channels lies between digits and between things, and how far its signs are the same for every picture.

    Channels are brought to deviation 1, so that no scale matters. Of dead ones, which say the same of every picture up
    to rounding, hardly anything is left, and nothing is read off it.
    """
    own = said.double().mean(2)
    deviation = own.std(0, correction=0)
    own = (own - own.mean(0)) / (deviation + _DEAD * own.abs().amax(0) + _TINY)
    alive = own.square().mean(0).sum().clamp_min(_TINY)
    # ‖XXᵀ‖ = ‖XᵀX‖, and there are fewer pictures than there may be channels.
    gram = own @ own.T / len(own)
    directions = alive.square() / gram.square().sum().clamp_min(_TINY) / own.shape[1]
    known_share = alive / (alive + _DEAD * own.shape[1])
    directions = known_share * directions + (1 - known_share) / 2
    shares = []
    for part, known in zip(own.split([len(known) for known in labels]), labels, strict=True):
        groups = torch.nn.functional.one_hot(known).double()
        centres = (groups / groups.sum(0)).T @ part
        shares.append(centres.var(0, correction=0).mean() / (part.var(0, correction=0).mean() + _DEAD))
    # Steep, but continuous: a value that is 0 up to rounding must not decide.
    signs = torch.tanh(10 * said.double() / (said.double().square().mean((0, 2), keepdim=True).sqrt() + _TINY))
    return torch.stack([(directions + 1e-6).log(), *shares, signs.mean((0, 2)).abs().mean()])
