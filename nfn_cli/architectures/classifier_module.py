"""A module as a classifier of pictures: what it takes, what it gives, and a copy of it with a file's weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families import ReferenceModule
from nfn_cli.architectures.no_classifier import LEAST_CLASSES, MOST_CHANNELS, MOST_CLASSES, flat_picture, not_classes
from nfn_cli.architectures.traced import COUNTS, REMEDY, require_same_numbers
from nfn_cli.architectures.tracing.fitting import load_state
from nfn_cli.architectures.tracing.inputs import examples
from nfn_cli.architectures.tracing.outputs import output_tensors
from nfn_cli.architectures.tracing.user_code import UserCodeError, user_code
from nfn_cli.architectures.tracing.user_module import OPTION, UserModule
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError, UsageError

_BATCH = 2
_TRIED = 16  # pictures on which a user's module is run, to see whether it gives probabilities
# So many outputs of a linear layer are never all positive by chance.
_SURELY_SIGNED = 32
_COLOUR_SIDE = 32  # tried first for modules of three channels that take pictures of any size
_REMEDY = "give a classifier of pictures"
_INPUTS = "give example inputs by the factory, or --input-shape"


@dataclass(frozen=True)
class PictureUse:
    """How a module is used as a classifier of pictures.

    Attributes:
        picture: channels, height and width.
        takes: the shape of one input of the module itself, of as many numbers.
        is_log: whether it gives probabilities, whose logarithms are its logits.
        is_double: whether it gives several such outputs, of which one is the network's, and it is not known which.
        assumed: of the pictures, in a few words.
    """

    picture: tuple[int, int, int]
    takes: tuple[int, ...]
    is_log: bool = False
    is_double: bool = False
    assumed: tuple[str, ...] = ()


class _NoClassifier(Exception):
    """Why a module is no classifier of pictures."""


def user_use(user: UserModule, shape: tuple[int, ...] | None) -> PictureUse:
    """How the user's module is used: on their example inputs, on inputs of a shape, or on those that its first layer
    takes. It is run once or a few times, with the weights that it has.

    Raises:
        UsageError: it takes no pictures, or gives no logits; or a shape is given beside example inputs.
    """
    try:
        with user_code():
            module = copy.deepcopy(user.module).float().eval()
    except UserCodeError as error:
        raise UsageError(OPTION, f"{user.spec} cannot be copied ({error})", "make copy.deepcopy of it work") from error
    first: str | None = None
    try:
        for picture, takes, assumed in _tried_shapes(user, shape):
            try:
                with user_code(quiet=True):
                    is_log = _is_log(module, takes)
            except UserCodeError as error:
                if isinstance(error.__cause__, _NoClassifier):
                    raise error.__cause__ from None
                first = first or str(error)
                continue
            return PictureUse(picture, takes, is_log, assumed=(assumed,) if assumed else ())
    except _NoClassifier as error:
        raise UsageError(OPTION, f"{user.spec} makes no classifier of pictures: {error}", _REMEDY) from error
    raise UsageError(OPTION, f"{user.spec} does not run on pictures ({first or 'what it takes is not known'})", _INPUTS)


def classifying_copy(checkpoint: Checkpoint, module: nn.Module, names: Mapping[str, str], use: PictureUse) -> nn.Module:
    """A copy of the user's module with the weights of a file.

    Args:
        names: in the file, by the module's.

    Raises:
        ArchitectureError: the file has other tensors.
    """
    return _from_pictures(loaded_copy(checkpoint, module, names), use)


def loaded_copy(checkpoint: Checkpoint, module: nn.Module, names: Mapping[str, str]) -> nn.Module:
    """A copy of the user's module with the weights of a file, in float32 on the CPU, for evaluation.

    Args:
        names: in the file, by the module's.

    Raises:
        ArchitectureError: the file has other tensors.
        UsageError: the module cannot be copied.
    """
    require_same_numbers(checkpoint, names, module.state_dict())
    try:
        with user_code():
            own = copy.deepcopy(module)
    except UserCodeError as error:
        raise UsageError(OPTION, f"the module cannot be copied ({error})", "make copy.deepcopy of it work") from error
    _load(checkpoint, own, names)
    return own


def classifying_reference(
    checkpoint: Checkpoint, reference: ReferenceModule, names: Mapping[str, str], shape: tuple[int, ...] | None = None
) -> tuple[nn.Module, PictureUse]:
    """A reference module with the weights of a file, and how it is used. It is run once.

    Args:
        shape: of one picture, where the user states it.

    Raises:
        ArchitectureError: it is no classifier of pictures, or tied tensors differ in the file.
    """
    args, kwargs = reference.inputs(_BATCH, "cpu")
    inputs = [*args, *kwargs.values()]
    sizes = ""
    try:
        if len(inputs) != 1 or not isinstance(inputs[0], Tensor):
            raise _NoClassifier("it takes several inputs")
        picture, takes = _picture_of(tuple(inputs[0].shape[1:]), floating=inputs[0].is_floating_point())
        if picture != takes:
            raise _NoClassifier(f"it takes inputs of {'x'.join(map(str, takes))}, which are no pictures")
        with torch.device("meta"):
            module = reference.make()
        if any(name not in names and not name.endswith(COUNTS) for name, _ in module.named_buffers()):
            module = reference.make()  # it has constants, which have no numbers there
        own = set(module.state_dict())
        _load(checkpoint, module, {name: there for name, there in names.items() if name in own})
        if shape is not None:
            picture = takes = _picture_of(shape)[0]
        sizes = "x".join(map(str, picture))
        with torch.no_grad():
            found = _classes_of(module(torch.zeros(_BATCH, *picture)))
        _require_head(module, found[0])
    except (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        cause = f"{reference.text} does not run on pictures of {sizes} ({lines[0][:200]})"
        raise ArchitectureError(checkpoint.path, cause, "give the shape of its pictures: --input-shape") from error
    except _NoClassifier as error:
        cause = f"{reference.text} is no classifier of pictures: {error}"
        raise ArchitectureError(checkpoint.path, cause, _REMEDY) from error
    assumed = () if reference.sized or shape is not None else (f"pictures of {sizes}",)
    use = PictureUse(picture, takes, is_double=len(found) > 1, assumed=assumed)
    return _from_pictures(module, use), use


def _load(checkpoint: Checkpoint, module: nn.Module, names: Mapping[str, str]) -> None:
    """Give a module a file's weights, in float32 on the CPU, for evaluation."""
    tensors = {name: _usual(checkpoint.tensors[there]) for name, there in names.items()}
    try:
        load_state(module, tensors)
    except ValueError as error:
        raise ArchitectureError(checkpoint.path, str(error), REMEDY) from error
    for part in module.modules():
        count = part._buffers.get(COUNTS)
        if count is not None and count.is_meta:
            part._buffers[COUNTS] = torch.zeros((), dtype=torch.int64)
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        raise ArchitectureError(checkpoint.path, "its module has tensors without numbers that no file holds", REMEDY)
    module.to("cpu", torch.float32).requires_grad_(False).eval()


def _from_pictures(module: nn.Module, use: PictureUse) -> nn.Module:
    """The module itself, from pictures to logits. Its layers keep their names, unlike those of one within another."""
    if use.takes != use.picture:
        module.register_forward_pre_hook(lambda _, given: (given[0].reshape(len(given[0]), *use.takes), *given[1:]))
    module.register_forward_hook(lambda _, given, value: _logits(value, use))
    return module


def _usual(tensor: Tensor) -> Tensor:
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32)) if tensor.is_floating_point() else tensor


def _logits(value: Any, use: PictureUse) -> Tensor:
    logits = _classes_of(value)[0]
    return logits.clamp_min(torch.finfo(logits.dtype).tiny).log() if use.is_log else logits


def _classes_of(value: object) -> list[Tensor]:
    """Those of a module's outputs that may be logits [batch, classes]; at least one.

    Raises:
        _NoClassifier: there is none.
    """
    try:
        given = output_tensors(value)
    except ValueError as error:
        raise _NoClassifier(f"it {error}") from error
    found = [tensor.flatten(1) for tensor in given if tensor.ndim >= 2 and math.prod(tensor.shape[2:]) == 1]
    if not found:
        shapes = ", ".join("x".join(["batch", *map(str, tensor.shape[1:])]) for tensor in given) or "nothing"
        raise _NoClassifier(f"it gives {shapes}, and no logits of classes")
    classes = found[0].shape[1]
    if not LEAST_CLASSES <= classes <= MOST_CLASSES:
        raise _NoClassifier(not_classes(classes))
    return found


def _require_head(module: nn.Module, logits: Tensor) -> None:
    """Check that a layer gives as many outputs as there are logits, and no norm stands behind it, as in an encoder.

    Raises:
        _NoClassifier: there is none.
    """
    classes = logits.shape[1]
    held = [tensor for tensor in module.parameters() if tensor.numel()]
    for place, tensor in enumerate(held):
        if tensor.ndim < 2 or classes not in (tensor.shape[0], tensor.shape[1] if tensor.ndim == 2 else 0):
            continue
        behind = held[place + 1 :]
        biased = (
            bool(behind)
            and tuple(behind[0].shape) == (classes,)
            and _owner(module, behind[0]) is _owner(module, tensor)
        )
        after = behind[1:] if biased else behind
        if not (after and tuple(after[0].shape) == (classes,)):
            return
    raise _NoClassifier(f"no layer gives its {classes:,} outputs as logits; it may be an encoder without one")


def _owner(module: nn.Module, tensor: Tensor) -> nn.Module | None:
    return next((part for part in module.modules() if any(own is tensor for own in part._parameters.values())), None)


def _is_log(module: nn.Module, takes: tuple[int, ...]) -> bool:
    """Run a user's module, see that it classifies, and whether it gives probabilities.

    Raises:
        _NoClassifier: it does not.
    """
    tensor = next((own for own in (*module.parameters(), *module.buffers())), torch.zeros(()))
    pictures = torch.randn(_TRIED, *takes, generator=torch.Generator().manual_seed(0)).to(tensor.device)
    with torch.no_grad():
        found = _classes_of(module(pictures))
    if len(found) > 1:
        raise _NoClassifier(f"it gives {len(found)} outputs that may be logits; return one of them")
    (logits,) = found
    if len(logits) != _TRIED:
        raise _NoClassifier(f"of {_TRIED} pictures it gives {len(logits)} outputs")
    _require_head(module, logits)
    if logits.is_meta or bool((logits < 0).any()):
        return False
    if bool(((logits.sum(1) - 1).abs() < 1e-4).all()):
        return True
    if logits.shape[1] >= _SURELY_SIGNED:
        raise _NoClassifier("its outputs are never negative, as those of an encoder without a classifying layer")
    return False


def _tried_shapes(
    user: UserModule, shape: tuple[int, ...] | None
) -> Iterator[tuple[tuple[int, int, int], tuple[int, ...], str | None]]:
    """Pictures that a module may take, each with the shape of one input of it, and what is assumed of them.

    Raises:
        _NoClassifier: it takes no pictures.
    """
    if user.example is not None:
        if shape is not None:
            raise UsageError("--input-shape", f"{user.spec} gives example inputs of its own", "leave it out")
        inputs = [*user.example.args, *user.example.kwargs.values()]
        if len(inputs) != 1 or not isinstance(inputs[0], Tensor) or user.example.kwargs:
            raise _NoClassifier("its example inputs are not one tensor of pictures")
        picture, takes = _picture_of(tuple(inputs[0].shape[1:]), floating=inputs[0].is_floating_point())
        yield picture, takes, None
        return
    if shape is not None:
        picture, takes = _picture_of(shape)
        yield picture, takes, None
        return
    for example in examples(user.module):
        own = example.args[0]
        if own.is_floating_point() and (own.ndim == 3 or (own.ndim == 4 and own.shape[1] > MOST_CHANNELS)):
            continue  # a sequence
        picture, takes = _picture_of(tuple(own.shape[1:]), floating=own.is_floating_point())
        sizes = "x".join(map(str, picture))
        if len(takes) == 1:
            yield picture, picture, f"pictures of {sizes}"
        elif picture[0] == 3 and picture[1] != _COLOUR_SIDE:
            yield (3, _COLOUR_SIDE, _COLOUR_SIDE), (3, _COLOUR_SIDE, _COLOUR_SIDE), "pictures of 3x32x32"
        yield picture, takes, f"pictures of {sizes}"


def _picture_of(shape: tuple[int, ...], *, floating: bool = True) -> tuple[tuple[int, int, int], tuple[int, ...]]:
    """The picture that an input of this shape is, and the shape.

    Raises:
        _NoClassifier: it is none.
    """
    if not floating:
        raise _NoClassifier("it takes whole numbers, as a language model does")
    if len(shape) == 3:
        return (shape[0], shape[1], shape[2]), shape
    if len(shape) == 2:
        return (1, shape[0], shape[1]), shape
    if len(shape) == 1 and (picture := flat_picture(shape[0])) is not None:
        return picture, shape
    sizes = "x".join(map(str, shape)) or "single numbers"
    raise _NoClassifier(f"it takes inputs of {sizes}, which are no pictures")
