"""ScaleGMN: messages on the graph of a network's neurons, equivariant to scales or signs (arXiv 2406.10685).

Kalogeropoulos, Bouritsas and Panagakis 2024. A neuron is a vertex, a kernel an edge; both carry vectors that are
multiplied as the neuron's bias and the weight are when neurons are rescaled. With ⊙ the product entry by entry and κ a
canonical form that no scale or sign changes, a layer is

    m[i] = Σ_j M(W_e e[i, j] ⊙ W_v x[j])      x'[i] = U(x[i], m[i])      e'[i, j] = W e[i, j] ⊙ φ(κ(x[i]), κ(x[j]))

where M and U are z ↦ W z ⊙ φ(κ(z)) at hidden neurons and plain MLPs at inputs and outputs, which no one rescales. κ(z)
is z/‖z‖ for scales and ρ(z) + ρ(-z) for signs. What of the hidden neurons no permutation changes is their sum.

Messages go forward, as in the authors' settings `scalegmn_relu.yml` and `scalegmn_tanh.yml` for the Small CNN Zoo: four
layers, MLPs of one hidden layer with LayerNorm and SiLU, a readout of the output neurons for scales, and of these, the
inputs and the sum over hidden neurons for signs. Theirs have 128 channels. What differs here: tensors are divided by
their spread over the training population, and inputs and outputs have MLPs of their own under scales too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from nfn_cli.architectures import Architecture
from nfn_cli.architectures.weights_and_biases import weights_and_biases
from nfn_cli.errors import HeadError
from nfn_cli.nn.layout import Layout
from nfn_cli.nn.readout import logits
from nfn_cli.symmetry import DiagonalKind

# As in the authors' code: a vector shorter than this has no direction.
_SHORT = 1e-10


class ScaleGMN(nn.Module):
    """Maps the tensors of a batch of networks, from `read_tensors`, to logits that no group element changes.

    Args:
        architecture: of the networks, linear layers and convolutions; their hidden widths are free.
        channels: of vertices and edges, and hidden units of every MLP.
        depth: number of layers of messages.
        outputs: number of logits.

    Raises:
        HeadError: an activation without scalings or signs, or layers that are no plain chain.
    """

    scales: Tensor

    def __init__(self, architecture: Architecture, channels: int = 128, depth: int = 4, outputs: int = 1) -> None:
        super().__init__()
        kind = Layout.of(architecture).kind
        layers = architecture.layers
        if len(architecture.tensors) != 2 * len(layers) or len(layers) < 2:
            raise HeadError(architecture.describe(), "ScaleGMN reads plain chains", "compare on other networks")
        self.spatial = [layer.spatial for layer in layers]
        self.kernel = max(_entries(layer.weight_shape, layer.spatial) for layer in layers)
        self.whole_graph = kind is DiagonalKind.SIGN
        inputs, classes = layers[0].in_features // layers[0].spatial, layers[-1].out_features
        self.of_kernels = nn.Linear(self.kernel, channels, bias=False)
        self.of_biases = nn.Linear(1, channels, bias=False)
        self.inputs = nn.Parameter(torch.randn(inputs, channels))
        self.hidden = nn.Parameter(torch.randn(len(layers) - 1, channels))
        self.outputs = nn.Parameter(torch.randn(classes, channels))
        # Where the output neurons alone are read, what cannot reach them any more is left as it is.
        self.firsts = [0 if self.whole_graph else max(0, len(layers) + 1 - depth + number) for number in range(depth)]
        self.messages = nn.ModuleList(
            Messages(channels, kind, hidden=first < len(layers), inputs=first == 0) for first in self.firsts
        )
        # No message follows the last ones.
        self.edges = nn.ModuleList(EdgeUpdate(channels, kind) for _ in self.firsts[1:])
        read = classes * channels
        if self.whole_graph:
            self.of_hidden = nn.Sequential(Canonical(channels, kind), mlp(channels, channels, channels))
            read += (inputs + 1) * channels
        self.readout = mlp(read, channels, outputs)
        self.register_buffer("scales", torch.ones(len(architecture.tensors)))

    def fit_normalisation(self, inputs: Sequence[Tensor]) -> None:
        """Set the spread of every tensor around zero, from a training population [networks, *shape]."""
        for position, tensor in enumerate(inputs):
            spread = tensor.cpu().double().square().mean().sqrt()  # not every device has float64
            self.scales[position] = 1 / spread if spread > 0 else 1.0

    def forward(self, inputs: Sequence[Tensor]) -> Tensor:
        """Logits of tensors [batch, *shape] from `read_tensors`: [batch], or [batch, outputs] of several outputs."""
        nodes, edges = self.graph(inputs)
        for number, (messages, first) in enumerate(zip(self.messages, self.firsts, strict=True)):
            received = messages(nodes, edges, first)
            if number < len(self.edges):
                edges = self.edges[number](nodes, edges, first)
            nodes = received
        read = [nodes[-1].flatten(1)]
        if self.whole_graph:
            hidden = sum(self.of_hidden(values).sum(1) for values in nodes[1:-1])
            read += [nodes[0].flatten(1), hidden]
        return logits(self.readout(torch.cat(read, dim=1)))

    def graph(self, inputs: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """Neurons [batch, neurons, channels] of the input and of every layer, and edges [batch, out, in, channels]."""
        weights, biases = weights_and_biases([tensor * self.scales[i] for i, tensor in enumerate(inputs)])
        ones = weights[0].new_ones(len(weights[0]), len(self.inputs), 1)
        nodes = [self.of_biases(ones) + self.inputs]
        for place, bias in enumerate(biases):
            projected = self.of_biases(bias.unsqueeze(-1))
            last = place == len(biases) - 1
            nodes.append(projected + self.outputs if last else projected * self.hidden[place])
        edges = []
        for weight, spatial in zip(weights, self.spatial, strict=True):
            entries = weight.reshape(*weight.shape[:2], weight.shape[2] // spatial, -1)
            edges.append(self.of_kernels(F.pad(entries, (0, self.kernel - entries.shape[-1]))))
        return nodes, edges


class Messages(nn.Module):
    """New vertices from old ones and edges.

    Args:
        channels: of vertices and edges.
        kind: of the group.
        hidden: whether hidden neurons have new states, or outputs alone.
        inputs: whether inputs have.
    """

    def __init__(self, channels: int, kind: DiagonalKind, *, hidden: bool, inputs: bool) -> None:
        super().__init__()
        self.of_edges = nn.Linear(channels, channels, bias=False)
        self.of_sources = nn.Linear(channels, channels, bias=False)
        self.to_output = mlp(channels, channels, channels)
        self.output = mlp(2 * channels, channels, channels)
        self.input = mlp(2 * channels, channels, channels) if inputs else None
        if hidden:
            self.to_hidden = Equivariant(channels, channels, kind)
            self.of_hidden = Equivariant(2 * channels, channels, kind)

    def forward(self, nodes: Sequence[Tensor], edges: Sequence[Tensor], first: int = 0) -> list[Tensor]:
        """New vertices; those of layers before `first`, counted from the input, stay what they are."""
        found = list(nodes)
        if self.input is not None:
            found[0] = self.input(torch.cat([nodes[0], torch.zeros_like(nodes[0])], dim=-1))
        for place in range(max(1, first), len(nodes)):
            products = self.of_edges(edges[place - 1]) * self.of_sources(nodes[place - 1]).unsqueeze(1)
            last = place == len(nodes) - 1
            message, update = (self.to_output, self.output) if last else (self.to_hidden, self.of_hidden)
            found[place] = update(torch.cat([nodes[place], message(products).sum(2)], dim=-1))
        return found


class EdgeUpdate(nn.Module):
    """New edges from old ones and the canonical forms of the vertices at their ends."""

    def __init__(self, channels: int, kind: DiagonalKind) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, channels, bias=False)
        self.canonical = Canonical(channels, kind)
        # The first layer of an MLP of both ends, in two halves, since an end is that of many edges.
        self.of_target = nn.Linear(channels, channels)
        self.of_source = nn.Linear(channels, channels, bias=False)
        self.rest = nn.Sequential(nn.LayerNorm(channels), nn.SiLU(), nn.Linear(channels, channels))

    def forward(self, nodes: Sequence[Tensor], edges: Sequence[Tensor], first: int = 0) -> list[Tensor]:
        """New edges; those into layers up to `first`, counted from the input, stay what they are."""
        ends = [self.canonical(values) for values in nodes]
        found = list(edges)
        for place, (source, target) in enumerate(pairwise(ends)):
            if place >= first:
                both = self.of_target(target).unsqueeze(2) + self.of_source(source).unsqueeze(1)
                found[place] = self.linear(edges[place]) * self.rest(both)
        return found


class Equivariant(nn.Module):
    """z ↦ W z ⊙ φ(κ(z)), which commutes with the scales or signs of z [..., inputs]."""

    def __init__(self, inputs: int, outputs: int, kind: DiagonalKind) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=False)
        self.invariant = nn.Sequential(Canonical(inputs, kind, outputs), mlp(inputs, outputs, outputs))

    def forward(self, values: Tensor) -> Tensor:
        """Values [..., outputs]."""
        return self.linear(values) * self.invariant(values)  # type: ignore[no-any-return]


class Canonical(nn.Module):
    """z/‖z‖, or ρ(z) + ρ(-z) for an MLP ρ of `hidden` units where the group is that of signs."""

    def __init__(self, channels: int, kind: DiagonalKind, hidden: int | None = None) -> None:
        super().__init__()
        self.symmetrised = mlp(channels, hidden or channels, channels) if kind is DiagonalKind.SIGN else None

    def forward(self, values: Tensor) -> Tensor:
        """Invariants of values [..., channels], of the same shape."""
        if self.symmetrised is not None:
            return self.symmetrised(values) + self.symmetrised(-values)  # type: ignore[no-any-return]
        return values / (torch.linalg.vector_norm(values, dim=-1, keepdim=True) + _SHORT)  # type: ignore[no-any-return]


def mlp(inputs: int, hidden: int, outputs: int) -> nn.Sequential:
    """One hidden layer with LayerNorm and SiLU."""
    return nn.Sequential(nn.Linear(inputs, hidden), nn.LayerNorm(hidden), nn.SiLU(), nn.Linear(hidden, outputs))


def _entries(shape: Sequence[int], spatial: int) -> int:
    """Numbers of an edge of a weight [out, in, *kernel] whose inputs own `spatial` positions each."""
    return spatial * torch.Size(shape[2:]).numel()
