"""What timm's names of networks stand for, as far as `config.json` does not say it.

Its file has the name of the network ("architecture") and the arguments that differ from that network's own.

>>> named_vit("vit_base_patch16_224")["num_heads"], named_vit("vit_base_patch16_224_sam")
(12, None)
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Arguments = dict[str, Any]

_SIZES: Mapping[str, tuple[int, int, int]] = {  # width, layers, heads
    "tiny": (192, 12, 3),
    "small": (384, 12, 6),
    "medium": (512, 12, 8),
    "betwixt": (640, 12, 10),
    "base": (768, 12, 12),
    "large": (1024, 24, 16),
    "huge": (1280, 32, 16),
    "giant": (1408, 40, 16),
    "gigantic": (1664, 48, 16),
}
_RATIOS = {"giant": 48 / 11, "gigantic": 64 / 13}
_PLAIN = re.compile(r"vit_(tiny|small|base|large|huge|giant|gigantic)_patch(\d+)_(\d+)")
_CLIP = re.compile(r"vit_(medium|betwixt|base|large|huge|giant|gigantic)_patch(\d+)_clip(_quickgelu)?_(\d+)")
_DINOV2 = re.compile(r"vit_(small|base|large)_patch(14)(_reg4)?_dinov2")
_DEIT = re.compile(r"deit_(tiny|small|base)(_distilled)?_patch(16)_(\d+)")
_DEIT3 = re.compile(r"deit3_(small|medium|base|large|huge)_patch(\d+)_(\d+)")
_MIXER = re.compile(r"mixer_([sbl])(\d+)_(\d+)")
_MIXER_SIZES = {"s": (512, 8), "b": (768, 12), "l": (1024, 24)}


def named_vit(name: str) -> Arguments | None:
    """The arguments of a ViT or DeiT by its name; None for another network.

    With a leading underscore what is no argument of timm's class: whether it is distilled, and the norms' ε.
    """
    if found := _PLAIN.fullmatch(name):
        return _sized(*found.groups())
    if found := _CLIP.fullmatch(name):
        size, patch, quick, picture = found.groups()
        clip: Arguments = {"pre_norm": True, "_eps": 1e-5, "act_layer": "quick_gelu" if quick else "gelu"}
        return _sized(size, patch, picture) | clip
    if found := _DINOV2.fullmatch(name):
        size, patch, registers = found.groups()
        more: Arguments = {"reg_tokens": 4, "no_embed_class": True} if registers else {}
        return _sized(size, patch, "518") | {"init_values": 1e-5} | more
    if found := _DEIT.fullmatch(name):
        size, distilled, patch, picture = found.groups()
        return _sized(size, patch, picture) | {"_distilled": distilled is not None}
    if found := _DEIT3.fullmatch(name):
        return _sized(*found.groups()) | {"no_embed_class": True, "init_values": 1e-6}
    return None


def named_mixer(name: str) -> Arguments | None:
    """The arguments of an MLP-Mixer by its name; None for another network."""
    found = _MIXER.fullmatch(name)
    if not found:
        return None
    width, blocks = _MIXER_SIZES[found[1]]
    return {"embed_dim": width, "num_blocks": blocks, "patch_size": int(found[2][:4]), "img_size": int(found[3][:6])}


def _sized(size: str, patch: str, picture: str) -> Arguments:
    width, layers, heads = _SIZES[size]
    arguments: Arguments = {
        "embed_dim": width,
        "depth": layers,
        "num_heads": heads,
        "patch_size": int(patch[:4]),
        "img_size": int(picture[:6]),
    }
    return arguments | ({"mlp_ratio": _RATIOS[size]} if size in _RATIOS else {})
