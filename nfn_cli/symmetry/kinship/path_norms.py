"""Norms over all paths through a chain: numbers that no permutation, scale, sign or phase of its neurons changes.

A path leads from an input to an output and takes one weight of each layer. Along it, a neuron's scale is multiplied and
divided once, so that the product of the weights' sizes is a constant of the orbit, and so is any symmetric sum over
hidden neurons. Σ |product|^p over all paths (Neyshabur et al. 2015, *Path-SGD*, arXiv 1506.02617) is one forward pass
through |w|^p without activations. All terms are positive, so that rounding is not amplified. Inputs, outputs and the
entries of a kernel are on axes that no group touches; each of a few probes weighs them in another way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, Layer, NetworkWeights, Stage, StageKind
from nfn_cli.symmetry.diagonal_kinds import phase_step
from nfn_cli.symmetry.kinship.norms import Norms, spread
from nfn_cli.threads import by_weights

PROBES = 8
_POWERS = (1, 2)
_CHUNK = 1 << 18  # numbers in float64 at once
_NOTHING = -700.0  # the logarithm of a sum that is zero


@by_weights
def path_norms(point: NetworkWeights) -> Norms:
    """The norms of one network, without batch axes.

    Returns:
        `values` [16]: log of the sums with probes, for p = 1 and 2, with biases as paths that begin at their neurons.
        `size` and `tails`: from Σ |path|² and Σ |path|³ without biases.
    """
    values = torch.zeros(len(_POWERS) * PROBES, dtype=torch.float64)
    size = tails = 0.0
    chains = point.architecture.chains
    for number, chain in enumerate(chains):
        own = _Pass(point, chain, point.architecture)
        probed = torch.cat([own.run(p, probed=True) / p for p in _POWERS])
        # Another weight for each chain, so that chains that change places give other values.
        values += probed * float(spread(len(chains), 1)[number, 0])
        squares, cubes = (float(own.run(p, probed=False)[0]) for p in (2, 3))
        size += squares / 2 / len(chains)
        tails += (cubes - 1.5 * squares + 0.5 * _log_paths(chain)) / len(chains)
    return Norms(tuple(values.tolist()), size, tails)


def _log_paths(chain: Architecture) -> float:
    """The logarithm of the number of paths."""
    steps = (math.prod(layer.weight_shape) / layer.in_features * layer.spatial for layer in chain.layers)
    return math.log(chain.inputs) + sum(map(math.log, steps))


@dataclass(frozen=True)
class _Pass:
    """A chain to go through.

    Attributes:
        whole: the architecture that the chain is part of, whose groups the roles of tensors name.
    """

    point: NetworkWeights
    chain: Architecture
    whole: Architecture

    def run(self, power: int, *, probed: bool) -> Tensor:
        """The logarithms of the sums, float64 [probes], or [1] without probes and biases."""
        columns = PROBES if probed else 1
        state = _State(self._weighed(self.chain.inputs, columns, 0, probed), torch.zeros(columns, dtype=torch.float64))
        for place, layer in enumerate(self.chain.layers):
            for stage in layer.stages:
                if stage.place == "inputs":
                    state = self._through(stage, state, power, probed)
            state = state.times(self._linear(layer, state, power, place, probed))
            if probed:
                state = state.plus(self._bias(layer, power))
            for stage in layer.stages:
                if stage.place != "inputs":
                    state = self._through(stage, state, power, probed)
        last = self._weighed(self.chain.outputs, columns, len(self.chain.layers), probed)
        sums = (state.sums * last).sum(0)
        return torch.where(sums > 0, sums.log() + state.log, _NOTHING).clamp(_NOTHING, -_NOTHING)

    def _weighed(self, rows: int, columns: int, place: int, probed: bool) -> Tensor:
        return spread(rows, columns, 7 * place) if probed else torch.ones(rows, columns, dtype=torch.float64)

    def _linear(self, layer: Layer, state: _State, power: int, place: int, probed: bool) -> Tensor:
        """|weight|^p times what comes in, [out, columns]; entries of kernels and of flattened pictures are weighed."""
        weight = self.point.tensors[f"{layer.name}.weight"].flatten(1)
        per_input = weight.shape[1] * layer.spatial // layer.in_features  # entries of one neuron that is read
        columns = state.sums.shape[1]
        entries = self._weighed(per_input, columns, place, probed)
        right = (state.sums[:, None] * entries).reshape(-1, columns)
        rows = max(1, _CHUNK // max(1, weight.shape[1]))
        parts = [weight[start : start + rows].double().abs().pow(power) for start in range(0, len(weight), rows)]
        return torch.cat([part @ right for part in parts])

    def _bias(self, layer: Layer, power: int) -> Tensor:
        """[out], |bias|^p; of a sine whose phase may be shifted by half-turns, of sin(ω₀ bias)."""
        name = f"{layer.name}.bias"
        bias = self.point.tensors[name].double()
        (role,) = next(spec.roles for spec in self.whole.tensors if spec.name == name)
        if role.group is not None and role.bias and phase_step(self.whole, role.group):
            bias = (self.whole.groups[role.group].omega_0 * bias).sin()
        return bias.abs().pow(power)

    def _through(self, stage: Stage, state: _State, power: int, probed: bool) -> _State:
        tensors = self.point.tensors
        if stage.kind is StageKind.AFFINE:
            state = state.times(state.sums * tensors[f"{stage.name}.scale"].double().abs().pow(power)[:, None])
            return state.plus(tensors[f"{stage.name}.shift"].double().abs().pow(power)) if probed else state
        gains = tensors[f"{stage.name}.weight"].double().abs().pow(power)
        if stage.kind in (StageKind.SLOPES, StageKind.GAINS):
            gains = 1 + gains  # slopes of zero end no path
        state = state.times(state.sums * gains[:, None])
        if stage.has_bias and probed and f"{stage.name}.bias" in tensors:
            state = state.plus(tensors[f"{stage.name}.bias"].double().abs().pow(power))
        return state


@dataclass(frozen=True)
class _State:
    """Sums over all paths that end at each neuron, apart from a factor that keeps them in the range of float64.

    Attributes:
        sums: float64 [neurons, columns].
        log: of the factor, [columns].
    """

    sums: Tensor
    log: Tensor

    def times(self, sums: Tensor) -> _State:
        """Other sums, with the same factor, which then becomes such that the largest sum is 1."""
        largest = sums.amax(0)
        largest = torch.where((largest > 0) & largest.isfinite(), largest, 1.0)
        return _State(sums / largest, self.log + largest.log())

    def plus(self, added: Tensor) -> _State:
        """Paths that begin here, [neurons]."""
        return _State(self.sums + added[:, None] * (-self.log).clamp(_NOTHING, -_NOTHING).exp(), self.log)
