"""Which steps of a plan take turns row by row: the segments that lower the arena most.

A tensor that only the steps of one segment touch is a ring of a few rows; all others lie whole. So what a segment needs
does not depend on the others: its rings, its scratch, and the whole tensors alive meanwhile. A plan is a path through
the steps, each edge a step by itself or a segment; its arena is about what its worst edge needs.

Rows cost time, more the shorter they are. For every bound on the arena there is a fastest path; of all these the one
is taken whose product of bytes and cycles is least: a tenth of the memory may cost a tenth of the time, not twice it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from estimators.blocks import aligned
from estimators.overlap import lag
from estimators.scratch import scratch_bytes
from estimators.steps import Pace, Segment, Step
from estimators.streaming import Shapes, reach, segment_lag, stream
from search_spaces.ops import Shape


class Neighbour(NamedTuple):
    """A tensor that the output of a segment may share bytes with, if it starts at least ``lag`` bytes below it."""

    source: str
    lag: int


def whole(step: Step, index: int, shapes: Shapes) -> Segment:
    """A step by itself."""
    return Segment(index, index + 1, (Pace(0, 1, shapes[step.op.output][0]),), {})


def size_of(shape: Shape) -> int:
    """Bytes of a tensor."""
    return shape[0] * shape[1] * shape[2]


def neighbour(segment: Segment, steps: Sequence[Step], shapes: Shapes, last_use: Mapping[str, int]) -> Neighbour | None:
    """What the output may run into: a step by itself says so, a segment chooses the input that spares most."""
    last = steps[segment.end - 1]
    out = shapes[last.op.output]
    if segment.end - segment.first == 1:
        return None if last.overlaps is None else Neighbour(last.overlaps, lag(last.op, shapes[last.overlaps], out))
    written = {step.op.output for step in steps[segment.first : segment.end]}
    read = dict.fromkeys(name for step in steps[segment.first : segment.end] for name in step.reads)
    found = [
        Neighbour(name, segment_lag(segment, steps, shapes, name))
        for name in read
        if name not in written and last_use[name] < segment.end
    ]
    useful = [near for near in found if near.lag < size_of(out)]
    return max(useful, key=lambda near: _spared(near, size_of(out), shapes), default=None)


def _spared(near: Neighbour, size: int, shapes: Shapes) -> int:
    """Bytes that two tensors which share some need less than apart."""
    upper = aligned(size_of(shapes[near.source]))
    return upper + aligned(size) - max(aligned(size), aligned(near.lag) + upper)


def ring_bytes(segment: Segment, shapes: Shapes) -> dict[str, int]:
    """Bytes of each ring."""
    return {name: rows * shapes[name][1] * shapes[name][2] for name, rows in segment.rings.items()}


def step_scratch(step: Step, segment: Segment, shapes: Shapes) -> int:
    """Scratch of one step of a segment in bytes."""
    by_rows = segment.end - segment.first > 1
    return scratch_bytes(step.kernel, step.op, shapes[step.reads[0]], by_rows) if by_rows else step.scratch_bytes


def scratch_of(segment: Segment, steps: Sequence[Step], shapes: Shapes) -> int:
    """Scratch in bytes, which the steps have in turn."""
    return max([step_scratch(step, segment, shapes) for step in steps[segment.first : segment.end]])


def choose(
    steps: Sequence[Step],
    shapes: Shapes,
    last_use: Mapping[str, int],
    source: str,
    output: str,
    cycles: Callable[[Step, bool], float],
) -> tuple[Segment, ...]:
    """All steps in order as segments, those by themselves too (they have no rings).

    ``source`` is the network's input, ``output`` the tensor that is its output. ``last_use`` tells the last step that
    reads a tensor, ``cycles`` what a step takes, row by row where its second argument says so.
    """
    count = len(steps)
    last_use = {**last_use, output: count}
    first_use = {source: -1} | {step.op.output: index for index, step in enumerate(steps)}
    alone = [cycles(step, False) for step in steps]
    by_rows = [cycles(step, True) if reach(step, shapes) is not None else 0.0 for step in steps]

    def edge(segment: Segment) -> _Edge:
        inside = slice(segment.first, segment.end)
        time = sum((alone if segment.end - segment.first == 1 else by_rows)[inside])
        last = steps[segment.end - 1]
        size = size_of(shapes[last.op.output])
        total = aligned(size) + aligned(scratch_of(segment, steps, shapes))
        total += sum(aligned(ring) for ring in ring_bytes(segment, shapes).values())
        for name, first in first_use.items():
            if first < segment.first <= last_use[name]:
                total += aligned(size_of(shapes[name]))
        if segment.end - segment.first == 1 and last.in_place is not None:
            return _Edge(segment, total - aligned(size), time)
        near = neighbour(segment, steps, shapes, last_use)
        return _Edge(segment, total if near is None else total - _spared(near, size, shapes), time)

    edges: list[list[_Edge]] = []
    for end in range(1, count + 1):
        found = [whole(steps[end - 1], end - 1, shapes)]
        for first in range(end - 2, -1, -1):
            if reach(steps[first], shapes) is None:
                break
            segment = stream(steps, first, end, shapes, last_use)
            if segment is not None:
                found.append(segment)
        edges.append([edge(segment) for segment in found])
    highest = max(ends[0].need for ends in edges)
    found_paths = []
    for most in sorted({each.need for ends in edges for each in ends if each.need <= highest}):
        path = _fastest(edges, most)
        if path is not None:
            found_paths.append(path)
    best = min(found_paths, key=lambda path: max(each.need for each in path) * sum(each.time for each in path))
    return tuple([each.segment for each in best])


class _Edge(NamedTuple):
    """A segment, the bytes alive while it runs, and its cycles."""

    segment: Segment
    need: int
    time: float


def _fastest(edges: Sequence[Sequence[_Edge]], most: int) -> list[_Edge] | None:
    """The path along edges of at most ``most`` bytes that takes the fewest cycles; None where there is none."""
    times: list[float | None] = [0.0]
    taken: list[_Edge] = []
    for ends in edges:
        best, least = ends[0], None
        for each in ends:
            before = times[each.segment.first]
            if each.need <= most and before is not None and (least is None or before + each.time < least):
                best, least = each, before + each.time
        times.append(least)
        taken.append(best)
    if times[-1] is None:
        return None
    path: list[_Edge] = []
    end = len(edges)
    while end:
        path.append(taken[end - 1])
        end = path[-1].segment.first
    return path[::-1]
