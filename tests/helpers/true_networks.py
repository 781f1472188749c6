"""Networks with their true functions, and a judge of what the tool makes of their files."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

Forward = Callable[[Any, Tensor], Tensor]


class Net(nn.Module):
    """Members by name, and a forward pass given as a function of them."""

    def __init__(self, forward: Forward, **members: nn.Module | Tensor) -> None:
        super().__init__()
        for name, member in members.items():
            if isinstance(member, nn.Module | nn.Parameter):
                setattr(self, name, member)
            else:
                self.register_buffer(name, member)
        self._forward = forward

    def forward(self, values: Tensor) -> Tensor:
        return self._forward(self, values)


@dataclass(frozen=True)
class Network:
    """A module, the shape of one input, and how it is stored.

    Attributes:
        must_read: whether a file of it has to be read.
        moves: how many tensors a random element has to change then.
        says: a refusal names one of these.
        told: options for the tool.
        extras: beside the state dict of a PyTorch file.
    """

    module: nn.Module
    inputs: tuple[int, ...]
    activation: str = "relu"
    must_read: bool = False
    moves: int = 2
    says: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    format: str = "torch"
    extras: Any = None


@dataclass(frozen=True)
class Judgement:
    """What the tool did.

    Attributes:
        fault: what was wrong; None if nothing.
        refusal: its line, where it refused.
        moved: how many tensors a random element changed.
        err: what it said on reading.
    """

    fault: str | None = None
    refusal: str | None = None
    moved: int = 0
    err: str = ""


def randomise(module: nn.Module, seed: int = 0) -> None:
    """Weights as after training: no zeros, statistics that are not the initial ones."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
            if not tensor.is_floating_point():
                continue
            noise = torch.randn(tensor.shape, generator=generator, dtype=tensor.dtype)
            if "var" in name or "std" in name or "dev" in name:
                tensor.copy_(noise.abs() + 0.5)
            elif tensor.ndim < 2 and name.endswith("weight"):
                tensor.copy_(1 + 0.3 * noise)
            else:
                tensor.copy_(tensor + 0.2 * noise)


def judge(nfn: Callable[..., Any], network: Network, folder: Path) -> Judgement:
    """Canonicalize, move and verify a file; the module's own outputs decide whether a written file is right."""
    module = network.module.float()
    randomise(module)
    suffix = ".pt" if network.format == "torch" else ".safetensors"
    source, normal, moved, changed = (folder / f"{name}{suffix}" for name in ("in", "normal", "moved", "changed"))
    _save(module.state_dict(), source, network.extras)
    before = _outputs(module, network.inputs)
    options = ["--activation", network.activation, *network.told]

    def kept(file: Path) -> str | None:
        module.load_state_dict(_load(file))
        change = ((_outputs(module, network.inputs) - before).abs().max() / before.abs().max()).item()
        return None if change < 1e-4 else f"wrong file: outputs change by {change:.1e} of their size"

    done = nfn("canonicalize", source, "-o", normal, *options)
    if done.code:
        line = (done.err.strip().splitlines() or [""])[-1]
        return Judgement(_refusal_fault(network, line, normal), line)
    if fault := kept(normal):
        return Judgement(fault, err=done.err)
    moving = nfn("apply", source, "--seed", 1, "-o", moved, *options)
    if moving.code:
        return Judgement(f"read, but not moved: {moving.err.strip()}", err=done.err)
    old, new = _load(source), _load(moved)
    count = sum(not torch.equal(old[name], new[name]) for name in old)
    fault = kept(moved)
    if fault is None and network.must_read and count < network.moves:
        fault = f"only {count} tensors moved, of at least {network.moves}"
    if fault is None and nfn("verify", source, moved, *options).code:
        fault = "verify: not the same"
    if fault is None and (name := _first_moved(old, new)) is not None:
        new[name] = new[name].clone()
        new[name].view(-1)[new[name].abs().argmax()] *= 1.05
        _save(new, changed, network.extras)
        if nfn("verify", source, changed, *options).code == 0:
            fault = "verify: a changed weight passed"
    return Judgement(fault, moved=count, err=done.err)


def _refusal_fault(network: Network, line: str, written: Path) -> str | None:
    if written.exists():
        return "refused, and yet a file was written"
    if network.must_read:
        return f"not read: {line}"
    if network.says and not any(word.lower() in line.lower() for word in network.says):
        return f"refused for another reason: {line}"
    return None


def _first_moved(old: dict[str, Tensor], new: dict[str, Tensor]) -> str | None:
    return next((name for name in new if new[name].ndim > 1 and not torch.equal(old[name], new[name])), None)


def _outputs(module: nn.Module, inputs: tuple[int, ...]) -> Tensor:
    values = torch.randn(5, *inputs, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    module.double().eval()
    with torch.no_grad():
        found = module(values)
    assert isinstance(found, Tensor)
    return found


def _save(state: dict[str, Tensor], path: Path, extras: Any) -> None:
    # In float32, whatever the module computes in; what shares memory goes on sharing it in a PyTorch file.
    seen: dict[tuple[int, tuple[int, ...]], Tensor] = {}
    found = {}
    for name, tensor in state.items():
        key = (tensor.data_ptr(), tuple(tensor.stride()))
        if key not in seen or seen[key].shape != tensor.shape:
            seen[key] = tensor.detach().float() if tensor.is_floating_point() else tensor.detach()
            seen[key] = seen[key].clone() if seen[key].data_ptr() == tensor.data_ptr() else seen[key]
        found[name] = seen[key]
    if path.suffix == ".safetensors":
        save_file({name: tensor.clone(memory_format=torch.contiguous_format) for name, tensor in found.items()}, path)
    else:
        torch.save({"state_dict": found, **extras} if extras else found, path)


def _load(path: Path) -> dict[str, Tensor]:
    if path.suffix == ".safetensors":
        return load_file(path)
    loaded = torch.load(path, weights_only=False)  # written a moment ago
    with contextlib.suppress(KeyError):
        loaded = loaded["state_dict"]
    return dict(loaded)
