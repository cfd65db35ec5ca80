"""The padding rule, against worked cases and against TensorFlow's own statement of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces.geometry import Padding, window


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding", "expected"),
    [
        (32, 3, 1, 1, Padding.SAME, (32, 1)),
        (32, 3, 2, 1, Padding.SAME, (16, 0)),  # one element of padding, and it goes behind: torch's padding=1 differs
        (33, 3, 2, 1, Padding.SAME, (17, 1)),
        (49, 10, 2, 1, Padding.SAME, (25, 4)),  # nine elements, four before
        (10, 4, 2, 1, Padding.SAME, (5, 1)),
        (8, 3, 1, 2, Padding.SAME, (8, 2)),
        (1, 5, 2, 1, Padding.SAME, (1, 2)),
        (8, 3, 1, 1, Padding.VALID, (6, 0)),
        (8, 3, 2, 1, Padding.VALID, (3, 0)),
        (8, 3, 1, 3, Padding.VALID, (2, 0)),
        (2, 3, 1, 1, Padding.VALID, (0, 0)),
    ],
)
def test_worked_cases(
    size: int, kernel: int, stride: int, dilation: int, padding: Padding, expected: tuple[int, int]
) -> None:
    assert window(size, kernel, stride, dilation, padding) == expected


extents = st.integers(1, 40)
small = st.integers(1, 6)


@given(size=extents, kernel=small, stride=small, dilation=small)
def test_same_covers_the_input_and_starts_inside_it(size: int, kernel: int, stride: int, dilation: int) -> None:
    out, before = window(size, kernel, stride, dilation, Padding.SAME)
    assert (out - 1) * stride < size <= out * stride
    assert 0 <= before <= (kernel - 1) * dilation // 2


@given(size=extents, kernel=small, stride=small, dilation=small)
def test_valid_counts_the_windows_that_fit(size: int, kernel: int, stride: int, dilation: int) -> None:
    reach = (kernel - 1) * dilation + 1
    fitting = sum(1 for start in range(0, size, stride) if start + reach <= size)
    assert max(window(size, kernel, stride, dilation, Padding.VALID)[0], 0) == fitting
