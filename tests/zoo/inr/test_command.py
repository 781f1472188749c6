"""`nfn zoo inr` from end to end. The first test starts a process; the others do without."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from nfn_cli.zoo import read_inr_rows, read_inrs

Nfn = Callable[..., tuple[int, str, str]]


@pytest.fixture
def command(archive: Path, tmp_path: Path) -> list[object]:
    """A small zoo's command, without --count."""
    options = ["--data", archive, "--width", 4, "--steps", 5, "--workers", 1, "--device", "cpu"]
    return ["zoo", "inr", *options, "--out", tmp_path / "new" / "zoo"]


def test_a_zoo_is_made_by_a_process(nfn: Nfn, command: list[object], tmp_path: Path) -> None:
    code, out, err = nfn(*command, "--count", 3, "--test-count", 2, "--fits", 2, "--packed")
    assert (code, out) == (0, "")
    told = (
        r"nfn: .*/zoo: 10 networks \(10 fitted now, 0 found, 0 diverged\), mean PSNR \d+\.\d dB, in \d+ s,"
        r" [\d,]+ networks/s"
    )
    assert re.fullmatch(told, err.strip())
    rows = read_inr_rows(tmp_path / "new" / "zoo" / "labels.csv")
    assert len(read_inrs(tmp_path / "new" / "zoo")) == 10
    assert [(row.split, row.fit) for row in rows] == [
        *[("test", 0)] * 2,
        *[("test", 1)] * 2,
        *[("train", 0)] * 3,
        *[("train", 1)] * 3,
    ]


@pytest.mark.usefixtures("in_this_process")
def test_the_same_command_lets_a_zoo_grow(nfn: Nfn, command: list[object], tmp_path: Path) -> None:
    assert nfn(*command, "--count", 2)[0] == 0
    code, _, err = nfn(*command, "--count", 3, "--test-count", 1)
    assert code == 0
    assert "4 networks (2 fitted now, 2 found, 0 diverged)" in err
    code, _, err = nfn(*command, "--count", 3, "--test-count", 1)
    assert code == 0 and err.rstrip().endswith(" s") and "(0 fitted now, 4 found" in err  # no rate
    assert len(read_inrs(tmp_path / "new" / "zoo")) == 4


@pytest.mark.usefixtures("in_this_process")
def test_options_reach_the_fit(nfn: Nfn, command: list[object], tmp_path: Path) -> None:
    options = ["--hidden-layers", 3, "--omega-0", 7.5, "--group-size", 1, "--seed", 2**32 - 1]
    assert nfn(*command, "--count", 1, *options)[0] == 0
    architecture = read_inrs(tmp_path / "new" / "zoo").point.architecture
    assert [layer.out_features for layer in architecture.layers] == [4, 4, 4, 1]
    assert architecture.omega_0 == 7.5


@pytest.mark.usefixtures("in_this_process")
def test_a_zoo_without_a_network_is_told_without_a_mean(nfn: Nfn, command: list[object]) -> None:
    code, _, err = nfn(*command, "--count", 2, "--learning-rate", 1e30)
    assert code == 0
    assert "0 networks (2 fitted now, 0 found, 2 diverged), in " in err


@pytest.mark.usefixtures("in_this_process")
def test_another_zoo_in_the_folder_is_refused_in_one_line(nfn: Nfn, command: list[object], tmp_path: Path) -> None:
    assert nfn(*command, "--count", 1)[0] == 0
    code, out, err = nfn(*command, "--count", 1, "--seed", 1, "--packed")
    assert (code, out) == (3, "")
    assert err == f"nfn: {tmp_path / 'new' / 'zoo'}: holds a zoo of another seed, packed; choose another folder\n"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--count", 13], "has 12 pictures for training, not 13; ask for fewer, or for more --fits of each"),
        (["--count", 1, "--data", "/no/such.npz"], "/no/such.npz: no such file"),
        (["--count", 1, "--data", "cats"], "cats: no such archive or data set"),
    ],
)
def test_unusable_data_is_refused_in_one_line(
    options: list[object], told: str, nfn: Nfn, command: list[object], tmp_path: Path
) -> None:
    code, out, err = nfn(*command, *options)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert told in err
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "options",
    [
        [],
        ["--count", -1],
        ["--count", 1, "--fits", 0],
        ["--count", 1, "--width", 0],
        ["--count", 1, "--omega-0", 0],
        ["--count", 1, "--omega-0", "nan"],
        ["--count", 1, "--learning-rate", "nan"],
        ["--count", 1, "--learning-rate", -1],
        ["--count", 1, "--seed", -1],
        ["--count", 1, "--seed", 10**30],
        ["--count", 1, "--device", "abacus"],
    ],
    ids=lambda options: " ".join(map(str, options)),
)
def test_wrong_usage_leaves_with_two(options: list[object], nfn: Nfn, command: list[object], tmp_path: Path) -> None:
    code, out, _ = nfn(*command, *options)
    assert (code, out) == (2, "")
    assert not (tmp_path / "new").exists()
