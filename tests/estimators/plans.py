"""What must be true of every plan."""

from __future__ import annotations

import itertools

from estimators import Plan, load_target, lower
from search_spaces import GraphBuilder
from search_spaces.ops import Add, Mul, Scale, UpsampleNearest

TARGET = load_target("stm32l4r9")


def planned(builder: GraphBuilder) -> Plan:
    """The plan of what was built, checked."""
    plan = lower(builder.build(), TARGET)
    check(plan)
    return plan


def in_place(builder: GraphBuilder) -> list[str | None]:
    """What each step writes over."""
    return [step.in_place for step in planned(builder).steps]


def check(plan: Plan) -> None:
    """At every step all that it reads, writes or leaves for later lies apart, but for an output and a dying input.

    Which tensors are one (a Scale's output and its input) is found out here anew, from the graph alone. That an output
    never overwrites what its step has still to read is shown in test_overlap.py.
    """
    graph, places = plan.graph, plan.placements
    fused = {op.output for op in graph.ops if op.output not in places}
    assert list(places) == [name for name in graph.shapes if name not in fused]
    assert [step.op for step in plan.steps] == [
        op for op in graph.ops if not isinstance(op, Scale) and op.output not in fused
    ]
    written = {graph.input: graph.input}
    for op in graph.ops:
        written[op.output] = written[op.inputs[0]] if isinstance(op, Scale) else op.output
    rings = {name: rows for segment in plan.segments for name, rows in segment.rings.items()}
    begins, ends = check_segments(plan)
    for name, place in places.items():
        rows, columns, channels = graph.shapes[name]
        assert place.size == rings.get(written[name], rows) * columns * channels
        assert place.offset % 4 == 0
        assert place.offset + place.size <= plan.arena_bytes
        assert place == places[written[name]]
        assert plan.sources[name] == written[name]
    own = [name for name in places if written[name] == name]
    first = {step.op.output: begins[index] for index, step in enumerate(plan.steps)} | {graph.input: 0}
    last = {name: ends[index] for index, step in enumerate(plan.steps) for name in step.reads}
    last[written[graph.output]] = len(plan.steps) - 1
    assert {name: (places[name].first, places[name].last) for name in own} == {n: (first[n], last[n]) for n in own}
    same = {(step.in_place, step.op.output) for step in plan.steps if step.in_place is not None}
    partly = {(step.overlaps, step.op.output) for step in plan.steps if step.overlaps is not None}
    for index, step in enumerate(plan.steps):
        assert step.reads == tuple(plan.sources[name] for name in step.op.inputs)
        assert {*step.reads, step.op.output} <= {n for n in own if places[n].first <= index <= places[n].last}
        alive = [name for name in own if places[name].first <= index <= places[name].last]
        for a, b in itertools.combinations(alive, 2):
            (_, low_end), (high, _) = sorted((places[n].offset, places[n].offset + places[n].size) for n in (a, b))
            if (a, b) in same | partly:
                assert b == plan.steps[ends[index]].op.output
                assert (places[a].last, places[b].first) == (ends[index], begins[index])
                assert low_end > high, "they do share bytes"
            else:
                assert low_end <= high, (a, b)
            if (a, b) in same:
                assert (places[a].offset, places[a].size) == (places[b].offset, places[b].size)
            if (a, b) in partly:
                assert places[b].offset <= places[a].offset
        scratch, end = step.scratch_offset, step.scratch_offset + step.scratch_bytes
        assert scratch % 4 == 0
        assert end <= plan.arena_bytes
        if step.scratch_bytes:
            assert all(end <= places[n].offset or places[n].offset + places[n].size <= scratch for n in alive)
    check_fused(plan, fused)


def check_segments(plan: Plan) -> tuple[list[int], list[int]]:
    """First and last step of those that every step takes turns with; what a ring holds is theirs alone."""
    begins, ends = list(range(len(plan.steps))), list(range(len(plan.steps)))
    for segment in plan.segments:
        inside = range(segment.first, segment.end)
        assert len(inside) == len(segment.paces) > 1
        for index in inside:
            assert begins[index] == ends[index] == index, "segments do not overlap"
            begins[index], ends[index] = inside[0], inside[-1]
        assert list(segment.rings) == [plan.steps[index].op.output for index in inside[:-1]]
        for index, step in enumerate(plan.steps):
            assert index in inside or not any(name in segment.rings for name in step.reads)
    for index, step in enumerate(plan.steps):
        assert step.by_rows == (begins[index] < ends[index])
    return begins, ends


def check_fused(plan: Plan, fused: set[str]) -> None:
    """What is fused has one reader, which is one operand of an Add or Mul and finds by shapes what it needs."""
    shapes, producer = plan.graph.shapes, {op.output: op for op in plan.graph.ops}
    for name in fused:
        assert isinstance(producer[name], UpsampleNearest | Scale)
        assert sum(op.inputs.count(name) for op in plan.graph.ops) == 1
    for step in plan.steps:
        for read, name in zip(step.reads, step.op.inputs, strict=True):
            if name not in fused:
                assert shapes[read] == shapes[name]
                continue
            assert isinstance(step.op, Add | Mul)
            out, source, size = shapes[step.op.output], shapes[read], shapes[name]
            assert source[2] == size[2]
            for axis in (0, 1):
                by_graph = [(y if size[axis] > 1 else 0) * source[axis] // size[axis] for y in range(out[axis])]
                assert by_graph == [y * source[axis] // out[axis] for y in range(out[axis])]
