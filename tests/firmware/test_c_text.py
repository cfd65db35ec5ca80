"""C text: names are checked, comments cannot end early, numbers are written as they are."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.c_text import checked_name, float_literal, initializer, plain, rows, table
from search_spaces.errors import NasError


@pytest.mark.parametrize("name", ["model", "kws", "Net2", "a", "a_b"])
def test_names_that_are_identifiers(name: str) -> None:
    assert checked_name(name) == name


@pytest.mark.parametrize(
    "name", ["", "2net", "_net", "a-b", "a b", "a/*", "a;", "a\n", "ä", "../x", "x" * 25, "a(void);int b"]
)
def test_names_that_are_not(name: str) -> None:
    with pytest.raises(NasError, match="is no C identifier"):
        checked_name(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ds-cnn (8 classes)", "ds-cnn (8 classes)"),
        ("a */ system(0); /*", "a __ system(0)_ __"),
        ("a\\\n#include", "a___include"),
        ("??/", "___"),
        ("`x` <b> | [y]", "_x_ _b_ _ _y_"),
        ("zéro", "z_ro"),
    ],
)
def test_plain_replaces_what_could_mean_something(text: str, expected: str) -> None:
    assert plain(text) == expected


@given(st.text())
def test_plain_never_ends_a_comment_or_a_line(text: str) -> None:
    result = plain(text)
    assert len(result) <= 80
    assert not set(result) & set("*/\\\n\r\"'?<>|`{}#;&[]")
    assert result.isascii()


def test_rows_keep_the_order_of_memory() -> None:
    values = np.arange(-100, 260, dtype=np.int32).reshape(2, 3, 60)
    text = rows(values)
    assert [int(word) for word in text.replace("\n", " ").split(",") if word.strip()] == list(range(-100, 260))
    assert max(map(len, text.splitlines())) <= 120


def test_table_of_extremes() -> None:
    values = np.array([-(2**31), 2**31 - 1], np.int32)
    assert table("int32_t", "x", values) == "static const int32_t x[2] = {\n    -2147483648, 2147483647,\n};"


def test_initializer_nests() -> None:
    assert initializer({"a": 1, "b": {"c": -2}}) == "{\n    .a = 1,\n    .b = {\n        .c = -2,\n    },\n}"


@pytest.mark.parametrize(
    ("value", "text"), [(1.0, "1.0f"), (1 / 255, "0.003921569f"), (1e-5, "1e-05f"), (3e8, "3e+08f")]
)
def test_float_literals_give_back_the_float(value: float, text: str) -> None:
    assert float_literal(value) == text
    assert np.float32(float(text[:-1])) == np.float32(value)
