"""Integer softmax, as ``reference_ops::Softmax`` computes it from int8 to int8.

Exponentials come from gemmlowp's fixed-point ``exp_on_negative_values``, the division from its Newton-Raphson
reciprocal. Numbers written Qm.n have m integer bits and n fractional bits in an int32. Sources: TensorFlow Lite's
``kernels/internal/reference/softmax.h`` and ``GetReciprocal`` in ``common.h``; gemmlowp's ``fixedpoint.h``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from firmware.fixed_point import INT32_MAX, INT32_MIN, rounding_divide_by_pot, saturating_rounding_doubling_high_mul
from firmware.int8_model import INT8_MAX, INT8_MIN
from firmware.integers import SOFTMAX_INTEGER_BITS, SoftmaxIntegers

Wide = NDArray[np.int64]

_SUM_INTEGER_BITS = 12  # exponentials are summed in Q12.19
_FRACTION_BITS = 31 - SOFTMAX_INTEGER_BITS

# exp(-2**k) in Q0.31 for the binary digits of the argument, k from -2 to 4.
_EXP_OF_POWERS = ((-2, 1672461947), (-1, 1302514674), (0, 790015084), (1, 290630308), (2, 39332535), (3, 720401))
_EXP_OF_16 = (4, 242)
_EXP_OF_EIGHTH = 1895147668  # exp(-1/8) in Q0.31
_ONE_THIRD = 715827883  # Q0.31
_48_OVER_17 = 1515870810  # Q2.29
_NEG_32_OVER_17 = -1010580540  # Q2.29


def _high_mul(a: Wide | int, b: Wide | int) -> Wide:
    return saturating_rounding_doubling_high_mul(a, b).astype(np.int64)


def _shift_right(x: Wide, exponent: Wide | int) -> Wide:
    return rounding_divide_by_pot(x, exponent).astype(np.int64)


def _shift_left(x: Wide, exponent: int) -> Wide:
    shifted: Wide = np.clip(x << exponent, INT32_MIN, INT32_MAX)
    return shifted


def exp_on_negative_values(a: Wide) -> Wide:
    """``exp(a)`` in Q0.31 for ``a <= 0`` in Q5.26; exactly 2**31 - 1 at 0."""
    quarter = 1 << (_FRACTION_BITS - 2)
    part = (a & (quarter - 1)) - quarter  # in [-1/4, 0), Q5.26
    x = _shift_left(part, SOFTMAX_INTEGER_BITS) + (1 << 28)  # plus 1/8: a Taylor series around -1/8, Q0.31
    x2 = _high_mul(x, x)
    x3, x4 = _high_mul(x2, x), _high_mul(x2, x2)
    tail = _shift_right(_high_mul(_shift_right(x4, 2) + x3, _ONE_THIRD) + x2, 1)
    result = _EXP_OF_EIGHTH + _high_mul(_EXP_OF_EIGHTH, x + tail)
    rest = part - a  # what is left of -a, a multiple of 1/4
    for power, value in (*_EXP_OF_POWERS, _EXP_OF_16):
        digit = (rest >> (_FRACTION_BITS + power)) & 1
        result = np.where(digit == 1, _high_mul(result, value), result)
    exponential: Wide = np.where(a == 0, INT32_MAX, result)
    return exponential


def _reciprocal(total: Wide) -> tuple[Wide, Wide]:
    """``1 / total`` of positive Q12.19 numbers as a Q0.31 factor and the power of two that it is to be divided by."""
    leading_zeros = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    fraction = (total << leading_zeros) - (1 << 31)  # total = (1 + fraction) * power of two, fraction in Q0.31
    half = (fraction + INT32_MAX + 1) >> 1
    x = _48_OVER_17 + _high_mul(half, _NEG_32_OVER_17)
    for _ in range(3):
        x = x + _shift_left(_high_mul(x, (1 << 29) - _high_mul(half, x)), 2)
    return _shift_left(x, 1), _SUM_INTEGER_BITS - leading_zeros


def softmax(x: NDArray[np.int8], integers: SoftmaxIntegers, axis: int) -> NDArray[np.int8]:
    """Softmax of int8 values along ``axis``; the output has scale 1/256 and zero point -128."""
    differences = np.arange(INT8_MIN - INT8_MAX, 1, dtype=np.int64)  # all that can occur
    counts = differences >= integers.diff_min
    scaled = _high_mul(np.where(counts, differences, 0) << integers.input_left_shift, integers.input_multiplier)
    table: Wide = np.where(counts, exp_on_negative_values(scaled), 0)
    below = x.max(axis=axis, keepdims=True).astype(np.intp) - x  # at least 0
    exponentials = table[differences.size - 1 - below]
    total: Wide = _shift_right(exponentials, _SUM_INTEGER_BITS).sum(axis=axis, keepdims=True)
    factor, power = _reciprocal(total)
    result = _shift_right(_high_mul(factor, exponentials), power + 31 - 8) + INT8_MIN
    clipped: Wide = np.clip(result, INT8_MIN, INT8_MAX)
    return clipped.astype(np.int8)
