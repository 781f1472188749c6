"""Random networks of real classes, and whether a reference module is the same: names, shapes, outputs, an export."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families.by_shapes import from_config, from_shapes
from nfn_cli.architectures.families.family import ReferenceModule
from nfn_cli.architectures.families.fitting import difference

Shapes = dict[str, tuple[int, ...]]


def shapes_of(module: nn.Module) -> Shapes:
    """Names and shapes of its state dict."""
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}


def randomised(module: nn.Module, seed: int = 0) -> nn.Module:
    """The same module in float64 and evaluation, with weights, gains and running statistics as after training."""
    generator = torch.Generator().manual_seed(seed)
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in module.state_dict().items():
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            if name.endswith("running_var"):
                tensor.copy_(noise.abs() + 0.5)
            elif tensor.ndim < 2 or tensor.numel() == len(tensor):
                tensor.copy_(0.3 * noise + (0.0 if name.endswith(("bias", "running_mean")) else 1.0))
            else:
                tensor.copy_(noise * (2.0 / tensor[0].numel()) ** 0.5)
    return module


def recognise(module: nn.Module, config: dict[str, Any] | None = None) -> ReferenceModule:
    """What its names and shapes are recognised as."""
    shapes = shapes_of(module)
    found = from_shapes(shapes) if config is None else from_config(config, shapes)
    assert found is not None
    return found


def deviation(
    real: nn.Module,
    config: dict[str, Any] | None = None,
    *,
    output: Callable[[Any], Tensor] = lambda found: found,
    own_output: Callable[[Any], Tensor] = lambda found: found,
    export: bool = False,
) -> float:
    """Largest difference of the outputs, relative to the largest output, once names and shapes are the same.

    Args:
        real: of a library or written anew, maybe on the meta device.
        config: beside it, if there is one.
        output: of what `real` returns, `own_output` of what the reference module does.
        export: whether the reference module is to be exported, on the meta device.
    """
    if any(tensor.is_meta for tensor in real.parameters()):
        real = real.to_empty(device="cpu")
    real = randomised(real)
    found = recognise(real, config)
    with torch.device("meta"):
        own = found.make()
    assert difference(own, shapes_of(real)) is None and difference(real, shapes_of(own)) is None
    own.load_state_dict(real.state_dict(), assign=True)
    assert not own.training
    arguments, keywords = found.inputs(2, "cpu")
    arguments = tuple(tensor.double() if tensor.is_floating_point() else tensor for tensor in arguments)
    with torch.no_grad():
        theirs, ours = output(real(*arguments, **keywords)), own_output(own(*arguments, **keywords))
    assert theirs.std() > 1e-6  # a network that has died would agree with any
    if export:
        with torch.device("meta"):
            module = found.make()
        torch.export.export(module, *found.inputs(2, "meta"), strict=False)
    return ((theirs - ours).abs().max() / theirs.abs().max()).item()
