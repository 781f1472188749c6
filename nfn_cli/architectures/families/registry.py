"""All known families. Adding one is adding a file and its line here; nothing of it is imported before it is asked."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from nfn_cli.architectures.families.family import Family

_HERE = "nfn_cli.architectures.families"


def _family(name: str, module: str) -> Family:
    """The family whose file has `from_config`, `from_shapes` or both."""

    def call(function: str) -> Callable[..., Any]:
        def ask(*arguments: object) -> Any:
            answer = getattr(import_module(f"{_HERE}.{module}"), function, None)
            return None if answer is None else answer(*arguments)

        return ask

    return Family(name, call("from_config"), call("from_shapes"))


FAMILIES: tuple[Family, ...] = (
    _family("Llama", "variants.llama"),
    _family("Mistral", "variants.mistral"),
    _family("Qwen2", "variants.qwen2"),
    _family("Qwen3", "variants.qwen3"),
    _family("Gemma", "variants.gemma"),
    _family("Gemma 2", "variants.gemma2"),
    _family("Phi", "variants.phi"),
    _family("OLMo 2", "variants.olmo2"),
    _family("GPT-NeoX", "variants.gpt_neox"),
    _family("Mixtral", "variants.mixtral"),
    _family("GPT-2", "gpt2"),
    _family("OPT", "opt"),
    _family("BERT", "bert"),
    _family("T5", "t5"),
    _family("ViT and DeiT (transformers)", "vit"),
    _family("ViT and DeiT (timm)", "timm_vit"),
    _family("MLP-Mixer (timm)", "timm_mixer"),
    _family("convolutional", "convolutional"),
)
