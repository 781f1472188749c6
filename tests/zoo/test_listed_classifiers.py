"""Tables that list classifiers of any architectures."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from wild_tables import write_classifiers

from nfn_cli.errors import DataError
from nfn_cli.zoo.listed_classifiers import listed_classifiers, read_classifiers, shapes_differ


def test_what_a_table_says_is_read(tmp_path: Path) -> None:
    networks = read_classifiers(listed_classifiers([write_classifiers(tmp_path / "zoo", 4)]))
    assert len(networks) == len(networks.statistics) == 4
    assert networks.families == ("wide", "deep", "wider", "wide")
    assert networks.tasks == ("all", "all", "all", "few")
    assert networks.trainers == ("",) * 4
    assert networks.architectures[0] == networks.architectures[3]
    assert len(set(networks.architectures)) == 3
    assert networks.classes.tolist() == [4] * 4
    assert networks.has_halves and (networks.halves.mean(1) - networks.targets).abs().max() < 0.02
    assert networks.statistics.depth.tolist() == [2, 3, 2, 2]
    second = networks.select([3, 1])
    assert second.runs == ("3", "1") and second.statistics.depth.tolist() == [2, 3]


def test_networks_that_are_run_are_shown_as_if_they_were_not(tmp_path: Path) -> None:
    write_classifiers(tmp_path / "zoo", 1)
    steps = [
        {"op": "flatten"},
        {"op": "linear", "name": "0", "ins": 64, "outs": 10, "bias": True},
        {"op": "relu"},
        {"op": "linear", "name": "2", "ins": 10, "outs": 4, "bias": True},
    ]
    record = {"model_type": "nfn-steps", "input": [1, 8, 8], "steps": steps}
    (tmp_path / "zoo" / "config.json").write_text(json.dumps(record))
    networks = read_classifiers(listed_classifiers([tmp_path / "zoo"]))
    assert networks.statistics.runs.all() and not networks.unrun.runs.any()
    assert networks.unrun.answers.abs().max() == 0 < networks.statistics.answers.abs().max()
    assert networks.has_unrun.all()
    (tmp_path / "zoo" / "config.json").unlink()
    alone = read_classifiers(listed_classifiers([tmp_path / "zoo"]))  # as a user's file comes
    assert not alone.has_unrun.any()
    for name, own in vars(alone.statistics).items():
        assert torch.equal(own, getattr(networks.unrun, name))


def test_a_network_with_branches_is_not_shown_as_if_it_were_not_run(tmp_path: Path) -> None:
    wild = Path(__file__).parents[1] / "wild"
    row = next(own for own in listed_classifiers([wild]) if own.family == "residual")
    networks = read_classifiers([row])
    assert networks.statistics.runs.all() and networks.unrun.runs.all() and not networks.has_unrun.any()


def test_several_folders_are_one_table(tmp_path: Path) -> None:
    folders = [write_classifiers(tmp_path / name, 3) for name in ("a", "b")]
    rows = listed_classifiers(folders)
    assert [row.place.path.parent.name for row in rows] == ["a"] * 3 + ["b"] * 3
    with pytest.raises(DataError, match="one table, and 2 folders"):
        listed_classifiers(folders, folders[0] / "labels.csv")
    with pytest.raises(DataError, match="no such folder"):
        listed_classifiers([tmp_path / "none"])


def test_a_folder_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    folder = write_classifiers(tmp_path / "zoo", 2)
    twice = [folder, tmp_path / "other" / ".." / "zoo"]
    (tmp_path / "other").mkdir()
    assert len(listed_classifiers(twice)) == 4
    with pytest.raises(DataError, match="given twice; give each folder once"):
        listed_classifiers(twice, unique=True)


def test_members_of_a_packed_file_are_read(tmp_path: Path) -> None:
    zoo = write_classifiers(tmp_path / "zoo", 4)
    single = read_classifiers(listed_classifiers([zoo]))
    alike = [load_file(zoo / f"run-{run}.safetensors") for run in (0, 3)]
    packed = {name: torch.stack([own[name] for own in alike]) for name in alike[0]}
    save_file(packed, zoo / "packed.safetensors", {"nfn.population": "2"})
    (zoo / "labels.csv").write_text(
        "file,index,run,test_accuracy\npacked.safetensors,1,b,0.5\npacked.safetensors,0,a,0.4\n"
    )
    networks = read_classifiers(listed_classifiers([zoo]))
    assert torch.equal(networks.statistics.layers, single.statistics.select([3, 0]).layers)
    assert networks.files[0] == f"{zoo / 'packed.safetensors'}, network 1"
    (zoo / "labels.csv").write_text("file,index,run,test_accuracy\npacked.safetensors,2,b,0.5\n")
    with pytest.raises(DataError, match=r"an index outside 0 \.\.\. 1"):
        read_classifiers(listed_classifiers([zoo]))


def test_shapes_tell_whether_there_are_several_architectures(tmp_path: Path) -> None:
    rows = listed_classifiers([write_classifiers(tmp_path / "zoo", 6)])
    assert shapes_differ(rows)
    assert not shapes_differ([rows[0], rows[3]])
