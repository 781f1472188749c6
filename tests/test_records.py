"""YAML in plain values, bounded, and messages that stay short whatever they quote."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from nfn_cli.errors import DataError, shown
from nfn_cli.records import LARGEST_YAML, parse_yaml, read_yaml, yaml_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# nothing\n", None),
        ("relu", "relu"),
        ("[1, -2, 0x1f, 1_000, 1:30]", [1, -2, 31, 1000, 90]),
        ("[1.5, 1.0e-05, .inf, -.inf]", [1.5, 1e-05, float("inf"), float("-inf")]),
        ("[true, No, ~, null, '1', \"yes\", 2020-01-01]", [True, False, None, None, "1", "yes", "2020-01-01"]),
        ("a:\n  b:\n  - 1\n  - c: |\n      text\n", {"a": {"b": [1, {"c": "text\n"}]}}),
        ("a: &x [1, 2]\nb: *x\n", {"a": [1, 2], "b": [1, 2]}),
        ("- &x {p: 1, q: 2}\n- {<<: *x, q: 3}", [{"p": 1, "q": 2}, {"p": 1, "q": 3}]),
        ("- &x {p: 1, q: 2}\n- {q: 4, <<: [*x, {q: 0, r: 5}]}", [{"p": 1, "q": 2}, {"p": 1, "q": 4, "r": 5}]),
        ("0: zero\n1: one", {0: "zero", 1: "one"}),
        ("a: !!str 5\nb: !!int '5'\nc: ! 5", {"a": "5", "b": 5, "c": "5"}),
        ("\ufeffa: 1", {"a": 1}),
    ],
)
def test_plain_values_are_read(text: str, value: object) -> None:
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("a: [", "line "),
        ("a: 1\na: 2", "it gives 'a' twice"),
        ("? [a]\n: b", "is no name"),
        ("? {a: b}\n: c", "is no name"),
        ("a: *b", "the alias 'b' stands for nothing before it"),
        ("a: &a [*a]", "the alias 'a' stands for nothing before it"),
        ("a: {<<: 5}", "<< leads to no mapping"),
        ("--- 1\n--- 2", "more than one document"),
        ("a: !!binary aGk=", "binary' is none that is read"),
        ("a: !!set {b}", "set' is none that is read"),
        ("!!python/tuple [1]", "tuple' is none that is read"),
        ("a: !own 1", "!own' is none that is read"),
        ("%YAML 1.1\n---\na: 1", "it holds directives"),
        ("a: \x00", "unacceptable|special characters"),
        ("a: " + "1" * 65, "a number of 65 characters"),
        ("[" * 65 + "]" * 65, "nested more than 64 deep"),
        ("[" + "a," * 100_000 + "]", "more than 100,000 values"),
        (f"a: &a {'x' * 1000}\nb: [{'*a,' * 2000}]", "more than 100,000 values or 1,048,576 characters"),
    ],
)
def test_what_no_record_needs_is_refused_in_few_words(text: str, cause: str) -> None:
    with pytest.raises(ValueError, match=cause) as refused:
        parse_yaml(text)
    assert len(str(refused.value)) < 300


def test_a_record_takes_time_that_grows_with_its_size() -> None:
    text = "".join(f"a{i:06d}: 1\n" for i in range(49_000))
    began = time.process_time()
    assert len(parse_yaml(text)) == 49_000
    assert time.process_time() - began < 20  # a second, where PyYAML has its part in C


def test_what_is_written_is_read_and_has_no_aliases() -> None:
    kernel = [3, 3]
    record = {"a": kernel, "b": kernel, "c": {"1": 1e-5, "2020-01-01": None, "yes": "no", "<<": "="}}
    text = yaml_text(record)
    assert "&" not in text and "*" not in text
    assert parse_yaml(text) == record and list(parse_yaml(text)) == list(record)


def test_a_record_is_a_regular_file_of_bounded_size(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("#" * LARGEST_YAML)
    assert read_yaml(path) is None
    path.write_text("#" * (LARGEST_YAML + 1))
    with pytest.raises(ValueError, match="larger than 1,048,576 bytes"):
        read_yaml(path)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        read_yaml(path)
    if hasattr(os, "mkfifo"):
        os.mkfifo(path)  # nobody writes to it
        with pytest.raises(ValueError, match="not a regular file"):
            read_yaml(path)


def test_a_message_is_short_whatever_it_quotes() -> None:
    error = DataError("s" * 9_000, "c" * 100_000, "r" * 100_000)
    assert len(str(error)) < 13_000
    assert error.cause.startswith("ccc") and " ... " in error.cause and len(error.cause) == 2_000
    assert error.subject == "s" * 5_329 + " ... " + "s" * 2_666
    assert str(DataError("a.pt", "broken", "mend it")) == "a.pt: broken; mend it"


def test_a_value_is_shown_without_its_whole_text() -> None:
    value: object = "x"
    for _ in range(40):
        value = [value] * 9  # of 9⁴⁰ texts
    assert len(shown(value)) <= 200 and len(shown({i: value for i in range(9)})) <= 200
    assert shown(1 << 20_000) == "a whole number of 20,001 binary digits"
    assert (shown("relu"), shown([1, 2.5, None])) == ("'relu'", "[1, 2.5, None]")
