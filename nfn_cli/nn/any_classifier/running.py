"""Run a network on the probe pictures: its logits, and what its layers see and say meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from nfn_cli.nn.any_classifier.answers import (
    PER_SOURCE,
    answer_statistics,
    change_of_answers,
    disturbed,
    prepared,
)
from nfn_cli.nn.any_classifier.probe_pictures import probe_pictures, shaped_pictures

SEEN = 4  # numbers that `_seen` gives
_WAYS = 4
_SOURCES = 2
ANSWERS = _SOURCES * (_WAYS + 1) * PER_SOURCE + PER_SOURCE + _SOURCES * 4
_TOLD_APART = 6  # the place of the mutual information of sharpened answers in `answer_statistics`
_CHOSEN_BY = 12.0
_MOST_CHANNELS = 512
_TINY = 1e-12


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
    """What running a network gave: statistics of its answers, float64 [162], and its layers by name."""

    answers: Tensor
    layers: dict[str, RunLayer]


@torch.no_grad()
def run_on_probes(module: nn.Module, picture: tuple[int, int, int]) -> Run:
    """Run a network in evaluation mode.

    Args:
        module: takes [batch, *picture] and gives logits [batch, classes].

    Raises:
        RuntimeError: what the module raises for such pictures.
    """
    sources = shaped_pictures(*picture)
    counts = [len(own) for own in sources]
    ways = [prepared(own) for own in sources]
    labels = torch.cat([own.labels + 10 * number for number, own in enumerate(probe_pictures())])
    layers: dict[str, RunLayer] = {}
    hooks = [
        own.register_forward_hook(_watch(layers, name, labels))
        for name, own in module.named_modules()
        if isinstance(own, nn.Linear | nn.Conv1d | nn.Conv2d)
    ]
    logits = {}
    try:
        for way in ways[0]:
            logits[way] = module(torch.cat([own[way] for own in ways])).split(counts)
            for hook in hooks:
                hook.remove()
    finally:
        for hook in hooks:
            hook.remove()
    changes = {}
    for number, own in enumerate(sources):
        for name, pictures in disturbed(own).items():
            changes[number, name] = change_of_answers(logits["signed"][number], module(pictures))
    blocks = []
    for number, probes in enumerate(probe_pictures()):
        found = torch.stack([answer_statistics(said[number], probes.labels) for said in logits.values()])
        blocks += [found.flatten(), _best(found)]
    best = _best(torch.stack(blocks[1::2]))
    return Run(torch.cat([*blocks, best, *changes.values()]).nan_to_num(0.0, 0.0, 0.0), layers)


def _best(found: Tensor) -> Tensor:
    """Of statistics [ways, 14] those of the way whose answers say most, smoothly chosen; [14]."""
    return (_CHOSEN_BY * found[:, _TOLD_APART]).softmax(0) @ found


def _watch(layers: dict[str, RunLayer], name: str, labels: Tensor) -> Callable[..., None]:
    def watch(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        axis = -1 if isinstance(module, nn.Linear) else 1
        said = output.movedim(axis, 1).flatten(2) if output.ndim > 2 else output[:, :, None]
        seen = _seen(said, labels) if len(said) == len(labels) else torch.zeros(SEEN).double()
        layers[name] = RunLayer(_sizes(inputs[0], axis), _sizes(output, axis), seen)

    return watch


def _sizes(values: Tensor, axis: int) -> Tensor:
    return values.double().movedim(axis, 0).flatten(1).square().mean(1).sqrt()


def _seen(said: Tensor, labels: Tensor) -> Tensor:
    """Of what a layer says [pictures, channels, places]: how many directions it uses, how much of the variance of its
    channels lies between digits and between things, and how far its signs are the same for every picture.

    Channels are brought to deviation 1, so that no scale matters.
    """
    own = said.double().mean(2)
    deviation = own.std(0, correction=0)
    own = (own - own.mean(0)) / (deviation + 1e-6 * own.abs().amax(0) + _TINY)
    alive = own.square().mean(0).sum().clamp_min(_TINY)
    gram = own[:, :_MOST_CHANNELS].T @ own[:, :_MOST_CHANNELS] / len(own)
    directions = alive.square() / gram.square().sum().clamp_min(_TINY) / len(gram)
    shares = []
    for chosen in (labels < 10, labels >= 10):
        part, groups = own[chosen], torch.nn.functional.one_hot(labels[chosen] % 10, 10).double()
        centres = (groups / groups.sum(0)).T @ part
        shares.append(centres.var(0, correction=0).mean() / (part.var(0, correction=0).mean() + 1e-6))
    # Steep, but continuous: a value that is 0 up to rounding must not decide.
    signs = torch.tanh(10 * said.double() / (said.double().square().mean((0, 2), keepdim=True).sqrt() + _TINY))
    return torch.stack([(directions + 1e-6).log(), *shares, signs.mean((0, 2)).abs().mean()])
