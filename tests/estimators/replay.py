"""Replays a plan byte by byte on a memory of tags: every byte says which tensor's which byte it holds.

Each step is a list of turns, in each of which its kernel reads some bytes and then writes some, in the order that
``firmware/kernels/kernels.h`` documents. Steps of a segment come row by row, as ``model.c`` has them: tick by tick,
and in each every step whose turn it is makes its row. A read that finds another tag than
the one it looks for proves the plan wrong. Where a kernel may take more or less at a time, ``group`` says how much.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np
from numpy.typing import NDArray

from estimators import Plan, Step
from search_spaces.geometry import window
from search_spaces.graph import Graph
from search_spaces.ops import (
    Add,
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Mul,
    Shape,
    UpsampleNearest,
)

Bytes = NDArray[np.int64]
Turn = tuple[list[tuple[str, Bytes]], Bytes]
"""Which bytes of which tensors are read, then which bytes of the output are written."""

_TENSOR = 1 << 24
SCRATCH = -2


class Clobbered(AssertionError):
    """A step reads a byte that no longer holds what it looks for."""


def replay(plan: Plan, group: int = 1) -> None:
    """Raises Clobbered where a step, or who reads the output in the end, finds something else than was written."""
    graph = plan.graph
    memory = np.full(plan.arena_bytes, -1, np.int64)
    number = {name: index for index, name in enumerate(plan.placements)}
    rings = {name: rows for segment in plan.segments for name, rows in segment.rings.items()}

    def where(name: str, places: Bytes) -> Bytes:
        """Where bytes of a tensor lie in the arena; one that a ring takes in has few rows."""
        source = plan.sources[name]
        _, width, channels = graph.shapes[source]
        row, rest = np.divmod(places, width * channels)
        within = row % rings.get(source, graph.shapes[source][0]) * width * channels + rest
        assert within.max(initial=0) < plan.placements[name].size
        return plan.placements[name].offset + within

    def tags(name: str, places: Bytes) -> Bytes:
        return number[plan.sources[name]] * _TENSOR + places

    def write(name: str, places: Bytes) -> None:
        memory[where(name, places)] = tags(name, places)

    def check(name: str, places: Bytes, reader: str) -> None:
        found, expected = memory[where(name, places)], tags(name, places)
        if not np.array_equal(found, expected):
            raise Clobbered(f"{reader} reads {name}: {np.count_nonzero(found != expected)} bytes are something else's")

    write(graph.input, np.arange(np.prod(graph.input_shape)))
    written: dict[str, list[Bytes]] = {step.op.output: [] for step in plan.steps}
    for step, rows in _calls(plan):
        scratch = slice(step.scratch_offset, step.scratch_offset + step.scratch_bytes)
        for reads, writes in turns(graph, step, group, rows):
            for name, places in reads:
                check(name, places, step.op.output)
            memory[scratch] = SCRATCH
            write(step.op.output, writes)
            written[step.op.output].append(writes)
    for name, parts in written.items():
        everything = np.sort(np.concatenate(parts))
        assert np.array_equal(everything, np.arange(np.prod(graph.shapes[name]))), "each byte written once"
    output = plan.sources[graph.output]
    check(output, np.arange(np.prod(graph.output_shape)), "the user")


def _calls(plan: Plan) -> Iterator[tuple[Step, range]]:
    """The calls of all kernels in order, with the rows of the output that each makes."""
    begun = {segment.first: segment for segment in plan.segments}
    inside = {index for segment in plan.segments for index in range(segment.first, segment.end)}
    for index, step in enumerate(plan.steps):
        if index in begun:
            segment = begun[index]
            for tick in range(segment.ticks):
                for follower, pace in zip(plan.steps[segment.first : segment.end], segment.paces, strict=True):
                    row, rest = divmod(tick - pace.delay, pace.every)
                    if not rest and 0 <= row < pace.rows:
                        yield follower, range(row, row + 1)
        elif index not in inside:
            yield step, range(plan.graph.shapes[step.op.output][0])


def turns(graph: Graph, step: Step, group: int, rows: range) -> Iterator[Turn]:
    """What the kernel of a step reads and writes to make some rows of its output, turn by turn."""
    op, out = step.op, graph.shapes[step.op.output]
    source, shape = step.reads[0], graph.shapes[step.reads[0]]
    pixels = range(rows.start * out[1], rows.stop * out[1])
    if isinstance(op, Conv2D):
        yield from _pixel_groups(op, source, shape, out, group, pixels)
    elif isinstance(op, MaxPool | AvgPool):
        for pixel in pixels:
            yield from _channel_groups(source, _taps(op, shape, divmod(pixel, out[1])), pixel, shape, group)
    elif isinstance(op, UpsampleNearest):
        for pixel in range(out[0] * out[1]):
            y, x = divmod(pixel, out[1])
            tap = y * shape[0] // out[0] * shape[1] + x * shape[1] // out[1]
            yield from _channel_groups(source, np.array([tap]), pixel, shape, group)
    elif isinstance(op, DepthwiseConv2D):
        if step.by_rows:
            yield from _channelwise_rows(op, source, shape, out, group, rows)
        else:
            yield from _planes(op, source, shape, out, group, in_place=step.in_place is not None)
    elif isinstance(op, FullyConnected):
        everything = np.arange(np.prod(shape))
        for first in range(0, op.units, group):
            yield [(source, everything)], np.arange(first, min(first + group, op.units))
    elif isinstance(op, Add | Mul):
        shapes = [graph.shapes[name] for name in step.reads]
        operands = [_nearest(operand, out) for operand in shapes]
        end = pixels.stop * out[2]
        for first in range(pixels.start * out[2], end, group):
            part = np.arange(first, min(first + group, end))
            yield [(n, operand[part]) for n, operand in zip(step.reads, operands, strict=True)], part
    else:  # Sigmoid by table; Softmax reads a row of channels as a whole and once more, element by element
        for pixel in pixels:
            places = np.arange(pixel * out[2], (pixel + 1) * out[2])
            yield [(source, places)], places[:0]
            for place in places:
                yield [(source, places[place - places[0] :])], np.array([place])


def _taps(op: Conv2D | MaxPool | AvgPool, shape: Shape, position: tuple[int, int]) -> Bytes:
    """The pixels inside the image that the window at an output position reads."""
    axes = []
    for size, kernel, stride, dilation, place in zip(shape, op.kernel, op.stride, op.dilation, position, strict=False):
        origin = place * stride - window(size, kernel, stride, dilation, op.padding)[1]
        axes.append([tap for tap in range(origin, origin + kernel * dilation, dilation) if 0 <= tap < size])
    return np.array([y * shape[1] + x for y, x in product(*axes)], np.int64)


def _pixel_groups(op: Conv2D, source: str, shape: Shape, out: Shape, group: int, pixels: range) -> Iterator[Turn]:
    """Several output pixels at a time, in the order of memory, with all their filters."""
    for first in pixels[::group]:
        few = range(first, min(first + group, pixels.stop))
        taps = np.concatenate([_taps(op, shape, divmod(pixel, out[1])) for pixel in few])
        reads = (taps[:, None] * shape[2] + np.arange(shape[2])).ravel()
        yield [(source, reads)], np.arange(first * out[2], (few[-1] + 1) * out[2])


def _channel_groups(source: str, taps: Bytes, pixel: int, shape: Shape, group: int) -> Iterator[Turn]:
    """One output pixel, several channels at a time."""
    for first in range(0, shape[2], group):
        channels = np.arange(first, min(first + group, shape[2]))
        yield [(source, (taps[:, None] * shape[2] + channels).ravel())], pixel * shape[2] + channels


def _planes(op: DepthwiseConv2D, source: str, shape: Shape, out: Shape, group: int, in_place: bool) -> Iterator[Turn]:
    """Several channels at a time; of each a few rows, read before those of the output are written, and then kept."""
    last_row = op.dilation[0] * (op.kernel[0] - 1) - window(shape[0], op.kernel[0], 1, op.dilation[0], op.padding)[1]
    for first in range(0, shape[2], group):
        channels = np.arange(first, min(first + group, shape[2]))
        outputs = np.arange(first * op.multiplier, (channels[-1] + 1) * op.multiplier)
        read = 0
        for y in range(out[0]):
            needed = min(shape[0], y + last_row + 1) if in_place else shape[0]
            reads = _rows(max(read, 0), max(needed, read), shape, channels)
            read = max(needed, read)
            yield [(source, reads)], _rows(y, y + 1, out, outputs)


def _channelwise_rows(
    op: DepthwiseConv2D, source: str, shape: Shape, out: Shape, group: int, rows: range
) -> Iterator[Turn]:
    """Rows of the output, each several channels at a time."""
    before = window(shape[0], op.kernel[0], op.stride[0], op.dilation[0], op.padding)[1]
    for y in rows:
        top = y * op.stride[0] - before
        taps = [row for row in range(top, top + op.kernel[0] * op.dilation[0], op.dilation[0]) if 0 <= row < shape[0]]
        for first in range(0, shape[2], group):
            channels = np.arange(first, min(first + group, shape[2]))
            outputs = np.arange(first * op.multiplier, (channels[-1] + 1) * op.multiplier)
            reads = [_rows(row, row + 1, shape, channels) for row in taps]
            yield [(source, np.concatenate([np.arange(0), *reads]))], _rows(y, y + 1, out, outputs)


def _rows(first: int, end: int, shape: Shape, channels: Bytes) -> Bytes:
    pixels = np.arange(first * shape[1], end * shape[1])
    return (pixels[:, None] * shape[2] + channels).ravel()


def _nearest(operand: Shape, out: Shape) -> Bytes:
    """For each element of the output the one of an operand that it is made from."""
    y, x, c = (np.arange(extent) * size // extent for extent, size in zip(out, operand, strict=True))
    return ((y[:, None, None] * operand[1] + x[None, :, None]) * operand[2] + c).ravel()
