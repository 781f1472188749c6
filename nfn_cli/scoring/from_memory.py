"""Networks in memory through a head: state dicts and modules become rows as files do."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

from torch import Tensor, nn

from nfn_cli.architectures import NetworkWeights, Stated, to_plain_range
from nfn_cli.architectures.in_memory import evaluated, in_memory, read_chain, require_network
from nfn_cli.architectures.traced import NetworkTracer
from nfn_cli.checkpoints import checkpoint_of
from nfn_cli.errors import ArchitectureError, HeadError, NfnError, UsageError
from nfn_cli.nn.any_networks import AnyNetworks
from nfn_cli.nn.tasks import Row, RowTask
from nfn_cli.python_words import python_words
from nfn_cli.scoring.any_network import AnyGroup, any_group, any_network, labelled_network
from nfn_cli.scoring.predicting import Predictor
from nfn_cli.scoring.reading import PLACEHOLDER, Group, ReadChunk, ReadSettings, head_for, member_name
from nfn_cli.scoring.work import EngineSettings, Scored, Tally

InMemoryNetwork: TypeAlias = Mapping[str, Tensor] | nn.Module
_TOGETHER = 256  # networks that are read before any of them goes through a head


def parted(
    given: str | os.PathLike[str] | InMemoryNetwork | Iterable[str | os.PathLike[str] | InMemoryNetwork],
) -> tuple[list[str], list[tuple[str, InMemoryNetwork]]]:
    """The paths among what is given, or the networks, each with what its row is called. A dict is never paths.

    >>> parted(["a.pt", "zoo/"])
    (['a.pt', 'zoo/'], [])

    Raises:
        UsageError: something is neither, or there are both.
    """
    if isinstance(given, str | os.PathLike):
        return [os.fspath(given)], []
    alone = isinstance(given, Mapping | nn.Module)
    if not alone and not isinstance(given, Iterable):
        require_network(given)
    paths: list[str] = []
    networks: list[tuple[str, InMemoryNetwork]] = []
    for position, one in enumerate([given] if alone else given):  # type: ignore[arg-type]
        if isinstance(one, str | os.PathLike):
            paths.append(os.fspath(one))
            continue
        name = type(one).__name__ if isinstance(one, nn.Module) else "state dict"
        name = name if alone else member_name(name, position)
        require_network(one, name)
        networks.append((name, one))  # type: ignore[arg-type]
    if paths and networks:
        raise UsageError(paths[0], "a path among networks in memory", "score them apart")
    return paths, networks


def rows_in_memory(
    task: RowTask[Row],
    networks: Sequence[tuple[str, InMemoryNetwork]],
    settings: EngineSettings,
    tally: Tally,
    inputs: Any = None,
) -> Generator[list[Scored[Row]], None, None]:
    """The rows of networks in memory, some at a time.

    Raises:
        HeadError: there is no such head; comes before the first row.
    """
    predictor = Predictor(task, settings.head, settings.device, settings.dtype, settings.batch_size)
    reading = ReadSettings(predictor.accepted, settings.activation, fitted_by=task.fitted_by)

    def rows() -> Generator[list[Scored[Row]], None, None]:
        for start in range(0, len(networks), _TOGETHER):
            scored = predictor.rows(_read(networks[start : start + _TOGETHER], reading, inputs))
            tally.assumed += scored.assumed
            yield [Scored(row, stamp) for row, stamp in zip(scored.rows, scored.stamps, strict=True)]

    return rows()


def _read(networks: Sequence[tuple[str, InMemoryNetwork]], settings: ReadSettings, inputs: Any) -> ReadChunk:
    groups: list[Group | AnyGroup] = []
    failures: dict[int, NfnError] = {}
    for position, (name, network) in enumerate(networks):
        try:
            with python_words():
                groups.append(_group(position, network, name, settings, inputs))
        except NfnError as error:
            failures[position] = error
    names = [name for name, _ in networks]
    return ReadChunk(names, [None] * len(names), groups, failures, {})


def _group(position: int, network: InMemoryNetwork, name: str, settings: ReadSettings, inputs: Any) -> Group | AnyGroup:
    """A network, for a head that reads its architecture, or else for one that reads any classifier."""
    if settings.any_head is None or settings.asks_special:
        try:
            point, head, assumed = _headed(network, name, settings, inputs)
        except (ArchitectureError, HeadError):
            if settings.any_head is None:
                raise
        else:
            arrays = {own: tensor.numpy() for own, tensor in point.tensors.items()}
            return Group([position], head, dict.fromkeys(assumed, 1), point.architecture, arrays)
    own, said = _as_any(network, name, settings, inputs)
    return any_group([position], settings.any_head, dict.fromkeys(said, 1), [own])


def _as_any(network: InMemoryNetwork, name: str, settings: ReadSettings, inputs: Any) -> tuple[AnyNetworks, list[str]]:
    """A network as a head for any classifier reads it: a module runs itself. What is to be said of it as well."""
    if not isinstance(network, nn.Module):
        checkpoint, tracer = checkpoint_of(network, name), NetworkTracer()
    else:
        user = evaluated(network, inputs, name)
        checkpoint, tracer = checkpoint_of(user.module.state_dict(keep_vars=True), name), NetworkTracer(user)
    try:
        read = labelled_network if settings.any_head and settings.accepted[settings.any_head].by_labels else any_network
        return read(checkpoint, Stated(activation=settings.activation), tracer)
    except UsageError as error:  # it is of the module, not of an option
        raise ArchitectureError(name, error.cause, error.remedy) from error


def _headed(
    network: InMemoryNetwork, name: str, settings: ReadSettings, inputs: Any
) -> tuple[NetworkWeights, str, list[str]]:
    """A network as a batch of one, the head that reads it, and what is assumed of it."""
    inputs = inputs if isinstance(network, nn.Module) else None
    given = in_memory(network, Stated(activation=settings.activation), inputs=inputs, name=name)
    if given.chain is not None and given.chain.behind:
        cause = f"it computes {', '.join(given.chain.behind)} behind its last layer, which no head knows"
        raise ArchitectureError(name, cause, "give the network without, or its state dict")
    read = read_chain(given, default_activation=PLACEHOLDER)
    head, architecture, assumed = head_for(read, settings)
    tensors = {own: tensor[None] for own, tensor in read.weights.tensors.items()}
    return to_plain_range(NetworkWeights(architecture, tensors), read.activation.value_range), head, assumed
