"""What one GPU does, in five minutes and with nothing but torch: heads, copies, zoos, and layers of traced networks.

    python benchmarks/gpu.py
    python benchmarks/gpu.py --device cpu --quick    # everything small, on the CPU

Prints a table in plain text, and again as Markdown. Sections, by the names that `--only` takes:

- heads: networks a second through each shipped head that predicts or classifies, in float32 and in bfloat16, at one
  large batch of the labelled networks of `tests/population`, repeated; and what each says of those networks: Kendall's
  tau of a predicted accuracy, or the share of classes that are right.
- copies: the same of one head for many batches, one after the other as `nfn predict-accuracy` computes them; and with
  the copy of the next batch, from pinned memory and in a stream of its own, while the GPU computes.
- zoos: what `nfn zoo cnn`, `inr` and `wild --per-network` make a second, of random pictures.
- layers: forward and backward passes of the equivariant and invariant layers for traced networks.

A section that fails is named with its reason, the others go on, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nfn_cli.architectures import NetworkWeights
from nfn_cli.learning.metrics import kendall_tau
from nfn_cli.nn import Head, load_head, shipped_heads_of
from nfn_cli.precision import fastest_precision
from nfn_cli.scoring.device import resolve_device
from nfn_cli.threads import threads_for, weights_of
from nfn_cli.zoo import InrSettings, WildSettings, ZooSettings, generate_zoo, read_inrs, read_networks
from nfn_cli.zoo.listed_networks import selected

POPULATION = Path(__file__).resolve().parent.parent / "tests" / "population"
ANY = "any-classifier"  # reads statistics, which are not made on the GPU alone


@dataclass(frozen=True)
class Sizes:
    """How much is done.

    Attributes:
        batch: networks that go through a head at once; halved where a card is full.
        labelled: networks that tau is of; None takes all of a population.
        seconds: how long one thing is repeated, at most; twice at least.
        batches: of the section on copies.
        images: training images of a zoo; as many again for tests.
        side: of the images.
        cnns, inrs, wild: networks of each zoo. epochs, steps: that each CNN and INR is trained.
        per_network, budget: of the wild ones, see `nfn zoo wild --help`.
        depth: residual blocks of the network whose layers are timed; traced: networks at once.
    """

    batch: int = 4096
    labelled: int | None = None
    seconds: float = 4.0
    batches: int = 8
    images: int = 10_000
    side: int = 28
    cnns: int = 256
    epochs: int = 2
    inrs: int = 2048
    steps: int = 500
    wild: int = 32
    per_network: int = 16
    budget: int = 10
    depth: int = 9
    traced: int = 64


QUICK = Sizes(16, 48, 0.0, 2, 240, 15, 2, 1, 4, 5, 1, 1, 1, 1, 2)


@dataclass(frozen=True)
class Row:
    """One figure."""

    section: str
    what: str
    figure: str
    unit: str


@dataclass(frozen=True)
class Bench:
    """Where and how much."""

    device: str
    sizes: Sizes
    section: str = ""

    def row(self, what: str, figure: str, unit: str = "") -> Row:
        """A figure of the section."""
        return Row(self.section, what, figure, unit)

    def rate(self, what: str, count: int, seconds: float, unit: str = "networks/s") -> Row:
        """How many a second."""
        rate = count / seconds
        return self.row(what, f"{rate:,.0f}" if rate >= 100 else f"{rate:.3g}", unit)

    def wait(self) -> None:
        """Until the device has done what it was given."""
        if self.device == "cuda":
            torch.cuda.synchronize()
        elif self.device == "mps":
            torch.mps.synchronize()

    def seconds(self, work: Callable[[], Any]) -> float:
        """Median time of a call that leaves nothing under way, after one that warms up."""
        work()
        self.wait()
        times: list[float] = []
        while len(times) < 2 or sum(times) < self.sizes.seconds:
            started = time.perf_counter()
            work()
            self.wait()
            times.append(time.perf_counter() - started)
        return statistics.median(times)


def repeated(point: NetworkWeights, count: int) -> NetworkWeights:
    """So many networks, the given ones again and again."""
    own = len(next(iter(point.tensors.values())))
    return selected(point, [place % own for place in range(count)])


def population_of(head: Head) -> Any:
    """Labelled networks of the tests that a head reads."""
    task = head.config.kind.task
    if task == "predict-accuracy":
        return read_networks(POPULATION / head.name.rpartition("-")[2])
    return read_inrs(POPULATION / f"inr-{head.name.partition('inr-')[2]}")


def heads(bench: Bench) -> Iterator[Row]:
    """Rates of shipped heads, and what bfloat16 changes."""
    for task in ("predict-accuracy", "classify-inr"):
        for name in shipped_heads_of(task):
            if name != ANY:
                yield from one_head(bench, load_head(name, bench.device))


def one_head(bench: Bench, head: Head) -> Iterator[Row]:
    known = population_of(head).first(bench.sizes.labelled)
    measure, what = (tau, "tau") if head.config.kind.task == "predict-accuracy" else (right, "share right")
    said: dict[str, float] = {}
    if bench.device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for dtype in ("float32", "bfloat16"):
        predict = partial(predicted, bench.device, head, dtype)
        large = fitting(predict, known.point, bench.sizes.batch)
        batch = len(next(iter(large.tensors.values())))
        rate = batch / bench.seconds(partial(predict, large))
        yield bench.row(f"{head.name}, {dtype}", f"{rate:,.0f}", f"networks/s at batch {batch:,}")
        said[dtype] = measure(predict(known.point), known.targets)
        yield bench.row(f"{head.name}, {dtype}", f"{said[dtype]:.4f}", f"{what} of {len(known):,}")
    change = said["bfloat16"] - said["float32"]
    yield bench.row(f"{head.name}, bfloat16 less float32", f"{change:+.4f}", what)
    with threads_for(weights_of(large)):
        rate = batch / bench.seconds(lambda: head.model.encode(large))
    yield bench.row(f"{head.name}, features on the CPU and their copy alone", f"{rate:,.0f}", "networks/s")
    if bench.device == "cuda":
        peak = torch.cuda.max_memory_allocated() / 2**30
        yield bench.row(f"{head.name}, peak memory", f"{peak:.1f}", "GiB")


def predicted(device: str, head: Head, dtype: str, point: NetworkWeights) -> Any:
    with torch.autocast(device, torch.bfloat16, enabled=dtype == "bfloat16"):
        return head.predict(point)


def fitting(predict: Callable[[NetworkWeights], Any], point: NetworkWeights, batch: int) -> NetworkWeights:
    """So many networks, or as many as the device has memory for."""
    while True:
        large = repeated(point, batch)
        try:
            predict(large)
        except torch.OutOfMemoryError:
            if batch == 1:
                raise
            batch //= 2
        else:
            return large


def tau(said: Any, accuracies: Tensor) -> float:
    return float(kendall_tau(accuracies, said.accuracy))


def right(said: Any, classes: Tensor) -> float:
    return float((said.probabilities.argmax(1) == classes).double().mean())


@torch.inference_mode()
def copies(bench: Bench) -> Iterator[Row]:
    """One head for many batches: each read, copied and computed in turn, and with copies under way meanwhile."""
    head = load_head("small-cnn-relu", bench.device)
    whole = repeated(population_of(head).point, bench.sizes.batch * bench.sizes.batches)
    size = bench.sizes.batch
    parts = [selected(whole, list(range(at * size, at * size + size))) for at in range(bench.sizes.batches)]
    networks = size * len(parts)

    def in_turn() -> list[Tensor]:
        with threads_for(weights_of(parts[0])):
            return [head.model(head.model.encode(part))[0].cpu() for part in parts]

    def overlapped() -> list[Tensor]:
        with threads_for(weights_of(parts[0])):
            return list(in_stream(head, parts, bench.device))

    plain = bench.seconds(in_turn)
    yield bench.rate("in turn, as scored", networks, plain)
    if bench.device != "cuda":
        yield bench.row("copied from pinned memory meanwhile", "–", "needs CUDA")
        return
    seconds = bench.seconds(overlapped)
    yield bench.rate("copied from pinned memory meanwhile", networks, seconds)
    yield bench.row("times as fast", f"{plain / seconds:.2f}")
    largest = max(float((one - other).abs().max()) for one, other in zip(in_turn(), overlapped(), strict=True))
    yield bench.row("largest difference of a logit", f"{largest:.1e}")


def in_stream(head: Head, parts: Sequence[NetworkWeights], device: str) -> Iterator[Tensor]:
    """Logits of batches. What the CPU makes of a batch goes to the GPU in a stream of its own while the one before is
    computed, and answers are fetched a batch later."""
    stream, before = torch.cuda.Stream(), None
    member = head.model.members[0]
    for part in parts:
        features = [values.pin_memory() for values in member.encode(part, device="cpu")]
        with torch.cuda.stream(stream):
            there = [values.to(device, non_blocking=True) for values in features]
        torch.cuda.current_stream().wait_stream(stream)
        for values in there:
            values.record_stream(torch.cuda.current_stream())
        logits = head.model(there)[0]
        if before is not None:
            yield before.cpu()
        before = logits
    if before is not None:
        yield before.cpu()


def zoos(bench: Bench) -> Iterator[Row]:
    """Rates of the commands that make zoos, from the first job to the last file."""
    sizes = bench.sizes
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = write_images(folder / "images.npz", sizes.images, sizes.side)
        cnn = ZooSettings(
            data=data,
            activation="relu",
            count=sizes.cnns,
            epochs=(sizes.epochs,),
            packed=True,
            precision=fastest_precision(bench.device),
        )
        inr = InrSettings(data, min(sizes.inrs, sizes.images), steps=sizes.steps, packed=True)
        wild = WildSettings(data, sizes.wild, budget=sizes.budget, per_network=sizes.per_network)
        made = (("cnn", cnn, sizes.cnns), ("inr", inr, inr.count), ("wild", wild, sizes.wild))
        for number, (recipe, settings, count) in enumerate(made):
            if bench.device != "cpu":  # the first job pays for the device's start and its kernels
                generate_zoo(folder / f"warm-{number}", first_of(settings), device=bench.device)
            started = time.perf_counter()
            report = generate_zoo(folder / recipe, settings, device=bench.device)
            seconds = time.perf_counter() - started
            yield bench.rate(f"nfn zoo {recipe}, {count:,} runs", count, seconds, "runs/s")
            unit = {"cnn": "network-samples/s", "inr": "network-steps/s", "wild": "network-epochs/s"}[recipe]
            yield bench.rate(f"nfn zoo {recipe}, {count:,} runs", report.steps, seconds, unit)


def first_of(settings: Any) -> Any:
    """The settings of a small part of a zoo."""
    return replace(settings, count=min(settings.count, getattr(settings, "per_network", 2)))


def write_images(path: Path, count: int, side: int) -> str:
    """Random pictures of ten classes, which a brighter row tells apart."""
    rng, labels = np.random.default_rng(0), np.arange(count) % 10
    pictures = rng.integers(0, 160, (count, side, side)).astype(np.uint8)
    pictures[np.arange(count), labels] += 90
    np.savez(path, x_train=pictures, y_train=labels, x_test=pictures[: count // 2], y_test=labels[: count // 2])
    return str(path)


class Block(nn.Module):
    """x + f(x), with normalised convolutions."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first, self.second = (nn.Conv2d(width, width, 3, padding=1, bias=False) for _ in range(2))
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.norm2(self.second(torch.relu(self.norm1(self.first(x))))))


def layers(bench: Bench) -> Iterator[Row]:
    """Layers for traced networks."""
    if importlib.util.find_spec("nfn_cli.nn.labelled") is None:
        raise RuntimeError("this nfn has no nfn_cli.nn.labelled")
    from nfn_cli.nn.labelled import LabelledActivation, LabelledInvariant, LabelledLayout, LabelledLinear

    network = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        *(Block(16) for _ in range(bench.sizes.depth)),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    )
    layout = LabelledLayout.from_module(network, torch.zeros(1, 3, 16, 16))
    generator = torch.Generator().manual_seed(0)
    count = bench.sizes.traced
    tensors = {
        name: torch.rand(count, *shape, generator=generator).to(bench.device) + 0.5
        for name, shape in layout.shapes.items()
    }
    channels = [8] * len(layout.fields)
    fields = [values.requires_grad_() for values in layout.pack(tensors)]
    inner = [torch.rand_like(values[..., :1]).expand(*values.shape[:-1], 8).contiguous() for values in fields]
    timed: dict[str, tuple[Any, Sequence[Tensor]]] = {
        "LabelledLinear": (LabelledLinear(layout, layout.features, channels), fields),
        "LabelledActivation": (LabelledActivation(layout), [own.requires_grad_() for own in inner]),
        "LabelledInvariant": (LabelledInvariant(layout, channels, 8), [own.requires_grad_() for own in inner]),
    }
    kind = f"{layout.entries:,} entries, {len(layout.fields)} fields"
    yield bench.rate(f"LabelledLayout.pack ({kind})", count, bench.seconds(lambda: layout.pack(tensors)))
    for name, (layer, given) in timed.items():
        layer.to(bench.device)

        @torch.no_grad()
        def forward(layer: Any = layer, given: Sequence[Tensor] = given) -> None:
            layer(given)

        def backward(layer: Any = layer, given: Sequence[Tensor] = given) -> None:
            found = layer(given)
            outputs = found if isinstance(found, list) else [found]
            sum(own.sum() for own in outputs).backward()

        yield bench.rate(f"{name}, forward", count, bench.seconds(forward))
        yield bench.rate(f"{name}, forward and backward", count, bench.seconds(backward))


SECTIONS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "heads": heads,
    "copies": copies,
    "zoos": zoos,
    "layers": layers,
}


def machine(device: str) -> str:
    """The card, and the versions that decide its speed."""
    versions = f"torch {torch.__version__}"
    if device != "cuda":
        return f"{device}, {torch.get_num_threads()} threads, {versions}"
    card = torch.cuda.get_device_properties(0)
    memory = f"{card.total_memory / 2**30:.0f} GiB"
    return f"{card.name}, {memory}, {versions}, CUDA {torch.version.cuda}, {torch.get_num_threads()} threads"


def measured(bench: Bench, names: Sequence[str]) -> tuple[list[Row], dict[str, str]]:
    """Figures of sections as far as they came, and why some did not end."""
    rows: list[Row] = []
    failed: dict[str, str] = {}
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        try:
            for row in SECTIONS[name](replace(bench, section=name)):
                rows.append(row)
                print(f"  {row.what}: {row.figure} {row.unit}", file=sys.stderr, flush=True)
        except Exception as error:  # whatever it is, the other sections go on
            failed[name] = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"
            print(f"  skipped: {failed[name]}", file=sys.stderr, flush=True)
    return rows, failed


def plain_table(rows: Sequence[Row]) -> str:
    """The figures in columns."""
    widths = [max(len(cell) for cell in column) for column in zip(*(cells(row) for row in rows), strict=True)]
    lines = []
    for row in rows:
        section, what, figure, unit = cells(row)
        line = f"{section:<{widths[0]}}  {what:<{widths[1]}}  {figure:>{widths[2]}}  {unit}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def markdown_table(rows: Sequence[Row]) -> str:
    """The same for a page of the docs."""
    lines = ["| section | what | figure | unit |", "|---|---|---|---|"]
    return "\n".join([*lines, *(f"| {' | '.join(cells(row))} |" for row in rows)])


def cells(row: Row) -> tuple[str, str, str, str]:
    return row.section, row.what, row.figure, row.unit


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto")
    parser.add_argument("--quick", action="store_true", help="everything small: to see that it runs, not how fast")
    parser.add_argument("--only", action="append", choices=list(SECTIONS), help="a section; repeatable")
    options = parser.parse_args(given)
    device = resolve_device(options.device)
    started = time.perf_counter()
    bench = Bench(device, QUICK if options.quick else Sizes())
    rows, failed = measured(bench, options.only or list(SECTIONS))
    print(f"{machine(device)}; {time.perf_counter() - started:.0f} s in all")
    if rows:
        print(f"\n{plain_table(rows)}\n\n{markdown_table(rows)}")
    for name, reason in failed.items():
        print(f"\nskipped: {name}: {reason}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
