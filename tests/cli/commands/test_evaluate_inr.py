"""`nfn evaluate-inr`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Nfn = Callable[..., Any]
TESTS = Path(__file__).parents[2]


def test_a_limit_takes_the_first_networks(nfn: Nfn) -> None:
    data = TESTS / "population" / "inr-mnist"
    finished = nfn("evaluate-inr", "inr-mnist", data, "--limit", 20, "--format", "json")
    assert finished.code == 0, finished.err
    assert json.loads(finished.out)["networks"] == 20
