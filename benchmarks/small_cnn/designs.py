"""One member fitted to all runs of a zoo in several ways, measured on another zoo that had no part in any."""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from nfn_cli.architectures import NetworkWeights
from nfn_cli.learning import AccuracySettings, FitSettings, bootstrap, kendall_tau
from nfn_cli.learning.also import read_also, together
from nfn_cli.learning.fitting import ensemble_stages, fit_stages
from nfn_cli.learning.metrics import Estimate
from nfn_cli.learning.probe_images import start_probes
from nfn_cli.learning.tasks.accuracy import AccuracyLearning
from nfn_cli.nn import Accepted, HeadConfig, load_head
from nfn_cli.zoo import LabelledNetworks, load_images, read_networks

_TOGETHER = 128


@dataclass(frozen=True)
class Design:
    """What is done besides the usual."""

    images: bool = False
    copies: bool = False


DESIGNS = {
    "usual": Design(),
    "images": Design(images=True),
    "copies": Design(copies=True),
    "images and copies": Design(images=True, copies=True),
}


def designs(arguments: argparse.Namespace) -> None:
    """Fit, or read what an earlier call said, and print the table."""
    arguments.out.mkdir(parents=True, exist_ok=True)
    test, said = read_networks(arguments.test), dict[str, list[Tensor]]()
    for seed in range(arguments.seeds):
        for name in arguments.designs:
            said.setdefault(name, []).append(_said(arguments, name, seed, test))
    truth, runs = test.targets, test.runs
    if arguments.head:
        head = load_head(arguments.head)
        said[arguments.head] = [head.predict(test.point).accuracy]
    print(f"{len(truth)} networks of {len(set(runs))} runs")
    first = arguments.designs[0]
    for name, answers in said.items():
        each = ", ".join(f"{kendall_tau(truth, own).item():.3f}" for own in answers)
        change = "" if name == first else f"  {mean_change(truth, said[first], answers, runs)} over {first}"
        print(f"{name}: tau {each}{change}", flush=True)


def mean_change(truth: Tensor, before: list[Tensor], after: list[Tensor], runs: tuple[str, ...]) -> Estimate:
    """By how much the mean tau of some predictions exceeds that of others, paired by the runs that are drawn."""

    def change(truth: Tensor, nothing: Tensor, weights: Tensor | None) -> Tensor:
        means = [torch.stack([kendall_tau(truth, own, weights) for own in part]).mean(0) for part in (before, after)]
        return means[1] - means[0]

    return bootstrap(change, truth, truth, runs)


def _said(arguments: argparse.Namespace, name: str, seed: int, test: LabelledNetworks) -> Tensor:
    """The logits of a member [networks]."""
    member = _fitted(arguments, name, seed)
    parts = torch.arange(len(test)).split(_TOGETHER)
    with torch.inference_mode():
        return torch.cat([member(member.encode(_rows(test, part))) for part in parts])


def _rows(networks: LabelledNetworks, chosen: Tensor) -> NetworkWeights:
    return networks.select(chosen.tolist()).point


def _fitted(arguments: argparse.Namespace, name: str, seed: int) -> Any:
    """A member of a design; its weights are kept in a file."""
    design, path = DESIGNS[name], arguments.out / f"{name.replace(' ', '-')}-{seed}.safetensors"
    task, train = AccuracyLearning(), read_networks(arguments.fit)
    settings = AccuracySettings(
        members=1,
        fit=FitSettings(seed=seed),
        split_seed=0,
        probe_images=arguments.data if design.images else None,
        also=tuple(arguments.copies) if design.copies else (),
    )
    also = read_also(settings.also, train, settings) if design.copies else None
    settings = task.decided(settings, train, arguments.fit, len(also or ()))
    accepted = Accepted.of(train.point.architecture)
    config = HeadConfig(accepted, settings.sizes, task.details(settings, train), 1)
    torch.manual_seed(seed)
    model = config.new_model()
    member = model.members[0].eval()
    if path.exists():
        member.load_state_dict(load_file(path))
        return member
    started = time.process_time()
    if design.images:
        start_probes(model, load_images(arguments.data), settings)
    both = together(train, also)
    # All runs are fitted to: nothing is calibrated here.
    fit_stages(ensemble_stages(model, model.encode(both.point), both.targets.float(), settings.fit, runs=both.runs))
    save_file(member.state_dict(), path)
    print(f"{name}, seed {seed}: {time.process_time() - started:.0f} s of processor time", flush=True)
    return member
