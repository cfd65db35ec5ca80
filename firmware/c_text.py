"""Pieces of C text: checked names, comments that cannot end early, tables of numbers, initialisers."""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import NasError

NAME_LENGTH = 31
"""Characters of an external name that every C99 compiler and linker tells apart."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_UNPRINTABLE = re.compile(r"[^A-Za-z0-9 _.,:+()=-]", re.ASCII)
_COMMENT_LENGTH = 80
_INDENT = "    "
_TABLE_WIDTH = 112

Value = int | Mapping[str, "Value"]


def checked_name(name: str) -> str:
    """``name`` as the prefix of C functions and macros; raises NasError for what is no plain C identifier."""
    longest = NAME_LENGTH - len("_output")
    if not _NAME.fullmatch(name) or len(name) > longest:
        raise NasError(
            f"name {name!r} is no C identifier; a letter, then letters, digits and _ expected, at most {longest} in all"
        )
    return name


def plain(text: str) -> str:
    """A user's text for a comment or a heading: letters, digits and harmless punctuation, anything else as ``_``.

    Nothing that ends a comment, continues a line or means something to Markdown is left; at most 80 characters stay.
    """
    return _UNPRINTABLE.sub("_", text)[:_COMMENT_LENGTH]


def extents(shape: tuple[int, ...]) -> str:
    """A shape for people: ``32x32x3``."""
    return "x".join(str(extent) for extent in shape)


def rows(values: NDArray[np.integer]) -> str:
    """The numbers in memory order, comma-separated, in lines of at most 112 characters."""
    words = [str(value) for value in values.ravel().tolist()]
    lines: list[str] = []
    per_line = max(1, _TABLE_WIDTH // (max(map(len, words)) + 2))
    for start in range(0, len(words), per_line):
        lines.append(_INDENT + ", ".join(words[start : start + per_line]) + ",")
    return "\n".join(lines)


def table(ctype: str, name: str, values: NDArray[np.integer]) -> str:
    """A constant array, one value after the other."""
    return f"static const {ctype} {name}[{values.size}] = {{\n{rows(values)}\n}};"


def initializer(values: Mapping[str, Value], depth: int = 1) -> str:
    """A structure's designated initialisers, one member a line."""
    pad = _INDENT * depth
    lines = [
        f"{pad}.{member} = {value}," if isinstance(value, int) else f"{pad}.{member} = {initializer(value, depth + 1)},"
        for member, value in values.items()
    ]
    return "{\n" + "\n".join(lines) + f"\n{_INDENT * (depth - 1)}}}"


def float_literal(value: float) -> str:
    """``value`` as a C float, in the fewest digits that float32 needs."""
    text = str(np.float32(value))
    return f"{text}f" if "." in text or "e" in text else f"{text}.0f"
