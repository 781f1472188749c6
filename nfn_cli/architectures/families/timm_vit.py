"""ViT and DeiT as timm has them: queries, keys and values in one layer, layer scale, norms of queries and keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from nfn_cli.architectures.families.family import Config, ReferenceModule, Shapes
from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.activations import ACTIVATIONS, activation_name
from nfn_cli.architectures.families.parts.attention import attend
from nfn_cli.architectures.families.parts.images import patches, picture_inputs
from nfn_cli.architectures.families.parts.placing import put
from nfn_cli.architectures.families.refusal import Refusal
from nfn_cli.architectures.families.timm_config import told_arguments
from nfn_cli.architectures.families.timm_names import named_vit
from nfn_cli.architectures.families.words import counted

_POOLS = ("token", "avg", "")


@dataclass(frozen=True)
class _Spec:
    """Of one network, by timm's arguments.

    Attributes:
        tokens: names of the tokens before the patches, in order, and how many each is.
        has_places: whether there is a table of positions.
        has_norm, has_late_norm: whether there is a norm before pooling, and one behind it.
        places_skip_tokens: whether they are for patches alone.
        classes: outputs of the classifier; 0 for none.
    """

    title: str
    size: tuple[int, int]
    patch: tuple[int, int]
    channels: int
    width: int
    hidden: int
    layers: int
    heads: int
    activation: str
    eps: float
    tokens: tuple[tuple[str, int], ...]
    classes: int
    pool: str
    is_distilled: bool
    has_places: bool
    places_skip_tokens: bool
    has_first_norm: bool
    has_norm: bool
    has_late_norm: bool
    has_qkv_bias: bool
    has_output_bias: bool
    has_qk_norm: bool
    has_scales: bool


def from_config(config: Config, shapes: Shapes) -> ReferenceModule | None:
    """The network of a configuration of this family; None for another one's."""
    name = config.get("architecture")
    named = named_vit(name) if isinstance(name, str) and "model_type" not in config else None
    if named is None:
        return None
    title = "DeiT (timm)" if str(name).startswith("deit") else "ViT (timm)"
    spec = _told(told_arguments(config, named, title), shapes, title)
    head = "" if spec.classes else " without a head"
    text = f"{title}{head}, {counted(spec.layers, 'layer')}, {counted(spec.heads, 'head')}"
    return ReferenceModule(
        title, text, partial(_ViT, spec), partial(picture_inputs, spec.channels, spec.size), sized=True
    )


def _told(fields: Fields, shapes: Shapes, title: str) -> _Spec:
    width, heads = fields.whole("embed_dim"), fields.whole("num_heads")
    if width % heads:
        raise Refusal(f"{title}: {width} entries of its stream are no {heads} heads")
    size, patch = fields.pair("img_size"), fields.pair("patch_size")
    if patch[0] > size[0] or patch[1] > size[1]:
        fields.refuse("patch_size", "larger than a picture")
    is_distilled = fields.flag("_distilled", False)
    pool = fields.word("global_pool", "token")
    if pool not in _POOLS or (is_distilled and pool != "token"):
        fields.refuse("global_pool", "not supported")
    is_normed = fields.flag("final_norm", True)
    is_late = fields.flag("fc_norm", pool == "avg")
    registers = fields.whole("reg_tokens", 0, low=0, high=1024)
    has_class = fields.flag("class_token", True)
    if pool == "token" and not has_class:
        fields.refuse("class_token", "pooling needs the class token")
    skips = fields.flag("no_embed_class", False)
    if is_distilled and (registers or skips or not has_class):
        name = "reg_tokens" if registers else "no_embed_class" if skips else "class_token"
        fields.refuse(name, "not supported with distillation")
    fields.only("pos_embed", "learn", "none", "")
    fields.only("scale_attn_norm", False)
    fields.only("scale_mlp_norm", False)
    fields.only("pool_include_prefix", False)
    tokens = (
        *((("cls_token", 1),) if has_class else ()),
        *((("dist_token", 1),) if is_distilled else ()),
        *((("reg_token", registers),) if registers else ()),
    )
    spec = _Spec(
        title=title,
        size=size,
        patch=patch,
        channels=fields.whole("in_chans", 3),
        width=width,
        hidden=max(1, int(width * fields.number("mlp_ratio", 4.0, high=2.0**10))),
        layers=fields.layers("depth", shapes),
        heads=heads,
        activation=activation_name(fields, "act_layer", "gelu"),
        eps=fields.number("_eps", 1e-6),
        tokens=tokens,
        classes=fields.whole("num_classes", 1000, low=0),
        pool=pool,
        is_distilled=is_distilled,
        has_places=fields.word("pos_embed", "learn") == "learn",
        places_skip_tokens=skips,
        has_first_norm=fields.flag("pre_norm", False),
        has_norm=is_normed and not is_late,
        has_late_norm=is_normed and is_late,
        has_qkv_bias=fields.flag("qkv_bias", True),
        has_output_bias=fields.flag("proj_bias", True),
        has_qk_norm=fields.flag("qk_norm", False),
        # A layer scale of 0 is none.
        has_scales=fields.has("init_values") and fields.number("init_values", low=-1e30) != 0,
    )
    fields.finish()
    return spec


class _ViT(nn.Module):
    """Pictures [batch, channels, height, width] to logits, or to what its pooling gives."""

    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.spec = spec
        count = (spec.size[0] // spec.patch[0]) * (spec.size[1] // spec.patch[1])
        for name, rows in spec.tokens:
            self.register_parameter(name, nn.Parameter(torch.zeros(1, rows, spec.width)))
        if spec.has_places:
            extra = 0 if spec.places_skip_tokens else sum(rows for _, rows in spec.tokens)
            self.pos_embed = nn.Parameter(torch.zeros(1, count + extra, spec.width))
        cut = nn.Conv2d(spec.channels, spec.width, spec.patch, spec.patch, bias=not spec.has_first_norm)
        put(self, "patch_embed.proj", cut)
        norm = partial(nn.LayerNorm, spec.width, eps=spec.eps)
        self.norm_pre = norm() if spec.has_first_norm else nn.Identity()
        self.blocks = nn.Sequential(*(_Block(spec) for _ in range(spec.layers)))
        self.norm = norm() if spec.has_norm else nn.Identity()
        self.fc_norm = norm() if spec.has_late_norm else nn.Identity()
        if spec.classes:
            self.head = nn.Linear(spec.width, spec.classes)
            if spec.is_distilled:
                self.head_dist = nn.Linear(spec.width, spec.classes)

    def forward(self, pictures: Tensor) -> Tensor:
        spec = self.spec
        hidden = self._placed(patches(self.get_submodule("patch_embed.proj"), pictures))
        hidden = self.norm(self.blocks(self.norm_pre(hidden)))
        if spec.is_distilled:
            pair = hidden[:, 0], hidden[:, 1]
            if spec.classes:
                pair = self.head(pair[0]), self.head_dist(pair[1])
            return (pair[0] + pair[1]) / 2
        if spec.pool == "token":
            hidden = hidden[:, 0]
        elif spec.pool == "avg":
            hidden = hidden[:, sum(rows for _, rows in spec.tokens) :].mean(dim=1)
        hidden = self.fc_norm(hidden)
        return self.head(hidden) if spec.classes else hidden

    def _placed(self, hidden: Tensor) -> Tensor:
        """The tokens before the patches, and positions."""
        spec = self.spec
        tokens = [self.get_parameter(name).expand(hidden.shape[0], -1, -1) for name, _ in spec.tokens]
        if spec.has_places and spec.places_skip_tokens:
            hidden = hidden + self.pos_embed
        if tokens:
            hidden = torch.cat((*tokens, hidden), dim=1)
        return hidden + self.pos_embed if spec.has_places and not spec.places_skip_tokens else hidden


class _Block(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(spec.width, eps=spec.eps)
        self.attn = _Attention(spec)
        self.norm2 = nn.LayerNorm(spec.width, eps=spec.eps)
        self.mlp = MLP(spec.width, spec.hidden, ACTIVATIONS[spec.activation], has_bias=spec.has_output_bias)
        self.ls1 = _Scale(spec.width) if spec.has_scales else nn.Identity()
        self.ls2 = _Scale(spec.width) if spec.has_scales else nn.Identity()

    def forward(self, hidden: Tensor) -> Tensor:
        hidden = hidden + self.ls1(self.attn(self.norm1(hidden)))
        return hidden + self.ls2(self.mlp(self.norm2(hidden)))


class _Scale(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(width))

    def forward(self, values: Tensor) -> Tensor:
        return values * self.gamma


class MLP(nn.Module):
    """Two linear layers, as timm names them."""

    def __init__(
        self, width: int, hidden: int, activation: Callable[[Tensor], Tensor], *, has_bias: bool = True
    ) -> None:
        super().__init__()
        self.activation = activation
        self.fc1 = nn.Linear(width, hidden, bias=has_bias)
        self.fc2 = nn.Linear(hidden, width, bias=has_bias)

    def forward(self, values: Tensor) -> Tensor:
        return self.fc2(self.activation(self.fc1(values)))


class _Attention(nn.Module):
    def __init__(self, spec: _Spec) -> None:
        super().__init__()
        self.heads, self.size = spec.heads, spec.width // spec.heads
        self.qkv = nn.Linear(spec.width, 3 * spec.width, bias=spec.has_qkv_bias)
        self.q_norm = nn.LayerNorm(self.size, eps=spec.eps) if spec.has_qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(self.size, eps=spec.eps) if spec.has_qk_norm else nn.Identity()
        self.proj = nn.Linear(spec.width, spec.width, bias=spec.has_output_bias)

    def forward(self, values: Tensor) -> Tensor:
        batch, tokens, _ = values.shape
        parts = self.qkv(values).reshape(batch, tokens, 3, self.heads, self.size).permute(2, 0, 3, 1, 4)
        query, key, value = parts.unbind(0)
        return self.proj(attend(self.q_norm(query), self.k_norm(key), value, self.size**-0.5))
