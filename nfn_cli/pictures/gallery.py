"""From files to pictures: every network of files and packed files, drawn as it comes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from nfn_cli.architectures import (
    DEFAULT_RANGE,
    NetworkWeights,
    ReadNetwork,
    Stated,
    read_network,
    read_weights,
    stack,
)
from nfn_cli.checkpoints import population_of, read_members
from nfn_cli.errors import ArchitectureError, CheckpointError, NfnError, UsageError
from nfn_cli.pictures.render import render, require_picture, require_size

# What nothing tells: sin, 30 and -1 to 1 are assumed.
Assumed = Literal["activation", "omega_0", "value_range"]

_TOGETHER = 256  # networks
_NUMBERS_TOGETHER = 1 << 24  # of pictures: 64 megabytes
_MOST_NUMBERS = 1 << 27


@dataclass(frozen=True)
class Drawn:
    """One network's picture.

    Attributes:
        path: of its file, followed by `#place` if the file holds many.
        pixels: float32 [channels, height, width], in [0, 1].
    """

    path: str
    pixels: Tensor


@dataclass(frozen=True)
class DrawSettings:
    """How to draw.

    Attributes:
        height, width: in pixels.
        value_range: of black and white, over what the files say.
        activation: of the networks, over what the files say; sin is assumed where nothing tells.
        limit: draw so many networks, the first ones.
    """

    height: int = 28
    width: int = 28
    value_range: tuple[float, float] | None = None
    activation: str | None = None
    limit: int | None = None


@dataclass(frozen=True)
class _Part:
    names: list[str]
    point: NetworkWeights  # [networks, *shape]
    value_range: tuple[float, float]


def drawn(
    files: Iterable[Path],
    settings: DrawSettings,
    *,
    on_error: Callable[[Path, NfnError], None],
    on_assumed: Callable[[Path, Assumed], None] = lambda path, what: None,
) -> Iterator[Drawn]:
    """The pictures of all networks in some files, in order; small files of one architecture are drawn together.

    Memory is bounded, whatever the number of networks and the size of the pictures, as long as these are let go.

    Args:
        on_error: called for every file that cannot be drawn, and for networks of packed files that cannot.
        on_assumed: called for every file that does not state its activation, its frequency or its range of values.
    """
    left = settings.limit if settings.limit is not None else 1 << 62
    waiting: list[_Part] = []
    networks = 0  # that wait
    for path in files:
        if left <= 0:
            break
        try:
            for part in _parts(path, settings, on_error, on_assumed, left):
                if waiting and (networks >= _TOGETHER or not _alike(waiting[0], part)):
                    yield from _draw(waiting, settings)
                    waiting, networks = [], 0
                waiting.append(part)
                networks += len(part.names)
                left -= len(part.names)
        except NfnError as error:
            on_error(path, error)
    if waiting:
        yield from _draw(waiting, settings)


def gathered(pictures: Iterable[Drawn]) -> list[Drawn]:
    """All pictures in memory, for a sheet.

    Raises:
        UsageError: they are more than a sheet should hold.
    """
    found: list[Drawn] = []
    numbers = 0
    for picture in pictures:
        numbers += picture.pixels.numel()
        if numbers > _MOST_NUMBERS:
            raise UsageError(
                "--size", "the pictures are too large together", "give a smaller --size, or fewer networks (--limit)"
            )
        found.append(picture)
    return found


def _parts(
    path: Path,
    settings: DrawSettings,
    on_error: Callable[[Path, NfnError], None],
    on_assumed: Callable[[Path, Assumed], None],
    most: int,
) -> Iterator[_Part]:
    count = population_of(path)
    if count is None:
        network = read_network(path, Stated(activation=settings.activation), default_activation="sin")[1]
        value_range = _range(path, network, settings, on_assumed)
        yield _Part([str(path)], stack([network.weights]), value_range)
        return
    stated: tuple[float, float] | None = None
    for start in range(0, min(count, most), _TOGETHER):
        stop = min(count, start + _TOGETHER, most)
        first, members = read_members(path, start, stop)
        network = read_weights(first, activation=settings.activation, default_activation="sin")
        stated = stated or _range(path, network, settings, on_assumed)
        architecture = network.weights.architecture
        if {spec.name for spec in architecture.tensors} != set(members):
            raise ArchitectureError(path, "its members need conversion (missing biases)", "store one file a network")
        names = [f"{path}#{place}" for place in range(start, stop)]
        finite = torch.stack([tensor.flatten(1).isfinite().all(1) for tensor in members.values()]).all(0)
        for name in [name for name, sound in zip(names, finite.tolist(), strict=True) if not sound]:
            on_error(path, CheckpointError(name, "its weights are not finite", "leave that one out"))
        sound_names = [name for name, sound in zip(names, finite.tolist(), strict=True) if sound]
        sound_members = {name: tensor[finite] for name, tensor in members.items()}
        yield _Part(sound_names, NetworkWeights(architecture, sound_members), stated)


def _range(
    path: Path, network: ReadNetwork, settings: DrawSettings, on_assumed: Callable[[Path, Assumed], None]
) -> tuple[float, float]:
    """What the networks of a file give for black and white; checks that they are pictures."""
    architecture = network.weights.architecture
    require_picture(architecture, str(path))
    require_size(settings.height, settings.width, architecture.outputs)
    if network.activation.source == "assumed" and architecture.hidden_widths:
        on_assumed(path, "activation")
    if network.assumes_frequency and architecture.hidden_widths:
        on_assumed(path, "omega_0")
    stated = settings.value_range or network.activation.value_range
    if stated is None:
        on_assumed(path, "value_range")
    return stated or DEFAULT_RANGE


def _alike(one: _Part, other: _Part) -> bool:
    same = one.point.architecture.signature == other.point.architecture.signature
    return same and one.value_range == other.value_range


def _draw(parts: Sequence[_Part], settings: DrawSettings) -> Iterator[Drawn]:
    architecture = parts[0].point.architecture
    columns = [[part.point.tensors[spec.name] for spec in part.point.architecture.tensors] for part in parts]
    tensors = {spec.name: torch.cat([own[i] for own in columns]) for i, spec in enumerate(architecture.tensors)}
    names = [name for part in parts for name in part.names]
    numbers = architecture.outputs * settings.height * settings.width
    together = max(1, _NUMBERS_TOGETHER // numbers)
    for start in range(0, len(names), together):
        some = {name: tensor[start : start + together] for name, tensor in tensors.items()}
        point = NetworkWeights(architecture, some)
        pictures = render(point, settings.height, settings.width, value_range=parts[0].value_range)
        for name, picture in zip(names[start : start + together], pictures, strict=True):
            yield Drawn(name, picture)
