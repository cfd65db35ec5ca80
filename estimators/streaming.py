"""Steps that take turns row by row: whether a run of them can, in which order, and how many rows each tensor needs.

Time is counted in ticks. In each tick every step makes a row of its output or none, in the order of the steps: row y
at tick ``delay + y * every``. A step that slides its window by 2 rows comes half as often as the one it reads, so
``every`` of a tensor's reader is that of its writer times the stride. A row is made as late as its readers allow:

    delay of a reader  >=  delay of the writer + every of the writer * (rows of the window below its first one)

Row r of a tensor is done with when the last window that begins no lower was computed; until then no later row may take
its place. With the row of a window's top r = y * stride - pad_top that gives the rows of the ring,

    R  >  pad_top + (delay of the reader - delay of the writer) / every of the writer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import lcm
from typing import Final, NamedTuple

from estimators.kernels import Kernel
from estimators.overlap import lag
from estimators.steps import Pace, Segment, Step
from search_spaces.geometry import window
from search_spaces.ops import AvgPool, Conv2D, DepthwiseConv2D, MaxPool, Shape

BY_ROWS: Final[frozenset[Kernel]] = frozenset(
    {
        *("conv2d_s8", "pointwise_s8", "depthwise_conv2d_s8", "depthwise3_s8", "channelwise_s8"),
        *("max_pool_s8", "avg_pool_s8", "add_s8", "mul_s8", "lookup_s8"),
    }
)
"""Kernels that can compute a single row of their output."""

Shapes = Mapping[str, Shape]


class Reach(NamedTuple):
    """The rows that a step's row y reads: from y * stride - before to ``reach`` - 1 rows further down."""

    stride: int
    before: int
    reach: int


def reach(step: Step, shapes: Shapes) -> Reach | None:
    """What a step reads for a row of its output; None where no kernel computes a single row.

    Convolutions find the rows of a ring one by one. Pooling takes them as they lie, so they must lie side by side:
    windows meet no border, and do not overlap. Sums and products have operands of equal shapes.
    """
    op, out = step.op, shapes[step.op.output]
    if step.kernel not in BY_ROWS:
        return None
    if isinstance(op, Conv2D | DepthwiseConv2D | MaxPool | AvgPool):
        height = shapes[step.reads[0]][0]
        rows = (op.kernel[0] - 1) * op.dilation[0] + 1
        before = window(height, op.kernel[0], op.stride[0], op.dilation[0], op.padding)[1]
        if isinstance(op, MaxPool | AvgPool):
            inside = before == 0 and (out[0] - 1) * op.stride[0] + rows <= height
            if not inside or rows > op.stride[0]:
                return None
        return Reach(op.stride[0], before, rows)
    if any(shapes[name] != out for name in step.reads):
        return None
    return Reach(1, 0, 1)


def stream(steps: Sequence[Step], first: int, end: int, shapes: Shapes, last_use: Mapping[str, int]) -> Segment | None:
    """Steps ``first`` to ``end`` - 1 as a segment; None where they cannot be one.

    ``last_use`` tells for every tensor the last step that reads it. Each step's output but the last must be read in the
    segment alone.
    """
    run = range(first, end)
    written = {steps[index].op.output: index for index in run}
    reaches: dict[int, Reach] = {}
    for index in run:
        needs = reach(steps[index], shapes)
        if needs is None or (index < end - 1 and last_use[steps[index].op.output] >= end):
            return None
        reaches[index] = needs
    readers = {
        name: [later for later in range(index + 1, end) if name in steps[later].reads]
        for name, index in written.items()
    }
    every = _frequencies(run, written, readers, reaches, steps)
    if every is None:
        return None
    delay = {end - 1: 0}
    for index in reversed(range(first, end - 1)):
        # Always read: nobody else does, and the graph has no dead ends.
        delay[index] = min(
            [
                delay[reader] - every[index] * (reaches[reader].reach - 1 - reaches[reader].before)
                for reader in readers[steps[index].op.output]
            ]
        )
    earliest = min(delay.values())
    paces = tuple([Pace(delay[i] - earliest, every[i], shapes[steps[i].op.output][0]) for i in run])
    rings = {}
    for index in range(first, end - 1):
        name = steps[index].op.output
        rows, unit = 1, 1
        for reader in readers[name]:
            rows = max(rows, reaches[reader].before + (delay[reader] - delay[index]) // every[index] + 1)
            if steps[reader].kernel in ("max_pool_s8", "avg_pool_s8"):
                unit = lcm(unit, reaches[reader].stride)
        rings[name] = min(-(-rows // unit) * unit, shapes[name][0])
    return Segment(first, end, paces, rings)


def _frequencies(
    run: range,
    written: Mapping[str, int],
    readers: Mapping[str, Sequence[int]],
    reaches: Mapping[int, Reach],
    steps: Sequence[Step],
) -> dict[int, int] | None:
    """For each step the ticks from row to row; None where two readers of a tensor want it at different speeds."""
    if any(not readers[steps[index].op.output] for index in run[:-1]):
        return None
    # As if the last step came every so many ticks that all strides divide them.
    total = 1
    for index in run:
        total *= reaches[index].stride
    every = {run[-1]: total}
    for index in reversed(run[:-1]):
        speeds = {every[reader] // reaches[reader].stride for reader in readers[steps[index].op.output]}
        if len(speeds) > 1:
            return None
        (every[index],) = speeds
    least = min(every.values())
    if any(ticks % least for ticks in every.values()):
        return None
    return {index: ticks // least for index, ticks in every.items()}


def segment_lag(segment: Segment, steps: Sequence[Step], shapes: Shapes, source: str) -> int:
    """Bytes by which the segment's output must start below ``source``, which it reads and nobody reads later.

    After each row of the output the rows that steps read of the source from then on lie higher than all that was
    written; within a row the last step keeps to the order that ``estimators.overlap`` knows, or, if it is a depthwise
    convolution, to none that helps: it reads all of one channel after it wrote all of another.
    """
    last, pace = steps[segment.end - 1], segment.paces[-1]
    out = shapes[last.op.output]
    _, width, channels = shapes[source]
    least = 0
    if source in last.reads and isinstance(last.op, Conv2D | MaxPool | AvgPool):
        least = lag(last.op, shapes[source], out)
    for step, other in zip(steps[segment.first : segment.end], segment.paces, strict=True):
        needs = reach(step, shapes)
        own = step is last
        if source not in step.reads or needs is None or (own and not isinstance(step.op, DepthwiseConv2D)):
            continue
        for row in range(out[0]):
            now = pace.delay + row * pace.every
            following = row if own else max(0, (now - other.delay) // other.every + 1)
            if following < other.rows:
                read = max(0, following * needs.stride - needs.before) * width * channels
                least = max(least, (row + 1) * out[1] * out[2] - read)
    return least
