"""Put layers into the order of computation: the file's, else the names', else the only one whose shapes chain."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import groupby, permutations
from pathlib import Path

from nfn_cli.architectures.layer import Layer
from nfn_cli.architectures.modules import Weighted
from nfn_cli.checkpoints import natural_key
from nfn_cli.errors import ArchitectureError

# Blocks of layers that are tried in every order: seven have 5,040.
_MOST_BLOCKS = 7


def ordered_layers(path: Path, modules: Sequence[Weighted], *, in_file_order: bool) -> list[tuple[Layer, Weighted]]:
    """Order the layers and find the flatten between convolutions and linear layers.

    The first of these orders whose shapes chain is taken: the file's (where it is the module's), the natural order of
    the names (`conv2` before `conv10`), or, if exactly one does, an order of blocks of names alike (`conv*` before
    `fc*`).

    Raises:
        ArchitectureError: no order chains, or several do; the message shows the sequence that was tried.
    """
    natural = sorted(modules, key=lambda module: natural_key(module.name))
    for candidate in ([list(modules)] if in_file_order else []) + [natural]:
        chained = _chain(candidate)
        if isinstance(chained, list):
            return list(zip(chained, candidate, strict=True))
    found = [order for order in _block_orders(natural) if isinstance(_chain(order), list)]
    if len(found) == 1:
        layers = _chain(found[0])
        assert isinstance(layers, list)
        return list(zip(layers, found[0], strict=True))
    tried = list(modules) if in_file_order else natural
    sequence = ", ".join(module.describe() for module in tried)
    if found:
        raise ArchitectureError(
            path, f"the names do not tell the order of the layers ({sequence})", "number the layers"
        )
    raise ArchitectureError(
        path,
        f"the layers do not form a chain ({sequence}): {_chain(tried)}",
        "nfn reads chains, without branches",
    )


def _chain(modules: Sequence[Weighted]) -> list[Layer] | str:
    """The layers if each reads what the one before gives; else what does not fit."""
    layers: list[Layer] = []
    for module in modules:
        outputs, inputs, *kernel = module.weight.shape
        kind = "conv" if kernel else "linear"
        spatial = 1
        if layers:
            before = layers[-1]
            flattens = kind == "linear" and before.kind == "conv" and inputs % before.out_features == 0
            spatial = inputs // before.out_features if flattens else 1
            if inputs != before.out_features * spatial:
                return f"{module.name} reads {inputs}, but {before.name} gives {before.out_features}"
            if kernel and before.kernel and len(kernel) != len(before.kernel):
                return f"{module.name} is {len(kernel)}-dimensional, {before.name} is {len(before.kernel)}-dimensional"
        layers.append(
            Layer(
                name=module.name,
                kind="conv" if kernel else "linear",
                in_features=inputs,
                out_features=outputs,
                kernel=tuple(kernel),
                spatial=spatial,
                has_bias=module.bias is not None,
            )
        )
    return layers


def _block_orders(modules: Sequence[Weighted]) -> list[list[Weighted]]:
    """Every order of the blocks of modules whose names begin alike; inside a block the order stays."""
    shared = _shared_parts([module.name for module in modules])

    def block(module: Weighted) -> str:
        return re.sub(r"\d+$", "", module.name.split(".")[shared:][0])

    blocks = [list(members) for _, members in groupby(sorted(modules, key=block), key=block)]
    if len(blocks) > _MOST_BLOCKS:
        return []
    return [[module for members in order for module in members] for order in permutations(blocks)]


def _shared_parts(names: Sequence[str]) -> int:
    """How many leading dotted parts all names share, short of a whole name."""
    split = [name.split(".")[:-1] for name in names]
    shared = 0
    while all(len(parts) > shared for parts in split) and len({parts[shared] for parts in split}) == 1:
        shared += 1
    return shared
