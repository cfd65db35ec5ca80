from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest

from estimators import KERNELS, Placement, Plan, load_target, lower, lower_bound
from estimators.arena import Block
from search_spaces import Graph, GraphBuilder, NasError, Op, get_space, network

TARGET = load_target("stm32l4r9")


def check(plan: Plan) -> None:
    """At every step inputs, output and all that is read later lie apart, but for the pair of an in-place step."""
    graph, places = plan.graph, plan.placements
    assert list(places) == list(graph.shapes)
    assert [step.op for step in plan.steps] == list(graph.ops)
    for name, place in places.items():
        assert place.size == int(np.prod(graph.shapes[name]))
        assert place.offset % 4 == 0
        assert place.offset + place.size <= plan.arena_bytes
    shared = {(step.in_place, step.op.output) for step in plan.steps if step.in_place is not None}
    for index, step in enumerate(plan.steps):
        assert {*step.op.inputs, step.op.output} <= {n for n, p in places.items() if p.first <= index <= p.last}
        alive = [name for name, place in places.items() if place.first <= index <= place.last]
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


def test_every_kernel_is_reached() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.max_pool(builder.depthwise(builder.conv(builder.input, 4)), 2, 2)
    x = builder.add(builder.upsample(x, (4, 4)), builder.conv(builder.input, 4))
    x = builder.mul(x, builder.sigmoid(builder.global_avg_pool(x)))
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
