"""Fit a head to all of the varied zoo, and one without each kind, and measure each where it was not fitted."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch
from halves import rows_of, training_images
from kinds import KINDS, Kind

from nfn_cli.learning.batches import predict_all
from nfn_cli.learning.metrics import bootstrap, kendall_tau, share
from nfn_cli.nn import load_head
from nfn_cli.zoo import SETTINGS_FILE, read_networks
from nfn_cli.zoo.labels import write_table

_VARIED = "varied-test"
_COLUMNS = ("population", "head", "networks", "tau", "ceiling", "coverage", "median_width", "flagged", "error")


def measure(arguments: argparse.Namespace) -> None:
    """Fit, calibrate and measure; print the table and write it."""
    started = time.monotonic()
    arguments.images = training_images(arguments.data)
    left_out = [name for name, kind in KINDS.items() if kind.is_like is not None]
    work = [(activation, name) for activation in arguments.activations for name in (None, *left_out)]
    with ThreadPoolExecutor(arguments.jobs) as pool:
        parts = list(pool.map(lambda own: _measured(arguments, *own), work))
    rows = [row for part in parts for row in part]
    (arguments.out / "results.json").write_text(json.dumps(rows, indent=1) + "\n")
    print(f"| {' | '.join(_COLUMNS)} |")
    print("|---" * len(_COLUMNS) + "|")
    for row in rows:
        print(f"| {' | '.join(str(row[name]) for name in _COLUMNS)} |")
    print(f"{time.monotonic() - started:.0f} s")


def _measured(arguments: argparse.Namespace, activation: str, left_out: str | None) -> list[dict[str, Any]]:
    """The head without one kind, on that kind; or the head with all kinds, and the package's own, on each.

    No interval was set by what it is tried on, but for that of the head with all kinds: there, `nfn calibrate` tries
    the interval on tenths of the runs that did not set it.
    """
    source = arguments.populations / activation
    out = arguments.out / activation / (f"without-{left_out}" if left_out else "whole")
    out.mkdir(parents=True, exist_ok=True)
    fitting, zoos = source / "varied", {own: source / own for own in (*KINDS, _VARIED)}
    if left_out is not None:
        fitting = _without(KINDS[left_out], fitting, out / "zoos" / "varied", arguments.images)
        zoos[_VARIED] = _without(KINDS[left_out], zoos[_VARIED], out / "zoos" / _VARIED, arguments.images)
    name = f"small-cnn-{activation}"
    head, calibrated = out / "fitted" / name, out / name
    if not (head / "config.yaml").exists():
        budget = ["--members", arguments.members, "--device", arguments.device]
        budget += ["--epochs", arguments.epochs] if arguments.epochs else []
        _nfn(arguments, "train", fitting, *budget, "--overwrite", "--quiet", "--output", head)
    setting = {own: folder for own, folder in zoos.items() if own != left_out}
    named = [part for own, folder in setting.items() for part in ("--population", f"{own}={folder}")]
    out_options = ["--device", "cpu", "--format", "json", "--overwrite", "--quiet", "--output", calibrated]
    told = json.loads(_nfn(arguments, "calibrate", head, *named, *out_options))
    (out / "calibrated.json").write_text(json.dumps(told, indent=1) + "\n")
    if left_out is not None:
        row = _row(calibrated, activation, left_out, zoos[left_out]) | {"head": "without this kind"}
        own = _row(head, activation, left_out, zoos[left_out])
        return [row | {"coverage_of_the_fits_interval": own["coverage"], "its_median_width": own["median_width"]}]
    rows = []
    for own, report in zip(zoos, told["populations"], strict=True):
        row = _row(calibrated, activation, own, zoos[own])
        for key in ("taken_in", "left_out", "before"):
            row[f"{key}_coverage"], row[f"{key}_mean_width"] = _shown(report[key]["coverage"]), report[key]["width"]
        rows.append(row | {"head": "with all kinds", "coverage": f"{row['taken_in_coverage']} (tenths)"})
        rows.append(_row(name, activation, own, zoos[own]) | {"head": "of the package"})
    return rows


def _row(head: str | Path, activation: str, name: str, zoo: Path) -> dict[str, Any]:
    """What a head does on a population."""
    networks, loaded = read_networks(zoo), load_head(str(head), task="predict-accuracy")
    said = predict_all(loaded, networks.point, [str(zoo / file) for file in networks.files], "accuracy")
    truth, runs = networks.targets, networks.runs
    inside = (said.low <= truth) & (truth <= said.high)
    rows = rows_of(zoo)
    even, odd = (torch.tensor([float(row[f"{half}_accuracy"]) for row in rows]).double() for half in ("even", "odd"))
    title = KINDS[name].title if name in KINDS else "the varied recipe"
    return {
        "activation": activation,
        "population": f"{activation}, {title}",
        "networks": len(truth),
        "runs": len(set(runs)),
        "tau": str(bootstrap(kendall_tau, truth, said.accuracy, runs)),
        "ceiling": str(bootstrap(kendall_tau, even, odd, runs)),
        "coverage": str(bootstrap(share, truth, inside, runs)),
        "median_width": round(float((said.high - said.low).median()), 4),
        "flagged": str(bootstrap(share, truth, ~said.in_distribution, runs)),
        "error": round(float((said.accuracy - truth).abs().mean()), 4),
    }


def _shown(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} [{estimate['low']:.3f}, {estimate['high']:.3f}]"


def _without(kind: Kind, zoo: Path, folder: Path, images: int) -> Path:
    """A copy of a varied zoo that lists no run of this kind."""
    assert kind.is_like is not None
    folder.mkdir(parents=True, exist_ok=True)
    rows = [row for row in rows_of(zoo) if not kind.is_like(row, images)]
    for file in {row["file"] for row in rows}:
        shutil.copy(zoo / file, folder)
    shutil.copy(zoo / SETTINGS_FILE, folder)
    write_table(folder, list(rows[0]), rows)
    return folder


def _nfn(arguments: argparse.Namespace, *command: Any) -> str:
    """Run a command of the package; its standard output."""
    threads = max(1, (os.cpu_count() or 1) // arguments.jobs)
    words: Sequence[str] = [sys.executable, "-m", "nfn_cli", *map(str, command)]
    done = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": str(threads)})
    if done.returncode:
        raise SystemExit(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr}")
    return done.stdout
