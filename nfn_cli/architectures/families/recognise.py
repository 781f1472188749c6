"""Which known network a file's tensors are, told by its configuration or by names and shapes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from nfn_cli.architectures.families import by_shapes
from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.registry import FAMILIES
from nfn_cli.errors import ArchitectureError, shown

if TYPE_CHECKING:
    from torch import nn

_ATTENTION = re.compile(r"(?:^|[._])(?:attn|attention|self_attn|SelfAttention|qkv|c_attn|q_proj)(?:[._]|$)")
_MODEL = "give the module itself (--model)"


def recognise(
    shapes: Shapes, config: Config | None, *, subject: str | os.PathLike[str] = "config.json"
) -> ReferenceModule:
    """Find the known network whose tensors these are.

    Args:
        shapes: of all tensors of the file, by name.
        config: the content of its `config.json`; None where it has none. `auto_map` and remote code are never followed.
        subject: names the file in messages.

    Returns:
        A module whose state dict has the file's names and shapes, but for names of tied tensors, which may be missing,
        and stored constants, which may be there.

    Raises:
        ArchitectureError: where no family is told, where a field of the configuration is not known or not supported, or
            at the first difference between the file's tensors and the module's.
    """
    found = recognised(shapes, config, subject=subject)
    if isinstance(found, Unknown):
        raise ArchitectureError(subject, found.cause, found.remedy)
    return found


def recognised(
    shapes: Shapes, config: Config | None, *, subject: str | os.PathLike[str] = "config.json"
) -> ReferenceModule | Unknown:
    """As `recognise`, with a value where no family is told at all, so that somebody else may read the file.

    Raises:
        ArchitectureError: a family is told, and does not fit.
    """
    try:
        found = _from_config(shapes, config) if config is not None else _from_shapes(shapes)
        return _checked(found, shapes)
    except Unknown as unknown:
        return unknown
    except Refusal as refusal:
        raise ArchitectureError(subject, refusal.cause, refusal.remedy) from None


class Unknown(Refusal):
    """No family is told."""


def _from_config(shapes: Shapes, config: Config) -> ReferenceModule:
    if not isinstance(config, Mapping) or not all(type(name) is str for name in config):
        raise Refusal("the configuration is no group of fields", "write it anew")
    if config.get("quantization_config") is not None:
        raise Refusal("its weights are quantized ('quantization_config')", "give the network before quantization")
    answers = (family.from_config(config, shapes) for family in FAMILIES if not family.by_shapes)
    found = next((answer for answer in answers if answer is not None), None) or by_shapes.from_config(config, shapes)
    if found is not None:
        return found
    if "model_type" in config:
        told: Any = config["model_type"]
        cause = f"model type {shown(told)} is no known family"
        if "auto_map" in config:
            cause += ", and code that a configuration names ('auto_map') is never run"
        raise Unknown(cause, _MODEL)
    if "architecture" in config:
        raise Unknown(f"architecture {shown(config['architecture'])} is no known network of timm", _MODEL)
    return _from_shapes(shapes)


def _from_shapes(shapes: Shapes) -> ReferenceModule:
    found = by_shapes.from_shapes(shapes)
    if found is not None:
        return found
    if name := next((name for name in shapes if _ATTENTION.search(name)), None):
        cause = f"{name} is part of an attention, whose heads are in no tensor"
        raise Refusal(cause, f"put its config.json beside the weights, or {_MODEL}")
    raise Unknown("its tensors are those of no known family", _MODEL)


def _checked(found: ReferenceModule, shapes: Shapes) -> ReferenceModule:
    """The same one with its ties, once its tensors are seen to be the file's."""
    import torch

    try:
        with torch.device("meta"):
            module = found.make()
    except (RuntimeError, ValueError, OverflowError) as error:
        raise Refusal(f"{found.family}: its configuration gives no network ({error})") from None
    ties = _ties(module)
    _compare(found, module, shapes, {name: group for group in ties for name in group})
    return replace(found, ties=ties)


def _ties(module: nn.Module) -> tuple[tuple[str, ...], ...]:
    names: dict[int, list[str]] = {}
    for name, tensor in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(tensor), []).append(name)
    return tuple(tuple(group) for group in names.values() if len(group) > 1)


def _compare(found: ReferenceModule, module: nn.Module, shapes: Shapes, ties: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse the first tensor that is missing, of another shape, or too many."""
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    for name, shape in expected.items():
        if name in shapes:
            if tuple(shapes[name]) != shape:
                cause = f"{name} is {_size(shapes[name])}, and {_size(shape)} in {found.text}"
                raise Refusal(cause, f"check that the configuration is this file's, or {_MODEL}")
        elif not any(other in shapes for other in ties.get(name, ())):
            raise Refusal(f"{name} is missing, which {found.text} has", _MODEL)
    for name in shapes:
        if name not in expected and not (found.ignored and re.fullmatch(found.ignored, name)):
            raise Refusal(f"{name} is no tensor of {found.text}", _MODEL)


def _size(shape: tuple[int, ...]) -> str:
    return "×".join(map(str, shape)) or "a number"
