"""The frequencies of sines, sin(ω₀ z): one for all layers, or one a layer, as far as anybody tells them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from nfn_cli.architectures.stated import FREQUENCIES, Fact, Facts
from nfn_cli.errors import ArchitectureError, UsageError, shown

DEFAULT_OMEGA_0 = 30.0  # Sitzmann et al. 2020 (SIREN)
_MOST = 1_000  # layers


@dataclass(frozen=True)
class Frequencies:
    """What is stated of the frequencies of a network's sines.

    Attributes:
        each: one for all, or one a layer but the last; empty where nobody tells all.
        first, hidden: of the first layer and of those behind it, where only these are stated.
        place: who tells.
    """

    each: tuple[float, ...] = ()
    first: float | None = None
    hidden: float | None = None
    place: str = ""

    def of_layers(self, count: int) -> tuple[float | None, ...]:
        """ω₀ of the sine behind each of so many layers; None where nobody tells.

        Raises:
            ArchitectureError: a frequency a layer is stated, for another number of layers.
        """
        if len(self.each) == 1:
            return self.each * count
        if self.each and len(self.each) != count:
            cause = f"omega_0 has {len(self.each)} values, the network {count} layers of sines"
            raise ArchitectureError(self.place, cause, "give one value, or one a layer but the last")
        return self.each or (self.first, *[self.hidden] * (count - 1))[:count]


def resolve_frequencies(facts: Facts, given: Sequence[float] = ()) -> Frequencies:
    """What the caller tells (`given`), else a sidecar, else the file.

    `omega_0` is for all layers, or a list with one a layer but the last; `first_omega_0` or `w0_initial` is the first
    layer's, `hidden_omega_0` or `w0` that of those behind it.

    Raises:
        ArchitectureError: a frequency that is no positive number.
    """
    if given:
        return Frequencies(_positive(given, "omega_0", "--omega-0"), place="--omega-0")
    stated = facts.first_with(FREQUENCIES)
    first, hidden = (_one(stated, keys) for keys in (("first_omega_0", "w0_initial"), ("hidden_omega_0", "w0")))
    place = next((fact.place for key, fact in stated.items() if key in FREQUENCIES), "")
    if "omega_0" not in stated:
        return Frequencies(first=first, hidden=hidden, place=place)
    each = _positive(_numbers(stated["omega_0"].value), "omega_0", place, stated["omega_0"].value)
    if len(each) == 1 and (first, hidden) != (None, None):
        common = each[0]
        return Frequencies((), common if first is None else first, common if hidden is None else hidden, place)
    return Frequencies(each, place=place)


def parsed_frequencies(text: str) -> tuple[float, ...]:
    """Frequencies from a command line, such as `30` or `30,1,1`.

    Raises:
        UsageError: they are none.
    """
    try:
        return _positive(_numbers(text), "omega_0", "--omega-0", text)
    except ArchitectureError as error:
        raise UsageError(error.subject, error.cause, error.remedy) from error


def _one(stated: Mapping[str, Fact], keys: Sequence[str]) -> float | None:
    for key in keys:
        if key in stated:
            values = _positive(_numbers(stated[key].value), key, stated[key].place, stated[key].value)
            if len(values) != 1:
                raise ArchitectureError(stated[key].place, f"{key} is {shown(stated[key].value)}", "give one number")
            return values[0]
    return None


def _numbers(value: Any) -> list[Any]:
    if isinstance(value, str):
        return [part for part in re.split(r"[\s,;]+", value.strip().strip("[]()")) if part]
    return list(value) if isinstance(value, list | tuple) else [value]


def _positive(values: Sequence[Any], key: str, place: str, stated: Any = None) -> tuple[float, ...]:
    found = []
    for value in values[:_MOST]:
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not (math.isfinite(number) and number > 0):
            remedy = "give a positive number" if len(values) < 2 else "give positive numbers"
            raise ArchitectureError(place, f"{key} is {shown(values[0] if stated is None else stated)}", remedy)
        found.append(number)
    if not found:
        raise ArchitectureError(place, f"{key} is {shown(stated)}", "give a positive number")
    return tuple(found)
