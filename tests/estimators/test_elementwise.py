from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimators.elementwise import joined
from search_spaces import Shape


@pytest.mark.parametrize(
    ("out", "operands", "expected"),
    [
        # Alike in all three axes: one run.
        ((4, 3, 2), [(4, 3, 2), (4, 3, 2)], ((1, 1, 24), ((1, 1, 24), (1, 1, 24)))),
        # A single number repeats along that run.
        ((4, 3, 2), [(4, 3, 2), (1, 1, 1)], ((1, 1, 24), ((1, 1, 24), (1, 1, 1)))),
        # One position for all, one channel for all: rows and columns are alike.
        ((4, 3, 2), [(1, 1, 2), (4, 3, 2)], ((1, 12, 2), ((1, 1, 2), (1, 12, 2)))),
        ((4, 3, 2), [(4, 3, 1), (4, 3, 2)], ((1, 12, 2), ((1, 12, 1), (1, 12, 2)))),
        # One row for all: columns and channels are alike.
        ((4, 3, 2), [(4, 3, 2), (1, 3, 2)], ((4, 1, 6), ((4, 1, 6), (1, 1, 6)))),
        # Upsampled rows alone leave the columns in one run; upsampled columns leave nothing to join.
        ((4, 3, 2), [(4, 3, 2), (2, 3, 2)], ((4, 1, 6), ((4, 1, 6), (2, 1, 6)))),
        ((4, 3, 2), [(4, 3, 2), (4, 2, 2)], ((4, 3, 2), ((4, 3, 2), (4, 2, 2)))),
        # One repeats along rows, the other along columns.
        ((4, 3, 2), [(1, 3, 2), (4, 1, 2)], ((4, 3, 2), ((1, 3, 2), (4, 1, 2)))),
    ],
)
def test_by_hand(out: Shape, operands: list[Shape], expected: tuple[Shape, tuple[Shape, ...]]) -> None:
    assert joined(out, operands) == expected


def _elements(out: Shape, operand: Shape) -> list[int]:
    """The element of an operand, counted along its memory, that each output value takes, in the output's order."""
    rows = [[position * extent // size for position in range(size)] for extent, size in zip(operand, out, strict=True)]
    return [int(np.ravel_multi_index(index, operand)) for index in itertools.product(*rows)]


@st.composite
def _pairs(draw: st.DrawFn) -> tuple[Shape, list[Shape]]:
    out = draw(st.tuples(*[st.integers(1, 6)] * 3))
    extents = [st.sampled_from([1, out[0], (out[0] + 1) // 2]), st.sampled_from([1, out[1], (out[1] + 2) // 3])]
    shapes = st.tuples(*extents, st.sampled_from([1, out[2]]))
    return out, [draw(shapes), draw(shapes)]


@given(_pairs())
def test_the_same_elements_are_read_in_runs_as_long_as_can_be(pair: tuple[Shape, list[Shape]]) -> None:
    out, operands = pair
    fewer, others = joined(out, operands)
    for operand, other in zip(operands, others, strict=True):
        assert _elements(out, operand) == _elements(fewer, other)
    assert joined(fewer, others)[0][2] == fewer[2]
