"""From the modules of a file to the layers of one or more chains, with all that is in doubt about them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from nfn_cli.architectures.beside import Taken, taken_widths
from nfn_cli.architectures.foreign import refuse_foreign
from nfn_cli.architectures.joints import joint_reasons, taken_joints
from nfn_cli.architectures.layer import Layer, Stage, StageKind
from nfn_cli.architectures.modules import BatchNorm, Beside, Gains, Module, Norm, Weighted
from nfn_cli.architectures.names import tokens
from nfn_cli.architectures.order import alone, chained, ordered_layers
from nfn_cli.architectures.placing import PlacedNorm, place_norms
from nfn_cli.architectures.scopes import Scopes
from nfn_cli.architectures.stages import stage_of
from nfn_cli.architectures.ties import refuse_copies
from nfn_cli.errors import ArchitectureError

_CHAIN = "if the network is one plain chain of layers, say so: --chain"


@dataclass(frozen=True)
class Plan:
    """How a file's tensors are read.

    Attributes:
        layers: in the order of computation, with the stages between them.
        modules: the file's own for each layer.
        starts: the places of layers that begin a chain of their own.
        folded: the BatchNorm directly behind each layer, by the layer's name.
        stages: the file's module for each stage, by its name.
        left: tensors and norms that stay as they are, by their names.
        doubts: why neurons between layers stay in place, each once.
        slope: that of a single PReLU for all layers.
        has_slopes: whether the file has the slopes of PReLUs.
        named_norms: norms that stand behind their layers by their names alone.
    """

    layers: tuple[Layer, ...]
    modules: tuple[Weighted, ...]
    starts: tuple[int, ...]
    folded: dict[str, BatchNorm]
    stages: dict[str, Norm]
    left: tuple[str, ...]
    doubts: tuple[str, ...]
    slope: float | None = None
    has_slopes: bool = False
    named_norms: tuple[str, ...] = ()


def plan_layers(
    path: Path, modules: Sequence[Module], *, ordered: bool, is_chain: bool = False, is_prelu: bool = False
) -> Plan:
    """Read the modules of a file as chains of layers.

    Args:
        ordered: whether the file's order is that of definition.
        is_chain: the user says that the layers are one plain chain.
        is_prelu: the user says that the activation is a PReLU.

    Raises:
        ArchitectureError: they are no chains, or there is no joint whose neurons may surely be moved.
    """
    weighted = [module for module in modules if isinstance(module, Weighted)]
    norms = [module for module in modules if isinstance(module, BatchNorm | Gains) and not _is_shared_slope(module)]
    beside = [module for module in modules if isinstance(module, Beside)]
    if not weighted:
        raise ArchitectureError(path, "no Linear or convolution layer in it", "give the checkpoint of a network")
    if not is_chain:
        refuse_foreign(path, weighted)
    try:
        outlines = [module.outline for module in weighted]
        ordered_by = ordered_layers(path, outlines, in_file_order=ordered, stated=is_chain)
        found = [(layer, weighted[place]) for layer, place in ordered_by]
        joined = [True] * (len(found) - 1)
    except ArchitectureError as error:
        if is_chain:
            raise
        found, joined = _sequentials(path, weighted, error)
    layers, own = [layer for layer, _ in found], tuple(module for _, module in found)
    refuse_copies(path, own)
    in_file = [module.name for module in modules if not isinstance(module, Beside)] if ordered else None
    whole = all(joined)
    placed, homeless = place_norms(path, own, norms, in_file, whole=whole)
    taken = taken_widths(layers, beside, homeless)
    doubts = _doubts(layers, norms, taken, is_chain)
    first_inputs = {norm.layer for norm in placed if norm.place == "inputs"} - {layers[0].name}
    reasons: list[str | None] = []
    for joint, doubt in enumerate(doubts):
        if not joined[joint]:
            doubt = f"{layers[joint].name} and {layers[joint + 1].name} are not joined"
        elif layers[joint + 1].name in first_inputs:
            doubt = doubt or f"a norm stands behind the flatten before {layers[joint + 1].name}"
        reasons.append(doubt)
    if reasons and None not in reasons:
        shown = "; ".join(list(dict.fromkeys(reason for reason in reasons if reason))[:2])
        raise ArchitectureError(path, f"not read as a chain: {shown}", _CHAIN)
    slopes = [module for module in modules if isinstance(module, Gains) and _is_shared_slope(module)]
    stages: dict[str, Norm] = {}
    folded: dict[str, BatchNorm] = {}
    staged = [_staged(layer, placed, folded, stages, is_prelu or bool(slopes)) for layer in layers]
    left = [module.name for module in beside if module.tensor.is_floating_point()]
    left += [norm.name for norm in [*homeless, *slopes]]
    return Plan(
        layers=tuple(staged),
        modules=own,
        starts=(0, *(joint + 1 for joint, reason in enumerate(reasons) if reason is not None)),
        folded=folded,
        stages=stages,
        left=tuple(left),
        doubts=tuple(dict.fromkeys(reason for reason in reasons if reason is not None)),
        slope=slopes[0].weight.item() if len(slopes) == 1 else None,
        has_slopes=bool(slopes) or any(stage.kind is StageKind.SLOPES for layer in staged for stage in layer.stages),
        named_norms=tuple(own.norm.name for own in placed if own.is_named),
    )


def _doubts(
    layers: Sequence[Layer], norms: Sequence[Norm], taken: Sequence[Taken], is_chain: bool
) -> Sequence[str | None]:
    if is_chain:
        return taken_joints(layers, taken)
    unfolded = tuple(norm.name for norm in norms if isinstance(norm, Gains))
    return joint_reasons(tuple(layers), unfolded, tuple(norm.name for norm in norms), tuple(taken))


def _sequentials(
    path: Path, weighted: Sequence[Weighted], error: ArchitectureError
) -> tuple[list[tuple[Layer, Weighted]], list[bool]]:
    """The layers of a file that is no chain, and which of them surely follow one another: those in an `nn.Sequential`.

    Raises:
        ArchitectureError: there are none; the given error.
    """
    own: dict[str, list[Weighted]] = {}
    for module in weighted:
        own.setdefault(module.name.rpartition(".")[0], []).append(module)
    found: list[tuple[Layer, Weighted]] = []
    joined: list[bool] = []
    convolutions = [module for module in weighted if module.weight.ndim > 2]
    plain = isinstance(_chained(convolutions), list)
    for modules in own.values():
        order = sorted(modules, key=lambda module: tokens(module.name)[-1:]) if _are_numbered(modules) else modules
        found_layers = _chained(order)
        sealed = isinstance(found_layers, list) and _are_sealed(order)
        layers = found_layers if isinstance(found_layers, list) else [alone(module.outline) for module in order]
        links = [sealed] * (len(layers) - 1)
        if sealed and layers[0].kind == "conv" and not plain:
            links[0] = False  # the first may be of several groups
        joined += [False] * bool(found) + links
        found += zip(layers, order, strict=True)
    if not any(joined):
        raise _several(path, weighted, error)
    return found, joined


def _chained(modules: Sequence[Weighted]) -> list[Layer] | str:
    return chained([module.outline for module in modules])


def _are_numbered(modules: Sequence[Weighted]) -> bool:
    return all(module.name.rpartition(".")[2].isdecimal() for module in modules)


def _are_sealed(modules: Sequence[Weighted]) -> bool:
    scopes = Scopes([module.name for module in modules])
    return len(modules) > 1 and all(scopes.sealed(place) for place in range(len(modules) - 1))


def _several(path: Path, weighted: Sequence[Weighted], error: ArchitectureError) -> ArchitectureError:
    """The error for a file with several networks, each of which is a chain by itself; else the given one."""
    parts: dict[str, list[Weighted]] = {}
    for module in weighted:
        parts.setdefault(module.name.partition(".")[0], []).append(module)
    chains = [name for name, own in parts.items() if len(own) > 1 and isinstance(_chained(own), list)]
    if len(chains) < 2:
        return error
    cause = f"several networks ({', '.join(chains[:5])}), or the parts of one that is no chain"
    remedy = f"name the one you mean by `prefix: {chains[0]}.` in a file nfn.yaml beside it (some commands: --prefix)"
    return ArchitectureError(path, cause, remedy)


def _staged(
    layer: Layer,
    placed: Sequence[PlacedNorm],
    folded: dict[str, BatchNorm],
    stages: dict[str, Norm],
    is_prelu: bool,
) -> Layer:
    """A layer with stages. Adds to `folded` the BatchNorm behind it, and to `stages` the modules of its stages."""
    found: list[Stage] = []
    order = {"inputs": 0, "before": 1, "behind": 2}
    for own in sorted((own for own in placed if own.layer == layer.name), key=lambda own: order[own.place]):
        foldable = own.place == "before" and not any(stage.place == "before" for stage in found)
        if isinstance(own.norm, BatchNorm) and foldable and layer.name not in folded:
            folded[layer.name] = own.norm
            continue
        stages[own.norm.name] = own.norm
        found.append(stage_of(own, layer, is_prelu=is_prelu))
    return replace(layer, stages=tuple(found)) if found else layer


def _is_shared_slope(module: Norm) -> bool:
    return isinstance(module, Gains) and module.size == 1 and module.bias is None
