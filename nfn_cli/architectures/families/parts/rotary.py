"""Rotary positions: which frequencies a configuration tells, and the rotation of queries and keys."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from nfn_cli.architectures.families.fields import Fields
from nfn_cli.architectures.families.parts.norms import narrowed
from nfn_cli.architectures.families.refusal import Refusal


@dataclass(frozen=True)
class Rotary:
    """Rotary positions of one network.

    Attributes:
        kind: default, linear, dynamic, llama3 or yarn.
        base: whose powers the wavelengths are.
        size: entries of a head that are rotated, the first ones; entry i goes with entry i + size / 2.
        factor: by which positions are stretched.
        low, high: llama3: wavelengths per old context between which it blends; yarn: slow and fast rotations.
        old: tokens that the network was first trained for.
        attention: factor on sine and cosine.
        truncate: yarn: whether the bounds of its ramp are whole numbers.
        longest: tokens from which on dynamic frequencies change.
    """

    kind: str
    base: float
    size: int
    factor: float = 1.0
    low: float = 1.0
    high: float = 1.0
    old: float = 1.0
    attention: float = 1.0
    truncate: bool = True
    longest: int = 0

    def tables(self, tokens: int, like: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine [tokens, size], computed in float32 as the libraries do."""
        frequencies = self._frequencies(tokens, like.device)
        positions = torch.arange(tokens, device=like.device, dtype=torch.float32)
        angles = positions[:, None] * frequencies
        both = torch.cat((angles, angles), dim=-1)
        cosine, sine = torch.cos(both), torch.sin(both)
        if self.attention != 1.0:
            cosine, sine = cosine * self.attention, sine * self.attention
        return narrowed(cosine, like), narrowed(sine, like)

    def _frequencies(self, tokens: int, device: torch.device) -> Tensor:
        """[size / 2], float32."""
        base = self.base
        if self.kind == "dynamic" and tokens > self.longest:
            stretched = self.factor * tokens / self.longest - (self.factor - 1)
            base = base * stretched ** (self.size / (self.size - 2))
        steps = torch.arange(0, self.size, 2, device=device, dtype=torch.float32) / self.size
        powers = base**steps
        plain = 1.0 / powers
        if self.kind == "linear":
            return plain / self.factor
        if self.kind == "llama3":
            return self._blended(plain)
        if self.kind == "yarn":
            return self._ramped(plain, 1.0 / (self.factor * powers))
        return plain

    def _blended(self, plain: Tensor) -> Tensor:
        wavelengths = 2 * math.pi / plain
        slow = torch.where(wavelengths > self.old / self.low, plain / self.factor, plain)
        share = (self.old / wavelengths - self.low) / (self.high - self.low)
        between = (1 - share) * slow / self.factor + share * slow
        is_outside = (wavelengths < self.old / self.high) | (wavelengths > self.old / self.low)
        return torch.where(is_outside, slow, between)

    def _ramped(self, plain: Tensor, stretched: Tensor) -> Tensor:
        def place(rotations: float) -> float:
            return (self.size * math.log(self.old / (rotations * 2 * math.pi))) / (2 * math.log(self.base))

        first, last = place(self.high), place(self.low)
        if self.truncate:
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, self.size - 1)
        if first == last:
            last += 0.001
        steps = torch.arange(self.size // 2, device=plain.device, dtype=torch.float32)
        kept = 1 - torch.clamp((steps - first) / (last - first), 0, 1)
        return stretched * (1 - kept) + plain * kept


def rotated(values: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """[batch, heads, tokens, size of a head] with its first entries rotated by their tokens' angles."""
    size = cosine.shape[-1]
    if size == values.shape[-1]:
        return values * cosine + _turned(values) * sine
    first, rest = values[..., :size], values[..., size:]
    return torch.cat((first * cosine + _turned(first) * sine, rest), dim=-1)


def _turned(values: Tensor) -> Tensor:
    half = values.shape[-1] // 2
    return torch.cat((-values[..., half:], values[..., :half]), dim=-1)


def rotary(
    fields: Fields,
    title: str,
    head: int,
    *,
    theta: float = 10_000.0,
    part: float | None = None,
    theta_field: str = "rope_theta",
    part_field: str = "partial_rotary_factor",
) -> Rotary:
    """Rotary positions from a configuration: `rope_parameters`, or `rope_scaling` and fields beside it.

    Args:
        fields: of the configuration.
        title: of the network.
        head: entries of a head.
        theta: the base where none is told.
        part: the share of a head that is rotated where none is told; None where the family rotates all of it.
        theta_field, part_field: what the family calls base and share beside `rope_scaling`.
    """
    scaling, parameters = fields.part("rope_scaling"), fields.part("rope_parameters")
    inner = Fields(scaling or parameters or {}, title, where="its rotary positions")
    theta = _agreed(fields, (theta_field, "rope_theta"), theta)
    base = inner.number("rope_theta", theta, low=1.0)
    if part is None:
        fields.only("partial_rotary_factor", 1.0, 1)
        inner.only("partial_rotary_factor", 1.0, 1)
        share = 1.0
    else:
        part = _agreed(fields, (part_field, "partial_rotary_factor"), part)
        share = inner.number("partial_rotary_factor", part, high=1.0)
    size = int(head * share)
    if size < 2 or size % 2:
        raise Refusal(f"{title}: {size} rotated entries of a head are no pairs")
    longest = fields.whole("max_position_embeddings", 2048, high=2**40)
    kind = inner.word("rope_type", inner.word("type", "default"))
    found = _kind(inner, kind, base, size, longest)
    inner.finish()
    return found


def _kind(inner: Fields, kind: str, base: float, size: int, longest: int) -> Rotary:
    if kind == "default":
        inner.only("factor", 1.0, 1)
        return Rotary(kind, base, size)
    if kind in ("linear", "dynamic"):
        if kind == "dynamic" and size <= 2:
            inner.refuse("rope_type", "needs heads of more than two entries")
        inner.number_or_none("original_max_position_embeddings")
        return Rotary(kind, base, size, factor=inner.number("factor"), longest=longest)
    if kind == "llama3":
        low, high = inner.number("low_freq_factor"), inner.number("high_freq_factor")
        if low >= high:
            inner.refuse("low_freq_factor", "not below 'high_freq_factor'")
        old = inner.number("original_max_position_embeddings", longest)
        return Rotary(kind, base, size, factor=inner.number("factor"), low=low, high=high, old=old)
    if kind == "yarn":
        return _yarn(inner, base, size, longest)
    inner.refuse("rope_type" if inner.has("rope_type") else "type", "not supported")


def _yarn(inner: Fields, base: float, size: int, longest: int) -> Rotary:
    old = inner.number("original_max_position_embeddings", longest)
    factor = inner.number("factor", longest / old)
    attention = inner.number_or_none("attention_factor")
    scale, scale_all = inner.number_or_none("mscale"), inner.number_or_none("mscale_all_dim")
    if attention is None:
        if scale and scale_all:
            attention = _magnitude(factor, scale) / _magnitude(factor, scale_all)
        else:
            attention = _magnitude(factor, 1.0)
    return Rotary(
        "yarn",
        base,
        size,
        factor=factor,
        low=inner.number("beta_slow", 1.0),
        high=inner.number("beta_fast", 32.0),
        old=old,
        attention=attention,
        truncate=inner.flag("truncate", True),
    )


def _magnitude(factor: float, scale: float) -> float:
    return 1.0 if factor <= 1 else 0.1 * scale * math.log(factor) + 1.0


def _agreed(fields: Fields, names: tuple[str, ...], default: float) -> float:
    """The one value of several fields; the default where none is there."""
    values: Mapping[str, Any] = {name: fields.number(name) for name in names if fields.has(name)}
    if len(set(values.values())) > 1:
        fields.refuse(names[0], f"not '{names[1]}', which means the same")
    return next(iter(values.values()), default)
