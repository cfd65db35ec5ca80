"""Bytes that a kernel needs in the arena beside its tensors, during its own step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from estimators import depthwise
from estimators.blocks import aligned
from estimators.kernels import Kernel
from search_spaces.ops import Conv2D, Op, Shape


def _conv2d(op: Op, shape: Shape) -> int:
    """Four patches as halves, and one as bytes; their values in steps of four."""
    assert isinstance(op, Conv2D)
    return (4 * 2 + 1) * aligned(op.kernel[0] * op.kernel[1] * shape[2])


def _pointwise(op: Op, shape: Shape) -> int:
    """Four pixels as halves."""
    return 4 * 2 * aligned(shape[2])


SCRATCH: Final[dict[Kernel, Callable[[Op, Shape], int]]] = {
    "conv2d_s8": _conv2d,
    "pointwise_s8": _pointwise,
    "pointwise_s4": _pointwise,
    "depthwise_conv2d_s8": depthwise.scratch,
    "depthwise3_s8": depthwise.plane_bytes,
}
"""How the scratch bytes of a kernel follow from the operation and its input's shape; others need none."""


def scratch_bytes(kernel: Kernel, op: Op, input_shape: Shape, by_rows: bool = False) -> int:
    """Scratch of one step in bytes; with ``by_rows`` of one that makes a row at a time."""
    if by_rows and kernel == "depthwise_conv2d_s8":
        return depthwise.scratch(op, input_shape, by_rows=True)
    if by_rows and kernel == "depthwise3_s8":
        return depthwise.plane_bytes(op, input_shape, by_rows=True)
    return SCRATCH[kernel](op, input_shape) if kernel in SCRATCH else 0
