"""Outputs over dying inputs: the least lag, and plans replayed byte by byte."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from estimators import Plan, load_target, lower
from estimators.overlap import lag
from search_spaces import Graph, GraphBuilder, Padding, network
from search_spaces.ops import AvgPool, Conv2D, MaxPool, Op, Shape, UpsampleNearest
from tests.estimators.replay import Clobbered, replay
from tests.strategies import graphs

TARGET = load_target("stm32l4r9")


def conv(filters: int, kernel: int = 1, stride: int = 1, dilation: int = 1, padding: Padding = Padding.SAME) -> Conv2D:
    return Conv2D(
        inputs=("input",),
        output="x",
        filters=filters,
        kernel=(kernel, kernel),
        stride=(stride, stride),
        dilation=(dilation, dilation),
        padding=padding,
    )


@pytest.mark.parametrize(
    ("op", "source", "expected"),
    [
        # As many channels: a pixel is written exactly where it was read. Fewer: behind it.
        (conv(3), (4, 5, 3), 0),
        (conv(2), (4, 5, 3), 0),
        # Two more for each of the 19 pixels before the last.
        (conv(5), (4, 5, 3), 19 * 2),
        # The row above and the pixel to the left are still read.
        (conv(3, kernel=3), (4, 5, 3), (5 + 1) * 3),
        # Without padding nothing before the pixel's own place is read.
        (conv(3, kernel=3, padding=Padding.VALID), (4, 5, 3), 0),
        # 2 x 2 outputs of 12 bytes: the second row begins at byte 24, and reads from row 2, byte 24, on.
        (conv(12, kernel=2, stride=2), (4, 4, 3), 12 - 6),
        # Dilation: the second column reads from column 0, the first from column 1.
        (conv(1, kernel=3, dilation=2, padding=Padding.SAME), (1, 5, 1), 2),
        (MaxPool(inputs=("input",), output="x", kernel=(2, 2), stride=(2, 2)), (4, 4, 3), 0),
        (AvgPool(inputs=("input",), output="x", kernel=(3, 3)), (4, 4, 3), (4 + 1) * 3),
        # The last of 8 x 8 pixels is made from the last of 4 x 4.
        (UpsampleNearest(inputs=("input",), output="x", size=(8, 8)), (4, 4, 3), (63 - 15) * 3),
        (UpsampleNearest(inputs=("input",), output="x", size=(2, 2)), (4, 4, 3), 0),
    ],
)
def test_lag_by_hand(op: Op, source: Shape, expected: int) -> None:
    assert lag(op, source, op.output_shape([source])) == expected


@st.composite
def _layers(draw: st.DrawFn) -> Graph:
    graph = draw(graphs(max_ops=1, ops=(Conv2D, MaxPool, AvgPool, UpsampleNearest), max_extent=9, max_channels=5))
    assume(len(graph.ops) == 1)
    return graph


@settings(max_examples=80, deadline=None)
@given(_layers())
def test_lag_is_the_least_that_works(graph: Graph) -> None:
    """Bytes apart: a byte less, and something is read that was overwritten."""
    (op,) = graph.ops
    least = lag(op, graph.input_shape, graph.output_shape)
    replay(_apart(graph, least))
    if least:
        with pytest.raises(Clobbered):
            replay(_apart(graph, least - 1))


def _apart(graph: Graph, distance: int) -> Plan:
    """A plan whose output starts ``distance`` bytes below the input, at the arena's start."""
    plan = lower(graph, TARGET)
    size = {name: place.size for name, place in plan.placements.items()}
    places = {
        name: replace(place, offset=distance if name == graph.input else 0) for name, place in plan.placements.items()
    }
    steps = tuple(replace(step, scratch_bytes=0) for step in plan.steps)
    arena = max(distance + size[graph.input], size[graph.output])
    return replace(plan, steps=steps, placements=places, arena_bytes=arena)


# --- whole plans -----------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(graphs(max_ops=8, max_extent=8, max_channels=6), st.sampled_from([1, 2, 4]))
def test_every_read_finds_its_tensor(graph: Graph, group: int) -> None:
    replay(lower(graph, TARGET), group)


@pytest.mark.parametrize("name", ["mlperf-kws-dscnn", "tinyspeech-z", "mlperf-ic-resnet8"])
def test_every_read_of_a_published_network_finds_its_tensor(name: str) -> None:
    replay(lower(network(name), TARGET), 4)


def test_the_replay_notices_a_lag_too_short() -> None:
    builder = GraphBuilder((6, 6, 4))
    builder.conv(builder.input, 8, 3)
    plan = lower(builder.build(), TARGET)
    (step,) = plan.steps
    assert step.overlaps == "input"
    places = dict(plan.placements)
    nearest = places["input"].offset - lag(step.op, (6, 6, 4), (6, 6, 8))
    for offset, clobbered in ((nearest, False), (nearest + 1, True)):
        moved = replace(plan, steps=(replace(step, scratch_bytes=0),), arena_bytes=plan.arena_bytes + 8)
        moved = replace(moved, placements=places | {"conv0": replace(places["conv0"], offset=offset)})
        if clobbered:
            with pytest.raises(Clobbered):
                replay(moved)
        else:
            replay(moved)


def test_the_replay_notices_scratch_over_a_tensor() -> None:
    builder = GraphBuilder((6, 6, 4))
    builder.conv(builder.input, 4, 3)
    plan = lower(builder.build(), TARGET)
    (step,) = plan.steps
    for name in ("input", step.op.output):
        moved = replace(step, scratch_bytes=4, scratch_offset=plan.placements[name].offset)
        with pytest.raises(Clobbered):
            replay(replace(plan, steps=(moved,)))


def test_the_replay_notices_an_input_that_is_still_needed() -> None:
    builder = GraphBuilder((4, 4, 4))
    builder.add(builder.conv(builder.input, 4), builder.input)
    plan = lower(builder.build(), TARGET)
    places = dict(plan.placements)
    places["conv0"] = replace(places["conv0"], offset=places["input"].offset)
    with pytest.raises(Clobbered):
        replay(replace(plan, placements=places))


def test_a_chain_of_pointwise_convolutions_needs_its_largest_tensor_alone() -> None:
    builder = GraphBuilder((8, 8, 16))
    x = builder.input
    for filters in (32, 8, 24):
        x = builder.conv(x, filters)
    plan = lower(builder.build(), TARGET)
    scratch = max(step.scratch_bytes for step in plan.steps)
    assert plan.arena_bytes <= 8 * 8 * 32 + scratch
    assert [step.overlaps for step in plan.steps[:2]] == ["input", "conv0"]
