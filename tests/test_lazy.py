"""Lazy packages: a public name is what it says, whatever was imported before."""

from __future__ import annotations

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("package", "module", "name"),
    [("architectures", "pixel_grid", "pixel_grid"), ("scoring", "score", "score"), ("scoring", "score", "classify")],
)
def test_a_public_name_is_no_module_even_after_its_module_was_imported(package: str, module: str, name: str) -> None:
    program = f"import nfn_cli.{package}.{module}; from nfn_cli.{package} import {name}; print(type({name}).__name__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "function\n"


def test_a_private_module_stays_a_module() -> None:
    from nfn_cli.scoring import resume

    assert resume.__name__ == "nfn_cli.scoring.resume"
