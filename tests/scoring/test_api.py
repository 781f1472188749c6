"""What Python programs import."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import nfn_cli
from nfn_cli import ScoreRow, load_head, score
from nfn_cli.errors import CheckpointError, UsageError

Save = Callable[..., Path]

# No guard around its main part, as in many a script.
SCRIPT = """
import sys
from nfn_cli import score
print("begin")
for row in score(sys.argv[2:], head=sys.argv[1], jobs=2, device="cpu"):
    print(row.path, row.accuracy is not None)
"""


def test_importing_the_package_imports_no_torch() -> None:
    program = (
        "import sys, nfn_cli; print('torch' in sys.modules, dir(nfn_cli)); nfn_cli.score; print('torch' in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    before, after = finished.stdout.splitlines()
    assert before.startswith("False") and "'score'" in before
    assert after == "True"


def test_loading_a_head_does_not_import_what_only_compiling_needs() -> None:
    # It costs half a second: some functions of torch bring it along on the meta device, in old versions even `zeros`.
    program = (
        "import sys, torch; torch.zeros(1, device='meta'); known = 'sympy' in sys.modules;"
        "from nfn_cli import load_head; load_head('small-cnn-relu');"
        "print(known or 'sympy' not in sys.modules)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert finished.stdout == "True\n"


def test_all_names_are_there_and_no_others() -> None:
    for name in nfn_cli.__all__:
        assert getattr(nfn_cli, name) is not None
    with pytest.raises(AttributeError, match="has no attribute 'scores'"):
        nfn_cli.scores  # noqa: B018


@pytest.mark.usefixtures("shipped")
def test_one_path_or_many_are_scored(save: Save, tmp_path: Path) -> None:
    paths = [save(f"{number}.safetensors", seed=number) for number in range(3)]
    rows = list(score(paths, device="cpu"))
    assert all(isinstance(row, ScoreRow) for row in rows)
    assert [row.path for row in rows] == list(map(str, paths))
    assert list(score(str(tmp_path), device="cpu")) == list(score(tmp_path, device="cpu")) == rows
    assert list(score((path for path in paths), device="cpu")) == rows
    (chosen,) = score(tmp_path, include=["[01].*"], exclude=["0.*"], device="cpu")
    assert chosen.path == str(paths[1])
    assert [row.path for row in score(f"{tmp_path}/*.safetensors", limit=2, device="cpu")] == list(map(str, paths[:2]))


def test_a_loaded_head_is_taken_as_it_is(models: Path, save: Save) -> None:
    paths = [save(f"{number}.safetensors", seed=number) for number in range(3)]
    head = load_head(str(models / "a-relu"))
    rows = list(score(paths, head=head))
    assert {row.head for row in rows} == {"a-relu"}
    assert rows == list(score(paths, head=models / "a-relu", device="cpu"))
    for row, other in zip(score(paths, head=head, jobs=1), rows, strict=True):
        assert row.accuracy == pytest.approx(other.accuracy, abs=1e-6)


@pytest.mark.usefixtures("shipped")
def test_bfloat16_is_near_float32(save: Save) -> None:
    paths = [save(f"{number}.safetensors", seed=number) for number in range(20)]
    rough = [row.accuracy or 0 for row in score(paths, dtype="bfloat16", device="cpu")]
    exact = [row.accuracy or 0 for row in score(paths, device="cpu")]
    assert rough != exact
    assert rough == pytest.approx(exact, abs=0.1)


@pytest.mark.usefixtures("shipped")
def test_what_cannot_be_is_refused_before_the_first_row(save: Save, tmp_path: Path) -> None:
    path = save("a.safetensors")
    for options in ({"dtype": "float16"}, {"engine": "cloud"}, {"device": "abacus"}):
        with pytest.raises(UsageError):
            score([path], **options)  # type: ignore[arg-type]
    (tmp_path / "empty").mkdir()
    rows = score([path, tmp_path / "empty"], device="cpu")
    with pytest.raises(CheckpointError, match="no checkpoint in this folder"):
        list(rows)


@pytest.mark.slow
def test_a_script_needs_no_guard_around_its_main_part(models: Path, save: Save, tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    paths = [str(save(f"{number}.safetensors", seed=number)) for number in range(2)]
    finished = subprocess.run(
        [sys.executable, script, models / "a-relu", *paths],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"PYTHONPATH": str(Path(nfn_cli.__file__).parents[1])},
    )
    assert finished.stdout.splitlines() == ["begin", *(f"{path} True" for path in paths)]
    assert finished.stderr == ""
