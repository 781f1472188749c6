"""Libraries that fall back to float32 inside (norms, softmaxes, positions) compute in float64 throughout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_map


class InFloat64(TorchFunctionMode):
    """Whatever asks for float32, or for nothing, gets float64."""

    def __enter__(self) -> InFloat64:
        self._before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        torch.set_default_dtype(self._before)
        super().__exit__(*error)

    def __torch_function__(
        self, function: Callable[..., Any], types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        if function is torch.Tensor.float:
            function = torch.Tensor.double
        widen = lambda value: torch.float64 if value is torch.float32 else value  # noqa: E731
        args, kwargs = tree_map(widen, args), tree_map(widen, dict(kwargs or {}))
        return function(*args, **kwargs)


def randomised(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The module in float64, for evaluation, with weights of common sizes, and gains and biases of all kinds."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for parameter in module.parameters():
            values = torch.randn(parameter.shape, generator=generator, dtype=torch.float64)
            scale = 0.3 if parameter.ndim <= 1 else (parameter[0].numel() or 1) ** -0.5
            parameter.copy_(values * scale + (0.5 if parameter.ndim <= 1 else 0.0))
    return module


def tensors_of(outputs: Any) -> list[torch.Tensor]:
    """All tensors of floating point in what a module gives, dataclasses and dictionaries included."""
    if isinstance(outputs, torch.Tensor):
        return [outputs] if outputs.is_floating_point() else []
    if isinstance(outputs, Mapping):
        outputs = list(outputs.values())
    return [tensor for part in outputs for tensor in tensors_of(part)] if isinstance(outputs, list | tuple) else []


def deviation(ours: Any, theirs: Any) -> float:
    """The largest difference of all outputs, over the largest value of each."""
    pairs = list(zip(tensors_of(ours), tensors_of(theirs), strict=True))
    assert pairs and all(mine.shape == yours.shape for mine, yours in pairs)
    return max(float((mine - yours).abs().max() / yours.abs().max()) for mine, yours in pairs)
