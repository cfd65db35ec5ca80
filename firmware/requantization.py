"""How a weighted layer's sums become int8, and the tables that the kernels read for it.

TensorFlow Lite rounds twice: after the multiplication (ties up) and after the right shift (ties away from zero).
Where a layer's integers allow it, both take four or five instructions of the Cortex-M4, exactly:

    y = acc + high_word(acc * multiplier + 2**31)      SMMLAR with multiplier = 2 m - 2**32: acc * m / 2**31, rounded
    y = y + (y >> 31)                                  ties away from zero; left out where negative results clamp anyway
    y = saturate8((y + rounding) >> shift)             rounding = half + (zero point << shift)
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from firmware.int8_model import INT8_MAX, INT8_MIN, Int8Model
from firmware.integers import accumulator_bounds, layer_integers
from search_spaces.ops import Op

GREATEST_FAST_SHIFT = 22
"""Zero point and rounding, shifted, and the greatest product keep their sum within int32."""

GREATEST_FAST_SUM = 1 << 30


class Requantization(IntEnum):
    """How a layer's sums are brought back; the kernels know them by these numbers."""

    GENERAL = 0
    SATURATING = 1
    RECTIFIED = 2


@dataclass(frozen=True, slots=True)
class RequantizationTable:
    """``values`` is int32 (channels, 3): multiplier, rounding, shift of ``requant_s8``, as its ``kind`` reads them."""

    kind: Requantization
    values: NDArray[np.int32]


def requantization_table(model: Int8Model, op: Op) -> RequantizationTable:
    """The cheapest exact way for a Conv2D, DepthwiseConv2D or FullyConnected.

    Raises NasError where its scales lie too far apart.
    """
    numbers = layer_integers(model, op)
    multiplier, right = numbers.multiplier.astype(np.int64), -numbers.shift.astype(np.int64)
    low, high = accumulator_bounds(model, op)
    rectified = numbers.act_min == numbers.output_offset == INT8_MIN
    fast = (
        numbers.act_min == INT8_MIN
        and numbers.act_max == INT8_MAX
        and bool((multiplier > 0).all())
        and bool((right >= (0 if rectified else 1)).all() and (right <= GREATEST_FAST_SHIFT).all())
        and max(int(-low.min()), int(high.max())) < GREATEST_FAST_SUM
    )
    if not fast:
        values = np.stack([multiplier, np.zeros_like(multiplier), -right], axis=1)
        return RequantizationTable(Requantization.GENERAL, values.astype(np.int32))
    half = np.where(right > 0, np.int64(1) << np.maximum(right - 1, 0), 0)
    rounding = half + (np.int64(numbers.output_offset) << right)
    values = np.stack([2 * multiplier - (1 << 32), rounding, right], axis=1)
    kind = Requantization.RECTIFIED if rectified else Requantization.SATURATING
    return RequantizationTable(kind, values.astype(np.int32))
