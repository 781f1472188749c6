"""Families: who is a copy of whom, who comes from whom, and what is said of those that fail."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

from nfn_cli.errors import ArchitectureError, UsageError
from nfn_cli.symmetry.kinship.families import find_families
from nfn_cli.symmetry.kinship.family_facts import Families, Relation
from nfn_cli.symmetry.kinship.verdict import ComparedLayer, Comparison, Verdict

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

Write = Callable[..., str]
Read = Callable[[str], "AnySource"]


def stem(path: str | None) -> str | None:
    return None if path is None else Path(path).stem


def relations(found: Families) -> dict[str, tuple[int, str, str | None]]:
    """Of each file its family, its relation, and to what."""
    return {Path(own.path).stem: (own.family, own.relation.value, stem(own.of)) for own in found.members}


class Stated:
    """Verdicts that are given, by the names of the files."""

    def __init__(self, distances: Mapping[frozenset[str], float | Verdict]) -> None:
        self.distances = distances
        self.asked: list[frozenset[str]] = []

    def __call__(self, reference: AnySource, source: AnySource) -> Comparison:
        pair = frozenset(own.checkpoint.path.stem for own in (reference, source))
        self.asked.append(pair)
        stated = self.distances.get(pair, Verdict.independent)
        if isinstance(stated, Verdict):
            return Comparison(stated, "as it is")
        layers = (ComparedLayer("0", 0.5, 0.1), ComparedLayer("2", 0.4, 0.3))
        return Comparison(Verdict.derived, "near", 0.9, 0.01, layers=layers, before=0.5, after=stated)


def test_copies_and_strangers_without_kin(write: Write, read: Read) -> None:
    paths = [write("a", 1), write("b", 2), write("c", 1, element=4), write("d", 1, dtype=torch.bfloat16), write("e", 3)]
    found = find_families(paths, read, most_pairs=0)
    assert relations(found) == {
        "a": (1, "first", None),
        "c": (1, "disguised", "a"),
        "d": (1, "rounded", "a"),
        "b": (2, "stranger", None),
        "e": (3, "stranger", None),
    }
    assert (found.count, found.orbits, found.possible, found.pairs, found.roots) == (1, 3, 3, (), ())
    assert not any(own.guessed for own in found.members)


def test_the_finest_stands_for_its_orbit(write: Write, read: Read) -> None:
    paths = [write("half", 1, dtype=torch.float16), write("whole", 1)]
    assert relations(find_families(paths, read))["half"] == (1, "rounded", "whole")


def test_a_tree_of_relatives(write: Write, read: Read) -> None:
    """The base is smaller than its children, and so the root; the distances say who is below whom."""
    names = ["child", "base", "grandchild", "stranger"]
    paths = [write(name, number, noise=0.0) for number, name in enumerate(names)]
    paths.append(write("copy", 1, element=3))
    compare = Stated(
        {
            frozenset(["base", "child"]): 0.2,
            frozenset(["child", "grandchild"]): 0.2,
            frozenset(["base", "grandchild"]): 0.3,
        }
    )
    found = find_families(paths, read, compare=compare)
    own = relations(found)
    assert {own[name][0] for name in ("base", "child", "grandchild", "copy")} == {1}
    assert own["stranger"] == (2, "stranger", None)
    assert own["copy"] == (1, "disguised", "base")
    joined = {frozenset([name, of]) for name, (_, relation, of) in own.items() if of and relation == "derived"}
    assert joined == {frozenset(["base", "child"]), frozenset(["child", "grandchild"])}
    assert [relation for _, relation, _ in own.values()].count("root") == 1
    assert [member.guessed for member in found.members if member.relation in (Relation.root, Relation.derived)] == [
        True
    ] * 3
    (root,) = found.roots
    assert own[Path(root.path).stem][1] == "root" and root.voting <= 2
    assert len(compare.asked) == found.possible == 6
    (pair,) = [pair for pair in found.pairs if {stem(pair.one), stem(pair.other)} == {"base", "grandchild"}]
    assert (pair.verdict, pair.after, pair.changed) == (Verdict.derived, 0.3, "2")
    parents = [own.of for own in found.members]
    seen: set[str] = set()
    for member, parent in zip(found.members, parents, strict=True):
        assert parent is None or parent in seen  # each behind the one that it is of
        seen.add(member.path)


def test_comparisons_join_orbits_that_signatures_did_not(write: Write, read: Read) -> None:
    paths = [write("a", 1), write("b", 2), write("c", 3), write("d", 4)]
    compare = Stated(
        {
            frozenset(["a", "c"]): Verdict.rounded,
            frozenset(["b", "d"]): Verdict.same,
            frozenset(["a", "b"]): 0.1,
            frozenset(["c", "d"]): 0.3,
        }
    )
    own = relations(find_families(paths, read, compare=compare))
    assert own["c"] == (1, "rounded", "a")
    assert own["d"] == (1, "disguised", "b")
    assert {own["a"][1], own["b"][1]} == {"root", "derived"}


def test_pairs_that_cannot_be_compared_are_said_to_be(write: Write, read: Read) -> None:
    def refuse(reference: AnySource, source: AnySource) -> Comparison:
        raise ArchitectureError("a.pt", "says too little", "say more")

    found = find_families([write("a", 1), write("b", 2)], read, compare=refuse)
    (pair,) = found.pairs
    assert (pair.verdict, pair.cause) == (Verdict.unknown, "a.pt: says too little; say more")
    assert all(own.relation is Relation.stranger for own in found.members)


def test_files_that_fail_stop_nothing(write: Write, read: Read, tmp_path: Path) -> None:
    (tmp_path / "bad.safetensors").write_bytes(b"nothing")
    paths = [str(tmp_path / "bad.safetensors"), write("a", 1), str(tmp_path / "gone.pt"), write("b", 1, element=1)]
    found = find_families(paths, read)
    assert [stem(own.path) for own in found.failed] == ["bad", "gone"]
    assert all(own.error.startswith(own.path) for own in found.failed)
    assert relations(found) == {"a": (1, "first", None), "b": (1, "disguised", "a")}


def test_wrong_usage_ends_it(write: Write, read: Read) -> None:
    def refuse(path: str) -> AnySource:
        raise UsageError("--activation", "is none", "give one")

    with pytest.raises(UsageError):
        find_families(["a"], refuse)


def test_architectures_are_not_compared(write: Write, read: Read) -> None:
    compare = Stated({})
    found = find_families([write("a", 1), write("b", 1, width=13)], read, compare=compare)
    assert (compare.asked, found.possible) == ([], 0)


def test_fewer_pairs_than_there_are(write: Write, read: Read) -> None:
    paths = [write(str(seed), seed) for seed in range(5)] + [write("near", 2, noise=1e-3)]
    compare = Stated({frozenset(["2", "near"]): 0.1})
    found = find_families(paths, read, compare=compare, most_pairs=3)
    assert len(compare.asked) == 3 < found.possible == 15
    assert frozenset(["2", "near"]) in compare.asked
    assert found.count == 1


def test_real_verdicts(write: Write, read: Read) -> None:
    """A disguised child with a twentieth of noise, and networks that have nothing to do with it."""
    paths = [write("a", 1), write("b", 2), write("child", 1, noise=0.05, element=2), write("c", 3)]
    own = relations(find_families(paths, read))
    assert {own["a"][0], own["child"][0]} == {1}
    assert own["b"][1] == own["c"][1] == "stranger"
