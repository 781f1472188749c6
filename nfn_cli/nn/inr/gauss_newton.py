"""One Levenberg–Marquardt step of a batch of sine networks towards given values at given coordinates.

    δ = M Jᵀ (J M Jᵀ + λ I)⁻¹ r        J = ∂f/∂U, r = wanted values less f, M = a positive number a tensor

A symmetry g of the network (permutations, signs, phases) leaves f as it is and acts on changes of the weights by an
orthogonal matrix that mixes no two tensors. So J becomes J gᵀ, J M Jᵀ stays, and δ becomes g δ: it is equivariant.

J itself is never formed. A weight's row of J is an outer product a hᵀ, so J M Jᵀ is a sum over layers of Hadamard
products of Gram matrices, A Aᵀ ⊙ (m_W H Hᵀ + m_b).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from nfn_cli.architectures.weights_and_biases import weights_and_biases
from nfn_cli.nn.inr.sine_chain import Trace


def kernel(traced: Trace, metric: Sequence[Tensor | float]) -> Tensor:
    """J M Jᵀ, [batch, C × P, C × P].

    Args:
        metric: of first weight, first bias, ..., one positive number each.
    """
    batch, channels, count = traced.values.shape
    total = traced.values.new_zeros(batch, channels, count, channels, count)
    for inputs, signals, of_weight, of_bias in _layers(traced, metric):
        rows = signals.flatten(1, 2)
        signal_gram = (rows @ rows.mT).view_as(total)
        input_gram = (inputs @ inputs.mT) * of_weight + of_bias
        total = total + signal_gram * input_gram[:, None, :, None]
    return total.flatten(3).flatten(1, 2)


def pulled_back(traced: Trace, metric: Sequence[Tensor | float], wanted: Tensor) -> list[Tensor]:
    """M Jᵀ v for v [batch, C, P]: a change of the first weight, the first bias, ..."""
    changes = []
    for inputs, signals, of_weight, of_bias in _layers(traced, metric):
        flow = (signals * wanted[..., None]).sum(1)  # [batch, P, outputs]
        changes += [of_weight * (flow.mT @ inputs), of_bias * flow.sum(1)]
    return changes


def step(traced: Trace, metric: Sequence[Tensor | float], residual: Tensor, damping: Tensor | float) -> list[Tensor]:
    """The step δ of first weight, first bias, ..., [batch, *shape] each; differentiable.

    Args:
        residual: values wanted less values, [batch, C, P].
        damping: λ, relative to the mean of the diagonal of J M Jᵀ, so that it suits any network.

    A network for which the system is singular in its dtype is left as it is.
    """
    system = kernel(traced, metric)
    diagonal = system.diagonal(dim1=1, dim2=2)
    size = diagonal.mean(1, keepdim=True)
    system = system + torch.diag_embed((damping * size).expand_as(diagonal))
    factor, failed = torch.linalg.cholesky_ex(system)
    solution = torch.cholesky_solve(residual.flatten(1)[..., None], factor).view_as(residual)
    sound = (failed == 0) & solution.isfinite().all((1, 2))
    solution = torch.where(sound[:, None, None], solution, 0.0)
    return pulled_back(traced, metric, solution)


def _layers(
    traced: Trace, metric: Sequence[Tensor | float]
) -> Iterator[tuple[Tensor, Tensor, Tensor | float, Tensor | float]]:
    """Of every layer its inputs, its signals, and the metric of its weight and its bias."""
    return zip(traced.inputs, traced.signals, *weights_and_biases(metric), strict=True)
