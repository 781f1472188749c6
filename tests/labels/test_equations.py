"""Solutions of equations over scales, against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest

from nfn_cli.architectures.labels import Equations


def _dense(n: int, rows: list[list[tuple[float, int]]]) -> np.ndarray:
    matrix = np.zeros((len(rows), n))
    for i, row in enumerate(rows):
        for c, v in row:
            matrix[i, v] += c
    return matrix


def _rank(matrix: np.ndarray, mod2: bool) -> int:
    if not mod2:
        return int(np.linalg.matrix_rank(matrix)) if matrix.size else 0
    basis: dict[int, int] = {}  # by their highest bit
    for row in np.rint(np.abs(matrix)).astype(int) % 2:
        bits = int("".join(map(str, row)) or "0", 2)
        while bits and bits.bit_length() in basis:
            bits ^= basis[bits.bit_length()]
        if bits:
            basis[bits.bit_length()] = bits
    return len(basis)


def _matrix(solutions) -> np.ndarray:
    found = np.zeros((solutions.variables, solutions.free))
    np.add.at(found, (solutions.rows, solutions.columns), solutions.coefficients)
    return found


def _random(seed: int, mod2: bool):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 14))
    equations = Equations(mod2)
    equations.new(n)
    choice = [1, -1, 2, -2] if mod2 else [1, -1, 2, -2, 0.5, 3]
    rows: list[list[tuple[float, int]]] = []
    for _ in range(rng.integers(0, 8)):
        k, m = int(rng.integers(0, 5)), int(rng.integers(1, 4))
        variables = rng.integers(0, n, (max(k, 2), m))
        if k == 0:
            equations.zero(variables[0])
            rows += [[(1, v)] for v in variables[0]]
        elif k == 1:
            equations.equal(*variables)
            rows += [[(1, a), (-1, b)] for a, b in variables.T]
        else:
            coefficients = rng.choice(choice, k).tolist()
            equations.relate(list(zip(coefficients, variables, strict=True)))
            rows += [list(zip(coefficients, column, strict=True)) for column in variables.T]
    visible, seen = [], []
    for _ in range(rng.integers(0, 4)):
        shapes = [(3, 1), (1, 2), (2, 1, 1), (2, 3, 1), (3, 2)][: rng.integers(1, 6)]
        terms = [(float(rng.choice(choice)), rng.integers(0, n, shape)) for shape in shapes]
        visible.append(terms)
        spread = np.broadcast_arrays(*(a for _, a in terms))
        seen += [[(c, a.ravel()[i]) for (c, _), a in zip(terms, spread, strict=True)] for i in range(spread[0].size)]
    return equations, visible, _dense(n, rows), _dense(n, seen)


@pytest.mark.parametrize("mod2", [False, True])
@pytest.mark.parametrize("start", range(0, 200, 50))
def test_solutions_are_all_that_is_seen_and_no_more(start, mod2):
    for seed in range(start, start + 50):
        equations, visible, constraints, seen = _random(seed, mod2)
        solutions = equations.solve(visible)
        basis = _matrix(solutions)
        left = constraints @ basis
        assert not (left % 2).any() if mod2 else np.abs(left).max(initial=0) < 1e-9
        # Of the solutions those that look alike are one: so many are left.
        expected = _rank(np.vstack([constraints, seen]), mod2) - _rank(constraints, mod2)
        assert solutions.free == expected
        assert _rank(seen @ basis, mod2) == solutions.free
        assert len(set(zip(solutions.rows.tolist(), solutions.columns.tolist(), strict=True))) == len(solutions.rows)
        free = np.random.default_rng(seed).integers(0, 2, solutions.free).astype(float)
        assert np.allclose(solutions.values(free), basis @ free)


def test_a_block_that_no_step_splits_is_solved():
    """Every variable in every row."""
    equations = Equations(False)
    variables = equations.new(12)
    rows = np.random.default_rng(0).choice([-2.0, -1.0, 1.0, 2.0], (9, 12))
    for row in rows:
        equations.relate([(c, variables[i : i + 1]) for i, c in enumerate(row)])
    solutions = equations.solve([[(1, variables)]])
    assert solutions.free == 3 and np.abs(rows @ _matrix(solutions)).max() < 1e-9


def test_what_only_differs_where_nobody_looks_is_one():
    """Only the product of two factors is seen: one freedom, not two."""
    equations = Equations(False)
    a, b = equations.new(4), equations.new(1)
    solutions = equations.solve([[(1, a), (1, b)]])
    assert solutions.free == 4
    assert Equations(False).solve().free == 0
    assert equations.solve().free == 0


def test_a_product_grid_is_seen_as_a_whole():
    """Rows and columns of a matrix: one factor may be moved from one to the other unseen. Joint ones may not."""
    equations = Equations(False)
    a, b, joint = equations.new(3), equations.new(4), equations.new(12)
    assert equations.solve([[(1, a[:, None]), (-1, b[None])]]).free == 6
    assert equations.solve([[(1, a[:, None]), (1, joint.reshape(3, 4))]]).free == 12
    assert equations.solve([[(1, a[:, None]), (-1, b[None])], [(1, a)]]).free == 7


def test_halves_and_doubles_over_the_reals_alone():
    equations = Equations(False)
    a, b = equations.new(2), equations.new(2)
    equations.relate([(2, a), (-0.5, b)])
    basis = _matrix(equations.solve([[(1, a)], [(1, b)]]))
    assert np.allclose(basis[2:], 4 * basis[:2]) and basis.shape[1] == 2
    signs = Equations(True)
    a, b = signs.new(2), signs.new(2)
    signs.relate([(2, a), (1, b)])
    assert _matrix(signs.solve([[(1, a)], [(1, b)]])).tolist() == [[1, 0], [0, 1], [0, 0], [0, 0]]
    with pytest.raises(ValueError):
        signs.relate([(0.5, a), (1, b)])


def test_a_variable_that_there_is_not_is_refused():
    equations = Equations(False)
    equations.new(2)
    for wrong in (-1, 2):
        with pytest.raises(IndexError):
            equations.relate([(1, np.array([wrong])), (1, np.array([0]))])
        with pytest.raises(IndexError):
            equations.solve([[(1, np.array([wrong]))]])
        with pytest.raises(IndexError):
            equations.equal(wrong, 0)


def test_many_layers_are_solved_at_once():
    """50 layers of 1,000 neurons on one stream of scales, tied at the ends."""
    equations = Equations(False)
    stream = equations.new(500)
    visible = [[(1, stream)]]
    for _ in range(50):
        gain, up, down = equations.new(500), equations.new(1_000), equations.new(1_000)
        equations.relate([(1, up), (1, down)])
        visible += [[(1, gain), (-1, stream)], [(1, up[:, None]), (-1, gain)], [(1, stream[:, None]), (1, down)]]
    solutions = equations.solve(visible)
    assert solutions.free == 500 + 50 * 1_500
