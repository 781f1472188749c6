"""The configuration beside a checkpoint."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from nfn_cli.architectures.config_file import read_config
from nfn_cli.errors import CheckpointError


def test_it_is_read_from_the_folder_of_the_checkpoint(tmp_path: Path) -> None:
    held = {"model_type": "llama", "auto_map": {"AutoModel": "evil.Model"}, "eps": 1e-5, "layers": [1, None, True]}
    (tmp_path / "config.json").write_text(json.dumps(held))
    for name in ("model.safetensors", "model.safetensors.index.json", "missing.pt"):
        assert read_config(tmp_path / name) == held
    assert read_config(tmp_path) == held
    assert read_config(tmp_path / "below" / "model.pt") is None


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no readable configuration"),
        ("[1]", "holds a list where names and values should be"),
        ("{'a': 1}", "no readable configuration"),
        ('{"a": 1} {}', "no readable configuration"),
        ('{"a": 1, "a": 1}', "it gives 'a' twice"),
        ('{"b": {"a": 1, "a": 2}}', "it gives 'a' twice"),
        ('{"a": NaN}', "NaN is no JSON"),
        ('{"a": -Infinity}', "-Infinity is no JSON"),
        ('{"a": 1e999}', "'1e999' is no number"),
        ('{"a": ' + "9" * 65 + "}", "a number of 65 characters"),
        ('{"a": ' * 65 + "1" + "}" * 65, "nested more than 64 deep"),
        ('{"a": ' + "[" * 200_000 + "]" * 200_000 + "}", "nested more than 64 deep"),
        ('{"a": "' + "x" * (1 << 20) + '"}', "larger than 1,048,576 bytes"),
        ('{"\x1b[2J": 1, "\x1b[2J": 2}', "no readable configuration"),
    ],
    ids=lambda value: value[:20].strip(),
)
def test_what_is_no_configuration(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(CheckpointError) as caught:
        read_config(tmp_path / "model.safetensors")
    assert str(caught.value).startswith(f"{tmp_path / 'config.json'}: ")
    assert told in str(caught.value)
    assert str(caught.value).isprintable()


def test_what_is_no_file(tmp_path: Path) -> None:
    config = tmp_path / "config.json"
    config.symlink_to(tmp_path / "nowhere")
    with pytest.raises(CheckpointError, match="cannot be read"):
        read_config(tmp_path / "model.pt")
    config.unlink()
    os.mkfifo(config)
    with pytest.raises(CheckpointError, match="not a regular file"):
        read_config(tmp_path / "model.pt")
    config.unlink()
    config.write_bytes(b'{"a": "\xff"}')
    with pytest.raises(CheckpointError, match="not in UTF-8"):
        read_config(tmp_path / "model.pt")
