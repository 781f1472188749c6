"""What `nfn families` finds, how long it takes, and how often its guess of the root is right.

`scale`: folders of small CNNs (1-16-16-16-10, 4,970 weights), 5 files an orbit: one network, and 4 copies of it under
random elements of the group (permutations; scales from 0.1 to 10). Names say nothing, and files of an orbit stand far
apart. Networks are random, or the last checkpoint of each run of packed zoos (`--zoo`) as far as they go, so that some
were trained with one recipe. Printed: orbits joined wrongly and orbits torn apart, networks called derived (none is),
processor time, peak memory.

`direction`: families of MLPs on parts of scikit-learn's digits: a base, children of it and grandchildren, each trained
on in another way, then disguised. Printed: for how many pairs of parent and child the guess who was first is right, and
for how many families the root is. `--made` looks at the families that benchmarks/kinship has made in a folder instead.

One thread:

    python benchmarks/families.py scale --orbits 200 2000 [--members 5] [--zoo DIR ...] [--most-pairs 2000]
    python benchmarks/families.py direction [--families 10] [--made FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.symmetry.sources import Draw, draw_element, read_any, transformed_by

ROOT = Path(__file__).resolve().parent.parent
SHAPES = {"conv1": (16, 1, 3, 3), "conv2": (16, 16, 3, 3), "conv3": (16, 16, 3, 3), "fc": (10, 16)}


def drawn(generator: torch.Generator) -> dict[str, Tensor]:
    """Random weights, of another size from layer to layer, as training leaves them."""
    found = {}
    for name, shape in SHAPES.items():
        fan_in = torch.Size(shape[1:]).numel()
        size = float(torch.empty(()).uniform_(0.7, 1.6, generator=generator)) / fan_in**0.5
        found[f"{name}.weight"] = torch.randn(shape, generator=generator) * size
        found[f"{name}.bias"] = torch.randn(shape[0], generator=generator) * 0.1
    return found


def of_zoos(folders: list[Path]) -> Iterator[tuple[dict[str, Tensor], str]]:
    """The last checkpoint of each run of packed zoos, and the activation."""
    for folder in folders:
        with open(folder / "labels.csv", newline="", encoding="utf-8") as stream:
            last = {row["run"]: (row["file"], int(row["index"])) for row in csv.DictReader(stream)}
        activation = "tanh" if "tanh" in folder.name else "relu"
        held: tuple[str, dict[str, Tensor]] = ("", {})
        for name, index in sorted(last.values()):
            held = held if held[0] == name else (name, load_file(folder / name))
            yield {own: tensor[index].float() for own, tensor in held[1].items()}, activation


@dataclass(frozen=True)
class Scale:
    """What was measured of one folder."""

    files: int
    orbits: int
    joined: int
    torn: int
    derived: int
    processor: float
    wall: float
    peak: float


def make_folder(folder: Path, orbits: int, members: int, zoos: list[Path]) -> dict[str, int]:
    """The files of a folder, and each one's orbit by its name."""
    tracer, trained = NetworkTracer(), of_zoos(zoos)
    names = random.Random(0).sample(range(10**8), orbits * members)
    truth: dict[str, int] = {}
    for orbit in range(orbits):
        generator = torch.Generator().manual_seed(orbit)
        tensors, activation = next(trained, (drawn(generator), "relu"))
        metadata = {"activation": activation, "pool": "avg"}
        own = [folder / f"{names.pop():08}.safetensors" for _ in range(members)]
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, own[0], metadata)
        source = read_any(own[0], Stated(), tracer)
        for member, path in enumerate(own[1:]):
            moved = transformed_by(source, draw_element(source, Draw(), orbit * members + member))
            save_file({name: tensor.contiguous() for name, tensor in moved.items()}, path, metadata)
        truth.update({path.name: orbit for path in own})
    return truth


def measured(folder: Path, truth: dict[str, int], most_pairs: int) -> Scale:
    """Run the command on a folder, in a process of its own."""
    arguments = [sys.executable, "-m", "nfn_cli", "families", str(folder), "--format", "csv", "--quiet"]
    arguments += ["--most-pairs", str(most_pairs)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    began = time.monotonic()
    with tempfile.TemporaryFile("w+", encoding="utf-8") as out:
        process = subprocess.Popen(arguments, env=environment, stdout=out)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        if status:
            raise SystemExit(f"nfn families ended with {status}")
        out.seek(0)
        rows = list(csv.DictReader(out))
    found = {Path(row["path"]).name: int(row["orbit"]) for row in rows}
    assert found.keys() == truth.keys()
    of_found: dict[int, set[int]] = {}
    of_truth: dict[int, set[int]] = {}
    for name, orbit in found.items():
        of_found.setdefault(orbit, set()).add(truth[name])
        of_truth.setdefault(truth[name], set()).add(orbit)
    return Scale(
        len(truth),
        len(of_truth),
        sum(len(own) > 1 for own in of_found.values()),
        sum(len(own) > 1 for own in of_truth.values()),
        sum(row["relation"] == "derived" for row in rows),
        used.ru_utime + used.ru_stime,
        wall,
        used.ru_maxrss / 1024,
    )


def scale(orbits: list[int], members: int, zoos: list[Path], most_pairs: int) -> None:
    print("| files | orbits | pairs | joined wrongly | torn apart | called derived | processor seconds | peak MB |")
    print("|---|---|---|---|---|---|---|---|")
    for count in orbits:
        with tempfile.TemporaryDirectory() as folder:
            truth = make_folder(Path(folder), count, members, zoos)
            for most in sorted({0, most_pairs}):
                own = measured(Path(folder), truth, most)
                print(
                    f"| {own.files:,} | {own.orbits:,} | {most:,} | {own.joined} | {own.torn} |"
                    f" {own.derived} | {own.processor:,.0f} | {own.peak:,.0f} |",
                    flush=True,
                )


def mlp() -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 32), nn.ReLU(), nn.Linear(32, 10))


@dataclass(frozen=True)
class Training:
    """How a network is trained on.

    Attributes:
        part: of the digits. inverted: whether black is white.
    """

    part: int
    epochs: int
    rate: float
    decay: float = 0.0
    inverted: bool = False


# Each network's parent in the family, and how it was made from it.
LINEAGE: dict[str, tuple[str | None, Training]] = {
    "base": (None, Training(0, 40, 3e-3)),
    "tuned": ("base", Training(1, 15, 1e-3)),
    "long": ("base", Training(0, 40, 3e-3)),
    "decayed": ("base", Training(2, 15, 1e-3, decay=0.1)),
    "inverted": ("base", Training(1, 15, 1e-3, inverted=True)),
    "tuned twice": ("tuned", Training(2, 15, 1e-3)),
    "inverted twice": ("inverted", Training(2, 15, 1e-3, inverted=True)),
}


def trained(state: dict[str, Tensor] | None, how: Training, parts: list[tuple[Tensor, Tensor]], seed: int) -> nn.Module:
    torch.manual_seed(seed)
    model = mlp()
    if state is not None:
        model.load_state_dict(state)
    x, y = parts[how.part]
    x = 1 - x if how.inverted else x
    optimizer = torch.optim.AdamW(model.parameters(), lr=how.rate, weight_decay=how.decay)
    for _ in range(how.epochs):
        for chosen in torch.randperm(len(x)).split(32):
            optimizer.zero_grad()
            functional.cross_entropy(model(x[chosen]), y[chosen]).backward()
            optimizer.step()
    return model


def direction(count: int) -> None:
    from sklearn.datasets import load_digits

    from nfn_cli.symmetry.kinship.direction import earlier
    from nfn_cli.symmetry.kinship.families import find_families
    from nfn_cli.symmetry.kinship.signature import signature_of

    digits = load_digits()
    x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    tracer = NetworkTracer()
    guesses: dict[str, list[int]] = {name: [] for name, (parent, _) in LINEAGE.items() if parent is not None}
    heavier: dict[str, list[bool]] = {name: [] for name in guesses}
    roots = edges = right = turned = families = 0
    for family in range(count):
        order = torch.randperm(len(x), generator=torch.Generator().manual_seed(family)).chunk(3)
        parts = [(x[own], y[own]) for own in order]
        states: dict[str, dict[str, Tensor]] = {}
        with tempfile.TemporaryDirectory() as folder:
            paths = {}
            for place, (name, (parent, how)) in enumerate(LINEAGE.items()):
                base = None if parent is None else states[parent]
                states[name] = trained(base, how, parts, 100 * family + place).state_dict()
                plain = Path(folder) / "plain.safetensors"
                save_file(states[name], plain, {"activation": "relu"})
                source = read_any(plain, Stated(), tracer)
                moved = transformed_by(source, draw_element(source, Draw(), 100 * family + place))
                # Names in any order, so that order says nothing.
                paths[name] = Path(folder) / f"{hash((family, place, 'x')) % 10**9}.safetensors"
                save_file(
                    {own: tensor.contiguous() for own, tensor in moved.items()}, paths[name], {"activation": "relu"}
                )
                plain.unlink()
            signatures = {name: signature_of(read_any(path, Stated(), tracer)) for name, path in paths.items()}
            for name, (parent, _) in LINEAGE.items():
                if parent is not None:
                    one, other = signatures[parent], signatures[name]
                    guesses[name].append(earlier(one, other))
                    heavier[name].append(other.tails > one.tails)
            found = find_families(sorted(paths.values()), lambda path: read_any(path, Stated(), tracer))
        families += found.count == 1 and len(found.members) == len(LINEAGE) and len(found.roots) == 1
        names = {str(path): name for name, path in paths.items()}
        roots += any(names[root.path] == "base" for root in found.roots)
        for own in found.members:
            if own.of is not None:
                one, other = names[own.path], names[own.of]
                edges += 1
                right += LINEAGE[one][0] == other
                turned += LINEAGE[other][0] == one
    print("| child | families | guess right | heavier tails |")
    print("|---|---|---|---|")
    for name, own in guesses.items():
        print(f"| {name} | {len(own)} | {own.count(1)} | {sum(heavier[name])} |")
    print(
        f"\nfamilies found whole: {families} of {count}; root right: {roots}; edges right: {right} of {edges}, "
        f"the wrong way round: {turned}"
    )


def direction_of_made(folder: Path) -> None:
    from nfn_cli.symmetry.kinship.direction import earlier
    from nfn_cli.symmetry.kinship.signature import Signature, signature_of

    children = ("short", "long", "sibling")  # those that were trained on
    print("| family | base and child | guess right | heavier tails |")
    print("|---|---|---|---|")
    all_pairs = all_right = all_tails = 0
    for kind in sorted(own for own in folder.iterdir() if own.is_dir()):
        tracer = NetworkTracer()

        def read(number: Path, name: str, tracer: NetworkTracer = tracer) -> Signature:
            return signature_of(read_any(number / f"{name}.disguised.safetensors", Stated(), tracer))

        pairs = [(read(number, "base"), read(number, name)) for number in kind.iterdir() for name in children]
        right = sum(earlier(*pair) == 1 for pair in pairs)
        tails = sum(other.tails > one.tails for one, other in pairs)
        print(f"| {kind.name} | {len(pairs)} | {right} | {tails} |", flush=True)
        all_pairs, all_right, all_tails = all_pairs + len(pairs), all_right + right, all_tails + tails
    print(f"| all | {all_pairs} | {all_right} | {all_tails} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(required=True, dest="part")
    sizes = parts.add_parser("scale")
    sizes.add_argument("--orbits", type=int, nargs="+", default=[200, 2000])
    sizes.add_argument("--members", type=int, default=5)
    sizes.add_argument("--zoo", type=Path, nargs="+", default=[])
    sizes.add_argument("--most-pairs", type=int, default=2000)
    directed = parts.add_parser("direction")
    directed.add_argument("--families", type=int, default=10)
    directed.add_argument("--made", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.part == "scale":
        scale(options.orbits, options.members, options.zoo, options.most_pairs)
    elif options.made is None:
        direction(options.families)
    else:
        direction_of_made(options.made)


if __name__ == "__main__":
    main()
