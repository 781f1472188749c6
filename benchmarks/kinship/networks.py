"""The networks: perceptrons, small CNNs, CIFAR-style ResNets; Hugging Face's Llama and GPT-2.

Names and shapes are such that `nfn` reads them without being told anything: chains by the file's metadata, ResNets by
their names, language models by the configuration beside the file.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

import torch.nn.functional as F
from tasks import CHARACTERS, CONTEXT
from torch import Tensor, nn


class Mlp(nn.Module):
    """fc1, ReLU, fc2, ...; layers by number."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.depth = len(sizes) - 1
        for number in range(self.depth):
            self.add_module(f"fc{number + 1}", nn.Linear(sizes[number], sizes[number + 1]))

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        for number in range(1, self.depth + 1):
            x = getattr(self, f"fc{number}")(x)
            x = F.relu(x) if number < self.depth else x
        return x


class Cnn(nn.Module):
    """Convolutions of 3×3 with ReLU, the mean over all positions, a linear layer.

    Args:
        strides: of the convolutions, by default 2.
    """

    def __init__(
        self, channels: int, widths: tuple[int, ...], classes: int, strides: tuple[int, ...] | None = None
    ) -> None:
        super().__init__()
        self.depth = len(widths)
        strides = strides or (2,) * self.depth
        for number, (before, after) in enumerate(zip((channels, *widths[:-1]), widths, strict=True)):
            self.add_module(f"conv{number + 1}", nn.Conv2d(before, after, 3, strides[number], 1))
        self.fc = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        for number in range(1, self.depth + 1):
            x = F.relu(getattr(self, f"conv{number}")(x))
        return self.fc(x.mean((2, 3)))


class Block(nn.Module):
    """Two convolutions with BatchNorm, and the shortcut around them."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(before, after, 3, stride, 1, bias=False), nn.BatchNorm2d(after)
        self.conv2, self.bn2 = nn.Conv2d(after, after, 3, 1, 1, bias=False), nn.BatchNorm2d(after)
        self.shortcut = nn.Sequential()
        if before != after:
            self.shortcut = nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.shortcut(x))


class ResNet(nn.Module):
    """Of 2 + 2 · (number of blocks) layers; `widths` must grow from stage to stage."""

    def __init__(self, channels: int, widths: tuple[int, ...], blocks: tuple[int, ...], classes: int) -> None:
        super().__init__()
        self.stages = len(widths)
        self.conv1, self.bn1 = nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0])
        before = widths[0]
        for stage, (width, count) in enumerate(zip(widths, blocks, strict=True)):
            own = []
            for number in range(count):
                own.append(Block(before, width, 2 if stage and not number else 1))
                before = width
            self.add_module(f"layer{stage + 1}", nn.Sequential(*own))
        self.linear = nn.Linear(before, classes)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(1, self.stages + 1):
            x = getattr(self, f"layer{stage}")(x)
        return self.linear(x.mean((2, 3)))


def llama(width: int, layers: int, *, inner: int, heads: int, groups: int, tied: bool = False) -> nn.Module:
    """Hugging Face's LlamaForCausalLM; `groups` heads of keys and values."""
    found = _transformers()
    config = found.LlamaConfig(
        vocab_size=CHARACTERS,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
    )
    return _named(found.LlamaForCausalLM(config))


def gpt2(width: int, layers: int, *, heads: int, tied: bool = False) -> nn.Module:
    """Hugging Face's GPT2LMHeadModel, without dropout."""
    found = _transformers()
    config = found.GPT2Config(
        vocab_size=CHARACTERS,
        n_positions=CONTEXT,
        n_embd=width,
        n_layer=layers,
        n_head=heads,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        tie_word_embeddings=tied,
        bos_token_id=None,
        eos_token_id=None,
        use_cache=False,
    )
    return _named(found.GPT2LMHeadModel(config))


def language_model(config: dict[str, Any]) -> nn.Module:
    """The model of a configuration that was kept beside its file."""
    found = _transformers()
    kind = found.LlamaForCausalLM if config["model_type"] == "llama" else found.GPT2LMHeadModel
    return _named(kind(kind.config_class.from_dict(config)))


def _named(model: Any) -> nn.Module:
    model.config.architectures = [type(model).__name__]
    assert isinstance(model, nn.Module)
    return model


def _transformers() -> Any:
    try:
        importlib.import_module("torchvision")
    except (ImportError, RuntimeError):  # none, or one that was built for another torch, which transformers trips over
        sys.modules["torchvision"] = None  # type: ignore[assignment]
    found = importlib.import_module("transformers")
    found.logging.set_verbosity_error()
    return found


def logits(network: nn.Module, inputs: Tensor) -> Tensor:
    """What a network answers: [batch, classes], or [batch, places, characters] of a language model."""
    if hasattr(network, "config"):
        found: Tensor = network(input_ids=inputs, use_cache=False).logits
        return found
    answer: Tensor = network(inputs)
    return answer
