"""`zoo.yaml` from a stranger."""

from __future__ import annotations

from pathlib import Path

import pytest

from nfn_cli.errors import DataError
from nfn_cli.zoo import recipe_of


@pytest.mark.parametrize(
    "content",
    [b"[", b"\xff", b"count: " + b"9" * 5_000, b"[" * 3_000],
    ids=["torn", "no text", "a long number", "deep"],
)
def test_a_record_that_yaml_cannot_read_is_one_error(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "zoo.yaml").write_bytes(content)
    with pytest.raises(DataError, match="not a readable zoo record") as refused:
        recipe_of(tmp_path)
    assert str(refused.value).count("\n") == 0
