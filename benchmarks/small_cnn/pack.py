"""Copy a packed zoo with its weights in float16, in files of at most 16 MiB."""

from __future__ import annotations

import argparse
import shutil

import torch
from halves import hits, rows_of
from safetensors.torch import load_file

from nfn_cli.checkpoints import POPULATION_KEY, save_tensors
from nfn_cli.zoo import SETTINGS_FILE
from nfn_cli.zoo.labels import write_table
from nfn_cli.zoo.network_files import part_name

_MOST_BYTES = 15 << 20


def pack(arguments: argparse.Namespace) -> None:
    """Write the copy, and say how far rounding moves accuracies."""
    zoo, out = arguments.zoo, arguments.out
    rows = rows_of(zoo)
    files = {name: load_file(zoo / name) for name in sorted({row["file"] for row in rows})}
    weights = [{name: tensor[int(row["index"])].half() for name, tensor in files[row["file"]].items()} for row in rows]
    each = sum(tensor.nbytes for tensor in weights[0].values())
    size = _MOST_BYTES // each
    out.mkdir(parents=True)
    for start in range(0, len(rows), size):
        part = weights[start : start + size]
        name = part_name(start // size)
        stacked = {key: torch.stack([own[key] for own in part]) for key in part[0]}
        metadata = {"activation": rows[0]["activation"], "arch": "small-cnn", POPULATION_KEY: str(len(part))}
        save_tensors(out / name, stacked, metadata)
        for index, row in enumerate(rows[start : start + size]):
            row["file"], row["index"] = name, str(index)
    write_table(out, list(rows[0]), rows)
    shutil.copy(zoo / SETTINGS_FILE, out)
    whole = hits(zoo, rows_of(zoo), arguments.data, "auto").double().mean(1)
    half = hits(out, rows, arguments.data, "auto").double().mean(1)
    moved = (whole - half).abs()
    print(f"{out}: {len(rows)} networks; float16 moves accuracies by {moved.mean():.6f}, {moved.max():.6f} at most")
