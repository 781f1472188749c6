"""`SineLinear` is every linear map between the fields of sine networks that commutes with permutations and signs."""

from __future__ import annotations

import torch
from torch import Tensor

from nfn_cli.nn.sine import FieldSizes, SineFields, SineLinear

NEURONS = (3, 2, 3)
SIZES = FieldSizes((2, 1, 1), (0, 1, 1), (1, 1), (1, 2), 1)


def shapes(sizes: FieldSizes) -> list[tuple[int, ...]]:
    before = list(zip(NEURONS[1:], NEURONS, strict=False))
    return [
        *((n, f) for n, f in zip(NEURONS, sizes.vectors, strict=True)),
        *((n, f) for n, f in zip(NEURONS, sizes.evens, strict=True)),
        *((*pair, f) for pair, f in zip(before, sizes.odd_pairs, strict=True)),
        *((*pair, f) for pair, f in zip(before, sizes.even_pairs, strict=True)),
        (sizes.invariant,),
    ]


def unflat(values: Tensor) -> SineFields:
    parts = values.split([torch.Size(shape).numel() for shape in shapes(SIZES)], dim=1)
    fields = [part.unflatten(1, shape) for part, shape in zip(parts, shapes(SIZES), strict=True)]
    return SineFields.of(fields, len(NEURONS))


def flat(fields: SineFields) -> Tensor:
    return torch.cat([values.flatten(1) for values in fields.all()], dim=1)


def moved(fields: SineFields, layer: int, order: list[int], signs: Tensor) -> SineFields:
    """A group element that acts on one hidden layer."""
    vectors, evens = list(fields.vectors), list(fields.evens)
    odd, even = list(fields.odd_pairs), list(fields.even_pairs)
    vectors[layer] = (vectors[layer] * signs[:, None])[:, order]
    evens[layer] = evens[layer][:, order]
    if layer:
        odd[layer - 1] = (odd[layer - 1] * signs[:, None, None])[:, order]
        even[layer - 1] = (even[layer - 1] * signs[:, None, None])[:, order]
    if layer + 1 < len(NEURONS):
        odd[layer] = (odd[layer] * signs[:, None])[:, :, order]
        even[layer] = even[layer][:, :, order]
    return SineFields(tuple(vectors), tuple(evens), tuple(odd), tuple(even), fields.invariant)


def test_it_spans_the_null_space_of_the_constraints() -> None:
    size = sum(torch.Size(shape).numel() for shape in shapes(SIZES))
    identity = torch.eye(size, dtype=torch.float64)
    constraints = []
    for layer, neurons in enumerate(NEURONS):
        turned = [*range(1, neurons), 0]
        swapped = [1, 0, *range(2, neurons)]
        for order in (turned, swapped):
            constraints.append((layer, order, torch.ones(neurons, dtype=torch.float64)))
        signs = torch.ones(neurons, dtype=torch.float64)
        signs[0] = -1
        constraints.append((layer, list(range(neurons)), signs))
    # Of a map A, the constraints A G − G A = 0, stacked; G are matrices that act from the right on rows.
    rows = []
    for layer, order, signs in constraints:
        matrix = flat(moved(unflat(identity), layer, order, signs)).contiguous()
        rows.append(torch.kron(identity, matrix) - torch.kron(matrix.T.contiguous(), identity))
    gram = sum(row.T @ row for row in rows)
    dimension = int((torch.linalg.eigvalsh(gram) < 1e-9).sum())

    torch.manual_seed(0)
    module = SineLinear(SIZES, SIZES).double()
    constants = [parameter for name, parameter in module.named_parameters() if name.endswith("bias")]
    with torch.no_grad():
        for constant in constants:
            constant.zero_()
    weights = [parameter for name, parameter in module.named_parameters() if name.endswith("weight")]
    columns = []
    for weight in weights:  # the map of every single parameter
        for entry in range(weight.numel()):
            with torch.no_grad():
                for other in weights:
                    other.zero_()
                weight.view(-1)[entry] = 1.0
                columns.append(flat(module(unflat(identity))).flatten())
    spanned = torch.stack(columns)
    assert torch.linalg.matrix_rank(spanned) == len(columns) == dimension
    for matrix in columns:
        own = matrix.view(size, size)
        for layer, order, signs in constraints:
            element = flat(moved(unflat(identity), layer, order, signs))
            assert (own @ element - element @ own).abs().max() < 1e-12
