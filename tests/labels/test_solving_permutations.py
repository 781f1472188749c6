"""The group of small relations, against all automorphisms counted one by one."""

from __future__ import annotations

import math
from itertools import product

import numpy as np
import pytest

from nfn_cli.architectures.labels import (
    NONE,
    LabelledTensor,
    Relations,
    Role,
    Use,
    log10_order,
    permutation,
    random_places,
    solve_permutations,
)
from nfn_cli.architectures.labels import blocks as solver
from nfn_cli.errors import ArchitectureError


class Network:
    """Labels, colours and edges, collected as a tracer does."""

    def __init__(self) -> None:
        self.count = 0
        self.colours: list[tuple[np.ndarray, np.ndarray]] = []
        self.edges: list[tuple[np.ndarray, np.ndarray]] = []
        self.tensors: list[LabelledTensor] = []
        self.origins: list[int] = []
        self.names: list[str] = []

    def new(self, *shape: int, name: str = "x", shown: bool = True) -> np.ndarray:
        labels = np.arange(self.count, self.count + math.prod(shape)).reshape(shape)
        self.count += labels.size
        self.names.append(name)
        self.origins += [len(self.names) - 1] * labels.size
        if shown:
            self.show(labels)
        return labels

    def show(self, labels: np.ndarray, slots: np.ndarray | None = None) -> None:
        role = Role(labels.ravel().astype(np.int32), None if slots is None else slots.ravel().astype(np.int32))
        use = Use((labels.size,), (1,), 0, (role,))
        self.tensors.append(LabelledTensor((f"w{len(self.tensors)}",), (labels.size,), (use,)))

    def colour(self, labels: np.ndarray, colours: np.ndarray) -> None:
        labels, colours = np.broadcast_arrays(labels, colours)
        self.colours.append((labels.ravel(), colours.ravel()))

    def edge(self, a: np.ndarray, b: np.ndarray) -> None:
        a, b = np.broadcast_arrays(a, b)
        self.edges.append((a.ravel(), b.ravel()))

    @property
    def relations(self) -> Relations:
        return Relations(self.count, tuple(self.colours), tuple(self.edges))

    def solve(self):
        return solve_permutations(self.relations, self.tensors, np.array(self.origins, np.int32), self.names)

    def order(self) -> int:
        return round(10 ** log10_order(self.solve()[0]))

    def automorphisms(self) -> set[tuple[int, ...]]:
        """All, by trying every place for one label after the other."""
        n = self.count
        kind: list[list[set]] = [[set() for _ in range(n)] for _ in range(n)]
        for number, (a, b) in enumerate(self.edges):
            for x, y in zip(a.tolist(), b.tolist(), strict=True):
                kind[x][y].add(number)
        for number, (labels, colours) in enumerate(self.colours):
            for x, c in zip(labels.tolist(), colours.tolist(), strict=True):
                kind[x][x].add(("colour", number, c))
        for number, tensor in enumerate(self.tensors):
            role = tensor.uses[0].roles[0]
            slots = np.zeros_like(role.labels) if role.slots is None else role.slots
            for x, c in zip(role.labels.tolist(), slots.tolist(), strict=True):
                kind[x][x].add(("tensor", number, c))
        found: set[tuple[int, ...]] = set()
        # What has many neighbours comes first: it leaves the least choice.
        order = sorted(range(n), key=lambda x: -sum(bool(kind[x][y] or kind[y][x]) for y in range(n)))

        def extend(image: dict[int, int]) -> None:
            if len(image) == n:
                found.add(tuple(image[x] for x in range(n)))
                return
            x = order[len(image)]
            for y in set(range(n)) - set(image.values()):
                if kind[x][x] != kind[y][y]:
                    continue
                if all(kind[x][a] == kind[y][b] and kind[a][x] == kind[b][y] for a, b in image.items()):
                    extend({**image, x: y})

        extend({})
        return found

    def elements(self) -> set[tuple[int, ...]]:
        """All elements of the forest that was found."""
        blocks, determined = self.solve()
        rng = np.random.default_rng(0)
        order = round(10 ** log10_order(blocks))
        # So many that a missing one is hardly ever due to chance; the seed is fixed.
        return {
            tuple(permutation(blocks, determined, random_places(blocks, rng), self.count).tolist())
            for _ in range(int(order * (math.log(order) + 12)))
        }


def _streams() -> tuple[Network, int]:
    net = Network()
    stream, hidden = net.new(3), net.new(4)
    net.show(stream)
    net.show(hidden)
    return net, 6 * 24


def _two_slots() -> tuple[Network, int]:
    """Two rows a neuron, in which the second stands elsewhere: neurons with other slots are of another kind."""
    net = Network()
    a = net.new(4)
    net.show(np.tile(a, 2), np.repeat([0, 1], 4))
    net.show(a, np.array([0, 0, 1, 1]))
    return net, 4


def _heads() -> tuple[Network, int]:
    """Attention without rotation: queries and keys move together."""
    net = Network()
    q, k, v, s = net.new(2, 2), net.new(2, 2), net.new(2, 2), net.new(2, shown=False)
    net.edge(q, k)
    net.edge(q, s[:, None])
    net.edge(v, s[:, None])
    return net, 2 * (2 * 2) ** 2


def _grouped_heads_rotary() -> tuple[Network, int]:
    """Key-value heads g, query heads (g, r), two rotary pairs; the output's columns are told by head and value."""
    net = Network()
    k, v, s = net.new(2, 4), net.new(2, 2), net.new(2, 2, shown=False)
    q, o = net.new(2, 2, 4), net.new(2, 2, 2)
    net.colour(k, np.arange(4))
    net.edge(k[:, :2], k[:, 2:])
    net.edge(q, k[:, None])
    net.edge(q, s[..., None])
    net.edge(v[:, None, :], s[..., None])
    net.edge(o, v[:, None])
    net.edge(o, s[..., None])
    return net, 2 * (2 * 2) ** 2


def _grouped_heads() -> tuple[Network, int]:
    net = Network()
    k, v, s = net.new(2, 2), net.new(2, 2), net.new(2, 2, shown=False)
    q = net.new(2, 2, 2)
    net.edge(q, k[:, None])
    net.edge(q, s[..., None])
    net.edge(v[:, None, :], s[..., None])
    return net, 2 * (2 * 2 * 2) ** 2


def _grouped_convolution() -> tuple[Network, int]:
    net = Network()
    a, b, g = net.new(2, 2), net.new(2, 3), net.new(2, shown=False)
    net.edge(a, g[:, None])
    net.edge(b, g[:, None])
    return net, 2 * (2 * 6) ** 2


def _chained_groups() -> tuple[Network, int]:
    """Two grouped convolutions with other groups: the middle's groups lie in the first's."""
    net = Network()
    a, b, g, h = net.new(2, 2), net.new(2, 2, 2), net.new(2, shown=False), net.new(2, 2, shown=False)
    net.edge(a, g[:, None])
    net.edge(b, g[:, None, None])
    net.edge(b, h[..., None])
    return net, 2 * (2 * 2 * 2 * 2) ** 2


def _shared_heads() -> tuple[Network, int]:
    """One table of head biases in two layers: one permutation of heads for both."""
    net = Network()
    s = net.new(3)
    for _ in range(2):
        net.edge(net.new(3, 2), s[:, None])
    return net, 6 * (2 * 2) ** 3


def _shared_dimensions() -> tuple[Network, int]:
    """A norm of each query with one gain for all heads: a grid of heads and dimensions."""
    net = Network()
    q, v, j, s = net.new(2, 3), net.new(2, 2), net.new(3), net.new(2, shown=False)
    net.edge(q, j)
    net.edge(q, s[:, None])
    net.edge(v, s[:, None])
    return net, 6 * 2 * 2**2


def _shared_dimensions_grouped() -> tuple[Network, int]:
    """The same with grouped heads: keys are a grid of dimensions and key heads, which have no label of their own."""
    net = Network()
    k, v, j, s = net.new(2, 2), net.new(2, 2), net.new(2), net.new(2, 2, shown=False)
    q = net.new(2, 2, 2)
    net.edge(q, k[:, None])
    net.edge(q, j)
    net.edge(k, j)
    net.edge(q, s[..., None])
    net.edge(v[:, None, :], s[..., None])
    return net, 2 * 2 * (2 * 2) ** 2


def _experts() -> tuple[Network, int]:
    net = Network()
    e, m = net.new(3), net.new(3, 2)
    net.edge(m, e[:, None])
    return net, 6 * 2**3


def _pairs_of_a_set() -> tuple[Network, int]:
    """Labels of all ordered pairs of two things of one kind."""
    net = Network()
    a = net.new(4)
    pairs = np.array([(x, y) for x, y in product(range(4), repeat=2) if x != y])
    c = net.new(len(pairs))
    net.edge(c, a[pairs[:, 0]])
    net.edge(c, a[pairs[:, 1]])
    return net, 24


def _partners() -> tuple[Network, int]:
    """Pairs in one class, whose two may change places."""
    net = Network()
    a = net.new(3, 2)
    net.edge(a, a[:, ::-1])
    return net, 6 * 2**3


def _all_but_its_own() -> tuple[Network, int]:
    """Everything is related to all but its partner."""
    net = Network()
    a, b = net.new(4), net.new(4)
    rows = np.array([(x, y) for x, y in product(range(4), repeat=2) if x != y])
    net.edge(a[rows[:, 0]], b[rows[:, 1]])
    return net, 24


def _cliques() -> tuple[Network, int]:
    net = Network()
    a = net.new(2, 3)
    net.edge(a[:, :, None], a[:, None, :])
    return net, 2 * 6**2


def _two_levels() -> tuple[Network, int]:
    """Experts with heads with neurons."""
    net = Network()
    e, h, m = net.new(2), net.new(2, 2), net.new(2, 2, 2)
    net.edge(m, h[..., None])
    net.edge(h, e[:, None])
    return net, 2 * (2 * 2**2) ** 2


def _unseen() -> tuple[Network, int]:
    """What no tensor shows is not counted, unless it moves what one shows."""
    net = Network()
    net.edge(net.new(2, 2, shown=False), net.new(2, shown=False)[:, None])
    net.edge(net.new(2, 2), net.new(2, shown=False)[:, None])
    return net, 2 * 2**2


NETWORKS = [
    _streams,
    _two_slots,
    _heads,
    _grouped_heads_rotary,
    _grouped_heads,
    _grouped_convolution,
    _chained_groups,
    _shared_heads,
    _shared_dimensions,
    _shared_dimensions_grouped,
    _experts,
    _pairs_of_a_set,
    _partners,
    _all_but_its_own,
    _cliques,
    _two_levels,
    _unseen,
]


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_the_usual_structures_come_out_whole(make):
    net, expected = make()
    assert net.order() == expected
    if make is _unseen:  # its automorphisms also move what nobody sees
        shown = np.unique(np.concatenate([t.uses[0].roles[0].labels for t in net.tensors]))
        seen = {tuple(np.array(x)[shown]) for x in net.automorphisms()}
        assert {tuple(np.array(x)[shown]) for x in net.elements()} == seen and len(seen) == expected
    else:
        found = net.automorphisms()
        assert len(found) == expected
        if expected <= 300:
            assert net.elements() == found


@pytest.mark.parametrize("make", NETWORKS, ids=lambda make: make.__name__)
def test_the_names_of_labels_do_not_matter(make):
    net, expected = make()
    shuffled = np.random.default_rng(1).permutation(net.count)
    net.colours = [(shuffled[labels], colours) for labels, colours in net.colours]
    net.edges = [(shuffled[a], shuffled[b]) for a, b in net.edges]
    tensors, net.tensors = net.tensors, []
    for tensor in tensors:
        role = tensor.uses[0].roles[0]
        net.show(shuffled[role.labels], role.slots)
    assert net.order() == expected


def _random(seed: int) -> Network:
    rng = np.random.default_rng(seed)
    net = Network()
    n = int(rng.integers(1, 9))
    labels = net.new(n)
    for _ in range(rng.integers(0, 3)):
        some = rng.integers(0, n, rng.integers(0, 4))
        net.colour(labels[some], rng.integers(-1, 2, len(some)))
    half = n // 2
    if seed % 3 == 0 and half:  # functions
        for _ in range(rng.integers(1, 3)):
            net.edge(labels[half:], rng.integers(0, half, n - half))
    elif seed % 3 == 1:  # permutations
        net.edge(labels, rng.permutation(n))
    for _ in range(rng.integers(0, 3)):
        m = int(rng.integers(0, 8))
        net.edge(rng.integers(0, n, m), rng.integers(0, n, m))
    return net


@pytest.mark.parametrize("start", range(0, 120, 40))
def test_whatever_is_found_is_a_subgroup(start):
    whole = several = 0
    for seed in range(start, start + 40):
        net = _random(seed)
        found = net.automorphisms()
        blocks, determined = net.solve()
        order = round(10 ** log10_order(blocks))
        assert len(found) % order == 0
        rng = np.random.default_rng(seed)
        for _ in range(6):
            moved = permutation(blocks, determined, random_places(blocks, rng), net.count)
            assert tuple(moved.tolist()) in found
        if order <= 24:
            assert len(net.elements()) == order
        several += len(found) > 1
        whole += len(found) > 1 and len(found) == order
    # What is missed are cycles and dihedral groups, which are no symmetric groups.
    assert whole >= 0.6 * several > 0


def _composed(seed: int) -> Network:
    """Children, grids, matchings and complete relations of classes, at random, some of them seen by nobody."""
    rng = np.random.default_rng(seed)
    net = Network()
    classes = [net.new(int(rng.integers(1, 4)), shown=bool(rng.integers(0, 2)))]
    for kind in rng.integers(0, 6, 5):
        p, q = (classes[rng.integers(len(classes))] for _ in range(2))
        if kind == 0 and net.count < 10:
            classes.append(net.new(int(rng.integers(1, 4))))
        elif kind == 1 and len(p) <= 4:
            classes.append(net.new(2 * len(p), shown=bool(rng.integers(0, 2))))
            net.edge(classes[-1], np.repeat(p, 2))
        elif kind == 2 and len(p) * len(q) <= 8:
            classes.append(net.new(len(p) * len(q)))
            net.edge(classes[-1], np.repeat(p, len(q)))
            net.edge(classes[-1], np.tile(q, len(p)))
        elif kind == 3 and len(p) <= 4:
            classes.append(net.new(len(p)))
            net.edge(classes[-1], p)
        elif kind == 4:
            net.edge(p[:, None], q)
        elif kind == 5 and len(p) % 2 == 0:
            net.edge(p.reshape(2, -1)[0], p.reshape(2, -1)[1])
    return net


@pytest.mark.parametrize("start", range(0, 160, 40))
def test_what_is_composed_of_the_usual_structures_comes_out_whole(start):
    several = 0
    for seed in range(start, start + 40):
        net = _composed(seed)
        order = net.order()
        if net.count > 12 or order > 150:
            continue
        shown = np.unique(np.concatenate([t.uses[0].roles[0].labels for t in net.tensors] or [[]])).astype(int)
        seen = {tuple(np.array(x)[shown]) for x in net.automorphisms()}
        assert {tuple(np.array(x)[shown]) for x in net.elements()} <= seen
        assert len(seen) == order
        several += order > 1
    assert several > 15


def test_two_grids_on_the_same_sides_are_told_apart():
    """Each label of a pair (head, dimension) has its own row: none goes where another of that pair should."""
    net = Network()
    j, s = net.new(2), net.new(2)
    grids = []
    for _ in range(7):
        grids.append(net.new(2, 2))
        net.edge(grids[-1], j)
        net.edge(grids[-1], s[:, None])
    blocks, determined = net.solve()
    assert log10_order(blocks) == pytest.approx(math.log10(4))
    moved = permutation(blocks, determined, [np.array([[1, 0]])] * 2, net.count)
    assert moved.tolist() == [1, 0, 3, 2, *np.stack([g[::-1, ::-1] for g in grids]).ravel().tolist()]
    for seed in range(20):
        rng = np.random.default_rng(seed)
        moved = permutation(blocks, determined, random_places(blocks, rng), net.count)
        assert all(np.array_equal(moved[g], g[moved[s] - s[0]][:, moved[j] - j[0]]) for g in grids)


def test_sides_of_a_grid_that_come_into_one_unit_are_told_apart(monkeypatch):
    """Four sides of one class that turn out to be two and two: their labels share a pair, and keep their places."""
    net = Network()
    outer, mid = net.new(2), net.new(4)
    net.edge(mid, np.repeat(outer, 2))
    partner = net.new(4)
    net.edge(partner, mid)
    pair = net.new(2)
    net.edge(partner, np.repeat(pair, 2))
    net.edge(net.new(12), np.repeat(mid, 3))
    ends = net.new(4)
    for sides in (partner, mid):
        cells = net.new(2, 4)
        net.edge(cells, outer[:, None])
        net.edge(cells, sides)
        if sides is partner:
            net.edge(cells, ends.reshape(2, 2).repeat(2, axis=1))
    keep, kept = solver._keep, []
    monkeypatch.setattr(solver, "_keep", lambda *args: bool(kept.append(keep(*args)) or kept[-1]))
    assert net.order() == 2 * (2 * 6**2) ** 2
    assert kept == [True]


def test_a_grid_of_heads_that_have_no_label_is_told_by_what_is_in_them():
    net, _ = _shared_dimensions_grouped()
    _, determined = net.solve()
    assert len({(a, b) for _, a, b in determined.tolist()}) == len(determined)


def test_what_nobody_sees_need_not_follow():
    """Labels in no tensor, in units that move: their block is left out, and the rest is a group still."""
    net = Network()
    a = net.new(2)
    net.edge(net.new(2, 2, shown=False), a[:, None])
    blocks, _ = net.solve()
    assert [block.labels.tolist() for block in blocks] == [[[0], [1]]]


def test_a_cycle_stays_where_it_is():
    net = Network()
    a = net.new(5)
    net.edge(a, np.roll(a, 1))
    assert net.solve()[0] == ()


def test_blocks_are_as_the_group_has_them():
    net = Network()
    e = net.new(3, name="router")
    m = net.new(3, 2, name="experts.up")
    net.edge(m, e[:, None])
    (outer, inner), determined = net.solve()
    assert (outer.name, outer.parent, outer.n, outer.labels.tolist()) == ("router", None, 3, [[0], [1], [2]])
    assert (inner.name, inner.parent, inner.n) == ("experts.up", 0, 2)
    assert inner.labels.tolist() == m.reshape(-1, 1).tolist() and inner.labels.dtype == np.int32
    assert determined.shape == (0, 3) and determined.dtype == np.int32


def test_a_grid_is_told_by_its_sides():
    net = Network()
    j, s = net.new(3), net.new(2)
    q, k = net.new(2, 3), net.new(2, 3)
    net.edge(q, j)
    net.edge(q, s[:, None])
    net.edge(q, k)
    blocks, determined = net.solve()
    assert sorted(block.n for block in blocks) == [2, 3]
    assert set(determined[:, 0].tolist()) == {*q.ravel().tolist(), *k.ravel().tolist()}


def test_labels_that_occur_nowhere_stay():
    net = Network()
    net.new(4, shown=False)
    net.new(2)
    assert net.order() == 2
    assert solve_permutations(Relations(0, (), ()), (), np.zeros(0, np.int32), ())[0] == ()


def test_members_of_no_block_are_fixed_by_colour():
    net = Network()
    a = net.new(4)
    net.colour(a[:2], np.array([7, -7]))
    assert net.order() == 2


def test_a_function_that_cannot_be_nested_loses_the_smaller_side_alone():
    """Neurons in a grid of cells: the cells' sides cannot both move, as blocks lie in blocks of one kind."""
    net = Network()
    a, b, c = net.new(3), net.new(2), net.new(3, 2, 2)
    net.edge(c, a[:, None, None])
    net.edge(c, b[:, None])
    assert net.order() == 6 * 2**6


def test_entries_of_no_neuron_are_no_label():
    net = Network()
    a = net.new(3)
    net.show(np.r_[a, NONE, NONE])
    assert net.order() == 6


def test_a_label_that_there_is_not_is_refused():
    for wrong in (NONE, 2):
        net = Network()
        a = net.new(2)
        net.edge(a, np.array([wrong]))
        with pytest.raises(IndexError):
            net.solve()
        net = Network()
        net.new(2)
        net.colour(np.array([wrong]), np.array([0]))
        with pytest.raises(IndexError):
            net.solve()


def test_rows_that_do_not_keep_the_relations_are_not_used(monkeypatch):
    """Where the rows of a grid fail, one side of it stays fixed; where that fails too, nothing is told."""
    net, whole = _shared_dimensions()
    keep, asked = solver._keep, []
    monkeypatch.setattr(solver, "_keep", lambda *args: bool(asked.append(args) or len(asked) > 1) and keep(*args))
    blocks, determined = net.solve()
    assert len(asked) == 2 and not len(determined)
    assert 1 < round(10 ** log10_order(blocks)) < whole
    found = net.automorphisms()
    for seed in range(10):
        rng = np.random.default_rng(seed)
        assert tuple(permutation(blocks, determined, random_places(blocks, rng), net.count).tolist()) in found
    monkeypatch.setattr(solver, "_keep", lambda *args: False)
    with pytest.raises(ArchitectureError, match="do not keep its own relations"):
        net.solve()


def test_an_element_that_breaks_a_relation_is_noticed(monkeypatch):
    """The last look at what was found, with a step that forgets all edges."""
    net = Network()
    a = net.new(4)
    net.edge(a[:2], a[2:])

    def forget(graph):
        some = len(graph.u) > 0
        graph.keep(np.zeros(len(graph.u), bool))
        return some

    monkeypatch.setattr(solver, "_RULES", (forget, *solver._RULES))
    with pytest.raises(ArchitectureError, match="do not keep its own relations"):
        net.solve()


def test_a_large_network_is_solved_at_once():
    """100,000 labels in 20 layers: no loop over labels."""
    net = Network()
    stream = net.new(1_000)
    for _ in range(20):
        net.show(stream)
        net.new(4_000)
        q, k, s = net.new(8, 64), net.new(8, 64), net.new(8, shown=False)
        net.edge(q, k)
        net.edge(q, s[:, None])
    blocks, determined = net.solve()
    assert len(blocks) == 1 + 3 * 20 and not len(determined)
    expected = math.lgamma(1_001) + 20 * (math.lgamma(4_001) + math.lgamma(9) + 8 * math.lgamma(65))
    assert log10_order(blocks) == pytest.approx(expected / math.log(10))
