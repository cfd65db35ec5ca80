"""Where a sliding window stands: TFLite's SAME and VALID padding along one axis."""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache

from search_spaces.errors import NasError


class Padding(StrEnum):
    """How a window meets the border, as TFLite names it."""

    SAME = "same"
    VALID = "valid"


@lru_cache(maxsize=4096)
def window(size: int, kernel: int, stride: int, dilation: int, padding: Padding) -> tuple[int, int]:
    """Output extent and padding before the first element along one axis.

    SAME gives ``ceil(size / stride)`` outputs and puts the odd element of padding behind (TensorFlow's rule), so it
    differs from torch's symmetric ``padding=1`` wherever ``stride`` is 2 and ``size`` is even. VALID pads nothing; an
    extent below 1 means that the window does not fit, which the graph refuses. Raises NasError where ``kernel``,
    ``stride`` or ``dilation`` is below 1.

    Source: ``ComputeOutSize`` and ``ComputePaddingWithOffset`` in TensorFlow Lite's ``kernels/padding.h``.
    """
    if min(kernel, stride, dilation) < 1:
        raise NasError(f"kernel {kernel}, stride {stride}, dilation {dilation}: numbers of at least 1 expected")
    reach = (kernel - 1) * dilation + 1
    if padding is Padding.VALID:
        return (size - reach) // stride + 1, 0
    out = -(-size // stride)
    return out, max((out - 1) * stride + reach - size, 0) // 2
