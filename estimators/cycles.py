"""Cycles of the firmware: for each kernel a linear model over counts that follow its loops.

The counts, called terms, are what the kernels' loops run over, so that each coefficient reads as a price:

=========  ============================================================================================
macs       products summed for LANES outputs at once; taps in the padding are skipped, a convolution's filters
           rounded up to LANES
lone_macs  products summed for one output alone: depthwise channels that are left over, or have several outputs
taps       elements that the windows of a pooling step read inside the image
runs       innermost loops entered: a kernel row inside the image, for each group; for Add and Mul the pieces of the
           output along which no operand is resized (``joined``)
outputs    output values: requantised, clamped, stored
groups     outputs that share the innermost loop, or stand alone, at each output position
pixels     output positions: the taps inside the image are found once for each
calls      1 for each step
=========  ============================================================================================

The loops are those of ``firmware/kernels/*.c``; the prices are ``[cycles]`` in the target's file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

from estimators.elementwise import joined
from estimators.kernels import Kernel, Term
from estimators.plan import Plan, Step
from search_spaces.geometry import Padding, window
from search_spaces.ops import AvgPool, Conv2D, DepthwiseConv2D, FullyConnected, MaxPool, Op, Shape

Terms = Mapping[Term, int]
Shapes = tuple[Shape, ...]

LANES: Final = 4
"""Filters or depthwise channels that are computed together; the kernels call it so too."""


def cycles(plan: Plan) -> float:
    """Cycles of one inference."""
    return sum(step_cycles(plan, step) for step in plan.steps)


def terms(plan: Plan, step: Step) -> Terms:
    """What the kernel of one step of ``plan`` counts."""
    return TERMS[step.kernel](step.op, *plan.shapes(step))


def step_cycles(plan: Plan, step: Step) -> float:
    """Cycles of one step of ``plan``."""
    price, counts = plan.target.cycles.kernels[step.kernel], terms(plan, step)
    return sum(coefficient * counts[term] for term, coefficient in price.items())


@lru_cache(maxsize=4096)
def taps_inside(size: int, kernel: int, stride: int, dilation: int, padding: Padding) -> int:
    """Taps that fall inside an axis of length ``size``, summed over all positions of the window along it."""
    out, before = window(size, kernel, stride, dilation, padding)
    inside = 0
    for position in range(out):
        origin = position * stride - before
        first = -(origin // dilation) if origin < 0 else 0  # rounds up
        inside += max(min(kernel, -((origin - size) // dilation)) - first, 0)
    return inside


def _inside(op: Conv2D | DepthwiseConv2D | MaxPool | AvgPool, shape: Shape) -> tuple[int, int]:
    (kernel_h, kernel_w), (stride_h, stride_w), (dilation_h, dilation_w) = op.kernel, op.stride, op.dilation
    return (
        taps_inside(shape[0], kernel_h, stride_h, dilation_h, op.padding),
        taps_inside(shape[1], kernel_w, stride_w, dilation_w, op.padding),
    )


def _conv2d(op: Op, shapes: Shapes, out: Shape) -> Terms:
    assert isinstance(op, Conv2D)
    rows, columns = _inside(op, shapes[0])
    height, width, filters = out
    groups = -(-filters // LANES)
    return {
        "macs": rows * columns * shapes[0][2] * groups * LANES,
        # Taps of a kernel row lie side by side and make one run, unless dilation parts them.
        "runs": rows * (width if op.dilation[1] == 1 else columns) * groups,
        "outputs": height * width * filters,
        "groups": height * width * groups,
        "pixels": height * width,
        "calls": 1,
    }


def _depthwise(op: Op, shapes: Shapes, out: Shape) -> Terms:
    assert isinstance(op, DepthwiseConv2D)
    rows, columns = _inside(op, shapes[0])
    height, width, channels = out
    groups, alone = divmod(channels, LANES) if op.multiplier == 1 else (0, channels)
    return {
        "macs": rows * columns * groups * LANES,
        "lone_macs": rows * columns * alone,
        "runs": rows * width * (groups + alone),
        "outputs": height * width * channels,
        "groups": height * width * (groups + alone),
        "pixels": height * width,
        "calls": 1,
    }


def _fully_connected(op: Op, shapes: Shapes, out: Shape) -> Terms:
    assert isinstance(op, FullyConnected)
    height, width, channels = shapes[0]
    return {"macs": height * width * channels * op.units, "outputs": op.units, "calls": 1}


def _pool(op: Op, shapes: Shapes, out: Shape) -> Terms:
    assert isinstance(op, MaxPool | AvgPool)
    rows, columns = _inside(op, shapes[0])
    height, width, channels = out
    return {
        "taps": rows * columns * channels,
        "runs": rows * width * channels,
        "outputs": height * width * channels,
        "pixels": height * width,
        "calls": 1,
    }


def _elementwise(op: Op, shapes: Shapes, out: Shape) -> Terms:
    height, width, channels = out
    return {"outputs": height * width * channels, "pixels": height * width, "calls": 1}


def _binary(op: Op, shapes: Shapes, out: Shape) -> Terms:
    (height, width, length), _ = joined(out, shapes)
    return {"outputs": height * width * length, "runs": height * width, "calls": 1}


TERMS: Final[dict[Kernel, Callable[[Op, Shapes, Shape], Terms]]] = {
    "conv2d_s8": _conv2d,
    "depthwise_conv2d_s8": _depthwise,
    "fully_connected_s8": _fully_connected,
    "max_pool_s8": _pool,
    "avg_pool_s8": _pool,
    "upsample_nearest_s8": _elementwise,
    "add_s8": _binary,
    "mul_s8": _binary,
    "lookup_s8": _elementwise,
    "softmax_s8": _elementwise,
}
"""How the terms of each kernel are counted from the operation, the shapes it reads, and its output's shape."""
