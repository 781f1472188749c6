"""Import the Small CNN Zoo as it is published: `weights.npy`, `layout.csv` and `metrics.csv.gz` in one folder.

Source: Unterthiner et al. 2020, *Predicting Neural Network Accuracy from Weights* (arXiv 2002.11448); the format is
that of google-research/dnn_predict_accuracy.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from nfn_cli.errors import DataError
from nfn_cli.zoo.published.imported_network import ImportedNetwork, ImportReport, as_text, complete_import
from nfn_cli.zoo.published.layout_csv import FlatLayout, read_layout
from nfn_cli.zoo.published.metrics_csv import read_metrics
from nfn_cli.zoo.published.packed_writer import imported_zoo
from nfn_cli.zoo.published.run_selection import Selection
from nfn_cli.zoo.unreadable_array import why_unreadable

WEIGHTS_FILE, LAYOUT_FILE, METRICS_FILE = "weights.npy", "layout.csv", "metrics.csv.gz"
SMALL_CNN_ZOO = "Small CNN Zoo (Unterthiner et al. 2020, arXiv 2002.11448)"
_BLOCK = 1_024
_REMEDY = "download the zoo again"


def import_small_cnn_zoo(
    folder: Path,
    out: Path,
    selection: Selection | None = None,
    *,
    on_start: Callable[[int], None] = lambda networks: None,
    on_networks: Callable[[int], None] = lambda networks: None,
) -> ImportReport:
    """Write the networks of a published Small CNN Zoo as a packed zoo.

    Networks whose weights, accuracy or loss are not finite are dropped. Whatever the zoo's size, some thousand networks
    are in memory at a time, and a few hundred bytes for each one's labels.

    Args:
        folder: as downloaded and unpacked, of one data set.
        out: the zoo's folder, new or empty.
        on_start: called with how many networks were chosen.
        on_networks: called with how many were read since the last call.

    Raises:
        DataError: a file is missing or damaged, the files do not fit one another, nothing is left to import, or `out`
            cannot be written.
        ArchitectureError: an activation that nfn does not know.
        CheckpointError: a part cannot be written.
    """
    if not folder.is_dir():
        raise DataError(
            folder, "no such folder", f"give the folder of {WEIGHTS_FILE}, {LAYOUT_FILE} and {METRICS_FILE}"
        )
    selection = selection or Selection()
    with imported_zoo(out) as writer:
        layout = read_layout(folder / LAYOUT_FILE)
        weights = folder / WEIGHTS_FILE
        networks = read_metrics(folder / METRICS_FILE, len(_opened(weights, layout)))
        runs = ((network.run.name, network.run.activation) for network in networks)
        activation = selection.one_activation(folder, Counter(dict(runs).values()))
        chosen = _chosen(folder, networks, selection, activation)
        on_start(len(chosen))
        # Three convolutions, then global average pooling (build_cnn in train_network.py).
        writer.metadata = {"activation": activation, "arch": "small-cnn", "pool": "avg"}
        for start in range(0, len(chosen), _BLOCK):
            positions = chosen[start : start + _BLOCK]
            # Opened anew for each block: the pages of one long-lived map would all count as this process's memory.
            rows = torch.from_numpy(np.asarray(_opened(weights, layout)[positions], dtype=np.float32))
            known = [networks[position] for position in positions]
            kept = [row for row in rows.isfinite().all(1).nonzero()[:, 0].tolist() if known[row].is_finite]
            if kept:
                writer.add(layout.tensors(rows[kept]), [known[row] for row in kept])
            on_networks(len(positions))
        dropped = len(chosen) - len(writer)
        if not len(writer):
            raise DataError(folder, f"none of the {dropped:,} networks chosen is finite", "choose others")
        name = as_text(folder.resolve().name)
        data = {str(network.run.hyperparameters.get("data", name)) for network in networks}
        origin = {
            "source": SMALL_CNN_ZOO,
            "folder": name,
            "data": ", ".join(sorted(data)),
            "activation": activation,
            **selection.record(),
            "dropped": dropped,
        }
        return complete_import(writer, origin)


def _opened(path: Path, layout: FlatLayout) -> NDArray[np.floating]:
    """`weights.npy`, mapped into memory, [networks, width]."""
    try:
        # Without pickles, nothing in the file can run.
        weights = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError as error:
        raise DataError(path, "no such file", f"give the folder of {WEIGHTS_FILE} and {METRICS_FILE}") from error
    except Exception as error:
        # A damaged header fails in many ways (ValueError, SyntaxError, EOFError, struct.error ...).
        raise DataError(path, why_unreadable(error, "array"), _REMEDY) from error
    if not isinstance(weights, np.ndarray):
        raise DataError(path, "an archive where one array should be", _REMEDY)
    if weights.ndim != 2 or not np.issubdtype(weights.dtype, np.floating):
        shape = " x ".join(map(str, weights.shape))
        raise DataError(path, f"holds {weights.dtype} of shape {shape}, not rows of weights", _REMEDY)
    if weights.shape[1] != layout.width:
        cause = f"has rows of {weights.shape[1]:,} weights, {LAYOUT_FILE} has {layout.width:,}"
        raise DataError(path, cause, _REMEDY)
    if not len(weights):
        raise DataError(path, "holds no networks", _REMEDY)
    return weights


def _chosen(folder: Path, networks: Sequence[ImportedNetwork], selection: Selection, activation: str) -> list[int]:
    """Positions of the networks to take, ascending."""
    epochs: dict[str, set[int]] = {}
    for network in networks:
        if network.run.activation == activation:
            epochs.setdefault(network.run.name, set()).add(network.epoch)
    runs = selection.drawn(epochs)
    taken = {run: set(selection.taken(epochs[run])) for run in runs}
    chosen = [
        position
        for position, network in enumerate(networks)
        if network.run.activation == activation and network.epoch in taken.get(network.run.name, ())
    ]
    if not chosen:
        has = ", ".join(map(str, sorted(set().union(*epochs.values()))))
        raise DataError(folder, f"has no networks of these steps (it has {has})", "choose others with --step")
    return chosen
