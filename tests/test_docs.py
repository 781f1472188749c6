"""The Python pages of docs and the Python block of the README run as they stand, and print what they show."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
MARK = "<!-- session"
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```\n(.*?)^```$)?", re.DOTALL | re.MULTILINE)
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[-+]\d+)?")


@dataclass(frozen=True)
class Block:
    """Some code, and what the page says that it prints."""

    code: str
    shown: list[str]


def sessions() -> list[Path]:
    """The pages whose blocks run one after the other."""
    return [page for page in sorted((ROOT / "docs").glob("*.md")) if page.read_text("utf-8").startswith(MARK)]


def blocks(text: str) -> list[Block]:
    """The code of a page, each with the plain block directly behind it."""
    return [Block(code, (shown or "").splitlines()) for code, shown in BLOCK.findall(text)]


def printed(block: Block, space: dict[str, object], name: str) -> list[str]:
    """The lines that a block prints."""
    out = io.StringIO()
    with redirect_stdout(out):
        exec(compile(block.code, name, "exec"), space)
    return [line.rstrip() for line in out.getvalue().splitlines()]


def assert_alike(found: list[str], expected: list[str]) -> None:
    """Equal but for the last digits of numbers, in which processors differ; deviations are of one size."""
    assert [NUMBER.sub("#", line) for line in found] == [NUMBER.sub("#", line) for line in expected]
    for ours, theirs in zip(found, expected, strict=True):
        for one, other in zip(NUMBER.findall(ours), NUMBER.findall(theirs), strict=True):
            small = "e-" in one and float(one) < 1e-5
            assert small or float(one) == pytest.approx(float(other), rel=0.02)


@pytest.mark.parametrize("page", [*sessions(), ROOT / "README.md"], ids=lambda page: page.stem)
def test_a_page_prints_what_it_shows(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tests").symlink_to(ROOT / "tests")
    monkeypatch.chdir(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        space: dict[str, object] = {"__name__": page.stem}
        for block in blocks(page.read_text("utf-8")):
            assert_alike(printed(block, space, page.name), block.shown)
    finally:
        torch.set_num_threads(threads)


def test_the_pages_from_python_are_sessions() -> None:
    assert {"layers", "python", "tutorial"} <= {page.stem for page in sessions()}


def test_a_wrong_output_is_found() -> None:
    [first, second] = blocks("```python\nprint(1.5)\n```\n\n```\n1.5\n```\n\n```python\nx = 1\n```\n")
    assert_alike(printed(first, {}, "a page"), first.shown)
    assert second.shown == []
    with pytest.raises(AssertionError):
        assert_alike(printed(Block("print(2.5)", []), {}, "a page"), first.shown)
    with pytest.raises(AssertionError):
        assert_alike(printed(Block("print('seen')", []), {}, "a page"), ["not seen"])
