from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.fixed_point import (
    multiply_by_quantized_multiplier,
    quantize_multiplier,
    quantize_multipliers,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from search_spaces.errors import NasError
from tests.firmware import oracle

INT32 = st.integers(-(2**31), 2**31 - 1)
CORNERS = np.array(
    [
        *range(-40, 41),
        *(sign * 2**power + d for power in (7, 15, 16, 29, 30) for sign in (-1, 1) for d in (-1, 0, 1)),
        *(-(2**31), -(2**31) + 1, 2**31 - 2, 2**31 - 1),
    ]
)


@pytest.mark.parametrize(
    ("real", "expected"),
    [
        (0.0, (0, 0)),
        (1.0, (1 << 30, 1)),
        (0.5, (1 << 30, 0)),
        (0.75, (3 << 29, 0)),
        (3.0, (3 << 29, 2)),
        (2.0**-32, (1 << 30, -31)),
        (2.0**-33, (0, 0)),  # its shift would be -32
        (2.0**-32 * (1 - 2**-40), (1 << 30, -31)),  # rounds up to 2**-32
        (1 - 2.0**-40, (1 << 30, 1)),  # rounds up to 2**31, which is halved
        (1 - 2.0**-31, ((1 << 31) - 1, 0)),
        (0.5 + 2.0**-32, ((1 << 30) + 1, 0)),  # half away from zero
        (2.0**31 - 1, ((1 << 31) - 1, 31)),
        (5e-324, (0, 0)),
    ],
)
def test_quantize_multiplier(real: float, expected: tuple[int, int]) -> None:
    assert quantize_multiplier(real) == expected


@given(st.floats(2.0**-32, 2.0**30))
def test_multiplier_is_the_nearest(real: float) -> None:
    m, shift = quantize_multiplier(real)
    assert 1 << 30 <= m < 1 << 31
    exact = Fraction(real)
    assert abs(Fraction(m, 2**31) * Fraction(2) ** shift - exact) <= Fraction(2) ** shift / 2**32


def test_multipliers_are_elementwise() -> None:
    reals = [0.0, 0.1, 7.3, 2.0**-40]
    m, shift = quantize_multipliers(reals)
    assert list(zip(m.tolist(), shift.tolist(), strict=True)) == [quantize_multiplier(real) for real in reals]


@pytest.mark.parametrize("bad", [-0.5, float("nan"), float("inf")])
def test_multiplier_refuses(bad: float) -> None:
    with pytest.raises(NasError, match=str(bad)):
        quantize_multiplier(bad)


def test_high_mul_by_hand() -> None:
    def mul(a: int, b: int) -> int:
        return int(saturating_rounding_doubling_high_mul(a, b))

    assert mul(1 << 30, 1 << 30) == 1 << 29
    assert mul(-(1 << 31), -(1 << 31)) == (1 << 31) - 1
    assert mul(1, 1 << 30) == 1  # 0.5 goes up
    assert mul(-1, 1 << 30) == 0  # -0.5 goes up, too
    assert mul(3, 1 << 30) == 2
    assert mul(-3, 1 << 30) == -1


def test_divide_by_pot_by_hand() -> None:
    values = [5, 6, 7, -5, -6, -7, 2, -2, 1, -1]
    assert rounding_divide_by_pot(values, 2).tolist() == [1, 2, 2, -1, -2, -2, 1, -1, 0, 0]  # halves away from zero
    assert rounding_divide_by_pot(values, 0).tolist() == values
    assert rounding_divide_by_pot([2**31 - 1, -(2**31)], 31).tolist() == [1, -1]


def test_corners_against_unbounded_integers() -> None:
    a, b = (grid.ravel() for grid in np.meshgrid(CORNERS, CORNERS))
    assert saturating_rounding_doubling_high_mul(a, b).tolist() == [
        oracle.high_mul(int(x), int(y)) for x, y in zip(a, b, strict=True)
    ]
    for exponent in range(32):
        assert rounding_divide_by_pot(CORNERS, exponent).tolist() == [
            oracle.divide_by_pot(int(x), exponent) for x in CORNERS
        ]


def test_every_small_value() -> None:
    """All 16-bit values under all shifts to the right by up to 16, and under a spread of multipliers."""
    x = np.arange(-(2**15), 2**15)
    for exponent in range(1, 17):
        exact = [Fraction(int(v), 2**exponent) for v in x[:: 2**6]]
        assert rounding_divide_by_pot(x[:: 2**6], exponent).tolist() == [oracle.half_away(v) for v in exact]
    for m, shift in ((1 << 30, 0), ((1 << 31) - 1, -3), (1518500250, -7), (1 << 30, 1), (1234567891, 4)):
        assert multiply_by_quantized_multiplier(x[::17], m, shift).tolist() == [
            oracle.requantise(int(v), m, shift) for v in x[::17]
        ]


@given(INT32, st.integers(2**30, 2**31 - 1), st.integers(-31, 30))
def test_double_rounding(x: int, m: int, shift: int) -> None:
    assert int(multiply_by_quantized_multiplier(x, m, shift)) == oracle.requantise(x, m, shift)


def test_double_rounding_differs_from_one_rounding() -> None:
    """1655.55 / 16 = 103.47, but the first rounding makes 1656 / 16 = 103.5 of it and the second 104."""
    m, shift = 1371107013, -4
    assert round(2593 * m / 2**31 * 2.0**shift) == 103
    assert int(multiply_by_quantized_multiplier(2593, m, shift)) == 104


def test_left_shift_wraps() -> None:
    assert int(multiply_by_quantized_multiplier(1 << 30, 1 << 30, 2)) == 0
    assert int(multiply_by_quantized_multiplier(3 << 29, 1 << 30, 1)) == -(1 << 29)


def test_shifts_broadcast() -> None:
    x = np.array([[100, 200], [300, 401]])
    result = multiply_by_quantized_multiplier(x, [1 << 30, 1 << 30], [0, -1])
    assert result.tolist() == [[50, 50], [150, 101]]  # 200.5, 201, 100.5, 101
    assert result.dtype == np.int32
