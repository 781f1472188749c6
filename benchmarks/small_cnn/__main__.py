"""Heads for small CNNs on a broad zoo, and what they keep of it on populations that fitting never saw.

- `populations` makes, for each activation, a varied zoo (`nfn zoo cnn --varied`) to fit to, another one to measure on,
  and populations by one recipe each: the published one, 20,000 images for 10 epochs, batches of 512, augmentation, a
  cosine schedule, pixels in [0, 1]. Each row of their labels gets the accuracies on the test images at even and at odd
  places: Kendall's tau between these two bounds what a head can reach.
- `measure` fits a head to the varied zoo, once to all of it and once without each of the kinds: runs of the varied zoo
  that are of the kind are then not fitted to and set no interval either. The interval of a head is set by
  `nfn calibrate`, on all populations but the one that it is tried on. A head of the package may be given to compare.
- `pack` copies a zoo with its weights in float16, and says how far that moves accuracies.

- `designs` fits one member to all runs of a zoo as `nfn train` does, with probes that start as training images, with
  networks between epochs, with both and with neither, and measures each on another zoo, paired by run.
- `join` makes one zoo of several, with all of their runs, or with those that `nfn train` would hold out of the fit to
  the joined zoo.
- `compare` measures two heads on the same networks, with the difference in tau paired by run.

    python benchmarks/small_cnn populations --data cifar10_gray.npz --out populations
    python benchmarks/small_cnn measure --data cifar10_gray.npz --populations populations --out results
    python benchmarks/small_cnn pack populations/relu/varied --data cifar10_gray.npz --out packed

    nfn zoo between zoo --data cifar10_gray.npz --packed -o copies
    python benchmarks/small_cnn designs --fit zoo --copies copies --test other-zoo --data cifar10_gray.npz --out fits
    python benchmarks/small_cnn join own=own-relu fewer=fewer-relu --out pool
    python benchmarks/small_cnn compare head other-head zoo

A population that is there is not made again, and one that was stopped goes on. `measure` prints a table and writes
`results.json` and the heads.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from compare import compare
from designs import DESIGNS, designs
from join import join
from measure import measure
from pack import pack
from populations import make_populations


def parse() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="small_cnn", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True)
    make = commands.add_parser("populations", help="make all zoos")
    make.add_argument("--runs", type=int, default=1440, help="of the varied zoo (1440)")
    make.add_argument("--test-runs", type=int, default=144, help="of each other population (144)")
    make.add_argument("--seconds", type=float, help="stop then, with what there is of each zoo")
    make.add_argument("--device", default="auto")
    make.set_defaults(work=make_populations)
    fit = commands.add_parser("measure", help="fit heads and measure them")
    fit.add_argument("--populations", type=Path, required=True, metavar="DIR", help="as `populations` wrote them")
    fit.add_argument("--epochs", type=int, help="of each fit; by default as nfn train has it")
    fit.add_argument("--members", type=int, default=4, help="of each head (4)")
    fit.add_argument("--device", default="cpu", help="of the fits (cpu)")
    fit.set_defaults(work=measure)
    for command in (make, fit):
        command.add_argument("--activations", nargs="+", default=["relu", "tanh"], choices=["relu", "tanh"])
        command.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="at once (one a core)")
    half = commands.add_parser("pack", help="copy a zoo in float16")
    half.add_argument("zoo", type=Path)
    half.set_defaults(work=pack)
    plan = commands.add_parser("designs", help="fit one member in several ways")
    plan.add_argument("--fit", type=Path, required=True, metavar="ZOO", help="all of whose runs are fitted to")
    plan.add_argument("--copies", type=Path, nargs="+", default=[], metavar="ZOO", help="of nfn zoo between")
    plan.add_argument("--test", type=Path, required=True, metavar="ZOO")
    plan.add_argument("--seeds", type=int, default=3, help="of each design (3)")
    plan.add_argument("--designs", nargs="+", default=list(DESIGNS), choices=list(DESIGNS))
    plan.add_argument("--head", help="another one, to compare")
    plan.set_defaults(work=designs)
    one = commands.add_parser("join", help="join zoos")
    one.add_argument("zoos", nargs="+", metavar="NAME=ZOO")
    one.add_argument("--held-out", action="store_true", help="only runs that a fit to the joined zoo holds out")
    one.set_defaults(work=join)
    two = commands.add_parser("compare", help="measure two heads on the same networks")
    two.add_argument("before", type=Path, metavar="HEAD")
    two.add_argument("after", type=Path, metavar="HEAD")
    two.add_argument("zoos", type=Path, nargs="+", metavar="ZOO")
    two.set_defaults(work=compare)
    for command in (make, fit, half, plan, one):
        command.add_argument("--out", type=Path, required=True, metavar="DIR")
    for command in (make, fit, half, plan):
        command.add_argument("--data", required=True, help="the image set, such as cifar10_gray.npz")
    return parser.parse_args()


if __name__ == "__main__":
    chosen = parse()
    chosen.work(chosen)
