"""What `nfn align` finds: networks put back, and midpoints of fine-tunes.

First, networks of random weights A against B = g·(A + noise), g a random element of the group (scales from 0.1 to 10),
noise of a share of each tensor's standard deviation, as a fine-tune has it: the distance of B to A before and after
alignment beside that of A + noise itself, and the share of neurons that are back in A's place.

Second, the same for transformers whose B is moved by a random element of every gauge as well (rotations of the stream,
matrices of heads), aligned by the group alone and by `--group full`.

Third, two fine-tunes of one base, trained on parts of the digits of scikit-learn; one of them is disguised by a random
element (`nfn apply`). The loss and accuracy of the midpoint, plain and aligned (`nfn align --interpolate 0.5`), on what
was held out, beside those of the worse parent; then the same for two networks that were trained apart.

One thread, about four minutes of processor time:

    python benchmarks/align.py [--seeds 3] [--only put-back turned midpoints]
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.symmetry import GroupElement, Source, labelled
from nfn_cli.symmetry.aligning import align_to
from nfn_cli.symmetry.labelled.gauges import act_by, sample_turns
from nfn_cli.symmetry.moves import Moves, moves_of_chain, moves_of_labelled
from nfn_cli.symmetry.sources import Draw, draw_element, read_any, transformed_by

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnyElement, AnySource

ROOT = Path(__file__).resolve().parent.parent
NOISE = (0.1, 0.5)
WIDTHS = (16, 32, 64)
LLAMA: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "vocab_size": 256,
    "hidden_size": 64,
    "intermediate_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "hidden_act": "silu",
    "rms_norm_eps": 1e-05,
    "rope_theta": 10000.0,
    "max_position_embeddings": 128,
    "attention_bias": False,
    "mlp_bias": False,
    "tie_word_embeddings": True,
}

Shapes = dict[str, tuple[int, ...]]


def mlp() -> Shapes:
    sizes = (64, 128, 128, 10)
    return {f"{i}.weight": (sizes[i + 1], sizes[i]) for i in range(3)} | {
        f"{i}.bias": (sizes[i + 1],) for i in range(3)
    }


def cnn() -> Shapes:
    layers = {"conv1": (16, 1, 3, 3), "conv2": (32, 16, 3, 3), "conv3": (32, 32, 3, 3), "fc": (10, 32)}
    return {f"{name}.weight": shape for name, shape in layers.items()} | {
        f"{name}.bias": shape[:1] for name, shape in layers.items()
    }


def norm(name: str, size: int) -> Shapes:
    parts = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{part}": (size,) for part in parts} | {f"{name}.num_batches_tracked": ()}


def resnet() -> Shapes:
    """Of a CIFAR ResNet-14 with shortcuts by convolution."""
    found: Shapes = {"conv1.weight": (WIDTHS[0], 3, 3, 3)} | norm("bn1", WIDTHS[0])
    before = WIDTHS[0]
    for stage, width in enumerate(WIDTHS, 1):
        for block in range(2):
            own = f"layer{stage}.{block}"
            found |= {f"{own}.conv1.weight": (width, before, 3, 3)} | norm(f"{own}.bn1", width)
            found |= {f"{own}.conv2.weight": (width, width, 3, 3)} | norm(f"{own}.bn2", width)
            if before != width:
                found |= {f"{own}.shortcut.0.weight": (width, before, 1, 1)} | norm(f"{own}.shortcut.1", width)
            before = width
    return found | {"linear.weight": (10, WIDTHS[-1]), "linear.bias": (10,)}


def llama() -> Shapes:
    hidden, keys, inner = 64, 32, 192
    found: Shapes = {"model.embed_tokens.weight": (256, hidden)}
    for layer in range(4):
        own = {
            "q_proj": (hidden, hidden),
            "k_proj": (keys, hidden),
            "v_proj": (keys, hidden),
            "o_proj": (hidden, hidden),
        }
        mixed = {"gate_proj": (inner, hidden), "up_proj": (inner, hidden), "down_proj": (hidden, inner)}
        found |= {f"model.layers.{layer}.self_attn.{name}.weight": shape for name, shape in own.items()}
        found |= {f"model.layers.{layer}.mlp.{name}.weight": shape for name, shape in mixed.items()}
        found |= {
            f"model.layers.{layer}.{name}.weight": (hidden,) for name in ("input_layernorm", "post_attention_layernorm")
        }
    return found | {"model.norm.weight": (hidden,)}


def untied() -> Shapes:
    """The same with a head of its own, so that its stream may be rotated."""
    return llama() | {"lm_head.weight": (256, 64)}


NETWORKS: dict[str, Callable[[], Shapes]] = {
    "MLP 64-128-128-10": mlp,
    "CNN, 3 convolutions": cnn,
    "CIFAR ResNet-14": resnet,
    "Llama, 4 layers": llama,
}
TURNED: dict[str, tuple[Callable[[], Shapes], dict[str, Any]]] = {
    "Llama, 4 layers": (untied, LLAMA | {"tie_word_embeddings": False}),
    "Llama, 4 layers, tied": (llama, LLAMA),
}


def drawn(shapes: Shapes, generator: torch.Generator) -> dict[str, Tensor]:
    """Random weights: matrices by fan-in, norms near to 1, running variances from 0.5 to 2."""
    found = {}
    for name, shape in shapes.items():
        if name.endswith("num_batches_tracked"):
            found[name] = torch.tensor(100)
            continue
        values = torch.randn(shape, generator=generator)
        if name.endswith("running_var"):
            found[name] = 0.5 + 1.5 * torch.rand(shape, generator=generator)
        elif len(shape) > 1:
            found[name] = values * math.sqrt(2 / math.prod(shape[1:]))
        else:
            is_norm = name.endswith("weight")
            found[name] = 0.2 * values + (1.0 if is_norm else 0.0)
    return found


def disturbed(tensors: dict[str, Tensor], noise: float, generator: torch.Generator) -> dict[str, Tensor]:
    found = {}
    for name, old in tensors.items():
        if not old.is_floating_point():
            found[name] = old
            continue
        new = old + noise * old.std() * torch.randn(old.shape, generator=generator)
        found[name] = new.clamp_min(0.1) if name.endswith("running_var") else new
    return found


def written(folder: Path, tensors: dict[str, Tensor], config: dict[str, Any] | None) -> Path:
    folder.mkdir(parents=True)
    save_file(tensors, folder / "model.safetensors", metadata={"activation": "relu"})
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder / "model.safetensors"


def moves(source: AnySource, found: AnyElement, applied: AnyElement) -> Moves:
    """What is left to be moved: of the element that was applied and then the one that was found."""
    if isinstance(source, Source):
        assert isinstance(found, GroupElement) and isinstance(applied, GroupElement)
        return moves_of_chain(found.compose(applied), source.stored, 0.1)
    assert isinstance(found, labelled.Element) and isinstance(applied, labelled.Element)
    return moves_of_labelled(labelled.compose(source.architecture, found, applied), source.architecture, 0.1)


def put_back(folder: Path, name: str, noise: float, seed: int) -> tuple[float, float, float, float, float]:
    """Distances: of A + noise, of B before and after; the share of neurons put back; processor seconds."""
    generator = torch.Generator().manual_seed(seed)
    tensors = drawn(NETWORKS[name](), generator)
    config = LLAMA if NETWORKS[name] is llama else None
    reference = read_any(written(folder / "a", tensors, config), Stated(), NetworkTracer())
    near = read_any(written(folder / "n", disturbed(tensors, noise, generator), config), Stated(), NetworkTracer())
    element = draw_element(near, Draw(), seed)
    moved = dict(near.checkpoint.tensors) | dict(transformed_by(near, element))
    far = read_any(written(folder / "b", moved, config), Stated(), NetworkTracer())
    start = time.process_time()
    found = align_to(reference, far)
    seconds = time.process_time() - start
    left = moves(near, found.element, element)
    own = align_to(reference, near, scaled=False).before
    return own, found.before, found.after, 1 - left.moved / left.neurons, seconds


def turned_back(folder: Path, name: str, noise: float, seed: int) -> tuple[float, ...]:
    """Distances: of A + noise, of B before, aligned by the group, and with gauges; processor seconds of the last."""
    generator = torch.Generator().manual_seed(seed)
    shapes, config = TURNED[name]
    tensors, tracer = drawn(shapes(), generator), NetworkTracer(gauges=True)
    reference = read_any(written(folder / "a", tensors, config), Stated(), tracer)
    near = read_any(written(folder / "n", disturbed(tensors, noise, generator), config), Stated(), tracer)
    assert not isinstance(near, Source)
    moved = dict(near.checkpoint.tensors) | dict(transformed_by(near, draw_element(near, Draw(), seed)))
    turned = act_by(sample_turns(near.architecture, generator), moved)
    far = read_any(written(folder / "b", turned, config), Stated(), tracer)
    own = align_to(reference, near, scaled=False).before
    by_group = align_to(reference, far)
    start = time.process_time()
    found = align_to(reference, far, full=True)
    return own, by_group.before, by_group.after, found.after, time.process_time() - start


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2, self.fc3 = nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc3(functional.relu(self.fc2(functional.relu(self.fc1(x)))))


class Convolutional(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(1, 16, 3, padding=1), nn.Conv2d(16, 32, 3, 2, padding=1)
        self.fc = nn.Linear(512, 10)
        self.bn1, self.bn2 = self.norms()

    def norms(self) -> tuple[nn.Module, nn.Module]:
        return nn.Identity(), nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        x = functional.relu(self.bn1(self.conv1(x.view(-1, 1, 8, 8))))
        return self.fc(functional.relu(self.bn2(self.conv2(x))).flatten(1))


class Normalised(Convolutional):
    def norms(self) -> tuple[nn.Module, nn.Module]:
        return nn.BatchNorm2d(16), nn.BatchNorm2d(32)


MODULES: dict[str, type[nn.Module]] = {"MLP": Plain, "CNN": Convolutional, "CNN with BatchNorm": Normalised}


def trained(module: nn.Module, x: Tensor, y: Tensor, epochs: int, rate: float, generator: torch.Generator) -> nn.Module:
    optimizer = torch.optim.Adam(module.parameters(), rate)
    module.train()
    for _ in range(epochs):
        for batch in torch.randperm(len(x), generator=generator).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(module(x[batch]), y[batch]).backward()
            optimizer.step()
    return module.eval()


def reestimated(module: nn.Module, state: dict[str, Tensor], x: Tensor) -> dict[str, Tensor]:
    """Running statistics of a BatchNorm estimated anew on inputs."""
    module.load_state_dict(state)
    for own in module.modules():
        if isinstance(own, nn.BatchNorm2d):
            own.reset_running_stats()
            own.momentum = None  # the mean over all batches
    with torch.no_grad():
        for batch in x.split(64):
            module.train()(batch)
    return module.state_dict()


def nfn(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "nfn_cli", *map(str, arguments), "--quiet"]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)


def midpoints(folder: Path, name: str, seed: int) -> dict[str, tuple[float, float]]:
    """Loss and accuracy on what is held out: of the worse parent, and of the midpoints."""
    from sklearn.datasets import load_digits

    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    digits = load_digits()
    x, y = torch.tensor(digits.data / 16, dtype=torch.float32), torch.tensor(digits.target)
    order = torch.randperm(len(x), generator=generator)
    test, *parts = order[:597], order[597:997], order[997:1397], order[1397:]
    base = trained(MODULES[name](), x[parts[0]], y[parts[0]], 20, 3e-3, generator)

    def measured(state: dict[str, Tensor]) -> tuple[float, float]:
        module = MODULES[name]()
        module.load_state_dict(state)
        with torch.no_grad():
            answers = module.eval()(x[test])
        return functional.cross_entropy(answers, y[test]).item(), (answers.argmax(1) == y[test]).double().mean().item()

    files = []
    for child in (0, 1):
        module = MODULES[name]()
        module.load_state_dict(base.state_dict())
        trained(module, x[parts[1 + child]], y[parts[1 + child]], 20, 1e-3, generator)
        files.append(folder / f"{child}.safetensors")
        save_file(module.state_dict(), files[-1], metadata={"activation": "relu", "pool": "none"})
    disguised, between = folder / "disguised.safetensors", folder / "between.safetensors"
    nfn("apply", files[1], "--seed", str(seed), "-o", disguised)
    nfn("align", files[0], disguised, "--interpolate", "0.5", "-o", between)
    one, two, other = (load_file(file) for file in (files[0], files[1], disguised))

    # Trained apart, on the same data as the first child and as long as both trainings together.
    torch.manual_seed(1_000 + seed)
    apart, across = folder / "apart.safetensors", folder / "across.safetensors"
    stranger = trained(MODULES[name](), x[parts[1]], y[parts[1]], 40, 3e-3, generator)
    save_file(stranger.state_dict(), apart, metadata={"activation": "relu", "pool": "none"})
    nfn("align", files[0], apart, "--interpolate", "0.5", "-o", across)

    def halfway(a: dict[str, Tensor], b: dict[str, Tensor]) -> dict[str, Tensor]:
        return {key: (a[key] + b[key]) / 2 if a[key].is_floating_point() else a[key] for key in a}

    found = {
        "worse parent": max(measured(one), measured(two)),
        "midpoint, B undisguised": measured(halfway(one, two)),
        "midpoint, B disguised": measured(halfway(one, other)),
        "midpoint, B aligned": measured(load_file(between)),
        "worse of two trained apart": max(measured(one), measured(load_file(apart))),
        "their midpoint": measured(halfway(one, load_file(apart))),
        "their midpoint, aligned": measured(load_file(across)),
    }
    if MODULES[name] is Normalised:
        anew = reestimated(Normalised(), load_file(across), x[parts[1]])
        found["the same, statistics re-estimated"] = measured(anew)
    return found


def print_put_back(folder: Path, seeds: range) -> None:
    print("| network | noise | distance of A + noise | of B before | of B aligned | put back | processor seconds |")
    print("|---|---|---|---|---|---|---|")
    for number, name in enumerate(NETWORKS):
        for noise in NOISE:
            rows = [put_back(folder / f"{number}-{noise}-{seed}", name, noise, seed) for seed in seeds]
            own, before, after, share, seconds = (statistics.median(column) for column in zip(*rows, strict=True))
            least = min(row[3] for row in rows)
            print(
                f"| {name} | {noise:g} | {own:.3f} | {before:.2f} | {after:.3f} |"
                f" {share:.1%} (least {least:.1%}) | {seconds:.2f} |",
                flush=True,
            )


def print_turned(folder: Path, seeds: range) -> None:
    print("| network | noise | distance of A + noise | of B before | aligned by the group | in full | seconds |")
    print("|---|---|---|---|---|---|---|")
    for number, name in enumerate(TURNED):
        for noise in (0.0, *NOISE):
            rows = [turned_back(folder / f"t{number}-{noise}-{seed}", name, noise, seed) for seed in seeds]
            own, before, group, full, seconds = (statistics.median(column) for column in zip(*rows, strict=True))
            print(
                f"| {name} | {noise:g} | {own:.3f} | {before:.2f} | {group:.3f} | {full:.3g} | {seconds:.1f} |",
                flush=True,
            )


def print_midpoints(folder: Path, seeds: range) -> None:
    print("| network | midpoint | loss | accuracy | loss / the worse one's (least to most) |")
    print("|---|---|---|---|---|")
    for number, name in enumerate(MODULES):
        found = [midpoints(folder / f"m{number}-{seed}", name, seed) for seed in seeds]
        worse = ""
        for what in found[0]:
            worse = what if what.startswith("worse") else worse
            losses, accuracies = zip(*(one[what] for one in found), strict=True)
            ratios = [one[what][0] / one[worse][0] for one in found]
            print(
                f"| {name} | {what} | {statistics.median(losses):.3f} | {statistics.median(accuracies):.1%} |"
                f" {min(ratios):.2f} to {max(ratios):.2f} |",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=3)
    tables = {"put-back": print_put_back, "turned": print_turned, "midpoints": print_midpoints}
    parser.add_argument("--only", nargs="+", choices=tables, default=list(tables))
    parser.add_argument("--barrier", action="store_true", help="loss barriers of CNNs trained apart, by width, alone")
    parser.add_argument("--data", default="digits", help="images for --barrier: an .npz archive, digits, ...")
    parser.add_argument("--widths", type=int, nargs="+", default=[8, 16, 32, 64])
    parser.add_argument("--limit", type=int, default=20_000, help="training images for --barrier")
    parser.add_argument("--epochs", type=int, default=5)
    given = parser.parse_args()
    seeds = range(given.seeds)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        if given.barrier:
            from barriers import print_barriers

            print_barriers(given.data, folder, seeds, given.widths, given.limit, given.epochs)
            return
        for name in given.only:
            tables[name](folder, seeds)
            print()


if __name__ == "__main__":
    main()
