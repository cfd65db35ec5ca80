"""Fixed-point arithmetic of TensorFlow Lite's int8 kernels, exact and vectorised.

A real multiplier becomes a 31-bit integer ``m`` and a ``shift`` (positive: to the left) with
``value = m / 2**31 * 2**shift``. Multiplying by it rounds twice: once in the high multiplication, once in the shift to
the right. Sources: ``QuantizeMultiplier`` in TensorFlow Lite's ``kernels/internal/quantization_util.cc``,
``MultiplyByQuantizedMultiplier`` in ``kernels/internal/common.h`` (the build without ``TFLITE_SINGLE_ROUNDING``) and
gemmlowp's ``fixedpoint.h``.

Integers are int32 in C. Here they are computed in int64 and brought back, so that a result outside int32 wraps modulo
2**32, as two's complement does; C kernels get the same by shifting unsigned.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from search_spaces.errors import NasError

INT32_MIN, INT32_MAX = -(1 << 31), (1 << 31) - 1

SMALLEST_SHIFT = -31  # a multiplier below 2**-32 becomes 0


def quantize_multipliers(values: ArrayLike) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Multipliers ``m`` and shifts of real multipliers (float64, at least 0), elementwise.

    ``m`` lies in 2**30 .. 2**31 - 1, or is 0 for a value of 0 or one too small to shift. Raises NasError for a negative
    or non-finite value.
    """
    real = np.asarray(values, dtype=np.float64)
    if not (np.isfinite(real) & (real >= 0)).all():
        raise NasError(f"multiplier {real.ravel()[np.argmin(np.isfinite(real) & (real >= 0))]}: finite, >= 0 expected")
    fraction, exponent = np.frexp(real)
    # Half away from zero; the sum is exact for fractions below one, and floor of 2**31 - 0.5 + 0.5 is 2**31.
    m = np.floor(fraction * 2.0**31 + 0.5).astype(np.int64)
    shift = exponent.astype(np.int32)
    carried = m == 1 << 31
    m[carried] >>= 1
    shift[carried] += 1
    tiny = shift < SMALLEST_SHIFT
    m[tiny] = 0
    shift[tiny | (m == 0)] = 0
    return m.astype(np.int32), shift


def quantize_multiplier(value: float) -> tuple[int, int]:
    """``(m, shift)`` of one real multiplier; see ``quantize_multipliers``."""
    m, shift = quantize_multipliers(np.array([value]))
    return int(m[0]), int(shift[0])


def saturating_rounding_doubling_high_mul(a: ArrayLike, b: ArrayLike) -> NDArray[np.int32]:
    """``a * b / 2**31`` of int32 values, rounded half up; -2**31 times itself saturates to 2**31 - 1.

    gemmlowp adds a nudge that depends on the sign and divides towards zero; for either sign that equals
    ``floor((a * b + 2**30) / 2**31)``, so halves go towards plus infinity.
    """
    product = np.asarray(a, dtype=np.int64) * np.asarray(b, dtype=np.int64)
    high: NDArray[np.int64] = (product + (1 << 30)) >> 31
    return np.minimum(high, INT32_MAX).astype(np.int32, copy=False)


def rounding_divide_by_pot(x: ArrayLike, exponent: ArrayLike) -> NDArray[np.int32]:
    """``x / 2**exponent`` of int32 values, rounded half away from zero; ``exponent`` in 0..31."""
    wide = np.asarray(x, dtype=np.int64)
    power = np.asarray(exponent, dtype=np.int64)
    half = (np.int64(1) << power) >> 1
    return ((wide + half - ((wide < 0) & (power > 0))) >> power).astype(np.int32)


def multiply_by_quantized_multiplier(x: ArrayLike, m: ArrayLike, shift: ArrayLike) -> NDArray[np.int32]:
    """``x * m / 2**31 * 2**shift`` of int32 values with TensorFlow Lite's double rounding.

    ``shift`` in -31..30 broadcasts against ``x`` like ``m``. A shift to the left wraps modulo 2**32.
    """
    power = np.asarray(shift, dtype=np.int64)
    shifted = (np.asarray(x, dtype=np.int64) << np.maximum(power, 0)).astype(np.int32)
    return rounding_divide_by_pot(saturating_rounding_doubling_high_mul(shifted, m), np.maximum(-power, 0))
