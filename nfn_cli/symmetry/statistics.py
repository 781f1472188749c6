"""Running statistics of a network between two others, estimated by running it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures.activations import FUNCTIONS
from nfn_cli.architectures.batch_statistics import reestimate, tracked_norms
from nfn_cli.architectures.layer import StageKind
from nfn_cli.checkpoints import Checkpoint
from nfn_cli.errors import ArchitectureError, DataError, UsageError
from nfn_cli.symmetry.transform import Source

if TYPE_CHECKING:
    from nfn_cli.architectures.read import ReadNetwork
    from nfn_cli.architectures.traced import NetworkTracer
    from nfn_cli.symmetry.sources import AnySource

_MODEL = "give its module: --model FILE.py:FACTORY"
_NONE = "the network has no BatchNorm whose statistics could be estimated"


def estimated_statistics(
    source: AnySource, between: Mapping[str, Tensor], inputs: Tensor, tracer: NetworkTracer, data: str = "--data"
) -> dict[str, Tensor]:
    """Running means and variances of all BatchNorms of a network with other weights.

    Args:
        source: the network.
        between: its new weights, by the file's names; others are the file's.
        inputs: [count, *shape], of at least two.
        tracer: which has read the network; has the user's module where it is read by one.
        data: what errors call the inputs.

    Returns:
        By the file's names, in the file's dtypes.

    Raises:
        UsageError: it has no BatchNorm.
        ArchitectureError: it is not known how it is run, or it does not run on these inputs.
        DataError: there are fewer than two inputs, or they make its numbers infinite.
    """
    if len(inputs) < 2:
        raise DataError(data, "one input tells no variance", "give more")
    whole = source.checkpoint
    tensors = {name: between[name] if name in between else whole.tensors[name] for name in whole.tensors}
    checkpoint = replace(whole, tensors=tensors)
    if not any(name.endswith(".running_mean") for name in tensors):
        raise UsageError(data, _NONE, "leave it out")
    module, names, shape = _runnable(source, checkpoint, tracer, tuple(inputs.shape[1:]))
    norms = tracked_norms(module)
    if not norms:
        raise UsageError(data, _NONE, "leave it out")
    if inputs[0].numel() == torch.Size(shape).numel():
        inputs = inputs.reshape(len(inputs), *shape)
    try:
        with _run_as(tracer):
            run = reestimate(module, inputs)
    except Exception as error:  # the module may be the user's code
        lines = str(error).strip().splitlines() or [type(error).__name__]
        sizes = "x".join(map(str, inputs.shape[1:]))
        cause = f"its network does not run on inputs of {sizes} ({lines[0][:200]})"
        raise ArchitectureError(whole.path, cause, f"give inputs that it takes ({data})") from error
    found = {}
    for name in run:
        for part in ("running_mean", "running_var"):
            own = names[f"{name}.{part}" if name else part]
            found[own] = getattr(norms[name], part).to(whole.tensors[own].dtype)
            if not bool(found[own].isfinite().all()):
                raise DataError(data, f"{own} would not be finite", "give inputs of the size that it was trained on")
    return found


def _run_as(tracer: NetworkTracer) -> AbstractContextManager[None]:
    from nfn_cli.architectures.tracing.user_code import user_code

    return nullcontext() if tracer.model is None else user_code(quiet=True)


def _runnable(
    source: AnySource, checkpoint: Checkpoint, tracer: NetworkTracer, shape: tuple[int, ...]
) -> tuple[nn.Module, Mapping[str, str], tuple[int, ...]]:
    """The network as a module in evaluation mode, the file's names by the module's, and the shape of an input."""
    if isinstance(source, Source):
        chain = ChainWithNorms(source.network, checkpoint)
        return chain, chain.names, (source.network.weights.architecture.inputs,)
    from nfn_cli.architectures.classifier_module import classifying_reference, loaded_copy

    if tracer.model is not None:
        user, names = tracer.user(), tracer.names_in_model(checkpoint)
        given = [] if user.example is None else [*user.example.args, *user.example.kwargs.values()]
        takes = tracer.shape
        if takes is None and len(given) == 1 and isinstance(given[0], Tensor):
            takes = tuple(given[0].shape[1:])
        return loaded_copy(checkpoint, user.module, names), names, takes or shape
    fitting = tracer.fitting(checkpoint, source.network.config)
    assert fitting is not None
    takes = tracer.shape or (shape if len(shape) == 3 else None)
    module, use = classifying_reference(checkpoint, fitting.reference, fitting.names, takes)
    return module, fitting.names, use.picture


class ChainWithNorms(nn.Module):
    """A chain of linear layers with its BatchNorms apart, on [batch, features].

    Attributes:
        names: the file's name of each running statistic, by the module's.

    Raises:
        ArchitectureError: its file does not say how it is run.
    """

    def __init__(self, network: ReadNetwork, checkpoint: Checkpoint) -> None:
        super().__init__()
        architecture = network.weights.architecture
        stages = [stage for layer in architecture.layers for stage in layer.stages]
        if len(architecture.starts) > 1 or any(layer.kind != "linear" for layer in architecture.layers):
            raise ArchitectureError(
                checkpoint.path, "strides, poolings and joints of its layers are in no file", _MODEL
            )
        if any(stage.kind is not StageKind.AFFINE for stage in stages) or network.activation.source == "assumed":
            raise ArchitectureError(checkpoint.path, "not all of what lies between its layers is known", _MODEL)
        self._steps: list[Callable[[Tensor], Tensor]] = []
        self.names: dict[str, str] = {}
        tensors = checkpoint.tensors
        for place, (layer, held) in enumerate(zip(architecture.layers, network.modules, strict=True)):
            norms = {stage.name: stage.place for stage in layer.stages}
            self._add_norms([name for name, where in norms.items() if where == "inputs"], tensors)
            weight, bias = tensors[f"{held.prefix}weight"].float(), tensors.get(f"{held.prefix}bias")
            self._steps.append(partial(F.linear, weight=weight, bias=None if bias is None else bias.float()))
            folded = network.norms.get(layer.name)
            self._add_norms([] if folded is None else [folded.name], tensors)
            self._add_norms([name for name, where in norms.items() if where == "before"], tensors)
            if place + 1 < len(architecture.layers):
                self._steps.append(_activation(network, place))
            self._add_norms([name for name, where in norms.items() if where == "behind"], tensors)
        self.eval()

    def _add_norms(self, names: list[str], tensors: Mapping[str, Tensor]) -> None:
        for name in names:
            own = {part: tensors[f"{name}.{part}"].float() for part in _PARTS if f"{name}.{part}" in tensors}
            norm = nn.BatchNorm1d(len(own["running_mean"]), affine="weight" in own)
            if "weight" in own and "bias" not in own:
                own["bias"] = torch.zeros_like(own["weight"])
            norm.load_state_dict(own, strict=False)
            module = f"norm{len(self.names) // 2}"
            self.add_module(module, norm)
            self.names |= {f"{module}.{part}": f"{name}.{part}" for part in ("running_mean", "running_var")}
            self._steps.append(norm)

    def forward(self, x: Tensor) -> Tensor:
        for step in self._steps:
            x = step(x)
        return x


_PARTS = ("running_mean", "running_var", "weight", "bias")


def _activation(network: ReadNetwork, place: int) -> Callable[[Tensor], Tensor]:
    architecture = network.weights.architecture
    if architecture.activation == "sin":
        return lambda x: torch.sin(architecture.frequency(place) * x)
    slope = architecture.slope
    if slope is not None and architecture.activation in ("leaky_relu", "prelu"):
        return lambda x: F.leaky_relu(x, slope)
    return FUNCTIONS[architecture.activation]
