"""Which tensors of a checkpoint are one memory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

Ties = tuple[tuple[str, ...], ...]
Pair = tuple[str, str]


def shared_memory(tensors: Mapping[str, Tensor]) -> Ties:
    """Sets of tensors that have entries in common, in the order of `tensors`; views beside each other have none."""
    if _storages(tensors) == len(tensors):
        return ()
    spans = sorted((*_span(tensor), name) for name, tensor in tensors.items() if tensor.numel())
    pairs: list[Pair] = []
    cluster: list[str] = []
    reached = 0
    for start, end, name in spans:
        if start >= reached:
            pairs += _overlapping({other: tensors[other] for other in cluster})
            cluster = []
        cluster.append(name)
        reached = max(reached, end)
    pairs += _overlapping({other: tensors[other] for other in cluster})
    return joined(tensors, pairs)


def stated_ties(names: Iterable[str], metadata: Mapping[str, str]) -> list[Pair]:
    """Each tensor of a safetensors file with those that `save_model` has left out since they are the same."""
    known = set(names)
    return [(kept, removed) for removed, kept in metadata.items() if kept in known and removed not in known]


def strip_stated(stated: Iterable[Pair], named: Iterable[str], stripped: Iterable[str]) -> list[Pair]:
    """The pairs under the names that are left of `named` once the prefixes of wrappers are off."""
    names = dict(zip(named, stripped, strict=True))
    return [(names[kept], removed.removeprefix(kept.removesuffix(names[kept]))) for kept, removed in stated]


def joined(names: Iterable[str], pairs: Iterable[Pair]) -> Ties:
    """The sets that pairs join, in the order of `names`; other names stand behind those."""
    sets: dict[str, set[str]] = {}
    for one, other in pairs:
        merged = sets.get(one, {one}) | sets.get(other, {other})
        sets |= dict.fromkeys(merged, merged)
    order = {name: place for place, name in enumerate(names)}

    def place(name: str) -> tuple[int, str]:
        return order.get(name, len(order)), name

    groups = {id(group): tuple(sorted(group, key=place)) for group in sets.values()}
    return tuple(sorted(groups.values(), key=lambda group: place(group[0])))


def _storages(tensors: Mapping[str, Tensor]) -> int:
    """How many storages they have."""
    return len({tensor.untyped_storage().data_ptr() for tensor in tensors.values()})


def _span(tensor: Tensor) -> tuple[int, int]:
    """Addresses of the first byte and behind the last one."""
    steps = zip(tensor.shape, tensor.stride(), strict=True)
    last = sum((length - 1) * step for length, step in steps)
    return tensor.data_ptr(), tensor.data_ptr() + (last + 1) * tensor.element_size()


def _overlapping(cluster: Mapping[str, Tensor]) -> list[Pair]:
    """Pairs that join those of a cluster that have entries in common; their spans overlap, one with the next."""
    names = list(cluster)
    spans = [_span(tensor) for tensor in cluster.values()]
    filled = all(
        end - start == t.numel() * t.element_size() for (start, end), t in zip(spans, cluster.values(), strict=True)
    )
    sizes = {tensor.element_size() for tensor in cluster.values()}
    (size, *others), low = sizes or {1}, min((start for start, _ in spans), default=0)
    if len(names) < 2 or filled or others or any((start - low) % size for start, _ in spans):
        return [(names[0], name) for name in names[1:]]
    # Columns of one matrix lie between each other. Each entry is marked with the last tensor that has it.
    marks = torch.zeros((max(end for _, end in spans) - low) // size, dtype=torch.int32)
    pairs = []
    for number, (name, tensor) in enumerate(cluster.items(), 1):
        own = marks.as_strided(tensor.shape, tensor.stride(), (tensor.data_ptr() - low) // size)
        pairs += [(names[found - 1], name) for found in own.unique().tolist() if found]
        own.fill_(number)
    return pairs
