"""What is no chain of Linear and convolution layers is refused in one line that names the culprit."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from nfn_cli.architectures import ReadNetwork, read_weights
from nfn_cli.checkpoints import Checkpoint, read_checkpoint
from nfn_cli.errors import ArchitectureError

Read = Callable[..., ReadNetwork]
Save = Callable[..., Path]


def linears(**sizes: tuple[int, int]) -> nn.Module:
    """Linear layers by name."""
    return nn.ModuleDict({name: nn.Linear(*size) for name, size in sizes.items()})


def within(name: str, module: nn.Module) -> nn.Module:
    """Linear layers 4->4 before and after a module; `name` is dotted."""
    for part in reversed(name.split(".")):
        holder = nn.Module()
        holder.add_module(part, module)
        module = holder
    module.add_module("fc1", nn.Linear(4, 4))
    module.add_module("fc2", nn.Linear(4, 4))
    return module


def residual_blocks(*, width: int, projection: bool) -> nn.Module:
    """A residual network by torchvision's names; without projection, it would chain."""
    block = nn.Module()
    block.add_module("conv1", nn.Conv2d(4, width, 3))
    block.add_module("conv2", nn.Conv2d(width, width, 3))
    if projection:
        block.add_module("downsample", nn.Sequential(nn.Conv2d(4, width, 1)))
    network = nn.Module()
    network.add_module("conv1", nn.Conv2d(3, 4, 3))
    network.add_module("layer1", nn.Sequential(block))
    network.add_module("fc", nn.Linear(width, 10))
    return network


def self_attention(*names: str) -> nn.Module:
    """Square matrices, which would chain."""
    return within("layer.self_attn", linears(**dict.fromkeys(names, (4, 4))))


REFUSED: dict[str, tuple[nn.Module, str]] = {
    "grouped convolution": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=2)),
        "1 reads 4, but 0 gives 8",
    ),
    "depthwise convolution": (
        nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, groups=8), nn.Conv2d(8, 4, 1)),
        "1 reads 1, but 0 gives 8",
    ),
    # The depthwise convolution would fit behind the linear layer, which has one output.
    "depthwise convolution in a network with one output": (
        nn.ModuleDict({"conv": nn.Conv2d(3, 8, 3), "dw": nn.Conv2d(8, 8, 3, groups=8), "fc": nn.Linear(8, 1)}),
        "the layers do not form a chain",
    ),
    "attention": (within("mixer", nn.MultiheadAttention(4, 2)), "mixer.in_proj_"),
    "attention of linear layers": (self_attention("q_proj", "k_proj", "v_proj", "out_proj"), "an attention"),
    "attention by other names": (within("block", linears(query=(4, 4), key=(4, 4), value=(4, 4))), "an attention"),
    "transformer": (nn.TransformerEncoderLayer(4, 2, 8), "(self_attn.in_proj_|norm1.weight)"),
    "embedding": (within("embed", nn.Embedding(4, 4)), "an embedding"),
    "embedding of positions": (within("wpe", nn.Embedding(9, 4)), "an embedding"),
    "LSTM": (within("rnn", nn.LSTM(4, 4)), "rnn.(weight|bias)_.h_l0"),
    "LayerNorm": (within("norm", nn.LayerNorm(4)), "no file says behind which layer norm"),
    "GroupNorm": (within("norm", nn.GroupNorm(2, 4)), "no file says behind which layer norm"),
    "BatchNorm without statistics": (within("norm", nn.BatchNorm1d(4, track_running_stats=False)), "which layer norm"),
    "PReLU of unknown place": (within("act", nn.PReLU(4)), "no file says behind which layer act"),
    "bilinear": (within("bilinear", nn.Bilinear(4, 4, 4)), "a bilinear layer"),
    "transposed convolution": (
        nn.Sequential(nn.Conv2d(1, 8, 3), nn.ConvTranspose2d(8, 1, 3)),
        "1 is a transposed convolution",
    ),
    "square transposed convolution": (within("deconv1", nn.ConvTranspose2d(4, 4, 3)), "a transposed convolution"),
    "spectral norm": (nn.utils.parametrizations.spectral_norm(nn.Linear(4, 4)), "parametrizations.weight"),
    "two heads": (linears(fc=(4, 8), policy=(8, 3), value=(8, 1)), "the layers do not form a chain"),
    "two towers": (linears(left=(4, 8), right=(4, 8), out=(16, 2)), "the layers do not form a chain"),
    "residual network": (residual_blocks(width=8, projection=True), "layer1.0.conv1 seems to be part of a residual"),
    "residual network that would chain": (residual_blocks(width=4, projection=False), "a residual block"),
    "shortcut": (within("shortcut", nn.Linear(4, 4)), "a branch"),
    "adapter": (within("fc3", linears(lora_A=(4, 2), lora_B=(2, 4))), "fc3.lora_A seems to be part of an adapter"),
    "parameter of its own": (within("scale", nn.ParameterDict({"gain": torch.ones(4)})), "scale.gain"),
}


@pytest.mark.parametrize("format", ["safetensors", "torch"])
@pytest.mark.parametrize(("module", "cause"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_chain_is_refused_in_one_line(module: nn.Module, cause: str, format: str, read: Read) -> None:
    with pytest.raises(ArchitectureError, match=cause) as refused:
        read(module, format)
    assert "model." in refused.value.subject
    assert "\n" not in str(refused.value)
    assert refused.value.remedy


def test_what_is_no_chain_is_refused_before_its_activation_is_asked_for(save: Save) -> None:
    checkpoint = read_checkpoint(save(within("mixer", nn.MultiheadAttention(4, 2))))
    with pytest.raises(ArchitectureError, match=r"mixer\.in_proj_"):
        read_weights(checkpoint)


@pytest.mark.parametrize(
    ("tensors", "cause"),
    [
        ({"fc2.weight": torch.ones(4, 4), "fc2.bias": torch.ones(3)}, r"fc2.bias \(3\)"),
        ({"fc2.bias": torch.ones(4)}, r"fc2.bias \(4\)"),
        ({"fc2.weight": torch.ones(4, 0)}, r"fc2.weight \(4x0\)"),
        ({"fc2.weight": torch.ones(1, 1, 1, 1, 1, 4)}, "fc2.weight"),
        ({"fc2.weight": torch.tensor(1.0)}, r"fc2.weight \(scalar\)"),
        ({"weight": torch.ones(4)}, r"tensor weight \(4\)"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_tensors_that_are_no_layer_are_refused_by_name(tensors: dict[str, Tensor], cause: str, read: Read) -> None:
    with pytest.raises(ArchitectureError, match=cause):
        read({"fc1.weight": torch.ones(4, 4)} | tensors)


@pytest.mark.parametrize("format", ["safetensors", "torch"])
def test_counters_and_position_numbers_are_passed_over(format: str, read: Read) -> None:
    tensors = {"0.weight": torch.ones(4, 4), "0.steps": torch.tensor(3), "position_ids": torch.arange(4)}
    assert list(read(tensors, format).weights.tensors) == ["0.weight", "0.bias"]


@pytest.mark.parametrize("name", ["embed", "keyed", "skipper", "monkey", "outlora"])
def test_a_linear_layer_is_not_refused_for_a_name_that_only_resembles(name: str, read: Read) -> None:
    read(linears(**{name: (4, 5)}))


def test_reading_leaves_the_checkpoint_as_it_was(save: Save) -> None:
    checkpoint = read_checkpoint(save(nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU(), nn.Linear(4, 2))))
    before = {name: tensor.clone() for name, tensor in checkpoint.tensors.items()}
    read_weights(checkpoint, activation="relu")
    assert isinstance(checkpoint, Checkpoint)
    assert all(torch.equal(tensor, before[name]) for name, tensor in checkpoint.tensors.items())
