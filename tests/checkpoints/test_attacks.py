"""The files of `tests/attacks` run nothing, crash nothing, and get the answer that stands in the table there."""

from __future__ import annotations

import importlib.util
import io
import json
import pickle
import subprocess
import sys
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from nfn_cli.checkpoints import read_checkpoint, rewrite_checkpoint
from nfn_cli.errors import CheckpointError

ATTACKS = Path(__file__).parents[1] / "attacks"
TABLE = dict(
    (cells[1].strip(" `"), cells[3].strip())
    for cells in (line.split("|") for line in (ATTACKS / "README.md").read_text(encoding="utf-8").splitlines())
    if len(cells) == 5 and cells[1].startswith(" `") and "." not in cells[1]
)

# Reads files one after the other, and tells of each what came out; a crash ends it.
READER = """
import json, resource, sys
import numpy as np
import torch
from nfn_cli.checkpoints import FORMATS, read_checkpoint
from nfn_cli.errors import NfnError
multiarray = getattr(np, "_core", None) or np.core
watched = []
def forbidden(*_, **__):
    watched.append("numpy")
multiarray.multiarray.scalar = multiarray.multiarray._reconstruct = forbidden
def watch(event, arguments):
    if event in ("os.system", "os.exec", "os.fork", "subprocess.Popen", "pickle.find_class", "compile", "exec"):
        watched.append(event)
    if event == "import" and "evil" in str(arguments[0]):
        watched.append("import")
for format in FORMATS:  # what is imported late
    format.reader()
for path in sys.argv[1:2] * 2:
    try:
        read_checkpoint(path)
    except NfnError:
        pass
sys.addaudithook(watch)
for path in sys.argv[1:]:
    watched.clear()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        told = "read" if read_checkpoint(path).tensors["fc.weight"].flatten().tolist() == [0, 1, 2, 3, 4, 5] else "?"
    except NfnError as error:
        told = str(error)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([path, told, watched, grown]), flush=True)
"""


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def made() -> Any:
    spec = importlib.util.spec_from_file_location("make_attacks", ATTACKS / "make.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[str, list[str], int]]:
    """What another process told of each file, read in a folder with a module that tells when it is imported."""
    pytest.importorskip("resource")
    folder = tmp_path_factory.mktemp("attacked")
    (folder / "evil.py").write_text("open('ran', 'w').close()\ndef run(*_):\n    pass\nclass Odd:\n    pass\n")
    files = sorted(ATTACKS.glob("*.pt"))
    done = subprocess.run(
        [sys.executable, "-c", READER, *map(str, files)], cwd=folder, capture_output=True, text=True, timeout=60
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (done.stderr, told[-1:])
    assert [file.name for file in folder.iterdir() if file.name != "__pycache__"] == ["evil.py"]
    return {Path(path).stem: (answer, watched, grown) for path, answer, watched, grown in told}


@pytest.mark.parametrize("name", TABLE)
def test_an_attack_runs_nothing_and_is_answered_in_one_line(
    name: str, answers: dict[str, tuple[str, list[str], int]]
) -> None:
    told, watched, grown = answers[name]
    assert watched == []
    assert grown < 50_000  # kilobytes
    assert told == "read" if TABLE[name] == "read" else TABLE[name] in told
    assert told.isprintable()


def test_each_file_is_made_by_the_script_and_in_the_table() -> None:
    files: dict[str, bytes] = made().FILES
    assert {file.stem: file.read_bytes() for file in ATTACKS.glob("*.pt")} == files
    assert TABLE.keys() == files.keys()


@pytest.mark.parametrize(
    "name", ["system", "system-protocol-4", "eval", "instance", "nested-state", "unknown-function"]
)
def test_the_payloads_do_run_where_pickles_are_trusted(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evil.py").write_text("def run(*_):\n    open('ran', 'w').close()\nclass Odd:\n    pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "evil", raising=False)
    with zipfile.ZipFile(ATTACKS / f"{name}.pt") as archive:
        trusting = pickle.Unpickler(io.BytesIO(archive.read("archive/data.pkl")))
    trusting.persistent_load = lambda _: torch.storage.TypedStorage(6)  # type: ignore[method-assign]
    trusting.load()
    sys.modules.pop("evil", None)
    assert (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", [name for name, answer in TABLE.items() if answer == "read"])
def test_what_is_read_is_written_back_with_everything_in_it(name: str, tmp_path: Path) -> None:
    path, out = ATTACKS / f"{name}.pt", tmp_path / "out.pt"
    checkpoint = read_checkpoint(path)
    rewrite_checkpoint(checkpoint, {"fc.weight": checkpoint.tensors["fc.weight"] * 2}, out)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out) as new:
        assert new.testzip() is None
        assert {e for e in old.namelist() if old.read(e) != new.read(e)} == {"archive/data/0"}
    assert read_checkpoint(out).tensors["fc.weight"].flatten().tolist() == [0, 2, 4, 6, 8, 10]


def test_a_refused_attack_is_not_written_back(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes((ATTACKS / "husk-as-hooks.pt").read_bytes())
    checkpoint = read_checkpoint(path)
    path.write_bytes((ATTACKS / "system.pt").read_bytes())
    with pytest.raises(CheckpointError, match=r"model\.pt: it holds more than tensors \(posix\.system\)"):
        rewrite_checkpoint(checkpoint, {}, tmp_path / "out.pt")
    assert list(tmp_path.iterdir()) == [path]
