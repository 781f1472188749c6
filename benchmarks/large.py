"""Time and memory of `nfn` on a large sharded checkpoint, against loading and saving its shards with safetensors.

The checkpoint is synthetic, of a Llama's names and shapes in bfloat16, in two shards with an index and `config.json`:
by default that of 1.2e9 parameters (2.5 GB). Every command runs in a process of its own with one thread, start-up
included on all sides, in turn, round after round; the disk is waited for in between. Times are medians, memory is the
largest resident set of all rounds, which counts mapped pages of files. `nfn` waits until its files are on the disk;
plain saving does not, so it is measured with waiting too. `rewrite` is what a rewrite costs alone: each tensor read,
negated, and written; whole, or in parts of 8 MiB.

    python benchmarks/large.py [--parameters 1.2e9] [--rounds 3] [--skip verify ...] [--only rewrite ...] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

# No torch here: a child's largest resident set is at least what its parent had when it started it.
ROOT = Path(__file__).resolve().parent.parent
LAYERS, HEAD, GROUP = 16, 64, 4
FULL = (1_235_814_400, 32, 128_256)  # parameters, heads, vocabulary
INDEX = "model.safetensors.index.json"

LOAD_AND_SAVE = """
import os, sys
from pathlib import Path
from safetensors.torch import load_file, save_file
source, target, wait = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3] == "wait"
for path in sorted(source.glob("*.safetensors")):
    save_file(load_file(path), target / path.name)
    if wait:
        with (target / path.name).open("r+b") as file:
            os.fsync(file.fileno())
"""
OPEN = """
import sys
from nfn_cli.checkpoints import open_checkpoint
open_checkpoint(sys.argv[1])
"""
REWRITE = """
import sys
from pathlib import Path
from nfn_cli.checkpoints import PartedTensors, open_checkpoint, rewrite_checkpoint

class Negated(PartedTensors):
    def __init__(self, tensors, parted):
        self.tensors, self.parted = tensors, parted
    def __getitem__(self, name):
        return self.tensors[name].neg_()
    def __iter__(self):
        return iter(self.tensors)
    def __len__(self):
        return len(self.tensors)
    def parts(self, name):
        if not self.parted:
            yield self[name]
            return
        for part in self.tensors.parts(name):
            yield part.neg_()

checkpoint = open_checkpoint(sys.argv[1])
negated = Negated(checkpoint.tensors, sys.argv[3] == "parts")
rewrite_checkpoint(checkpoint, negated, Path(sys.argv[2]) / checkpoint.path.name)
"""


@dataclass(frozen=True)
class Cost:
    """Of one process: seconds, and the largest resident set in bytes."""

    wall: float
    processor: float
    peak: int


def shapes(heads: int, vocabulary: int) -> dict[str, tuple[int, ...]]:
    """Of the tensors of a Llama with tied embeddings, in the order of its module."""
    hidden, keys = HEAD * heads, HEAD * heads // GROUP
    named: dict[str, tuple[int, ...]] = {"model.embed_tokens.weight": (vocabulary, hidden)}
    for layer in range(LAYERS):
        own = {
            "self_attn.q_proj": (hidden, hidden),
            "self_attn.k_proj": (keys, hidden),
            "self_attn.v_proj": (keys, hidden),
            "self_attn.o_proj": (hidden, hidden),
            "mlp.gate_proj": (4 * hidden, hidden),
            "mlp.up_proj": (4 * hidden, hidden),
            "mlp.down_proj": (hidden, 4 * hidden),
            "input_layernorm": (hidden,),
            "post_attention_layernorm": (hidden,),
        }
        named |= {f"model.layers.{layer}.{name}.weight": shape for name, shape in own.items()}
    return named | {"model.norm.weight": (hidden,)}


def configuration(heads: int, vocabulary: int) -> dict[str, object]:
    """As Hugging Face's `config.json` has it."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocabulary,
        "hidden_size": HEAD * heads,
        "intermediate_size": 4 * HEAD * heads,
        "num_hidden_layers": LAYERS,
        "num_attention_heads": heads,
        "num_key_value_heads": heads // GROUP,
        "head_dim": HEAD,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-05,
        "rope_theta": 500000.0,
        "max_position_embeddings": 131072,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "torch_dtype": "bfloat16",
    }


def make(folder: Path, parameters: float) -> None:
    """Write the checkpoint of about so many parameters: shapes shrink together, the number of layers stays."""
    import torch
    from safetensors.torch import save_file

    full, heads, vocabulary = FULL
    scale = math.sqrt(parameters / full)
    heads, vocabulary = max(GROUP, GROUP * round(heads * scale / GROUP)), max(256, round(vocabulary * scale))
    named = shapes(heads, vocabulary)
    total = sum(map(math.prod, named.values()))
    shards: tuple[dict[str, tuple[int, ...]], ...] = ({}, {})
    seen = 0
    for name, shape in named.items():
        shards[2 * seen >= total][name] = shape
        seen += math.prod(shape)
    generator = torch.Generator().manual_seed(0)
    weight_map = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        tensors = {}
        for name, shape in shard.items():
            values = torch.empty(shape, dtype=torch.bfloat16).normal_(generator=generator)
            tensors[name] = values.mul_(0.02) if len(shape) > 1 else values.mul_(0.1).add_(1.0)
        save_file(tensors, folder / file, metadata={"format": "pt"})
        weight_map |= dict.fromkeys(shard, file)
    record = {"metadata": {"total_size": 2 * total}, "weight_map": dict(sorted(weight_map.items()))}
    (folder / INDEX).write_text(json.dumps(record, indent=2))
    (folder / "config.json").write_text(json.dumps(configuration(heads, vocabulary), indent=2))
    print(f"{total:,} parameters, {2 * total / 1e9:.2f} GB in {len(named)} tensors", flush=True)


def cost(command: list[str]) -> tuple[Cost, int, str]:
    """Of a command; its exit code; and what it last said on stderr."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryFile() as said:
        started = time.perf_counter()
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=said)
        _, status, used = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        lines = said.read().decode(errors="replace").splitlines() or [""]
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall, used.ru_utime + used.ru_stime, used.ru_maxrss * unit), child.returncode, lines[-1]


def commands(source: Path, target: Path, disguise: Path) -> dict[str, list[str]]:
    """By name; each writes into `target`, if anywhere."""
    python, own = [sys.executable, "-c"], [sys.executable, "-m", "nfn_cli"]
    return {
        "load and save": [*python, LOAD_AND_SAVE, str(source), str(target), "go on"],
        "load, save, wait": [*python, LOAD_AND_SAVE, str(source), str(target), "wait"],
        "open": [*python, OPEN, str(source)],
        "rewrite": [*python, REWRITE, str(source), str(target), "whole"],
        "rewrite in parts": [*python, REWRITE, str(source), str(target), "parts"],
        "inspect": [*own, "inspect", str(source)],
        "apply": [*own, "apply", str(source), "--seed", "1", "-o", str(target)],
        "canonicalize": [*own, "canonicalize", str(source), "-o", str(target)],
        "verify": [*own, "verify", str(source), str(disguise)],
    }


def compare(folder: Path, chosen: set[str], rounds: int) -> None:
    source, target, disguise = folder / "model", folder / "out", folder / "disguise"
    listed = {name: own for name, own in commands(source, target, disguise).items() if name in chosen}
    found: dict[str, list[Cost]] = {name: [] for name in listed}
    failed: dict[str, str] = {}
    for _ in range(rounds):
        for name, command in listed.items():
            if name in failed:
                continue
            if name == "verify" and not disguise.exists():
                failed[name] = "there is no disguise, for `apply` was left out or failed"
                continue
            target.mkdir()
            os.sync()
            used, code, said = cost(command)
            if code:
                failed[name] = f"exit code {code}: {said}"
            else:
                found[name].append(used)
            if name == "apply" and not code and not disguise.exists():
                # With what stands beside the weights, as a user would have it.
                target.rename(disguise)
                shutil.copy(source / "config.json", disguise)
            else:
                shutil.rmtree(target)
    print("command\twall\tprocessor\tpeak\twall, of load and save\tprocessor, of load and save")
    plain = typical(found["load and save"])
    for name, costs in found.items():
        if name in failed:
            print(name, failed[name], sep="\t")
            continue
        used = typical(costs)
        ratios = (f"{used.wall / plain.wall:.2f}", f"{used.processor / plain.processor:.2f}")
        print(name, f"{used.wall:.2f} s", f"{used.processor:.2f} s", f"{used.peak / 1e6:.0f} MB", *ratios, sep="\t")


def typical(costs: list[Cost]) -> Cost:
    """Medians of the times, and the largest peak."""
    wall, processor = (statistics.median(getattr(own, kind) for own in costs) for kind in ("wall", "processor"))
    return Cost(wall, processor, max(own.peak for own in costs))


def main() -> None:
    names = list(commands(Path(), Path(), Path()))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parameters", type=float, default=1.2e9)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--skip", nargs="*", choices=names[1:], default=[])
    parser.add_argument("--only", nargs="*", choices=names[1:])
    parser.add_argument("--folder", type=Path, help="where there is room for four copies; made and removed below it")
    parser.add_argument("--make", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make is not None:
        make(options.make, options.parameters)
        return
    chosen = {names[0], *(names if options.only is None else options.only)} - set(options.skip)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        (folder / "model").mkdir()
        command = [sys.executable, __file__, "--make", str(folder / "model"), "--parameters", str(options.parameters)]
        subprocess.run(command, check=True)
        compare(folder, chosen, options.rounds)


if __name__ == "__main__":
    main()
