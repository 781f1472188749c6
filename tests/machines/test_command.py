"""The command that runs the tests as on other processors."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest


def call(*arguments: object) -> tuple[int, str]:
    command = [sys.executable, Path(__file__).parent, *arguments]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
    return done.returncode, re.sub(r"\d+ s$", "… s", done.stdout, flags=re.MULTILINE)


@pytest.fixture
def tests(tmp_path: Path) -> Path:
    """One test that fails on one of the machines."""
    path = tmp_path / "test_some.py"
    path.write_text(
        "import os\n\n\ndef test_a(): pass\n\n\ndef test_b(): assert os.environ['ATEN_CPU_CAPABILITY'] == 'default'\n"
    )
    return path


def test_a_run_that_fails_is_told_and_ends_in_1(tests: Path) -> None:
    code, out = call("--machine", "default", "--machine", "avx2", tests)
    assert code == 1
    first, failed, second = out.splitlines()
    assert first == "default: 2 passed, 0 failed, 0 skipped; exit code 0; … s"
    assert failed.startswith("FAILED ") and "test_some.py::test_b" in failed
    assert second == "avx2: 1 passed, 1 failed, 0 skipped; exit code 1; … s"


def test_a_run_without_tests_is_no_success(tmp_path: Path) -> None:
    code, out = call("--machine", "sse", tmp_path / "none.py")
    assert code == 1
    assert out == "sse: 0 passed, 0 failed, 0 skipped; exit code 4; … s\n"


def test_what_passes_on_the_machines_that_are_asked_for_ends_in_0(tests: Path) -> None:
    assert call("--machine", "default", tests)[0] == 0
