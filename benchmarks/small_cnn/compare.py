"""Two heads on the same networks: figures of both, and the difference in tau, paired by the runs that are drawn."""

from __future__ import annotations

import argparse

import torch
from designs import mean_change

from nfn_cli.learning import bootstrap, kendall_tau
from nfn_cli.learning.batches import predict_all
from nfn_cli.learning.metrics import mean_absolute_error, share
from nfn_cli.nn import load_head
from nfn_cli.zoo import read_networks


def compare(arguments: argparse.Namespace) -> None:
    """Print a line for each head, and the difference, population by population."""
    heads = [load_head(str(own), task="predict-accuracy") for own in (arguments.before, arguments.after)]
    for zoo in arguments.zoos:
        networks = read_networks(zoo)
        truth, runs = networks.targets, networks.runs
        said = [predict_all(head, networks.point, networks.files, "accuracy") for head in heads]
        print(f"{zoo}: {len(truth)} networks of {len(set(runs))} runs")
        for name, own in zip((arguments.before, arguments.after), said, strict=True):
            inside = (own.low <= truth) & (truth <= own.high)
            figures = {
                "tau": bootstrap(kendall_tau, truth, own.accuracy, runs),
                "error": bootstrap(mean_absolute_error, truth, own.accuracy, runs),
                "coverage": bootstrap(share, truth, inside, runs),
                "flagged": bootstrap(share, truth, ~own.in_distribution, runs),
            }
            width = (own.high - own.low).mean().item()
            shown = ", ".join(f"{key} {figure}" for key, figure in figures.items())
            print(f"  {name}: {shown}, {width:.4f} wide")
        change = mean_change(truth, [said[0].accuracy], [said[1].accuracy], runs)
        changed = int(torch.ne(said[0].in_distribution, said[1].in_distribution).sum())
        print(
            f"  tau changes by {change.value:+.4f} [{change.low:+.4f}, {change.high:+.4f}], {changed} flags", flush=True
        )
