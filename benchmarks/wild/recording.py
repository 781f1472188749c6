"""Write down the forward pass of a plain `nn.Module` as the steps of an `nfn-steps` configuration, and check it.

The module is followed with torch.fx. What the steps have no word for (pooling with a stride of its own, groups,
dilation) is refused.
"""

from __future__ import annotations

import operator
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from nfn_cli.architectures.families.recorded import MODEL_TYPE, RecordedNetwork, read_steps

Step = dict[str, Any]
Picture = tuple[int, int, int]  # channels, height, width
_AGREEMENT = 1e-5  # of the largest logit, or of 1
_FUNCTIONS: dict[Any, str] = {
    F.relu: "relu",
    torch.relu: "relu",
    torch.tanh: "tanh",
    F.tanh: "tanh",
    F.gelu: "gelu",
    torch.sigmoid: "sigmoid",
    F.silu: "silu",
    F.elu: "elu",
    torch.flatten: "flatten",
}
_POOLING_DEFAULTS = {"stride": None, "padding": 0, "dilation": 1, "ceil_mode": False, "return_indices": False}
_MODULES: dict[type[nn.Module], str] = {
    nn.ReLU: "relu",
    nn.Tanh: "tanh",
    nn.GELU: "gelu",
    nn.Sigmoid: "sigmoid",
    nn.SiLU: "silu",
    nn.ELU: "elu",
    nn.LeakyReLU: "leaky_relu",
    nn.Flatten: "flatten",
}


def configuration(network: nn.Module, picture: Picture) -> dict[str, Any]:
    """What `config.json` says of a network.

    Raises:
        ValueError: it does something that the steps have no word for.
    """
    return {"model_type": MODEL_TYPE, "input": list(picture), "steps": steps_of(network)}


def steps_of(network: nn.Module) -> list[Step]:
    """The steps of a network that takes one batch of pictures.

    Raises:
        ValueError: it does something that the steps have no word for.
    """
    graph = fx.Tracer().trace(network)
    places: dict[fx.Node, int] = {}
    steps: list[Step] = []
    for node in graph.nodes:
        if node.op == "placeholder":
            places[node] = -1
            continue
        if node.op == "output":
            break
        step = _of_module(network.get_submodule(node.target), node) if node.op == "call_module" else _of_call(node)
        sources = [places[own] for own in node.all_input_nodes]
        if step is None:  # does nothing
            places[node] = sources[0]
            continue
        if sources[0] != len(steps) - 1:
            step["from"] = sources[0]
        if step["op"] == "add":
            step["with"] = sources[1:]
        places[node] = len(steps)
        steps.append(step)
    return steps


def _of_module(module: nn.Module, node: fx.Node) -> Step | None:
    name = str(node.target)
    if isinstance(module, nn.Conv2d):
        sizes = _square(module.kernel_size), _square(module.stride), _square(module.padding)
        if module.groups != 1 or _square(module.dilation) != 1 or module.padding_mode != "zeros":
            raise ValueError(f"{name}: no step for a convolution of groups, dilation or another padding")
        step: Step = {"op": "conv", "name": name, "ins": module.in_channels, "outs": module.out_channels}
        return step | dict(zip(("kernel", "stride", "padding"), sizes, strict=True)) | {"bias": module.bias is not None}
    if isinstance(module, nn.Linear):
        sizes_of = {"ins": module.in_features, "outs": module.out_features, "bias": module.bias is not None}
        return {"op": "linear", "name": name, **sizes_of}
    if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
        return {"op": type(module).__name__.lower(), "name": name, "size": module.num_features}
    if isinstance(module, nn.MaxPool2d | nn.AvgPool2d):
        kernel = _square(module.kernel_size)
        if _square(module.stride) != kernel or _square(module.padding) != 0 or module.ceil_mode:
            raise ValueError(f"{name}: no step for pooling with a stride or a padding of its own")
        return {"op": "maxpool" if isinstance(module, nn.MaxPool2d) else "avgpool", "size": kernel}
    if isinstance(module, nn.AdaptiveAvgPool2d) and module.output_size in (1, (1, 1)):
        return {"op": "mean"}  # the flattening behind it then changes nothing
    if isinstance(module, nn.Dropout):
        return {"op": "dropout", "rate": module.p}
    if isinstance(module, nn.Identity):
        return None
    if type(module) in _MODULES:
        return {"op": _MODULES[type(module)]}
    raise ValueError(f"{name}: no step for {type(module).__name__}")


def _of_call(node: fx.Node) -> Step:
    if node.op == "call_function":
        if node.target in (operator.add, operator.iadd, torch.add):
            return {"op": "add"}
        if node.target in (F.max_pool2d, F.avg_pool2d) and len(node.args) == 2 and not _set(node.kwargs):
            return {"op": "maxpool" if node.target is F.max_pool2d else "avgpool", "size": node.args[1]}
        if node.target is torch.flatten and node.args[1:] != (1,):
            raise ValueError("no step for flattening from another axis than 1")
        if node.target in _FUNCTIONS:
            return {"op": _FUNCTIONS[node.target]}
    elif node.op == "call_method":
        if node.target == "flatten" and node.args[1:] == (1,):
            return {"op": "flatten"}
        if node.target == "mean" and node.args[1:] in (((2, 3),), ([2, 3],), (2, 3)):
            return {"op": "mean"}
    raise ValueError(f"no step for {node.target}")


def _set(keywords: Mapping[str, Any]) -> bool:
    """Whether pooling is told something beyond its defaults."""
    return any(value != _POOLING_DEFAULTS.get(name) for name, value in keywords.items())


def _square(size: Any) -> int:
    values = set(size) if isinstance(size, tuple) else {size}
    if len(values) != 1 or not isinstance(value := values.pop(), int):
        raise ValueError(f"no step for a size of {size}")
    return value


@torch.no_grad()
def require_same_logits(network: nn.Module, config: dict[str, Any], pictures: Tensor) -> None:
    """Check that the recorded steps with the network's tensors give what it gives, in evaluation mode.

    Raises:
        ValueError: they do not.
    """
    recorded = RecordedNetwork(read_steps(config["steps"]))
    recorded.load_state_dict(network.state_dict())
    training = network.training
    network.eval()
    logits, again = network(pictures), recorded.eval()(pictures)
    network.train(training)
    apart = float((logits - again).abs().max())
    if not apart <= _AGREEMENT * max(1.0, float(logits.abs().max())):
        raise ValueError(f"the recorded steps give other logits, by up to {apart:.2g}")


@torch.no_grad()
def products(network: nn.Module, picture: Picture) -> int:
    """Multiplications of one picture's forward pass, in linear and convolution layers."""
    total = 0

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        nonlocal total
        assert isinstance(module.weight, Tensor)
        total += module.weight[0].numel() * output[0].numel()

    layers = [module for module in network.modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    training = network.training
    network.eval()(torch.zeros(1, *picture))
    network.train(training)
    for hook in hooks:
        hook.remove()
    return total
