"""Time and memory of `nfn align` on a large Llama and its disguised fine-tune, in bfloat16.

A is synthetic, of a Llama's names and shapes (by default of 1.2e9 parameters, 2.5 GB), as `benchmarks/large.py` makes
it. Its fine-tune is A with noise of a tenth of each tensor's standard deviation, moved by a random element of its group
(`nfn apply`); with `--turned`, moved by a random element of each gauge as well and aligned by `--group full`, and the
head is untied then, so that the stream may be rotated. Alignment is a process of its own with as many threads as
`--threads` says, start-up included; memory is its largest resident set, which counts mapped pages of files.

    python benchmarks/large_align.py [--parameters 1.2e9] [--turned] [--threads 2] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from large import INDEX, ROOT, make

NOISE = 0.1


def tune(source: Path, target: Path) -> None:
    """The same network with noise, shard by shard."""
    import torch
    from safetensors.torch import load_file, save_file

    generator = torch.Generator().manual_seed(1)
    target.mkdir()
    for path in sorted(source.glob("*.safetensors")):
        tensors = load_file(path)
        for name, old in tensors.items():
            noise = torch.empty_like(old).normal_(generator=generator)
            tensors[name] = old.add_(noise.mul_(NOISE * float(old[:4096].float().std())))
        save_file(tensors, target / path.name, metadata={"format": "pt"})
    for name in (INDEX, "config.json"):
        (target / name).write_bytes((source / name).read_bytes())


def untie(folder: Path) -> None:
    """Give the network a head of its own, in a shard of its own."""
    import torch
    from safetensors.torch import save_file

    config = json.loads((folder / "config.json").read_text())
    config["tie_word_embeddings"] = False
    (folder / "config.json").write_text(json.dumps(config))
    shape = config["vocab_size"], config["hidden_size"]
    head = torch.empty(shape, dtype=torch.bfloat16).normal_(generator=torch.Generator().manual_seed(7)).mul_(0.02)
    save_file({"lm_head.weight": head}, folder / "model-head.safetensors", metadata={"format": "pt"})
    record = json.loads((folder / INDEX).read_text())
    record["weight_map"]["lm_head.weight"] = "model-head.safetensors"
    record["metadata"]["total_size"] += 2 * head.numel()
    (folder / INDEX).write_text(json.dumps(record))


def turn(source: Path, target: Path) -> None:
    """Move a network by a random element of each of its gauges."""
    import torch

    from nfn_cli.architectures import Stated
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.symmetry import Source
    from nfn_cli.symmetry.labelled.gauges import act_by, sample_turns
    from nfn_cli.symmetry.rewriting import write_moved
    from nfn_cli.symmetry.sources import read_any

    opened = read_any(source / INDEX, Stated(), NetworkTracer(gauges=True))
    assert not isinstance(opened, Source)
    turns = sample_turns(opened.architecture, torch.Generator().manual_seed(2))
    target.mkdir()
    write_moved(opened, act_by(turns, opened.checkpoint.tensors, torch.float32), target / INDEX, with_config=True)


def measured(command: list[str], threads: int) -> tuple[float, float, float, str, str]:
    """Seconds, processor seconds and the largest resident set in bytes of a command; its output and stderr."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=out, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for file in (out, said):
            file.seek(0)
            texts.append(file.read().decode(errors="replace"))
    if child.returncode:
        sys.exit(f"exit code {child.returncode}: {texts[1]}")
    return wall, used.ru_utime + used.ru_stime, used.ru_maxrss * (1 if sys.platform == "darwin" else 1024), *texts


STEPS: dict[str, Callable[..., None]] = {"tune": tune, "untie": untie, "turn": turn}


def run(step: str, *arguments: str | Path) -> None:
    subprocess.run([sys.executable, __file__, "--step", step, *map(str, arguments)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=float, default=1.2e9)
    parser.add_argument("--turned", action="store_true", help="rotate the stream and turn the heads as well")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--folder", type=Path, help="where there is room for five copies; made and removed below it")
    parser.add_argument("--step", nargs="+", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step is not None:
        step, *paths = options.step
        folders = [Path(path) for path in paths]
        if step == "make":
            make(folders[0], options.parameters)
        else:
            STEPS[step](*folders)
        return
    own = [sys.executable, "-m", "nfn_cli"]
    with tempfile.TemporaryDirectory(dir=options.folder) as made:
        folder = Path(made)
        (folder / "a").mkdir()
        # Each in a process of its own: a child's largest resident set is at least what its parent had.
        subprocess.run(
            [sys.executable, __file__, "--parameters", str(options.parameters), "--step", "make", str(folder / "a")],
            check=True,
        )
        if options.turned:
            run("untie", folder / "a")
        run("tune", folder / "a", folder / "near")
        if options.turned:
            run("turn", folder / "near", folder / "turned")
        moved = folder / ("turned" if options.turned else "near")
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        disguise = [*own, "apply", str(moved), "--seed", "1", "-o", f"{folder / 'b'}/", "--quiet"]
        subprocess.run(disguise, check=True, cwd=ROOT, env=environment)
        (folder / "b" / "config.json").write_bytes((moved / "config.json").read_bytes())
        command = [*own, "align", str(folder / "a" / INDEX), str(folder / "b" / INDEX), "-o", f"{folder / 'out'}/"]
        command += ["--format", "json", *(["--group", "full"] if options.turned else [])]
        wall, processor, peak, out, said = measured(command, options.threads)
        (row,) = json.loads(out)
        print(said.strip())
        print(
            f"{wall / 60:.1f} minutes, {processor / 60:.1f} processor minutes, {peak / 1e9:.1f} GB;"
            f" distance {row['before']:.3f} before and {row['after']:.3f} after"
        )


if __name__ == "__main__":
    main()
