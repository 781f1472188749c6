"""Help: one look for every command, no wider than 80 columns, in words that are about networks."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nfn_cli.cli.app import COMMANDS, GROUPS, make_app
from nfn_cli.cli.help import summary_and_rest

Nfn = Callable[..., tuple[int, str, str]]

ZOO = [
    ["zoo", "cnn"],
    ["zoo", "between"],
    ["zoo", "inr"],
    *(["zoo", "import", own] for own in ("small-cnn-zoo", "model-zoo", "siren")),
]
EVERY = [[], *([name] for name in COMMANDS), *ZOO, ["zoo", "import"]]
INTERNAL = re.compile(r"<|x>=|x<=|Value error|\bNone\b|\b(str|int|bool|enum|dynamic)\b")


def shown(nfn: Nfn, command: list[str], monkeypatch: pytest.MonkeyPatch, columns: int = 80) -> str:
    monkeypatch.setenv("COLUMNS", str(columns))
    code, out, err = nfn(*command, "--help")
    assert (code, err) == (0, "")
    return out


@pytest.mark.parametrize("command", EVERY, ids=lambda command: " ".join(command) or "nfn")
def test_help_fits_and_has_a_summary_and_two_examples(
    command: list[str], nfn: Nfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(nfn, command, monkeypatch)
    assert max(map(len, text.splitlines())) <= 80
    usage, summary = text.split("\n\n")[:2]
    assert usage.startswith(" ".join(["Usage: nfn", *command]))
    assert summary.endswith(".") and "\n" not in summary
    examples = re.search(r"^Examples:\n((?:  .+\n)+)", text, re.MULTILINE)
    assert examples is not None
    lines = examples[1].splitlines()
    assert len(lines) == 2
    assert all(line.startswith(" ".join(["  nfn", *command])) for line in lines)


@pytest.mark.parametrize("command", EVERY, ids=lambda command: " ".join(command) or "nfn")
def test_help_shows_nothing_internal(command: list[str], nfn: Nfn, monkeypatch: pytest.MonkeyPatch) -> None:
    options = shown(nfn, command, monkeypatch).partition("Examples:")[2]
    options = options.replace("net<N>.pth", "")
    assert not INTERNAL.search(options), INTERNAL.search(options)
    for word in ("passed over", "told", "outsiders", "--out ", "--count-", "sitting"):
        assert word not in options


def test_all_commands_are_listed_under_headings_with_their_whole_summary(
    nfn: Nfn, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = shown(nfn, [], monkeypatch)
    for heading, commands in GROUPS.items():
        section = text.partition(f"\n{heading}:\n")[2].partition("\n\n")[0].splitlines()
        assert [line.split()[0] for line in section] == list(commands)
        for line, name in zip(section, commands, strict=True):
            own = shown(nfn, [name], monkeypatch).split("\n\n")[1]
            assert line.split(maxsplit=1)[1] == own


def test_options_stand_under_the_same_headings_in_the_same_order(nfn: Nfn, monkeypatch: pytest.MonkeyPatch) -> None:
    order = ["Examples", "Arguments", "Input", "How networks are read", "Head", "Output", "Speed", "Other"]
    for command in EVERY:
        found = re.findall(r"^([A-Z][\w ]+):$", shown(nfn, command, monkeypatch), re.MULTILINE)
        known = [heading for heading in found if heading in order]
        assert known == sorted(known, key=order.index)
        assert found[-1] == "Other"


def test_help_is_wider_where_there_is_room_but_not_without_end(nfn: Nfn, monkeypatch: pytest.MonkeyPatch) -> None:
    widths = [max(map(len, shown(nfn, ["verify"], monkeypatch, columns).splitlines())) for columns in (80, 100, 300)]
    assert widths[0] <= 80 < widths[1] <= 100 and widths[2] == widths[1]


def test_headings_are_bold_on_a_terminal_that_wants_colours_alone(monkeypatch: pytest.MonkeyPatch, nfn: Nfn) -> None:
    assert "\x1b" not in shown(nfn, ["rank"], monkeypatch)  # no terminal
    from nfn_cli.cli import help

    monkeypatch.delenv("NO_COLOR", raising=False)
    assert help._bold("Input:") == "\x1b[1mInput:\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert help._bold("Input:") == "Input:"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["render", "a.pt", "--limit", "x"], "--limit: is no whole number; see nfn render --help"),
        (["render", "a.pt", "--limit", "0"], "--limit: must be greater than or equal to 1; see nfn render --help"),
        (["render", "a.pt", "--scale", "99"], "--scale: must be less than or equal to 64; see nfn render --help"),
        (["edit-inr", "a.pt", "-o", "b.pt", "--gamma", "x"], "--gamma: is no number; see nfn edit-inr --help"),
        (["evaluate", "a", "b", "--scale-range", "1", "x"], "--scale-range: is no number; see nfn evaluate --help"),
        (["verify", "a.pt", "--samples"], "option '--samples' requires an argument; see nfn verify --help"),
        (["canonicalize", "a.pt"], "missing option '--output'; see nfn canonicalize --help"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_values_are_named_in_plain_words(arguments: list[str], said: str, nfn: Nfn) -> None:
    assert nfn(*arguments) == (2, "", f"nfn: {said}\n")


def test_a_docstring_without_examples_is_taken_apart_as_well() -> None:
    assert summary_and_rest("One\nline.\n\nMore\n\nand more.") == ("One line.", "More\n\nand more.", [])


HIDDEN = [
    (["train", "DATA"], "--output", "--out"),
    (["train-inr", "DATA"], "--output", "--out"),
    (["train-editor", "DATA", "--edit", "dilate"], "--output", "--out"),
    (["calibrate", "small-cnn-relu", "--population", "a=DATA"], "--output", "--out"),
    (["zoo", "cnn", "--data", "nothing", "--activation", "relu", "--count", "1"], "--output", "--out"),
    (["zoo", "inr", "--data", "nothing", "--count", "1"], "--output", "--out"),
    (["zoo", "import", "small-cnn-zoo", "DATA"], "--output", "--out"),
    (["zoo", "import", "model-zoo", "DATA"], "--output", "--out"),
    (["zoo", "import", "siren", "DATA"], "--output", "--out"),
    (["canonicalize", "DATA"], "--output", "--out"),
    (["apply", "DATA", "--seed", "1"], "--output", "--out"),
    (["edit-inr", "DATA", "--edit", "dilate"], "--output", "--out"),
    (["train-inr", "DATA", "-o", "new"], "--limit", "--count"),
    (["train-editor", "DATA", "--edit", "dilate", "-o", "new"], "--limit", "--count"),
    (["evaluate-inr", "inr-mnist", "DATA"], "--limit", "--count"),
    (["train", "DATA", "-o", "new"], "--ood", "--outsiders"),
    (["train-inr", "DATA", "-o", "new"], "--ood", "--outsiders"),
    (["evaluate", "small-cnn-relu", "DATA"], "--ood", "--outsiders"),
    (["evaluate-inr", "inr-mnist", "DATA"], "--ood", "--outsiders"),
]


@pytest.mark.parametrize(("command", "option", "hidden"), HIDDEN, ids=lambda value: "".join(value))
def test_hidden_names_of_options_work_and_are_not_shown(
    command: list[str], option: str, hidden: str, nfn: Nfn, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both names end alike: the commands get as far as the empty folder of their networks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "DATA").mkdir()
    value = {"--output": "new", "--limit": "3", "--ood": "mine=DATA"}[option]
    with_option, with_hidden = nfn(*command, option, value), nfn(*command, hidden, value)
    assert with_option == with_hidden == nfn(*command, f"{hidden}={value}")
    assert with_option[0] == 3 or "--data" in command
    assert "no such option" not in with_hidden[2].lower()
    own = command[: next((place for place, word in enumerate(command) if word == "DATA" or word[0] == "-"), 1)]
    assert not re.search(
        rf"(?<![\w-]){hidden}(?![\w-])", shown(nfn, own[:1] if "train" in own[0] else own, monkeypatch)
    )
    assert [path.name for path in tmp_path.iterdir()] == ["DATA"]


def test_hidden_names_are_not_completed(monkeypatch: pytest.MonkeyPatch) -> None:
    program = "import sys; sys.argv = ['nfn']; from nfn_cli.cli.app import main; main()"
    asked = {"_NFN_COMPLETE": "complete_bash", "COMP_WORDS": "nfn train --o", "COMP_CWORD": "2"}
    for name, value in asked.items():
        monkeypatch.setenv(name, value)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.stdout.split() == ["--output", "--overwrite", "--ood"]


def test_the_app_has_only_the_commands_that_are_asked_for() -> None:
    assert [command.name for command in make_app(["rank"]).registered_commands] == ["rank"]


def test_hidden_names_are_not_suggested(nfn: Nfn, tmp_path: Path) -> None:
    code, _, error = nfn("train", str(tmp_path), "--outt", "head")
    assert code == 2 and "--output" in error and "--out," not in error and "--out)" not in error
