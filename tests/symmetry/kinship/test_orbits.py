"""Networks are sorted into orbits: copies, disguises and lower precisions together, all others apart."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from safetensors.torch import load_file, save_file

from nfn_cli.errors import CheckpointError
from nfn_cli.symmetry.kinship import orbits as module
from nfn_cli.symmetry.kinship.contents import content_digest
from nfn_cli.symmetry.kinship.orbits import Likeness, Orbits
from nfn_cli.symmetry.kinship.same_orbit import on_one_orbit

if TYPE_CHECKING:
    from nfn_cli.symmetry.sources import AnySource

Write = Callable[..., str]
Read = Callable[[str], "AnySource"]


def sorted_out(paths: list[str], read: Read) -> Orbits:
    orbits = Orbits(lambda place: read(paths[place]))
    for path in paths:
        orbits.add(read(path))
    return orbits


def test_copies_disguises_and_strangers(write: Write, read: Read, tmp_path: Path) -> None:
    paths = [write("a", 1), write("b", 2), write("c", 1, element=5), write("d", 2, element=6)]
    shutil.copy(paths[2], tmp_path / "e.safetensors")
    paths += [str(tmp_path / "e.safetensors"), write("f", 3)]
    placed = sorted_out(paths, read).placed
    assert [own.orbit for own in placed] == [0, 1, 0, 1, 0, 2]
    first, disguised = Likeness.first, Likeness.disguised
    assert [own.likeness for own in placed] == [first, first, disguised, disguised, Likeness.copy, first]
    assert [own.of for own in placed] == [0, 1, 0, 1, 2, 5]


def test_a_lower_precision(write: Write, read: Read) -> None:
    paths = [write("a", 1), write("b", 1, dtype=torch.bfloat16), write("c", 1, dtype=torch.float16), write("d", 2)]
    placed = sorted_out(paths, read).placed
    assert [own.orbit for own in placed] == [0, 0, 0, 1]
    assert [own.likeness for own in placed[1:3]] == [Likeness.rounded] * 2
    assert placed[0].eps < placed[2].eps < placed[1].eps


def test_a_small_change_is_another_orbit(write: Write, read: Read) -> None:
    paths = [write("a", 1), write("b", 1, noise=1e-3), write("c", 1, noise=1e-3, element=1)]
    assert [own.orbit for own in sorted_out(paths, read).placed] == [0, 1, 1]


def test_an_equal_signature_joins_nothing(write: Write, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures find candidates; alignment decides."""
    monkeypatch.setattr(module, "_ROUNDING", 1e12)
    paths = [write(str(seed), seed) for seed in range(4)] + [write("copy", 2, element=1)]
    assert [own.orbit for own in sorted_out(paths, read).placed] == [0, 1, 2, 3, 2]


def test_few_networks_stay_in_memory(write: Write, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 1)
    paths = [write(str(seed), seed) for seed in range(3)] + [
        write(f"copy {seed}", seed, element=1) for seed in range(3)
    ]
    reopened: list[int] = []

    def reopen(place: int) -> AnySource:
        reopened.append(place)
        return read(paths[place])

    orbits = Orbits(reopen)
    for path in paths:
        orbits.add(read(path))
    assert [own.orbit for own in orbits.placed] == [0, 1, 2, 0, 1, 2]
    assert reopened == [0, 1, 2]
    assert len(orbits._memory._held) == 1


def test_a_first_that_is_gone_fails_what_comes_to_it(write: Write, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_KEPT", 1)
    paths = [write("a", 1), write("b", 2), write("c", 1, element=3), write("d", 4)]
    orbits = Orbits(lambda place: read(paths[place]))
    orbits.add(read(paths[0]))
    orbits.add(read(paths[1]))
    third = read(paths[2])
    Path(paths[0]).unlink()
    with pytest.raises(CheckpointError, match=r"a\.safetensors"):
        orbits.add(third)
    assert len(orbits.placed) == 2
    assert orbits.add(read(paths[3])).orbit == 2


def test_digests_look_at_numbers_alone(write: Write, read: Read, tmp_path: Path) -> None:
    path = write("a", 1)
    tensors = load_file(path)
    torch.save({f"{name}": tensor for name, tensor in tensors.items()}, tmp_path / "a.pt")
    (tmp_path / "nfn.yaml").write_text("activation: relu\n")
    own = content_digest(read(path))
    assert content_digest(read(str(tmp_path / "a.pt"))) == own
    tensors["2.bias"][3] = torch.nextafter(tensors["2.bias"][3], torch.tensor(9.0))
    save_file(tensors, tmp_path / "b.safetensors", {"activation": "relu"})
    assert content_digest(read(str(tmp_path / "b.safetensors"))) != own
    assert content_digest(read(write("half", 1, dtype=torch.bfloat16))) != own


def test_one_orbit_is_seen_without_alignment_and_another_with_it(write: Write, read: Read) -> None:
    one = read(write("a", 1))
    assert on_one_orbit(one, read(write("b", 1, element=1)))
    assert not on_one_orbit(one, read(write("c", 1, noise=1e-3)))
    assert not on_one_orbit(one, read(write("d", 1, width=13)))
