"""Which layers correspond: children grown by a layer against their own parent and against strangers.

Takes the folder that `python benchmarks/kinship make` has written. A grown child was trained on; it lies there as
it is, disguised, and rotated where it is a language model. For each kind of network: of how many of these files the
right layers are matched, and of how many children of other families of the kind any layers are.

    python benchmarks/kinship_shapes.py FOLDER
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from nfn_cli.architectures import Stated
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.symmetry.kinship import compare_networks
from nfn_cli.symmetry.kinship.shapes import CommonPart, common_part
from nfn_cli.symmetry.sources import read_any

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

TRACER = NetworkTracer(gauges=True)


def opened(path: Path) -> AnySource:
    return read_any(path, Stated(), TRACER)


def is_right(found: object, kind: str) -> bool:
    """Whether all layers of the parent, which is A, are matched in order, and the child's new one is left over.

    A CNN's new layer is its third; a ResNet's new block its last. A language model's last layer is there twice, and
    either copy may be taken.
    """
    if not isinstance(found, CommonPart):
        return False
    count = len(found.layers)
    new = {2} if kind.startswith("cnn") else {count - 1} if kind.startswith("resnet") else {count - 2, count - 1}
    alone = [place for place, own in enumerate(found.layers) if None in own]
    return len(alone) == 1 and alone[0] in new and found.layers[alone[0]][0] is None


def children(family: Path) -> Iterator[Path]:
    yield from sorted((family / "grown").glob("*.safetensors"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--kinds", nargs="+", help="by default all that are there")
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(
        "| kind | parent's layers found | called derived | strangers | of them with layers matched | called derived |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind in given.kinds or sorted(path.name for path in (given.folder / "families").iterdir()):
        families = sorted(path for path in (given.folder / "families" / kind).iterdir() if (path / "grown").is_dir())
        right, derived, matched, wrong = [], [], [], []
        for family in families:
            parent = opened(family / "base.safetensors")
            for other in families:
                for child in children(other):
                    if other != family and child.stem != "grown":
                        continue
                    source = opened(child)
                    found = common_part(parent, source, TRACER)
                    verdict = compare_networks(parent, source, tracer=TRACER).verdict.value == "derived"
                    if other == family:
                        right.append(is_right(found, kind))
                        derived.append(verdict)
                    else:
                        matched.append(isinstance(found, CommonPart))
                        wrong.append(verdict)
        kin, strangers = len(right), len(matched)
        print(
            f"| {kind} | {kin} | {sum(right)} | {sum(derived)} | {strangers} | {sum(matched)} | {sum(wrong)} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
