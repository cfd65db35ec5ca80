"""An Add as one linear form in integers, where one exists that is exact for every pair of inputs.

TensorFlow Lite brings both inputs to a common scale, adds, and requantises: three multiplications, each rounded twice.
But two bytes make 65,536 pairs, so that everything an Add does can be written down, and three integers be looked for
with

    saturate8((x1 * factor1 / 2**8 + x2 * factor2 / 2**8 + constant) / 2**20)      quotients rounded down

equal to it on all of them (``ADD_LINEAR`` of ``firmware/kernels/add_run_s8.c``). The factors are the real ones, or
those less or more by at most 2**-16 of themselves: a factor that is larger by very little carries ties away from zero,
as the double rounding does. For given factors the constants that fit are an interval, known from its ends.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware.fixed_point import INT32_MAX, INT32_MIN, multiply_by_quantized_multiplier
from firmware.int8_model import INT8_MAX, INT8_MIN
from firmware.integers import AddIntegers

SHIFT: Final = 20
"""Of the sum: an Add's results before saturation may reach +-2048, and are known to 2**-20."""

FACTOR_SHIFT: Final = 8

_VALUES: Final = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int64)
_FACTOR_BITS: Final = SHIFT + FACTOR_SHIFT
_CHANGES: Final = (0.0, *(sign * 2.0**-bits for bits in (22, 20, 18, 17, 16) for sign in (1, -1)))
"""Relative changes of the factors that are tried."""

_MOST_CHANGE: Final = max(_CHANGES)
_MOST_MOVE: Final = 64
"""Of the constant."""


@dataclass(frozen=True, slots=True)
class LinearAdd:
    """The integers of the linear form; all int32."""

    factor1: int
    factor2: int
    constant: int

    def results(self) -> NDArray[np.int64]:
        """The form's value for every pair (256 x 256; row of the first input, column of the second, from -128 up)."""
        sums = _scaled(self.factor1)[:, None] + _scaled(self.factor2)[None, :] + self.constant
        results: NDArray[np.int64] = np.clip(sums >> SHIFT, INT8_MIN, INT8_MAX)
        return results


def linear_add(numbers: AddIntegers) -> LinearAdd | None:
    """A linear form equal to the Add on every pair of inputs; None where none was found.

    There is none where the activation range is not all of int8, where an input's scale is eight times the output's or
    more, and where the inputs' own rounding breaks exact ties (scales in simple ratios other than powers of two).
    """
    if (numbers.act_min, numbers.act_max) != (INT8_MIN, INT8_MAX):
        return None
    exact = tuple(
        multiplier * numbers.output_multiplier * 2.0 ** (numbers.left_shift + shift + numbers.output_shift - 62)
        for multiplier, shift in (
            (numbers.input1_multiplier, numbers.input1_shift),
            (numbers.input2_multiplier, numbers.input2_shift),
        )
    )
    if max(exact) * (1 + _MOST_CHANGE) * 2.0**_FACTOR_BITS > INT32_MAX:
        return None
    wanted = add_results(numbers)
    critical = _Critical(numbers, exact, wanted)
    # The exact factors first: with scales from training they nearly always fit.
    for change1, change2 in sorted(((a, b) for a in _CHANGES for b in _CHANGES), key=_size):
        factors = _rounded(exact[0] * (1 + change1)), _rounded(exact[1] * (1 + change2))
        low, high = critical.constants(*factors)
        if low <= high:
            form = LinearAdd(*factors, (low + high) // 2)
            if _within_int32(form) and np.array_equal(form.results(), wanted):
                return form
    return None


def add_results(numbers: AddIntegers) -> NDArray[np.int64]:
    """What TensorFlow Lite's Add gives for every pair (256 x 256; row of the first input, column of the second)."""
    first, second = (
        multiply_by_quantized_multiplier((_VALUES + offset) << numbers.left_shift, multiplier, shift)
        for offset, multiplier, shift in (
            (numbers.input1_offset, numbers.input1_multiplier, numbers.input1_shift),
            (numbers.input2_offset, numbers.input2_multiplier, numbers.input2_shift),
        )
    )
    sums = first[:, None] + second[None, :]
    results = multiply_by_quantized_multiplier(sums, numbers.output_multiplier, numbers.output_shift).astype(np.int64)
    return np.clip(results + numbers.output_offset, numbers.act_min, numbers.act_max)


class _Critical:
    """The pairs so near to where their result changes that other integers could move them across: mostly a few."""

    def __init__(self, numbers: AddIntegers, exact: tuple[float, ...], wanted: NDArray[np.int64]) -> None:
        self.numbers = numbers
        # Distance of each sum from the least that gives its result, with the exact factors and rounding.
        first = (_VALUES + numbers.input1_offset) * exact[0]
        second = (_VALUES + numbers.input2_offset) * exact[1]
        above = first[:, None] + second[None, :] + (0.5 + numbers.output_offset) - wanted
        reach = 255 * sum(exact) * _MOST_CHANGE + (_MOST_MOVE + 4) * 2.0**-SHIFT
        self.low = self._pairs((above < reach) & (wanted > INT8_MIN), wanted)
        self.high = self._pairs((above > 1 - reach) & (wanted < INT8_MAX), wanted + 1)

    @staticmethod
    def _pairs(which: NDArray[np.bool_], bound: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """Indices of the pairs, and the sums that are theirs to reach or stay below."""
        rows, columns = np.nonzero(which)
        return rows, columns, bound[rows, columns] << SHIFT

    def constants(self, factor1: int, factor2: int) -> tuple[int, int]:
        """Least and greatest constant with which these pairs come out right; the first is greater where none does.

        Within ``_MOST_MOVE`` of the one that zero points and factors call for: beyond it other pairs count too.
        """
        zero = factor1 * self.numbers.input1_offset + factor2 * self.numbers.input2_offset
        called_for = (zero >> FACTOR_SHIFT) + (self.numbers.output_offset << SHIFT) + (1 << SHIFT - 1)
        scaled1, scaled2 = _scaled(factor1), _scaled(factor2)
        low, high = (bound - scaled1[row] - scaled2[column] for row, column, bound in (self.low, self.high))
        return int(low.max(initial=called_for - _MOST_MOVE)), int(high.min(initial=called_for + _MOST_MOVE + 1)) - 1


def _rounded(factor: float) -> int:
    return round(factor * 2.0**_FACTOR_BITS)


def _scaled(factor: int) -> NDArray[np.int64]:
    """Every input's part of the sum."""
    return (_VALUES * factor) >> FACTOR_SHIFT


def _size(changes: tuple[float, float]) -> tuple[float, float]:
    """Small changes first, and of these the ones that leave the factors' ratio as it is."""
    return max(map(abs, changes)), abs(changes[0] - changes[1])


def _within_int32(form: LinearAdd) -> bool:
    """Whether no pair's sum leaves int32. Sums of less than all three may: they come back with the last."""
    ends = _scaled(form.factor1)[[0, -1], None] + _scaled(form.factor2)[None, [0, -1]] + form.constant
    return bool(ends.min() >= INT32_MIN and ends.max() <= INT32_MAX and INT32_MIN <= form.constant <= INT32_MAX)
