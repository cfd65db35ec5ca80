"""Segments: steps that take turns row by row, their rings, and plans that hold them, replayed byte by byte."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from estimators import Plan, Segment, estimate, lower
from estimators.cycles import terms
from estimators.plan import Lowered
from estimators.steps import Pace
from estimators.streaming import segment_lag, stream
from search_spaces import Graph, GraphBuilder, network
from search_spaces.ops import Add, AvgPool, Conv2D, DepthwiseConv2D, MaxPool, Mul, Scale, Sigmoid
from tests.estimators.plans import TARGET, check
from tests.estimators.replay import Clobbered, replay
from tests.strategies import graphs

BY_ROWS = (Conv2D, Conv2D, Add, MaxPool, AvgPool, Mul, Sigmoid, Scale, DepthwiseConv2D)


def segments_of(lowered: Lowered) -> list[Segment]:
    """All runs of steps that can be computed row by row."""
    count = len(lowered.steps)
    last_use = {**lowered.last_use, lowered.sources[lowered.graph.output]: count}
    found = [
        stream(lowered.steps, first, end, lowered.graph.shapes, last_use)
        for end in range(2, count + 1)
        for first in range(end - 1)
    ]
    return [segment for segment in found if segment is not None]


def plan_with(lowered: Lowered, segment: Segment) -> Plan:
    """A plan with one segment, chosen or not."""
    alone = lowered.alone
    return lowered.plan(TARGET, "ram", (*alone[: segment.first], segment, *alone[segment.end :]))


@st.composite
def streamed(draw: st.DrawFn) -> Plan:
    graph = draw(graphs(max_ops=7, ops=BY_ROWS, max_extent=12, max_channels=4))
    lowered = Lowered.of(graph)
    found = segments_of(lowered)
    assume(found)
    return plan_with(lowered, draw(st.sampled_from(found)))


@settings(max_examples=150, deadline=None)
@given(streamed(), st.sampled_from([1, 2, 4]))
def test_every_read_in_any_segment_finds_its_tensor(plan: Plan, group: int) -> None:
    check(plan)
    replay(plan, group)


@settings(max_examples=60, deadline=None)
@given(graphs(max_ops=8, max_extent=9, max_channels=5))
def test_mode_ram_needs_no_more(graph: Graph) -> None:
    plan = lower(graph, TARGET, "ram")
    check(plan)
    replay(plan, 4)
    assert plan.arena_bytes <= lower(graph, TARGET).arena_bytes


def residual_stage() -> Lowered:
    """A layer, and a residual block that halves the image."""
    builder = GraphBuilder((8, 8, 4))
    x = builder.conv(builder.input, 4, 3)  # 0
    y = builder.conv(builder.conv(x, 8, 3, 2), 8, 3)  # 1, 2
    builder.add(y, builder.conv(x, 8, 1, 2))  # 3, 4
    return Lowered.of(builder.build())


def test_paces_and_rings_by_hand() -> None:
    (segment,) = [found for found in segments_of(residual_stage()) if (found.first, found.end) == (0, 5)]
    # SAME with stride 2 on 8 rows pads none above: row y of step 1 reads rows 2y to 2y + 2.
    assert segment.paces == (Pace(0, 1, 8), Pace(2, 2, 4), Pace(4, 2, 4), Pace(4, 2, 4), Pace(4, 2, 4))
    # Step 3 reads row 2y of step 0 four ticks after it was made.
    assert segment.rings == {"conv0": 5, "conv1": 3, "conv2": 1, "conv3": 1}
    assert segment.ticks == 11


def test_the_replay_notices_a_ring_with_a_row_less() -> None:
    lowered = residual_stage()
    (segment,) = [found for found in segments_of(lowered) if (found.first, found.end) == (0, 5)]
    plan = plan_with(lowered, segment)
    replay(plan)
    for name, rows in segment.rings.items():
        fewer = replace(segment, rings={**segment.rings, name: rows - 1})
        if rows > 1:
            with pytest.raises(Clobbered):
                replay(replace(plan, segments=(fewer,)))


def test_a_sum_row_by_row_lies_over_its_input() -> None:
    builder = GraphBuilder((8, 8, 4))
    builder.add(builder.conv(builder.conv(builder.input, 4, 3), 4, 3), builder.input)
    lowered = Lowered.of(builder.build())
    (segment,) = [found for found in segments_of(lowered) if found.end - found.first == 3]
    # Row y is written when row y + 1 of the first convolution was made of rows y to y + 2.
    assert segment_lag(segment, lowered.steps, lowered.graph.shapes, "input") == 0
    plan = plan_with(lowered, segment)
    assert plan.steps[-1].overlaps == "input"
    assert plan.placements["add2"].offset == plan.placements["input"].offset
    for distance in (0, -4):
        moved = replace(plan.placements["add2"], offset=plan.placements["input"].offset - distance)
        wrong = replace(plan, placements={**plan.placements, "add2": moved}, arena_bytes=plan.arena_bytes + 4)
        if distance:
            with pytest.raises(Clobbered):
                replay(wrong)
        else:
            replay(wrong)


def test_what_cannot_come_by_rows() -> None:
    builder = GraphBuilder((8, 8, 4))
    x = builder.conv(builder.input, 4, 3)
    builder.add(builder.max_pool(x, 3, 1), builder.upsample(builder.max_pool(x, 2, 2), (8, 8)))
    assert segments_of(Lowered.of(builder.build())) == []


def test_two_readers_of_different_speed_are_no_segment() -> None:
    builder = GraphBuilder((8, 8, 4))
    x = builder.conv(builder.input, 4, 3)
    a, b = builder.conv(x, 4, 3, 2), builder.conv(builder.conv(x, 4, 3), 4, 3)
    builder.mul(builder.global_avg_pool(a), b)
    assert all(segment.first > 0 or segment.end < 3 for segment in segments_of(Lowered.of(builder.build())))


@pytest.mark.parametrize(
    ("name", "most", "share"),
    [("mlperf-ic-resnet8", 24_000, 1.02), ("cifar-lite", 30_000, 1.15), ("vgg-cifar", 40_000, 1.02)],
)
def test_arena_of_published_networks(name: str, most: int, share: float) -> None:
    """Beside mode speed's 34,592, 91,216 and 72,832 bytes; ``share`` is of its cycles."""
    plan = lower(network(name), TARGET, "ram")
    check(plan)
    assert plan.arena_bytes <= most
    assert estimate(plan).cycles <= share * estimate(lower(network(name), TARGET)).cycles


@pytest.mark.parametrize("name", ["mlperf-ic-resnet8", "tinyspeech-y"])
def test_every_read_of_a_published_network_finds_its_tensor(name: str) -> None:
    plan = lower(network(name), TARGET, "ram")
    assert plan.segments
    replay(plan, 4)


def test_little_memory_is_not_bought_with_much_time() -> None:
    """Rows of 5 pixels would spare a twentieth of the bytes and take twice the cycles."""
    plan = lower(network("mlperf-kws-dscnn"), TARGET, "ram")
    assert plan.segments == ()
    assert plan.steps == lower(network("mlperf-kws-dscnn"), TARGET).steps


def test_calls_are_counted_row_by_row() -> None:
    plan = lower(network("mlperf-ic-resnet8"), TARGET, "ram")
    calls = [terms(plan, step)["calls"] for step in plan.steps if step.by_rows]
    rows = [pace.rows for segment in plan.segments for pace in segment.paces]
    assert calls == rows
    assert int(np.sum(calls)) == 4 * 32 + 4 * 16
