"""Run the quick tests as on other processors: `python tests/machines [--machine NAME] [TEST ...]`.

PyTorch, MKL and oneDNN are told to use no newer instructions than some machine has, so that sums are taken in other
orders. Each run takes as long as the quick tests themselves. It prints one line, after those of the tests that failed;
the exit code is 1 if any run fails. Where the processor lacks the instructions, or is no x86, a run is one as it is.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
# `sse` stands for processors for which MKL has no kernels of their own: those sum in an order that depends on where in
# memory a factor begins.
MACHINES = {
    "default": {"ATEN_CPU_CAPABILITY": "default"},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "MKL_ENABLE_INSTRUCTIONS": "AVX2", "DNNL_MAX_CPU_ISA": "AVX2"},
    "sse": {"ATEN_CPU_CAPABILITY": "default", "MKL_ENABLE_INSTRUCTIONS": "SSE4_2", "DNNL_MAX_CPU_ISA": "SSE41"},
}
COUNTS = ("passed", "failed", "error", "skipped")


def run(name: str, tests: list[str]) -> int:
    """Run the tests as on one machine; pytest's exit code."""
    started = time.monotonic()
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | MACHINES[name], capture_output=True, text=True)
    lines = done.stdout.splitlines()
    for line in lines:
        if line.startswith(("FAILED", "ERROR")):
            print(line)
    last = lines[-1] if lines else ""
    counts = {word: int(found[1]) if (found := re.search(rf"(\d+) {word}", last)) else 0 for word in COUNTS}
    counts["failed"] += counts.pop("error")
    told = ", ".join(f"{count:,} {word}" for word, count in counts.items())
    print(f"{name}: {told}; exit code {done.returncode}; {time.monotonic() - started:.0f} s", flush=True)
    if done.returncode and not counts["failed"]:
        print(done.stdout[-2_000:] + done.stderr[-2_000:], file=sys.stderr)
    return done.returncode


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machine", choices=MACHINES, action="append", help="all of them by default")
    parser.add_argument("tests", nargs="*", metavar="TEST", help="for pytest; the whole suite by default")
    arguments = parser.parse_args()
    codes = [run(name, arguments.tests) for name in arguments.machine or MACHINES]
    sys.exit(int(any(codes)))


if __name__ == "__main__":
    main()
