"""What every kind of zoo shares: its entry among the recipes, its record, and the files of its networks."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path

import pytest
import torch
import yaml
from files_of_tests import TESTS, imported

from nfn_cli.errors import DataError
from nfn_cli.folders import confined
from nfn_cli.zoo import read_record
from nfn_cli.zoo.network_files import free_parts, write_networks
from nfn_cli.zoo.recipes import RECIPES, recipe_for
from nfn_cli.zoo.record import write_record
from nfn_cli.zoo.settings import ZooSettingsBase

# Of each kind, from the test file that is named after it.
SETTINGS: list[ZooSettingsBase] = [imported(path).SETTINGS for path in sorted((TESTS / "zoo/recipes").glob("*.py"))]


@dataclass(frozen=True)
class Row:
    file: str
    index: int | None = None


def test_every_kind_is_tried_here_and_has_a_recipe_of_its_own() -> None:
    assert {type(settings) for settings in SETTINGS} == set(RECIPES)
    assert len({kind.recipe for kind in RECIPES}) == len(RECIPES)
    for settings in SETTINGS:
        assert recipe_for(settings).settings is settings
        assert set(settings.growing) <= {field.name for field in fields(type(settings))}  # type: ignore[arg-type]


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.recipe)
def test_a_record_is_read_as_it_was_written(settings: ZooSettingsBase, tmp_path: Path) -> None:
    write_record(tmp_path, settings, [])
    record = read_record(tmp_path, type(settings))
    assert record == {"recipe": settings.recipe, **settings.record(), "diverged": []}
    assert record["data"] == "away.npz"
    assert (tmp_path / "zoo.yaml").read_text().startswith(f"recipe: {settings.recipe}\ndata: away.npz\n")
    for other in SETTINGS:
        if other is not settings:
            assert read_record(tmp_path, type(other)) is None


@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: settings.recipe)
def test_a_setting_of_another_type_is_a_damaged_record(settings: ZooSettingsBase, tmp_path: Path) -> None:
    for name in settings.record():
        record = {"recipe": settings.recipe, **settings.record(), name: [["no", "such"]]}
        (tmp_path / "zoo.yaml").write_text(yaml.safe_dump(record))
        with pytest.raises(DataError, match="not a zoo's record"):
            read_record(tmp_path, type(settings))


def test_the_lowest_numbers_that_no_row_has_are_free() -> None:
    rows = [Row(f"part-0000{number}.safetensors", 0) for number in (0, 2, 2)] + [Row("run-000001.safetensors")]
    numbers = free_parts(rows)
    assert [next(numbers) for _ in range(3)] == [1, 3, 4]


@pytest.mark.parametrize("part", [None, 3])
def test_networks_are_where_their_rows_say(part: int | None, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    rows = [Row("a.safetensors"), Row("b.safetensors")]
    tensors = {"weight": torch.arange(6.0).view(2, 3)}
    written = write_networks(tmp_path, rows, tensors, {"activation": "relu"}, part)
    for row, expected in zip(written, tensors["weight"], strict=True):
        found = load_file(tmp_path / row.file)["weight"]
        assert torch.equal(found if row.index is None else found[row.index], expected)
    assert (written == rows) is (part is None)
    assert write_networks(tmp_path / "none", [], {}, {}, part) == []


def test_a_file_that_leads_out_of_its_folder_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "zoo"
    folder.mkdir()
    (folder / "inside").write_text("")
    (tmp_path / "outside").write_text("")
    (folder / "link").symlink_to(tmp_path / "outside")
    assert confined(folder, folder / "inside", "mend it") == folder / "inside"
    for name, cause in {"link": "leads out of", "none": "no such file; mend it", ".": "is no file; mend it"}.items():
        with pytest.raises(DataError, match=cause):
            confined(folder, folder / name, "mend it")
