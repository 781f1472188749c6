"""The equivariant layer is all there is: it spans the null space of E(gU) = gE(U), computed without knowing it."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.architectures import Architecture, NetworkWeights
from nfn_cli.nn import Layout, MonomialLinear
from nfn_cli.symmetry import GroupElement, act, sample_element

ELEMENTS = 6
TOLERANCE = 1e-9


def flatten(point: NetworkWeights) -> Tensor:
    """Rows [batch, numbers in the weight space]."""
    return torch.cat([point.tensors[spec.name].flatten(1) for spec in point.architecture.tensors], dim=1)


def unflatten(rows: Tensor, architecture: Architecture) -> NetworkWeights:
    sizes = [torch.Size(spec.shape).numel() for spec in architecture.tensors]
    pieces = zip(architecture.tensors, rows.split(sizes, dim=1), strict=True)
    return NetworkWeights(architecture, {spec.name: piece.reshape(-1, *spec.shape) for spec, piece in pieces})


def representation(element: GroupElement, architecture: Architecture) -> Tensor:
    """The matrix of the action on flattened weight space, [numbers, numbers]."""
    basis = torch.eye(architecture.parameter_count, dtype=torch.float64)
    return flatten(act(element, unflatten(basis, architecture))).T.contiguous()


def representations(architecture: Architecture) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [
        representation(sample_element(architecture, generator, scale_range=(0.5, 2.0)), architecture)
        for _ in range(ELEMENTS)
    ]


def null_dimension(gram: Tensor) -> int:
    values = torch.linalg.eigvalsh(gram)
    small = int((values < TOLERANCE * values[-1]).sum())
    # A clear gap, or the count would mean nothing.
    assert values[small] > 1e4 * TOLERANCE * values[-1]
    return small


def commutant_dimension(matrices: list[Tensor]) -> int:
    """Dimension of {E : E R = R E for every matrix R}."""
    identity = torch.eye(len(matrices[0]), dtype=torch.float64)
    gram = torch.zeros(len(identity) ** 2, len(identity) ** 2, dtype=torch.float64)
    for matrix in matrices:
        constraint = torch.kron(matrix, identity) - torch.kron(identity, matrix.mT.contiguous())
        gram.addmm_(constraint.T, constraint)
    return null_dimension(gram)


def layer_matrices(architecture: Architecture) -> tuple[Tensor, Tensor]:
    """The layer's linear part for each of its weights, [weights, numbers, numbers], and its constants, [.., numbers].

    Row j of a matrix is the image of the j-th basis vector.
    """
    layout = Layout.of(architecture)
    features = [field.features for field in layout.fields]
    layer = MonomialLinear(layout, features, features).double()
    count = architecture.parameter_count
    fields = layout.pack(unflatten(torch.eye(count, dtype=torch.float64), architecture))
    nothing = layout.pack(unflatten(torch.zeros(1, count, dtype=torch.float64), architecture))
    linear, constant = [], []
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.zero_()
        for name, parameter in layer.named_parameters():
            for place in range(parameter.numel()):
                parameter.view(-1)[place] = 1.0
                if name.endswith("weight"):
                    linear.append(flatten(layout.unpack(layer(fields), architecture)))
                else:
                    constant.append(flatten(layout.unpack(layer(nothing), architecture))[0])
                parameter.view(-1)[place] = 0.0
    return torch.stack(linear), torch.stack(constant)


def test_the_layer_spans_every_equivariant_linear_map(small_architecture: Architecture) -> None:
    matrices = representations(small_architecture)
    linear, _ = layer_matrices(small_architecture)
    assert int(torch.linalg.matrix_rank(linear.flatten(1))) == len(linear)
    for matrix in matrices:
        # Images of basis vectors are rows, so the layer acts from the right.
        assert torch.allclose(matrix.T @ linear, linear @ matrix.T, atol=1e-12)
    assert commutant_dimension(matrices) == len(linear)


def test_its_constants_span_every_fixed_vector(small_architecture: Architecture) -> None:
    matrices = representations(small_architecture)
    _, constant = layer_matrices(small_architecture)
    identity = torch.eye(small_architecture.parameter_count, dtype=torch.float64)
    gram = torch.zeros_like(identity)
    for matrix in matrices:
        assert torch.allclose(constant @ matrix.T, constant, atol=1e-12)
        gram += (matrix - identity).T @ (matrix - identity)
    assert int(torch.linalg.matrix_rank(constant)) == len(constant) == null_dimension(gram)


def test_signs_allow_cross_terms_that_scalings_forbid(small_architecture: Architecture) -> None:
    other = small_architecture.with_activation("relu" if small_architecture.activation == "tanh" else "tanh")
    counts = {point.activation: len(layer_matrices(point)[0]) for point in (small_architecture, other)}
    assert counts["tanh"] > counts["relu"]
