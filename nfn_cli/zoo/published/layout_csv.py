"""`layout.csv` of the Small CNN Zoo: where the variables of a TensorFlow network lie in its flat row of weights.

Its columns are varname, start_idx, end_idx, size and shape, such as

    sequential/conv2d/bias:0,0,16,16,"(16,)"
    sequential/conv2d/kernel:0,16,160,144,"(3, 3, 1, 16)"

TensorFlow keeps the input and output axes last (height, width, in, out; in, out), PyTorch first and the other way
round.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from torch import Tensor

from nfn_cli.errors import DataError, shown
from nfn_cli.zoo.labels import read_table

_COLUMNS = ("varname", "start_idx", "end_idx", "shape")
_NAME = re.compile(r"(?P<layer>.+)/(?P<part>kernel|bias)(:0)?")
_SHAPE = re.compile(r"\(\s*\d{1,9}(\s*,\s*\d{1,9})*\s*,?\s*\)")
_REMEDY = "download the zoo again"


@dataclass(frozen=True)
class Variable:
    """One variable: `row[start:end]` of the given shape. `layer` and `part` are from its TensorFlow name."""

    layer: str
    part: str
    start: int
    end: int
    shape: tuple[int, ...]


@dataclass(frozen=True)
class FlatLayout:
    """Where everything lies in a row of `width` numbers. Variables have PyTorch's names, in the order of layers."""

    variables: Mapping[str, Variable]
    width: int

    def tensors(self, rows: Tensor) -> dict[str, Tensor]:
        """Rows [networks, width] as named tensors [networks, *shape] in PyTorch's order of axes."""
        found = {}
        for name, variable in self.variables.items():
            value = rows[:, variable.start : variable.end].unflatten(1, variable.shape)
            found[name] = value.movedim((-1, -2), (1, 2)) if variable.part == "kernel" else value
        return found


def read_layout(path: Path) -> FlatLayout:
    """Read `layout.csv`.

    Convolutions become `conv1`, `conv2`, ...; linear layers `fc`, or `fc1`, `fc2`, ... if there are several.

    Raises:
        DataError: it is unreadable, its variables leave holes or overlap, or they form no chain of layers, each with
            kernel and bias, without a flatten between them.
    """
    variables = sorted(_read(path), key=lambda variable: variable.start)
    if not variables:
        raise DataError(path, "lists no variables", _REMEDY)
    end = 0
    for variable in variables:
        if variable.start != end:
            raise DataError(path, f"its variables do not follow one another at {end}", _REMEDY)
        end = variable.end
    return FlatLayout(_named(path, variables), end)


def _read(path: Path) -> list[Variable]:
    rows = read_table(path, "give the folder of weights.npy, layout.csv and metrics.csv.gz", _REMEDY)
    return [_variable(row, f"{path}:{line}") for line, row in rows]


def _variable(row: Mapping[str, str | None], place: str) -> Variable:
    cells = {name: (row.get(name) or "").strip() for name in _COLUMNS}
    name, shape = _NAME.fullmatch(cells["varname"]), _SHAPE.fullmatch(cells["shape"])
    try:
        start, end = int(cells["start_idx"]), int(cells["end_idx"])
    except ValueError as error:
        raise DataError(place, f"start_idx or end_idx is no number ({error})", _REMEDY) from error
    if name is None:
        raise DataError(place, f"{shown(cells['varname'])} is no kernel or bias", _REMEDY)
    sizes = tuple(int(size) for size in re.findall(r"\d+", cells["shape"]))
    if shape is None or 0 in sizes or start < 0 or end - start != math.prod(sizes):
        raise DataError(place, f"shape {shown(cells['shape'])} does not fill {start} to {end}", _REMEDY)
    if (name["part"] == "bias") is not (len(sizes) == 1) or len(sizes) > 5:
        raise DataError(place, f"shape {shown(cells['shape'])} is not that of a {name['part']}", _REMEDY)
    return Variable(name["layer"], name["part"], start, end, sizes)


def _named(path: Path, variables: list[Variable]) -> dict[str, Variable]:
    layers: dict[str, dict[str, Variable]] = {}
    for variable in variables:
        parts = layers.setdefault(variable.layer, {})
        if variable.part in parts:
            raise DataError(path, f"{variable.layer} has two of {variable.part}", _REMEDY)
        parts[variable.part] = variable
    for layer, parts in layers.items():
        if len(parts) < 2 or parts["bias"].shape[0] != parts["kernel"].shape[-1]:
            raise DataError(path, f"{layer} has no kernel and bias that fit", _REMEDY)
    kernels = {layer: parts["kernel"].shape for layer, parts in layers.items()}
    for (before, gives), (after, reads) in pairwise(kernels.items()):
        # A flatten would list positions before channels, PyTorch's lists channels first.
        if reads[-2] != gives[-1] or (len(gives) == 2 and len(reads) > 2):
            raise DataError(path, f"{after} does not read what {before} gives", "only chains with average pooling")
    kinds = {layer: "conv" if len(shape) > 2 else "fc" for layer, shape in kernels.items()}
    numbers = {"conv": 0, "fc": 0}
    named: dict[str, Variable] = {}
    for layer, kind in kinds.items():
        numbers[kind] += 1
        alone = kind == "fc" and list(kinds.values()).count("fc") == 1
        name = kind if alone else f"{kind}{numbers[kind]}"
        named |= {f"{name}.weight": layers[layer]["kernel"], f"{name}.bias": layers[layer]["bias"]}
    return named
