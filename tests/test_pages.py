"""The outputs in the README and in docs are what their commands print."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = README + "".join(page.read_text(encoding="utf-8") for page in sorted((ROOT / "docs").glob("*.md")))
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]\d+)?")


def shown(name: str) -> list[str]:
    """The lines of the block behind an output mark."""
    found = set(re.findall(rf"<!-- output: {re.escape(name)} -->\n```\n(.*?)```", PAGES, re.DOTALL))
    assert len(found) == 1, f"one output {name}, the same wherever it is shown"
    return found.pop().splitlines()


def printed(folder: Path, *arguments: str, errors: bool = False, code: int = 0) -> list[str]:
    """What `nfn` prints in a folder with the samples where the pages expect them; with `errors` on stderr, too."""
    (folder / "tests").mkdir(exist_ok=True)
    for name in ("samples", "inrs", "population", "wild"):
        if not (folder / "tests" / name).exists():
            (folder / "tests" / name).symlink_to(ROOT / "tests" / name)
    command = [sys.executable, "-m", "nfn_cli", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == code, done.stderr
    return [line.rstrip() for line in (done.stdout + (done.stderr if errors else "")).splitlines()]


def assert_alike(found: list[str], expected: list[str]) -> None:
    """Equal but for the last digits of numbers, in which processors differ."""
    assert [NUMBER.sub("#", line).split() for line in found] == [NUMBER.sub("#", line).split() for line in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=True):
            assert float(one) == pytest.approx(float(other), rel=0.5 if "e" in one else 0.01)


def test_predict_accuracy(tmp_path: Path) -> None:
    assert_alike(printed(tmp_path, "predict-accuracy", "tests/samples", "--format", "table"), shown("predict-accuracy"))
    wild = "tests/wild/run-000017", "tests/wild/run-000058"
    assert_alike(printed(tmp_path, "predict-accuracy", *wild, "--format", "table"), shown("predict any"))


def test_inspect(tmp_path: Path) -> None:
    arguments = ("inspect", "tests/samples/relu-1.safetensors", "--format", "table")
    assert_alike(printed(tmp_path, *arguments), shown("inspect"))


def test_canonicalize(tmp_path: Path) -> None:
    arguments = ("canonicalize", "tests/samples/relu-3.pt", "-o", "normal.pt", "--format", "table")
    assert_alike(printed(tmp_path, *arguments, errors=True), shown("canonicalize"))


@pytest.mark.parametrize("name", ["chain of its own", "several networks", "strict"])
def test_what_was_read(name: str, tmp_path: Path) -> None:
    """The examples of readings, on the network that the page makes for them."""
    torch.manual_seed(0)
    state = two_networks().state_dict()
    torch.save(state, tmp_path / "agent.pt")
    command, *lines = shown(name)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    arguments = [sys.executable, "-m", "nfn_cli", *shlex.split(command.removeprefix("$ nfn ").partition(" > ")[0])]
    done = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert [line.split() for line in done.stderr.splitlines()] == [line.split() for line in lines]


def two_networks() -> nn.Module:
    """As on the page."""
    found = re.search(r"<!-- code: two networks -->\n```python\n(.*?)```", PAGES, re.DOTALL)
    assert found
    space: dict[str, Any] = {}
    exec(found.group(1).replace('torch.save(net.state_dict(), "agent.pt")', ""), space)
    return space["net"]  # type: ignore[no-any-return]


def test_any_architecture(tmp_path: Path) -> None:
    """The example of a user's own module, on the file that the page shows."""
    found = re.search(r"<!-- file: nets.py -->\n```python\n(.*?)```", PAGES, re.DOTALL)
    assert found
    (tmp_path / "nets.py").write_text(found.group(1))
    space: dict[str, Any] = {}
    exec(found.group(1), space)
    torch.manual_seed(0)
    torch.save(space["Residual"]().state_dict(), tmp_path / "res.pt")
    arguments = ("inspect", "res.pt", "--model", "nets.py:make", "--prove", "--format", "table")
    lines, expected = printed(tmp_path, *arguments), shown("any architecture")
    # Deviations are rounding: their size is another on every machine.
    digits = re.compile(r" +\d\.\de-\d\d")
    assert [digits.sub("", line) for line in lines] == [digits.sub("", line) for line in expected]


def test_verify(tmp_path: Path) -> None:
    sample = "tests/samples/relu-3.pt"
    printed(tmp_path, "apply", sample, "--seed", "1", "-o", "transformed.pt")
    found = printed(tmp_path, "verify", sample, "transformed.pt", "--format", "table", errors=True)
    assert_alike(found, shown("verify two"))
    assert_alike(printed(tmp_path, "verify", sample, "--format", "table", errors=True), shown("verify one"))


def test_compare(tmp_path: Path) -> None:
    one, other = "tests/samples/relu-3.pt", "tests/samples/relu-1.safetensors"
    printed(tmp_path, "align", one, other, "--interpolate", "0.1", "-o", "merged.safetensors")
    printed(tmp_path, "apply", "merged.safetensors", "--seed", "2", "-o", "hidden.safetensors")
    for name, against in (("derived", "hidden.safetensors"), ("independent", other)):
        found = printed(tmp_path, "compare", one, against, "--format", "table", errors=True, code=1)
        assert_alike(found, shown(f"compare {name}"))


def test_align(tmp_path: Path) -> None:
    sample = "tests/samples/relu-3.pt"
    printed(tmp_path, "apply", sample, "--seed", "1", "-o", "transformed.pt")
    found = printed(tmp_path, "align", sample, "transformed.pt", "-o", "aligned.pt", "--format", "table", errors=True)
    assert_alike(found, shown("align"))


def test_families(tmp_path: Path) -> None:
    sample = "tests/samples/relu-1.safetensors"
    printed(tmp_path, "apply", sample, "--seed", "1", "-o", "disguised.safetensors")
    arguments = ("families", sample, "disguised.safetensors", "tests/population/relu", "--limit", "5")
    assert_alike(printed(tmp_path, *arguments, "--format", "table"), shown("families"))


def test_verify_normal_form(tmp_path: Path) -> None:
    sample = "tests/samples/relu-3.pt"
    printed(tmp_path, "canonicalize", sample, "-o", "normal.pt")
    found = printed(tmp_path, "verify", sample, "normal.pt", "--format", "table", errors=True)
    assert_alike(found, shown("verify normal"))


def test_apply(tmp_path: Path) -> None:
    sample = "tests/samples/relu-3.pt"
    forth = printed(
        tmp_path,
        "apply",
        sample,
        "--seed",
        "1",
        "-o",
        "transformed.pt",
        "--save-element",
        "g.safetensors",
        "--format",
        "table",
        errors=True,
    )
    arguments = (
        "apply",
        "transformed.pt",
        "--element",
        "g.safetensors",
        "--inverse",
        "-o",
        "back.pt",
        "--format",
        "table",
    )
    back = printed(tmp_path, *arguments, errors=True)
    assert_alike(forth + back, shown("apply"))


def test_rank(tmp_path: Path) -> None:
    assert_alike(printed(tmp_path, "rank", "tests/samples", "--top", "3", "--format", "table"), shown("rank"))


def test_classify_inr(tmp_path: Path) -> None:
    assert_alike(printed(tmp_path, "classify-inr", "tests/inrs", "--format", "table"), shown("classify-inr"))


def test_edit_inr(tmp_path: Path) -> None:
    arguments = ("tests/inrs/mnist-3.safetensors", "-o", "thick.safetensors", "--edit", "dilate", "--format", "table")
    assert_alike(printed(tmp_path, "edit-inr", *arguments), shown("edit-inr"))


def test_evaluate(tmp_path: Path) -> None:
    assert_alike(printed(tmp_path, "evaluate", "small-cnn-relu", "tests/population/relu"), shown("evaluate"))


def test_evaluate_inr(tmp_path: Path) -> None:
    arguments = ("evaluate-inr", "inr-mnist", "tests/population/inr-mnist")
    assert_alike(printed(tmp_path, *arguments), shown("evaluate-inr"))


@pytest.mark.parametrize("command", ["install", "test"])
def test_set_up_is_one_line(command: str) -> None:
    found = re.search(rf"<!-- command: {command} -->\n```\n(.*?)```", README, re.DOTALL)
    assert found and found.group(1).count("\n") == 1


def test_the_readme_is_short() -> None:
    assert len(README.encode()) <= 10_000


def test_links_lead_somewhere() -> None:
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    assert len(pages) > 5
    for page in pages:
        text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
        for target in re.findall(r"\]\((?!https?:)([^)#]*)(?:#[^)]*)?\)", text):
            assert not target or (page.parent / target).exists(), f"{page.name} links to {target}"


def test_anchors_are_headings() -> None:
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#([^)]*)\)", page.read_text(encoding="utf-8")):
            text = (page.parent / target if target else page).read_text(encoding="utf-8")
            headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
            assert anchor in {re.sub(r"[^\w -]", "", own).lower().replace(" ", "-") for own in headings}, (page, anchor)
