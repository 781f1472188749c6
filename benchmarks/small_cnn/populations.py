"""Make the varied zoos and the populations, several at once, and give each row the accuracies on two halves."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from halves import add_halves
from kinds import KINDS

_FIT_SEED, _TEST_SEED = 100, 200


def commands(arguments: argparse.Namespace) -> dict[Path, list[str]]:
    """The command of each zoo, by its folder, longest first."""
    found = {}
    for name, count, seed, options in [
        ("varied", arguments.runs, _FIT_SEED, ("--varied",)),
        *((name, arguments.test_runs, _TEST_SEED, kind.options) for name, kind in KINDS.items()),
        ("varied-test", arguments.test_runs, _TEST_SEED, ("--varied",)),
    ]:
        for activation in arguments.activations:
            folder = arguments.out / activation / name
            found[folder] = [
                *(sys.executable, "-m", "nfn_cli", "zoo", "cnn", "--data", arguments.data, "--activation", activation),
                *("--count", str(count), "--seed", str(seed), *options, "--device", arguments.device, "--packed"),
                *("--workers", "1", "--quiet", "--output", str(folder)),
            ]
    return found


def make_populations(arguments: argparse.Namespace) -> None:
    """Make what is missing; `--jobs` at once, each with one thread."""
    started, limit = time.monotonic(), arguments.seconds or float("inf")
    waiting, running = commands(arguments), dict[Path, subprocess.Popen[bytes]]()
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    failed = []
    while waiting or running:
        while waiting and len(running) < arguments.jobs and time.monotonic() - started < limit:
            folder, command = next(iter(waiting.items()))
            del waiting[folder]
            folder.parent.mkdir(parents=True, exist_ok=True)
            running[folder] = subprocess.Popen(command, env=environment)
        time.sleep(0.2)
        seconds = time.monotonic() - started
        if seconds >= limit:
            waiting.clear()
            for process in running.values():
                process.send_signal(signal.SIGINT)
            limit = float("inf")  # once: what is written then stays whole
        for folder, process in list(running.items()):
            if process.poll() is not None:
                del running[folder]
                failed += [folder] if process.returncode not in (0, 130) else []
                print(f"{folder}: exit code {process.returncode} after {seconds:.0f} s", flush=True)
    for folder in commands(arguments):
        if (folder / "labels.csv").exists():
            networks, change = add_halves(folder, arguments.data, arguments.device)
            print(f"{folder}: {networks} networks; accuracies are {change:.4f} off at most in float32", flush=True)
    print(f"{time.monotonic() - started:.0f} s", flush=True)
    if failed:
        raise SystemExit(f"failed: {', '.join(map(str, failed))}")
