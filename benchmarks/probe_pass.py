"""Predictions of a shipped head in this checkout against those in another one, in one run: time and answers.

    git worktree add ../before HEAD^
    python benchmarks/probe_pass.py ../before [--head small-cnn-relu] [--rounds 15] [--threads 1] [--dtypes float32]

A process of each checkout loads the head and is asked for the same predictions in turn, now the one and now the other
first, so that what else the machine does hits both. The networks are those of tests/population. A ratio is of rates,
above 1 where this checkout is faster; the interval is the 95 % one of the median of the rounds' ratios, by bootstrap
over rounds. Faults are pages that the kernel had to give in one call, of this checkout.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from paired import ROOT, interval

BATCHES = (256, 32, 1)
DTYPES = ("float32", "bfloat16")
_SECONDS = 0.15  # of a measurement: short calls are repeated


class Checkout:
    """A process that predicts with the code and the heads of a checkout."""

    def __init__(self, root: Path, head: str, threads: int) -> None:
        environment = os.environ | {"PYTHONPATH": str(root), "OMP_NUM_THREADS": str(threads)}
        command = [sys.executable, __file__, str(root), "--head", head, "--serve"]
        self._process = subprocess.Popen(
            command, cwd=root, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def ask(self, batch: int, dtype: str, calls: int) -> dict[str, Any]:
        """Processor seconds, wall seconds and faults of a call, and the accuracies that it gives."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(f"{batch} {dtype} {calls}\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())  # type: ignore[no-any-return]

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()


def serve(head_name: str) -> None:
    """Answer what `Checkout.ask` asks."""
    import torch

    from nfn_cli.architectures import NetworkWeights
    from nfn_cli.nn import load_head
    from nfn_cli.zoo import read_networks

    head = load_head(head_name)
    folder = ROOT / "tests" / "population" / head.config.accepted.activation
    point = read_networks(folder).point
    for line in sys.stdin:
        batch, dtype, calls = line.split()
        rows = torch.arange(int(batch)) % len(next(iter(point.tensors.values())))
        part = NetworkWeights(point.architecture, {name: tensor[rows] for name, tensor in point.tensors.items()})
        with torch.autocast("cpu", torch.bfloat16, enabled=dtype == "bfloat16"):
            found = head.predict(part)
            before, start, clock = resource.getrusage(resource.RUSAGE_SELF), time.process_time(), time.perf_counter()
            for _ in range(int(calls)):
                head.predict(part)
            seconds, wall = (time.process_time() - start) / int(calls), (time.perf_counter() - clock) / int(calls)
        faults = (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before.ru_minflt) / int(calls)
        print(
            json.dumps({"seconds": seconds, "wall": wall, "faults": faults, "accuracy": found.accuracy.tolist()}),
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("other", type=Path)
    parser.add_argument("--head", default="small-cnn-relu")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--dtypes", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.head)
        return
    now, before = (Checkout(root, options.head, options.threads) for root in (ROOT, options.other.resolve()))
    print("dtype\tbatch\tbefore\tnow\tratio\t95 % interval\twall ratio\t95 % interval\tlargest change\tfaults")
    for dtype in options.dtypes:
        for batch in BATCHES:
            calls = max(1, round(_SECONDS / before.ask(batch, dtype, 3)["seconds"]))
            found: dict[Checkout, list[dict[str, Any]]] = {now: [], before: []}
            for number in range(options.rounds):
                for checkout in (now, before) if number % 2 else (before, now):
                    found[checkout].append(checkout.ask(batch, dtype, calls))
            columns = []
            for clock in ("seconds", "wall"):
                pairs = zip(found[before], found[now], strict=True)
                ratios = [old[clock] / new[clock] for old, new in pairs]
                low, high = interval(ratios)
                columns += [f"{statistics.median(ratios):.2f}", f"[{low:.2f}, {high:.2f}]"]
            answers = zip(found[before][0]["accuracy"], found[now][0]["accuracy"], strict=True)
            change = max(abs(old - new) for old, new in answers)
            medians = (statistics.median(own["seconds"] for own in found[checkout]) for checkout in (before, now))
            times = (f"{1e3 * median:.1f} ms" for median in medians)
            faults = f"{statistics.median(own['faults'] for own in found[now]):.0f}"
            print(dtype, batch, *times, *columns, f"{change:.1e}", faults, sep="\t", flush=True)
    now.close()
    before.close()


if __name__ == "__main__":
    main()
