"""On what a module is traced or run: example inputs of the user's, or ones made for its first layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from nfn_cli.errors import shown

_SIDES = (28, 32, 64, 16, 8, 224, 96, 128, 48, 12, 4)
_LARGEST_SIDE = 40  # of those that are tried one by one
_BATCH = 2
_TOKENS = 8
_DEEPEST = 32
_FORMS = "a tensor, a tuple of arguments, a dict of keyword arguments, or (tuple, dict)"


@dataclass(frozen=True)
class Example:
    """Arguments of one forward pass.

    Attributes:
        args, kwargs: trees of tensors and plain values, with the batch as first axis of the tensors.
        assumed: what was taken for granted of them, such as `inputs of 2x3x28x28`; None where the user gave them.
    """

    args: tuple[Any, ...]
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    assumed: str | None = None


def example_of(inputs: object) -> Example:
    """What a factory returns beside its module.

    Args:
        inputs: a tensor, a tuple of arguments, a mapping of keyword arguments, or a tuple with a dict behind it.

    Raises:
        ValueError: it is none of these, or no tensor is in it.
    """
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    if isinstance(inputs, Tensor):
        args = (inputs,)
    elif isinstance(inputs, Mapping):
        kwargs = dict(inputs)
    elif isinstance(inputs, tuple):
        if len(inputs) == 2 and isinstance(inputs[0], tuple) and isinstance(inputs[1], Mapping):
            args, kwargs = inputs[0], dict(inputs[1])
        else:
            args = tuple(inputs)
    else:
        raise ValueError(f"example inputs that are a {type(inputs).__name__}; give {_FORMS}")
    if not all(isinstance(name, str) for name in kwargs):
        raise ValueError(f"keyword arguments of odd names ({shown(list(kwargs))}); give {_FORMS}")
    if not any(True for _ in tensors_in((args, kwargs))):
        raise ValueError(f"example inputs without a tensor; give {_FORMS}")
    return Example(args, kwargs)


def examples(module: nn.Module, shape: tuple[int, ...] | None = None) -> Iterator[Example]:
    """Inputs that may fit a module, likeliest first: two in a batch, of its own dtype, on its own device.

    Zeros, and tokens where the first layer is an embedding. None where no layer shows what it reads.

    Args:
        shape: of one input, where it is given.
    """
    first = next((part for part in module.modules() if isinstance(part, _FIRSTS)), None)
    tokens = isinstance(first, nn.Embedding | nn.EmbeddingBag)
    likes = [p for p in module.parameters() if p.is_floating_point()]
    device = likes[0].device if likes else torch.device("cpu")
    dtype = torch.int64 if tokens else likes[0].dtype if likes else torch.float32
    for sizes in (shape,) if shape is not None else _likely_shapes(first, module):
        inputs = torch.zeros(_BATCH, *sizes, dtype=dtype, device=device)
        shown = f"{'tokens' if tokens else 'inputs'} of {'x'.join(map(str, inputs.shape))}"
        yield Example((inputs,), assumed=None if shape is not None else shown)


def with_random_numbers(example: Example, generator: torch.Generator) -> Example:
    """The same inputs, with standard normal numbers in place of floats that are all the same, and of those without any.

    Zeros, as they are written where shapes alone matter, would not show what weights do.
    """

    def filled(tensor: Tensor) -> Tensor:
        if tensor.is_floating_point() and (
            tensor.is_meta or (tensor.numel() > 1 and bool(tensor.min() == tensor.max()))
        ):
            return torch.randn(tensor.shape, generator=generator, dtype=torch.float64).to(tensor.dtype)
        return tensor

    args, kwargs = mapped((example.args, dict(example.kwargs)), function=filled)
    return Example(args, kwargs, example.assumed)


def _known_sides(module: nn.Module) -> Iterator[int]:
    """Sides that fit a layer behind a flatten: its positions, doubled for every halving by strides or pooling."""
    channels, axes = 0, 0
    for part in module.modules():
        if isinstance(part, _CONVOLUTIONS):
            channels, axes = part.out_channels, part.weight.ndim - 2
        elif isinstance(part, nn.Linear) and channels and part.in_features % channels == 0:
            side = round((part.in_features // channels) ** (1 / axes))
            if side > 1 and side**axes * channels == part.in_features:
                yield from (side * 2**halvings for halvings in range(6))
            return


def candidate_shapes(shape: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """A shape, and then the same channels with usual sides."""
    yield shape
    if len(shape) > 1:
        for side in _SIDES:
            yield (shape[0], *[side] * (len(shape) - 1))


def tensors_in(tree: object, depth: int = 0) -> Iterator[Tensor]:
    """The tensors of nested tuples, lists and mappings, in their order."""
    if isinstance(tree, Tensor):
        yield tree
    elif isinstance(tree, Mapping | tuple | list) and depth < _DEEPEST:
        for part in tree.values() if isinstance(tree, Mapping) else tree:
            yield from tensors_in(part, depth + 1)


def mapped(tree: Any, depth: int = 0, *, function: Callable[[Tensor], Tensor]) -> Any:
    """The same arguments with every tensor replaced by what a function makes of it."""
    if isinstance(tree, Tensor):
        return function(tree)
    if depth >= _DEEPEST:
        return tree
    if isinstance(tree, dict):
        return {name: mapped(part, depth + 1, function=function) for name, part in tree.items()}
    if isinstance(tree, tuple | list):
        parts = [mapped(part, depth + 1, function=function) for part in tree]
        return type(tree)(*parts) if hasattr(tree, "_fields") else type(tree)(parts)
    return tree


_CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)
_FIRSTS = (nn.Linear, nn.Embedding, nn.EmbeddingBag, nn.RNNBase, *_CONVOLUTIONS)


def _likely_shapes(first: nn.Module | None, module: nn.Module) -> Iterator[tuple[int, ...]]:
    """Shapes of one input of a first layer; of a layer that is not known, those of its weight as a dense one's."""
    if isinstance(first, nn.Linear):
        yield from ((*steps, first.in_features) for steps in ((), (_TOKENS,), (_TOKENS, _TOKENS)))
    elif isinstance(first, nn.Embedding | nn.EmbeddingBag):
        yield (_TOKENS,)
    elif isinstance(first, nn.RNNBase):
        yield (_TOKENS, first.input_size)
    elif isinstance(first, _CONVOLUTIONS):
        for side in dict.fromkeys((*_SIDES, *_known_sides(module), *range(3, _LARGEST_SIDE + 1))):
            yield (first.in_channels, *[side] * (first.weight.ndim - 2))
    else:
        weight = next((p for p in module.parameters() if p.ndim >= 2), None)
        if weight is not None and weight.ndim == 2:
            yield (weight.shape[1],)
        elif weight is not None:
            for side in _SIDES:
                yield (weight.shape[1], *[side] * (weight.ndim - 2))
