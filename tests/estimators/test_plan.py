from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from estimators import KERNELS, Placement, Plan, load_target, lower, lower_bound
from estimators.arena import Block
from search_spaces import Graph, GraphBuilder, NasError, Op, get_space, network
from search_spaces.ops import Add, Mul, Scale, UpsampleNearest
from tests.strategies import graphs

TARGET = load_target("stm32l4r9")


def check(plan: Plan) -> None:
    """At every step all that it reads, writes or leaves for later lies apart, but for the pair of an in-place step.

    Which tensors are one (a Scale's output and its input) is found out here anew, from the graph alone.
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
    for name, place in places.items():
        assert place.size == int(np.prod(graph.shapes[name]))
        assert place.offset % 4 == 0
        assert place.offset + place.size <= plan.arena_bytes
        assert place == places[written[name]]
        assert plan.sources[name] == written[name]
    own = [name for name in places if written[name] == name]
    shared = {(step.in_place, step.op.output) for step in plan.steps if step.in_place is not None}
    for index, step in enumerate(plan.steps):
        assert step.reads == tuple(plan.sources[name] for name in step.op.inputs)
        assert {*step.reads, step.op.output} <= {n for n in own if places[n].first <= index <= places[n].last}
        alive = [name for name in own if places[name].first <= index <= places[name].last]
        for a, b in itertools.combinations(alive, 2):
            if (a, b) in shared:
                assert b == step.op.output
                assert places[a].offset == places[b].offset
                assert places[a].size == places[b].size
                assert places[a].last == places[b].first == index
            else:
                assert places[a].offset + places[a].size <= places[b].offset or (
                    places[b].offset + places[b].size <= places[a].offset
                ), (a, b)
    check_fused(plan, fused)


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


@settings(max_examples=300)
@given(graphs(max_ops=8))
def test_random_graphs(graph: Graph) -> None:
    check(lower(graph, TARGET))


@pytest.mark.parametrize(
    ("name", "arena"),
    [
        # Two maps of 25 x 5 x 64 alive around every depthwise and pointwise convolution.
        ("mlperf-kws-dscnn", 2 * 25 * 5 * 64),
        # Around the first residual block's convolutions: three maps of 32 x 32 x 16.
        ("mlperf-ic-resnet8", 3 * 32 * 32 * 16),
        # The pointwise convolution from 32 x 32 x 32 to 32 x 32 x 64.
        ("cifar-lite", 32 * 32 * (32 + 64)),
    ],
)
def test_arena_of_published_networks(name: str, arena: int) -> None:
    plan = lower(network(name), TARGET)
    check(plan)
    assert plan.arena_bytes == arena


def test_mobilenet_meets_its_bound_where_greedy_by_size_needs_64512_bytes() -> None:
    builder = GraphBuilder((96, 96, 3))
    x = builder.conv(builder.input, 8, 3, 2)
    for filters, stride in [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]:
        x = builder.conv(builder.depthwise(x, 3, stride), filters)
    builder.dense(builder.global_avg_pool(x), 2)
    plan = lower(builder.build(), TARGET)
    check(plan)
    assert plan.arena_bytes == 55_296


def test_a_chain_by_hand() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.conv(builder.input, 2, 3)  # 48 -> 32 bytes
    builder.dense(x, 5)
    plan = lower(builder.build(), TARGET)
    assert [(s.kernel, s.in_place, s.scratch_bytes) for s in plan.steps] == [
        ("conv2d_s8", None, 0),
        ("fully_connected_s8", None, 0),
    ]
    assert dict(plan.placements) == {
        "input": Placement(0, 48, 0, 0),
        "conv0": Placement(48, 32, 0, 1),
        "dense1": Placement(0, 5, 1, 1),
    }
    assert plan.arena_bytes == 80


def _in_place(builder: GraphBuilder) -> list[str | None]:
    plan = lower(builder.build(), TARGET)
    check(plan)
    return [step.in_place for step in plan.steps]


def test_add_takes_over_the_first_input_that_dies() -> None:
    builder = GraphBuilder((4, 4, 3))
    builder.add(builder.input, builder.conv(builder.input, 3))
    assert _in_place(builder) == [None, "input"]


def test_add_takes_over_the_second_input_when_the_first_lives_on() -> None:
    builder = GraphBuilder((4, 4, 3))
    a = builder.conv(builder.input, 3)
    b = builder.conv(a, 3)
    builder.add(a, builder.add(a, b))
    assert _in_place(builder) == [None, None, b, a]


def test_an_input_that_is_read_again_is_not_overwritten() -> None:
    builder = GraphBuilder((4, 4, 3))
    a = builder.conv(builder.input, 3)
    builder.mul(a, builder.sigmoid(a))
    assert _in_place(builder) == [None, None, a]


def test_a_broadcast_output_takes_over_only_an_input_of_its_own_shape() -> None:
    builder = GraphBuilder((4, 4, 3))
    gate = builder.sigmoid(builder.global_avg_pool(builder.input))
    builder.mul(gate, builder.input)
    assert _in_place(builder) == [None, "avgpool0", "input"]
    builder = GraphBuilder((4, 1, 3))
    row = builder.avg_pool(builder.input, (4, 1), (4, 1))  # 1 x 1 x 3
    column = builder.conv(builder.input, 1)  # 4 x 1 x 1
    builder.add(row, column)  # 4 x 1 x 3
    assert _in_place(builder) == [None, None, None]


def test_a_tensor_added_to_itself_is_overwritten() -> None:
    builder = GraphBuilder((4, 4, 3))
    builder.add(builder.input, builder.input)
    assert _in_place(builder) == ["input"]


def test_a_chain_of_in_place_steps_is_one_block() -> None:
    builder = GraphBuilder((1, 1, 10))
    x = builder.softmax(builder.sigmoid(builder.dense(builder.input, 12)))
    builder.add(x, x)
    plan = lower(builder.build(), TARGET)
    check(plan)
    assert len({plan.placements[step.op.output].offset for step in plan.steps}) == 1
    assert plan.arena_bytes == 12 + 12


def test_pooling_and_resizing_never_work_in_place() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.max_pool(builder.input, 1, 1)
    x = builder.avg_pool(x, 1, 1)
    builder.upsample(x, (4, 4))
    assert _in_place(builder) == [None, None, None]


# --- Scale: another name for the same bytes --------------------------------------------------------------------------


def planned(builder: GraphBuilder) -> Plan:
    plan = lower(builder.build(), TARGET)
    check(plan)
    return plan


def test_a_scale_is_no_step_and_takes_no_bytes() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.scale(builder.conv(builder.input, 2, 3))
    builder.dense(x, 5)
    plan = planned(builder)
    assert [(step.kernel, step.reads) for step in plan.steps] == [
        ("conv2d_s8", ("input",)),
        ("fully_connected_s8", ("conv0",)),
    ]
    assert dict(plan.placements) == {
        "input": Placement(0, 48, 0, 0),
        "conv0": Placement(48, 32, 0, 1),
        "scale1": Placement(48, 32, 0, 1),
        "dense2": Placement(0, 5, 1, 1),
    }


def test_scales_of_scales_at_the_input_and_at_the_output() -> None:
    builder = GraphBuilder((2, 2, 3))
    x = builder.conv(builder.scale(builder.scale(builder.input)), 3)
    builder.scale(builder.scale(x))
    plan = planned(builder)
    assert dict(plan.placements) == {
        "input": Placement(0, 12, 0, 0),
        "scale0": Placement(0, 12, 0, 0),
        "scale1": Placement(0, 12, 0, 0),
        "conv2": Placement(12, 12, 0, 0),
        "scale3": Placement(12, 12, 0, 0),
        "scale4": Placement(12, 12, 0, 0),
    }


def test_bytes_live_until_the_last_reader_of_any_of_their_names() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.conv(builder.input, 3)
    scaled = builder.scale(x)
    y = builder.conv(x, 3)  # the last reader of this name
    builder.mul(builder.conv(y, 3), scaled)
    places = planned(builder).placements
    assert (places["conv0"].first, places["conv0"].last) == (0, 3)
    assert places["scale1"] == places["conv0"]


def test_nothing_is_written_over_bytes_that_are_read_later_under_another_name() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.conv(builder.input, 3)
    scaled = builder.scale(x)
    gate = builder.sigmoid(x)
    builder.mul(gate, scaled)
    assert _in_place(builder) == [None, None, "sigmoid2"]
    builder = GraphBuilder((4, 4, 3))
    x = builder.conv(builder.input, 3)
    scaled = builder.scale(x)
    builder.add(builder.sigmoid(scaled), x)
    assert _in_place(builder) == [None, None, "sigmoid2"]


def test_in_place_names_the_bytes_not_their_alias() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.conv(builder.input, 3)
    builder.add(builder.scale(x), x)  # both operands are the same bytes
    assert _in_place(builder) == [None, "conv0"]
    builder = GraphBuilder((4, 4, 3))
    builder.sigmoid(builder.scale(builder.input))
    assert _in_place(builder) == ["input"]


def test_a_network_of_scales_alone_is_refused() -> None:
    builder = GraphBuilder((4, 4, 3))
    builder.scale(builder.scale(builder.input))
    with pytest.raises(NasError, match="network 'void' has nothing to compute: at least one operation besides Scale"):
        lower(builder.build("void"), TARGET)


# --- UpsampleNearest: read where it is used --------------------------------------------------------------------------


def test_an_attention_condenser_needs_two_maps_and_a_small_one() -> None:
    builder = GraphBuilder((9, 5, 8))
    v = builder.conv(builder.input, 8, 3)
    small = builder.conv(builder.max_pool(v, 2, 2), 8)  # 5 x 3
    gated = builder.mul(v, builder.upsample(builder.sigmoid(small), (9, 5)))
    builder.add(builder.scale(gated), v)
    plan = planned(builder)
    assert [(step.kernel, step.reads, step.in_place) for step in plan.steps] == [
        ("conv2d_s8", ("input",), None),
        ("max_pool_s8", ("conv0",), None),
        ("conv2d_s8", ("maxpool1",), None),
        ("lookup_s8", ("conv2",), "conv2"),
        ("mul_s8", ("conv0", "sigmoid3"), None),
        ("add_s8", ("mul5", "conv0"), "mul5"),
    ]
    assert "upsample4" not in plan.placements
    assert plan.placements["sigmoid3"].last == 4
    assert plan.arena_bytes == 2 * 360 + 5 * 3 * 8


def test_the_other_operand_may_be_overwritten() -> None:
    builder = GraphBuilder((5, 4, 3))
    x = builder.conv(builder.input, 3)
    builder.add(builder.upsample(builder.max_pool(x, 2, 2), (5, 4)), x)
    plan = planned(builder)
    assert [step.in_place for step in plan.steps] == [None, None, "conv0"]
    assert plan.steps[2].reads == ("maxpool1", "conv0")


def test_both_operands_upsampled_through_scales_too() -> None:
    builder = GraphBuilder((2, 3, 4))
    a = builder.scale(builder.upsample(builder.scale(builder.input), (5, 7)))
    b = builder.upsample(builder.sigmoid(builder.input), (5, 7))
    builder.mul(a, b)
    plan = planned(builder)
    assert [(step.reads, step.in_place) for step in plan.steps] == [(("input",), None), (("input", "sigmoid3"), None)]
    assert set(plan.placements) == {"input", "scale0", "sigmoid3", "mul5"}


def test_an_upsampled_operand_may_repeat() -> None:
    builder = GraphBuilder((6, 4, 2))
    row = builder.upsample(builder.max_pool(builder.input, (6, 2), (6, 2)), (1, 4))  # 1 x 2 -> 1 x 4
    builder.add(row, builder.input)
    plan = planned(builder)
    assert [step.kernel for step in plan.steps] == ["max_pool_s8", "add_s8"]
    assert plan.steps[1].reads == ("maxpool0", "input")


def _materialised(builder: GraphBuilder) -> bool:
    return any(step.kernel == "upsample_nearest_s8" for step in planned(builder).steps)


def test_upsampling_with_another_reader_is_kept() -> None:
    builder = GraphBuilder((2, 2, 3))
    x = builder.upsample(builder.input, (4, 4))
    builder.add(x, builder.conv(x, 3))
    assert _materialised(builder)
    builder = GraphBuilder((2, 2, 3))
    x = builder.upsample(builder.input, (4, 4))
    builder.mul(x, x)
    assert _materialised(builder)
    builder = GraphBuilder((2, 2, 3))
    x = builder.upsample(builder.input, (4, 4))
    builder.mul(x, builder.scale(x))
    assert _materialised(builder)
    builder = GraphBuilder((2, 2, 3))
    builder.conv(builder.scale(builder.upsample(builder.input, (4, 4))), 3)
    assert _materialised(builder)


def test_upsampling_at_the_output_is_kept() -> None:
    builder = GraphBuilder((2, 2, 3))
    builder.upsample(builder.input, (4, 4))
    assert _materialised(builder)
    builder = GraphBuilder((2, 2, 3))
    builder.scale(builder.upsample(builder.input, (4, 4)))
    assert _materialised(builder)


@pytest.mark.parametrize("size", [(2, 4), (1, 4), (4, 2)])
def test_a_resize_that_shrinks_is_kept(size: tuple[int, int]) -> None:
    builder = GraphBuilder((4, 4, 3))
    other = builder.max_pool(builder.input, (4 // size[0], 4 // size[1]), (4 // size[0], 4 // size[1]))
    builder.add(builder.upsample(builder.input, size), other)
    assert _materialised(builder)


def test_upsampling_that_is_read_much_later_keeps_its_source_alive_instead() -> None:
    builder = GraphBuilder((8, 8, 4))
    small = builder.max_pool(builder.input, 4, 4)  # 2 x 2 x 4
    large = builder.upsample(small, (8, 8))
    x = builder.conv(builder.conv(builder.input, 4), 4)
    builder.add(x, large)
    plan = planned(builder)
    assert (plan.placements[small].first, plan.placements[small].last) == (0, 3)
    assert plan.arena_bytes == 2 * 256 + 16


def test_every_kernel_is_reached() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.max_pool(builder.depthwise(builder.conv(builder.input, 4)), 2, 2)
    x = builder.add(builder.sigmoid(builder.upsample(x, (4, 4))), builder.conv(builder.input, 4))
    x = builder.mul(x, builder.global_avg_pool(x))
    builder.softmax(builder.dense(x, 3))
    assert {step.kernel for step in lower(builder.build(), TARGET).steps} == set(KERNELS)


@pytest.mark.parametrize("shape", [(32, 32, 3), (49, 10, 1), (8, 8, 1)])
def test_random_networks_meet_the_bound(shape: tuple[int, int, int]) -> None:
    space = get_space("ds_cnn", shape, 10)
    for row in space.draw(np.random.default_rng(7), 60):
        plan = lower(space.build(space.decode(row)), TARGET)
        check(plan)
        owner: dict[str, str] = {}
        for step in plan.steps:
            if step.in_place is not None:
                owner[step.op.output] = owner.get(step.in_place, step.in_place)
        last = {owner.get(name, name): place.last for name, place in plan.placements.items()}
        assert plan.arena_bytes == lower_bound(
            [Block(plan.placements[n].size, plan.placements[n].first, end) for n, end in last.items()]
        )


def test_the_plan_does_not_depend_on_names() -> None:
    graph = network("mlperf-ic-resnet8")
    renamed = {name: f"t{i}" for i, name in enumerate(graph.shapes) if name != "input"} | {"input": "input"}
    ops = tuple(replace(op, inputs=tuple(renamed[n] for n in op.inputs), output=renamed[op.output]) for op in graph.ops)
    plan, other = lower(graph, TARGET), lower(Graph(graph.input_shape, ops), TARGET)
    assert {renamed[name]: place for name, place in plan.placements.items()} == dict(other.placements)


def test_equal_graphs_have_equal_plans_that_hash_alike() -> None:
    plan, again = lower(network("cifar-lite"), TARGET), lower(network("cifar-lite"), TARGET)
    assert plan == again
    assert hash(plan) == hash(again)


def test_unknown_mode_is_refused() -> None:
    with pytest.raises(NasError, match="mode 'fast' is unknown; known are speed"):
        lower(network("cifar-lite"), TARGET, "fast")  # type: ignore[arg-type]


def test_operation_without_a_kernel_is_refused() -> None:
    class Strange(Op):
        def output_shape(self, shapes):  # type: ignore[no-untyped-def]
            return shapes[0]

    graph = Graph((1, 1, 4), (Strange(inputs=("input",), output="x"),))
    with pytest.raises(NasError, match="Strange 'x': no kernel runs it"):
        lower(graph, TARGET)
