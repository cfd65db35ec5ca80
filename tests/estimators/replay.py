"""Replays a plan byte by byte on a memory of tags: every byte says which tensor's which byte it holds.

Each step is a list of turns, in each of which its kernel reads some bytes and then writes some, in the order that
``firmware/kernels/kernels.h`` documents. A read that finds another tag than the one it looks for proves the plan wrong.
Where a kernel may take more or less at a time, ``group`` says how much.
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
    memory = np.full(plan.arena_bytes, -1, np.int64)
    number = {name: index for index, name in enumerate(plan.placements)}

    def tags(name: str, places: Bytes) -> Bytes:
        return number[plan.sources[name]] * _TENSOR + places

    def write(name: str, places: Bytes) -> None:
        memory[plan.placements[name].offset + places] = tags(name, places)

    def check(name: str, places: Bytes, reader: str) -> None:
        found, expected = memory[plan.placements[name].offset + places], tags(name, places)
        if not np.array_equal(found, expected):
            raise Clobbered(f"{reader} reads {name}: {np.count_nonzero(found != expected)} bytes are something else's")

    graph = plan.graph
    write(graph.input, np.arange(np.prod(graph.input_shape)))
    for step in plan.steps:
        scratch = slice(step.scratch_offset, step.scratch_offset + step.scratch_bytes)
        written = []
        for reads, writes in turns(graph, step, group):
            for name, places in reads:
                check(name, places, step.op.output)
            memory[scratch] = SCRATCH
            write(step.op.output, writes)
            written.append(writes)
        everything = np.sort(np.concatenate(written))
        assert np.array_equal(everything, np.arange(np.prod(graph.shapes[step.op.output]))), "each byte written once"
    output = plan.sources[graph.output]
    check(output, np.arange(np.prod(graph.output_shape)), "the user")


def turns(graph: Graph, step: Step, group: int) -> Iterator[Turn]:
    """What the kernel of a step reads and writes, turn by turn."""
    op, out = step.op, graph.shapes[step.op.output]
    source, shape = step.reads[0], graph.shapes[step.reads[0]]
    if isinstance(op, Conv2D):
        yield from _pixel_groups(op, source, shape, out, group)
    elif isinstance(op, MaxPool | AvgPool):
        for pixel in range(out[0] * out[1]):
            yield from _channel_groups(source, _taps(op, shape, divmod(pixel, out[1])), pixel, shape, group)
    elif isinstance(op, UpsampleNearest):
        for pixel in range(out[0] * out[1]):
            y, x = divmod(pixel, out[1])
            tap = y * shape[0] // out[0] * shape[1] + x * shape[1] // out[1]
            yield from _channel_groups(source, np.array([tap]), pixel, shape, group)
    elif isinstance(op, DepthwiseConv2D):
        yield from _planes(op, source, shape, out, group, in_place=step.in_place is not None)
    elif isinstance(op, FullyConnected):
        everything = np.arange(np.prod(shape))
        for first in range(0, op.units, group):
            yield [(source, everything)], np.arange(first, min(first + group, op.units))
    elif isinstance(op, Add | Mul):
        shapes = [graph.shapes[name] for name in step.reads]
        operands = [_nearest(operand, out) for operand in shapes]
        count = int(np.prod(out))
        for first in range(0, count, group):
            part = slice(first, min(first + group, count))
            yield [(n, operand[part]) for n, operand in zip(step.reads, operands, strict=True)], np.arange(count)[part]
    else:  # Sigmoid by table; Softmax reads a row of channels as a whole and once more, element by element
        for row in range(out[0] * out[1]):
            places = np.arange(row * out[2], (row + 1) * out[2])
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


def _pixel_groups(op: Conv2D, source: str, shape: Shape, out: Shape, group: int) -> Iterator[Turn]:
    """Several output pixels at a time, in the order of memory, with all their filters."""
    pixels = out[0] * out[1]
    for first in range(0, pixels, group):
        few = range(first, min(first + group, pixels))
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


def _rows(first: int, end: int, shape: Shape, channels: Bytes) -> Bytes:
    pixels = np.arange(first * shape[1], end * shape[1])
    return (pixels[:, None] * shape[2] + channels).ravel()


def _nearest(operand: Shape, out: Shape) -> Bytes:
    """For each element of the output the one of an operand that it is made from."""
    y, x, c = (np.arange(extent) * size // extent for extent, size in zip(out, operand, strict=True))
    return ((y[:, None, None] * operand[1] + x[None, :, None]) * operand[2] + c).ravel()
