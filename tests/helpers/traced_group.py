"""The thin link between the checks and the tracer: a module's group, by its numbers and by random elements.

All that these checks know of the tracer stands in `group_of`.
"""

from __future__ import annotations

import copy
import re
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from labelled_reference import act, order, random_logs, random_permutation, random_signs
from torch import Tensor, nn

from nfn_cli.architectures.labels import LabelledArchitecture
from nfn_cli.errors import NfnError


class RefusedError(Exception):
    """What the tracer says where it has no rule; one line that names the operator."""


@dataclass(frozen=True)
class Counts:
    """The size of a group: how many permutations, and the dimensions of scales and of signs."""

    order: int
    scales: int
    signs: int


class Group(Protocol):
    """A group that acts on a state dict."""

    @property
    def counts(self) -> Counts: ...

    def sample(self, seed: int, permute: bool = True, scale: bool = True, sign: bool = True) -> dict[str, Tensor]:
        """The state dict moved by a random element."""
        ...


@dataclass(frozen=True)
class TracedGroup:
    """The traced group of a module, acting on its own state dict."""

    traced: LabelledArchitecture
    state: dict[str, Tensor]

    @property
    def counts(self) -> Counts:
        return Counts(order(self.traced), self.traced.logs.free, self.traced.signs.free)

    def sample(self, seed: int, permute: bool = True, scale: bool = True, sign: bool = True) -> dict[str, Tensor]:
        rng = np.random.default_rng(seed)
        sigma = random_permutation(self.traced, rng)
        logs, signs = random_logs(self.traced.logs, rng), random_signs(self.traced.signs, rng)
        return act(
            self.traced,
            sigma if permute else np.arange(len(sigma)),
            logs if scale else np.zeros_like(logs),
            signs if sign else np.zeros_like(signs),
            self.state,
        )


def group_of(module: nn.Module, inputs: tuple[Any, ...]) -> Group:
    """The traced group of a module in evaluation mode; RefusedError where the tracer has no rule."""
    # Here, so that what needs no tracer runs without one.
    from nfn_cli.architectures.tracing.export import export
    from nfn_cli.architectures.tracing.tracer import trace

    try:
        traced = trace(export(copy.deepcopy(module), inputs))
    except NfnError as error:
        raise RefusedError(str(error)) from error
    return TracedGroup(traced, {name: each.detach().clone() for name, each in module.state_dict().items()})


def names_an_operator(line: str, module: nn.Module, inputs: tuple[Any, ...]) -> bool:
    """Whether one line names an operator of the module's graph, such as `cumsum`, or one of its tensors."""
    with torch.no_grad():
        exported = torch.export.export(module, inputs, strict=False)
    schemas = (getattr(node.target, "_schema", None) for node in exported.graph.nodes)
    operators = {schema.name.split("::")[1] for schema in schemas if schema is not None}
    words = set(re.findall(r"[A-Za-z_]\w*", line))
    tensors = any(re.search(rf"(?<![\w.]){re.escape(name)}(?![\w.])", line) for name in module.state_dict())
    return "\n" not in line.strip() and (bool(words & operators) or tensors)
