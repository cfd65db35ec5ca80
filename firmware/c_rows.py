"""Segments of a plan as C: a loop in which steps take turns row by row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from estimators import Kernel, Plan, Segment, Step
from estimators.steps import Pace
from estimators.streaming import reach
from search_spaces.ops import AvgPool, DepthwiseConv2D, MaxPool, Shape

ROW_FUNCTIONS: Final[dict[Kernel, str]] = {"add_s8": "add_run_s8", "mul_s8": "mul_stepped_s8"}
"""Functions that compute a row in place of the kernel of the whole tensor; others compute both."""


@dataclass(frozen=True, slots=True)
class Call:
    """One step: the constants it reads, its call (one row's in a segment), and a comment with shapes and MACs."""

    comment: str
    function: str
    constants: tuple[str, ...]
    arguments: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Turn:
    """Steps whose rows fall into the same ticks: when (always where ``condition`` is empty), which row
    (empty where the calls do not need to know), the calls."""

    condition: str
    row: str
    calls: tuple[tuple[int, Call], ...]


@dataclass(frozen=True, slots=True)
class Part:
    """What model_invoke does next: one step, or in every tick the turns of a segment's steps."""

    comment: str
    ticks: int
    turns: tuple[Turn, ...]


def parts(plan: Plan, calls: Sequence[Call]) -> list[Part]:
    """All steps in order; those of a segment in one part."""
    begun = {segment.first: segment for segment in plan.segments}
    result: list[Part] = []
    index = 0
    while index < len(calls):
        segment = begun.get(index)
        if segment is None:
            result.append(Part(calls[index].comment, 0, (Turn("", "", ((index, calls[index]),)),)))
            index += 1
            continue
        result.append(Part(_comment(segment), segment.ticks, _turns(segment, calls)))
        index = segment.end
    return result


def _comment(segment: Segment) -> str:
    return f"Steps {segment.first} to {segment.end - 1}, row by row: in each tick every step makes one row or none."


def _turns(segment: Segment, calls: Sequence[Call]) -> tuple[Turn, ...]:
    steps = range(segment.first, segment.end)
    turns = []
    for pace, together in groupby(zip(segment.paces, steps, strict=True), key=lambda pair: pair[0]):
        condition, row = _when(pace, segment.ticks)
        made = [(index, calls[index]) for _, index in together]
        used = any(re.search(r"\brow\b", word) for _, call in made for word in call.arguments)
        turns.append(Turn(condition, row if used else "", tuple(made)))
    return tuple(turns)


def _when(pace: Pace, ticks: int) -> tuple[str, str]:
    """Whether a row is made in a tick, and which one, in C."""
    since = f"tick - {pace.delay}" if pace.delay else "tick"
    conditions = [f"tick >= {pace.delay}"] if pace.delay else []
    if pace.end < ticks:
        conditions.append(f"tick < {pace.end}")
    if pace.every == 1:
        return " && ".join(conditions), since
    since = f"({since})" if pace.delay else since
    conditions.append(f"{since} % {pace.every} == 0")
    return " && ".join(conditions), f"{since} / {pace.every}"


def row_arguments(
    plan: Plan, segment: Segment, step: Step, index: int, extra: Sequence[str], macros: Mapping[str, str]
) -> tuple[str, ...]:
    """Arguments of the call that makes row ``row`` of a step; ``extra`` are the step's tables and scratch."""
    shapes = plan.graph.shapes
    _, width, channels = shapes[step.op.output]
    output = _address(macros, segment, shapes, step.op.output, 1)
    source = step.reads[0]
    if step.kernel == "conv2d_s8":
        held = str(held_rows(segment, shapes, source))
        return (f"&params_{index}", macros[source], *extra, held, "row", "row + 1", output)
    if isinstance(step.op, DepthwiseConv2D) and step.kernel != "channelwise_s8":
        needs = reach(step, shapes)
        assert needs is not None, "it is in a segment"
        origin = "row" if needs.stride == 1 else f"row * {needs.stride}"
        origin += f" - {needs.before}" if needs.before else ""
        return (f"&params_{index}", macros[source], *extra, origin, output)
    if step.kernel == "channelwise_s8":
        return (f"&params_{index}", _address(macros, segment, shapes, source, 1), *extra, output)
    if step.kernel == "pointwise_s8":
        return (f"&params_{index}", _address(macros, segment, shapes, source, 1), *extra, str(width), output)
    if isinstance(step.op, MaxPool | AvgPool):
        stride = step.op.stride[0]
        return (f"&params_{index}", _address(macros, segment, shapes, source, stride), *extra, output)
    inputs = [_address(macros, segment, shapes, name, 1) for name in step.reads]
    count = str(width * channels)
    if step.kernel == "mul_s8":
        inputs = [argument for address in inputs for argument in (address, "1")]
    if step.kernel == "lookup_s8":
        return (extra[0], count, *inputs, output)
    return (f"&params_{index}.run", count, *inputs, output)


def held_rows(segment: Segment, shapes: Mapping[str, Shape], name: str) -> int:
    """Rows of a tensor that are in the arena at a time: row y lies at place y modulo so many."""
    return segment.rings.get(name, shapes[name][0])


def _address(macros: Mapping[str, str], segment: Segment, shapes: Mapping[str, Shape], name: str, stride: int) -> str:
    """Where row ``row * stride`` of a tensor lies."""
    height, width, channels = shapes[name]
    rows, size = held_rows(segment, shapes, name), width * channels
    if rows == 1:
        return macros[name]
    row = "row" if stride == 1 else f"row * {stride}"
    if rows == height:
        return f"{macros[name]} + row * {size * stride}"
    # Windows of pooling begin where a ring of as many rows does.
    return macros[name] if rows == stride else f"{macros[name]} + {row} % {rows} * {size}"
