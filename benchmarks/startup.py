"""What one prediction costs beyond importing torch: `nfn predict-accuracy FILE` against
`python -c "import torch, safetensors.torch"`, wall and processor time, each the best of ten, one thread.

    python benchmarks/startup.py [FILE]
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def cost(command: list[str]) -> tuple[float, float]:
    """Wall and processor seconds."""
    wall = processor = float("inf")
    for _ in range(10):
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        wall = min(wall, time.perf_counter() - started)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        processor = min(processor, used)
    return wall, processor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", default=str(ROOT / "tests" / "samples" / "relu-1.safetensors"))
    options = parser.parse_args()
    plain = cost([sys.executable, "-c", "import torch, safetensors.torch"])
    ours = cost([sys.executable, "-m", "nfn_cli", "predict-accuracy", options.file])
    print(f"import torch, safetensors.torch: {plain[0]:.2f} s, processor {plain[1]:.2f} s")
    print(f"nfn predict-accuracy: {ours[0]:.2f} s, processor {ours[1]:.2f} s")
    print(f"ratio: {ours[0] / plain[0]:.2f} of wall time, {ours[1] / plain[1]:.2f} of processor time")


if __name__ == "__main__":
    main()
