"""The records of `tests/attacks`: every command that reads one answers with a short line, and takes no time or
memory to speak of."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nfn_cli.checkpoints import population_of

TESTS = Path(__file__).parents[1]
ATTACKS, SAMPLES, INRS = TESTS / "attacks", TESTS / "samples", TESTS / "inrs"
TABLE = dict(
    (cells[1].strip(" `"), cells[3].strip())
    for cells in (line.split("|") for line in (ATTACKS / "README.md").read_text(encoding="utf-8").splitlines())
    if len(cells) == 5 and cells[1].endswith(("yaml` ", "safetensors` "))
)
RECORDS = [name for name in TABLE if name.endswith(".yaml")]

# Calls nfn again and again in one process, which may take half a gibibyte more than it has when it begins, and 100 s.
CALLER = """
import contextlib, io, json, resource, sys, time
from pathlib import Path
import nfn_cli.cli.app as app
calls = json.load(sys.stdin)
def call(arguments):
    out, err = io.StringIO(), io.StringIO()
    sys.argv = ["nfn", *arguments]
    code = 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            app.main()
        except SystemExit as ended:
            code = ended.code or 0
    return code, out.getvalue() + err.getvalue()
for arguments in calls["warm"]:
    code, told = call(arguments)
    assert code in (0, 3), told
pages = int(Path("/proc/self/statm").read_text().split()[0])
most = pages * resource.getpagesize() + (1 << 29)
resource.setrlimit(resource.RLIMIT_AS, (most, most))
resource.setrlimit(resource.RLIMIT_CPU, (100, 100))
for arguments in calls["calls"]:
    before, began = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    code, told = call(arguments)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([code, told[:50_000], grown, time.process_time() - began]), flush=True)
"""


def readers(folder: Path, out: Path) -> list[list[str]]:
    """Calls of every command that reads a record, of a folder's `config.yaml`, `nfn.yaml` or `zoo.yaml`."""
    network, inr = str(folder / "relu-1.safetensors"), str(folder / "mnist-1.safetensors")
    head, new = str(folder), str(out)
    device = ["--device", "cpu"]
    return [
        ["predict-accuracy", str(SAMPLES / "relu-1.safetensors"), "--head", head, *device],
        ["rank", str(SAMPLES / "relu-1.safetensors"), "--head", head, *device],
        ["classify-inr", str(INRS / "mnist-1.safetensors"), "--head", head, *device],
        ["edit-inr", str(INRS / "mnist-1.safetensors"), "--head", head, "--output", new, *device],
        ["evaluate", head, str(folder), *device],
        ["evaluate-inr", head, str(folder), *device],
        ["inspect", network],
        ["canonicalize", network, "-o", f"{new}.safetensors"],
        ["apply", network, "--seed", "1", "-o", f"{new}.safetensors"],
        ["verify", network, network],
        ["predict-accuracy", network, *device],
        ["rank", network, *device],
        ["classify-inr", inr, *device],
        ["render", inr, "-o", f"{new}.png"],
        ["edit-inr", inr, "--edit", "erode", "--output", new, *device],
        ["train", str(folder), "--out", new, *device],
        ["train-inr", str(folder), "--out", new, *device],
        ["train-editor", str(folder), "--edit", "erode", "--out", new, *device],
        ["zoo", "cnn", "--data", "x", "--activation", "relu", "--count", "1", "--out", head, *device],
    ]


def attacked(name: str, folder: Path) -> Path:
    """A folder in which an attack is every record that it can be, beside a network and an INR."""
    folder.mkdir()
    for record in ("config.yaml", "nfn.yaml", "zoo.yaml"):
        shutil.copyfile(ATTACKS / name, folder / record)
    shutil.copyfile(SAMPLES / "relu-1.safetensors", folder / "relu-1.safetensors")
    shutil.copyfile(INRS / "mnist-1.safetensors", folder / "mnist-1.safetensors")
    (folder / "labels.csv").write_text("file,test_accuracy,run,label,split\nrelu-1.safetensors,0.5,0,1,train\n")
    return folder


Answers = dict[str, list[tuple[list[str], int, str, int, float]]]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Answers:
    """What another process told of each attack, by the attack: arguments, exit code, text, memory in kB, seconds."""
    pytest.importorskip("resource")
    if not Path("/proc/self/statm").exists():
        pytest.skip("needs /proc")
    place = tmp_path_factory.mktemp("attacked")
    calls = {name: readers(attacked(name, place / Path(name).stem), place / "new") for name in RECORDS}
    # What is imported late is there before the watch begins.
    warm = [["inspect", str(SAMPLES / "relu-1.safetensors")], *calls["calls.yaml"]]
    given = json.dumps({"warm": warm, "calls": [call for each in calls.values() for call in each]})
    done = subprocess.run(
        [sys.executable, "-c", CALLER], cwd=place, input=given, capture_output=True, text=True, timeout=300
    )
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (done.stderr[-2000:], len(told))
    assert not (place / "ran").exists()
    assert not [path for path in place.iterdir() if path.name.startswith("new")]
    lines = iter(told)
    return {name: [(call, *next(lines)) for call in each] for name, each in calls.items()}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_that_attacks_is_answered_in_a_short_line(name: str, answers: Answers) -> None:
    for call, code, told, grown, seconds in answers[name]:
        assert code == 3, (call, told)
        assert TABLE[name] in " ".join(told.split()), (call, told)
        assert "Traceback" not in told and len(told) < 2_000, (call, told)
        assert grown < 50_000, (call, grown)  # kilobytes
        assert seconds < 2, (call, seconds)


def test_each_record_is_made_by_the_script_and_in_the_table() -> None:
    spec = importlib.util.spec_from_file_location("make_attacks", ATTACKS / "make.py")
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    texts = {f"{name}.yaml": text.encode() for name, text in made.RECORDS.items()}
    texts |= {f"{name}.safetensors": content for name, content in made.PACKED.items()}
    files = [*ATTACKS.glob("*.yaml"), *ATTACKS.glob("*.safetensors")]
    assert {file.name: file.read_bytes() for file in files} == texts
    assert TABLE.keys() == texts.keys()


def test_an_endless_count_of_networks_is_none(nfn: Callable[..., Any]) -> None:
    path = ATTACKS / "endless-count.safetensors"
    assert population_of(path) is None
    finished = nfn("inspect", path)
    assert finished.code == 3 and TABLE[path.name] in finished.err
