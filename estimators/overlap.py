"""How far an output may run into the bytes of an input that nobody needs any more.

Kernels that slide a window over their input make the output's pixels in order. When pixel q is made, everything before
it has been written, and nothing before the first input byte that it reads is needed any more, by it or by those after
it that read no lower. So the output never catches up with what is still to be read if it starts ``lag`` bytes below the
input:

    lag = max over the pixels q of (bytes of output before q) - (offset of the first input byte that q reads)

That holds just as well for a kernel that takes several pixels in a row at once, reading for all of them before it
writes any, and for one that makes a pixel channel by channel from the same channel of its input.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from estimators.kernels import Kernel
from search_spaces.geometry import Padding, window
from search_spaces.ops import AvgPool, Conv2D, MaxPool, Op, Shape, UpsampleNearest

OVERLAPPING: Final[frozenset[Kernel]] = frozenset(
    {"conv2d_s8", "pointwise_s8", "pointwise_s4", "max_pool_s8", "avg_pool_s8", "upsample_nearest_s8"}
)
"""Kernels that read and write in this order, as ``firmware/kernels/kernels.h`` promises."""


def lag(op: Op, source: Shape, out: Shape) -> int:
    """Bytes by which the output of ``op`` must start below an input that it shares bytes with, at least 0.

    ``source`` is the input's shape, ``out`` the output's. Defined for operations of the kernels in OVERLAPPING.
    """
    (height, width, channels), (_, columns, filters) = source, out
    if isinstance(op, UpsampleNearest):
        rows = tuple([(y, y * height // op.size[0]) for y in range(op.size[0])])
        across = tuple([(x, x * width // op.size[1]) for x in range(op.size[1])])
    else:
        assert isinstance(op, Conv2D | MaxPool | AvgPool), op.kind
        if op.kernel == op.stride == (1, 1):
            return max(0, (height * width - 1) * (filters - channels))
        rows = _first_taps(height, op.kernel[0], op.stride[0], op.dilation[0], op.padding)
        across = _first_taps(width, op.kernel[1], op.stride[1], op.dilation[1], op.padding)
    if not rows or not across:
        return 0  # nothing but padding is read
    down = max([y * columns * filters - tap * width * channels for y, tap in rows])
    return max(0, down + max([x * filters - tap * channels for x, tap in across]))


@lru_cache(maxsize=4096)
def _first_taps(size: int, kernel: int, stride: int, dilation: int, padding: Padding) -> tuple[tuple[int, int], ...]:
    """Along one axis, the positions of the window that meet the image, each with the first element that it reads."""
    out, before = window(size, kernel, stride, dilation, padding)
    found = []
    for position in range(out):
        origin = position * stride - before
        first = origin if origin >= 0 else origin % dilation
        if first < size and first <= origin + (kernel - 1) * dilation:
            found.append((position, first))
    return tuple(found)
