"""Import a published set of SIRENs (see `layouts`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from nfn_cli.architectures import Architecture, NetworkWeights, chain, read_weights, stack
from nfn_cli.checkpoints import read_checkpoint
from nfn_cli.errors import ArchitectureError, DataError
from nfn_cli.folders import confined
from nfn_cli.zoo.inr.labels import InrRow, write_inr_rows
from nfn_cli.zoo.inr.published.class_and_trial_folders import find_set
from nfn_cli.zoo.inr.published.published_inr import (
    PublishedInr,
    PublishedSet,
    class_numbers,
    without_doubtful_numbers,
)
from nfn_cli.zoo.inr.published.siren_selection import InrSelection
from nfn_cli.zoo.inr.published.split_file import read_split
from nfn_cli.zoo.inr.siren_recipe import METADATA
from nfn_cli.zoo.published.imported_network import as_text
from nfn_cli.zoo.published.packed_writer import imported_zoo
from nfn_cli.zoo.published.readable import readable, require_same
from nfn_cli.zoo.published.run_selection import Selection

_MOST_NUMBERS = 1 << 24  # in a part, which may exceed it by one network


@dataclass(frozen=True)
class InrImportReport:
    """What an import did.

    Attributes:
        networks: written.
        test: of these in the test part.
        pictures: that they are of.
        skipped: why files were left out, one line each.
    """

    networks: int
    test: int
    pictures: int
    skipped: tuple[str, ...] = ()


def import_sirens(
    folder: Path,
    out: Path,
    selection: InrSelection | None = None,
    *,
    on_start: Callable[[int], None] = lambda networks: None,
    on_networks: Callable[[int], None] = lambda networks: None,
) -> InrImportReport:
    """Write the networks of a published set as a packed zoo of INRs.

    Networks get the names of `nfn zoo inr` and take (row, column), as that has it: where they took (column, row), the
    two columns of the first layer's weights are exchanged. A file that cannot be read, that holds no SIREN of a
    picture, or one of another architecture than the first, is skipped.

    Args:
        folder: as downloaded and unpacked.
        out: the zoo's folder, new or empty.
        on_start: called with how many networks were chosen.
        on_networks: called with how many were read since the last call.

    Raises:
        DataError: the folder or the split file is of no known layout, nothing can be read, or `out` cannot be written.
        CheckpointError: a part cannot be written.
    """
    selection = selection or InrSelection()
    with imported_zoo(out, lambda numbers, size: -(-_MOST_NUMBERS // numbers)) as writer:
        found = _found(folder, selection)
        chosen = _chosen(folder, found, selection)
        classes = class_numbers({inr.label for inr in found.inrs}, selection.split_file or folder)
        column_first = found.layout.column_first if selection.column_first is None else selection.column_first
        value_range = selection.value_range or found.layout.value_range
        skipped = list(found.skipped)
        first: tuple[Path, NetworkWeights] | None = None

        def read(inr: PublishedInr) -> NetworkWeights:
            nonlocal first
            network = _read(folder, inr, selection.omega_0, column_first=column_first)
            first = first or (inr.path, network)
            require_same(inr.path, network, *first, "leave one of the two out", _described)
            return network

        on_start(len(chosen))
        for inr, network in readable(chosen, read, skipped, on_networks):
            omega_0 = network.architecture.omega_0
            writer.metadata = METADATA | {"omega_0": _text(omega_0), "value_range": " ".join(map(_text, value_range))}
            writer.add(stack([network]).tensors, [inr])
        if first is None:
            remedy = f"the first: {skipped[0]}"
            raise DataError(folder, f"none of its {len(chosen):,} files can be read", remedy)
        origin = {
            "source": found.layout.source,
            "folder": as_text(folder.resolve().name),
            "data": as_text(found.data),
            **writer.metadata,
            "published_places": "column, row" if column_first else "row, column",
            "classes": {as_text(label): number for label, number in sorted(classes.items(), key=lambda own: own[1])},
            "split_file": selection.split_file and as_text(selection.split_file.name),
            "test_from": None if selection.split_file else selection.test_from,
            "fits": selection.fits,
            "count": selection.count,
            "seed": selection.seed,
            "networks": len(writer),
            "skipped": len(skipped),
        }
        writer.flush()
        rows = [
            InrRow(file, index, inr.split, inr.number, inr.fit, classes[inr.label], psnr=None)
            for file, index, inr in writer.written
        ]
        writer.complete(origin, lambda: write_inr_rows(out, rows))
    test = sum(row.split == "test" for row in rows)
    return InrImportReport(len(rows), test, len({row.run for row in rows}), tuple(skipped))


def _found(folder: Path, selection: InrSelection) -> PublishedSet:
    if selection.split_file is None:
        found = find_set(folder, selection.data, selection.test_from)
    else:
        found = read_split(folder, selection.split_file)
    return replace(found, inrs=tuple(without_doubtful_numbers(found.inrs)))


def _chosen(folder: Path, found: PublishedSet, selection: InrSelection) -> list[PublishedInr]:
    inrs = [inr for inr in found.inrs if selection.fits is None or inr.fit < selection.fits]
    if not inrs:
        lost = f"; {found.skipped[0]}" if found.skipped else ""
        raise DataError(folder, f"the set {found.data} has no networks{lost}", "download it again")
    pictures = Selection(count=selection.count, seed=selection.seed).drawn({inr.picture for inr in inrs})
    return [inr for inr in inrs if inr.picture in pictures]


def _read(root: Path, inr: PublishedInr, omega_0: float | None, *, column_first: bool) -> NetworkWeights:
    """A network under the names of `Siren`, its places (row, column)."""
    path = confined(root, inr.path, "download the set again")
    read = read_weights(read_checkpoint(path), default_activation="sin")
    own = read.weights.architecture
    if own.activation != METADATA["activation"]:
        raise ArchitectureError(path, f"its activation is {own.activation}", "only SIRENs can be imported")
    if not own.is_picture:
        remedy = "only SIRENs of pictures can be imported"
        raise ArchitectureError(path, f"{own.describe()} does not take places of a picture", remedy)
    layers = [replace(layer, name=f"layers.{i}", has_bias=True) for i, layer in enumerate(own.layers)]
    architecture = chain(layers, activation=own.activation, omega_0=omega_0 or own.omega_0)
    specs = zip(architecture.tensors, own.tensors, strict=True)
    # Copies: a part's worth of mapped files would otherwise stay open.
    tensors = {ours.name: read.weights.tensors[theirs.name].clone() for ours, theirs in specs}
    if column_first:
        weight = architecture.tensors[0].name
        tensors[weight] = tensors[weight].flip(1)
    return NetworkWeights(architecture, tensors)


def _described(architecture: Architecture) -> str:
    return f"{architecture.describe()}, omega_0 {_text(architecture.omega_0)}"


def _text(number: float) -> str:
    """A number as short as it can be read back."""
    return repr(float(number)).removesuffix(".0")
