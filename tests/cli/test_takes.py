"""Options as dataclasses, and the old forms of options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated

import pytest
import torch
from safetensors.torch import save_file

from nfn_cli.cli.sizes import parsed_size
from nfn_cli.cli.takes import Hidden, argument, beside, option, takes
from nfn_cli.errors import UsageError

Nfn = Callable[..., tuple[int, str, str]]


class Colour(str, Enum):
    red = "red"


@dataclass(frozen=True, kw_only=True)
class First:
    path: Annotated[Path, argument("A", "A file.")]
    number: Annotated[int | None, option("Input", "A number.", "--number"), Hidden("--old")] = None


@dataclass(frozen=True, kw_only=True)
class Second(First):
    colours: Annotated[list[Colour] | None, option("Input", "Colours.")] = None


@takes
def command(second: Second, last: Annotated[float, option("Input", "More.")] = 2.0) -> None:
    raise ValueError(second, last)


def test_fields_become_parameters_in_their_order_and_come_back_as_one_value() -> None:
    parameters = inspect.signature(command).parameters
    assert list(parameters) == ["path", "number", "colours", "last"]
    assert parameters["path"].default is inspect.Parameter.empty and parameters["last"].default == 2.0
    with pytest.raises(ValueError) as given:
        command(path=Path("a"), number=3, colours=None, last=1.0)
    assert given.value.args == (Second(path=Path("a"), number=3), 1.0)


def test_what_an_option_takes_is_named_in_plain_words() -> None:
    infos = {name: own.annotation.__metadata__[0] for name, own in inspect.signature(command).parameters.items()}
    assert {name: info.metavar for name, info in infos.items()} == {
        "path": "A",
        "number": "N",
        "colours": "red",
        "last": "X",
    }


def test_hidden_names_stand_beside_their_option() -> None:
    assert beside(command, Hidden) == {"number": Hidden("--old")}


@pytest.mark.parametrize("text", ["28", "0x4", "4x0", "4x9000", "4 x 4", "axb", "4x4x4", ""])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no size; give such as 28x28, sides from 1 to 256"):
        parsed_size("--size", text, most=256)


def test_a_size_of_two_numbers_is_still_read(nfn: Nfn, tmp_path: Path) -> None:
    shapes = {"0.weight": (8, 2), "0.bias": (8,), "1.weight": (1, 8), "1.bias": (1,)}
    inr = tmp_path / "inr.safetensors"
    save_file({name: torch.randn(shape) for name, shape in shapes.items()}, inr, {"activation": "sin"})
    pictures = []
    for place, size in enumerate([["--size", "5x7"], ["--size=5x7"], ["--size", "5", "7"]]):
        assert nfn("render", inr, *size, "-o", tmp_path / f"{place}.png")[0] == 0
        pictures.append((tmp_path / f"{place}.png").read_bytes())
    assert pictures[0] == pictures[1] == pictures[2]
