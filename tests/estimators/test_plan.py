from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings

from estimators import KERNELS, Block, Overlap, Placement, Plan, lower, lower_bound
from estimators.overlap import OVERLAPPING, lag
from search_spaces import Graph, GraphBuilder, NasError, Op, get_space, network
from tests.estimators.plans import TARGET, check, in_place
from tests.strategies import graphs


@settings(max_examples=300)
@given(graphs(max_ops=8))
def test_random_graphs(graph: Graph) -> None:
    check(lower(graph, TARGET))


@pytest.mark.parametrize(
    ("name", "tensors", "most"),
    [
        # A map of 25 x 5 x 64, over which everything happens; layer by layer 16,000.
        ("mlperf-kws-dscnn", 25 * 5 * 64, 10_000),
        # Two maps of 32 x 32 x 16, one of them remembered for the sum; layer by layer 49,152.
        ("mlperf-ic-resnet8", 2 * 32 * 32 * 16, 36_000),
    ],
)
def test_arena_of_published_networks(name: str, tensors: int, most: int) -> None:
    plan = lower(network(name), TARGET)
    check(plan)
    assert tensors < plan.arena_bytes <= most


def test_mobilenet_needs_less_than_layer_by_layer() -> None:
    """Greedy by size needs 64,512 bytes without overlaps; the largest live set is 55,296."""
    builder = GraphBuilder((96, 96, 3))
    x = builder.conv(builder.input, 8, 3, 2)
    for filters, stride in [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]:
        x = builder.conv(builder.depthwise(x, 3, stride), filters)
    builder.dense(builder.global_avg_pool(x), 2)
    plan = lower(builder.build(), TARGET)
    check(plan)
    # 48 x 48 x 16 beside what the depthwise convolution with stride 2 makes of it, 24 x 24 x 16.
    assert plan.arena_bytes <= 48 * 48 * 16 + 24 * 24 * 16 + 8192


def test_a_chain_by_hand() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.conv(builder.input, 2)  # 48 -> 32 bytes
    builder.dense(x, 5)
    plan = lower(builder.build(), TARGET)
    assert [(s.kernel, s.in_place, s.overlaps) for s in plan.steps] == [
        ("pointwise_s8", None, "input"),
        ("fully_connected_s8", None, None),
    ]
    scratch = plan.steps[0].scratch_bytes
    assert dict(plan.placements) == {
        "input": Placement(0, 48, 0, 0),
        "conv0": Placement(0, 32, 0, 1),
        "dense1": Placement(32, 5, 1, 1),
    }
    assert plan.steps[0].scratch_offset == 48
    assert plan.arena_bytes == 48 + scratch


def test_add_takes_over_the_first_input_that_dies() -> None:
    builder = GraphBuilder((4, 4, 3))
    builder.add(builder.input, builder.conv(builder.input, 3))
    assert in_place(builder) == [None, "input"]


def test_add_takes_over_the_second_input_when_the_first_lives_on() -> None:
    builder = GraphBuilder((4, 4, 3))
    a = builder.conv(builder.input, 3)
    b = builder.conv(a, 3)
    builder.add(a, builder.add(a, b))
    assert in_place(builder) == [None, None, b, a]


def test_an_input_that_is_read_again_is_not_overwritten() -> None:
    builder = GraphBuilder((4, 4, 3))
    a = builder.conv(builder.input, 3)
    builder.mul(a, builder.sigmoid(a))
    assert in_place(builder) == [None, None, a]


def test_a_broadcast_output_takes_over_only_an_input_of_its_own_shape() -> None:
    builder = GraphBuilder((4, 4, 3))
    gate = builder.sigmoid(builder.global_avg_pool(builder.input))
    builder.mul(gate, builder.input)
    assert in_place(builder) == [None, "avgpool0", "input"]
    builder = GraphBuilder((4, 1, 3))
    row = builder.avg_pool(builder.input, (4, 1), (4, 1))  # 1 x 1 x 3
    column = builder.conv(builder.input, 1)  # 4 x 1 x 1
    builder.add(row, column)  # 4 x 1 x 3
    assert in_place(builder) == [None, None, None]


def test_a_tensor_added_to_itself_is_overwritten() -> None:
    builder = GraphBuilder((4, 4, 3))
    builder.add(builder.input, builder.input)
    assert in_place(builder) == ["input"]


def test_a_chain_of_in_place_steps_is_one_block() -> None:
    builder = GraphBuilder((1, 1, 10))
    x = builder.softmax(builder.sigmoid(builder.dense(builder.input, 12)))
    builder.add(x, x)
    plan = lower(builder.build(), TARGET)
    check(plan)
    assert len({plan.placements[step.op.output].offset for step in plan.steps}) == 1
    assert plan.arena_bytes == 12 + 12


def test_pooling_and_resizing_never_workin_place() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.max_pool(builder.input, 1, 1)
    x = builder.avg_pool(x, 1, 1)
    builder.upsample(x, (4, 4))
    assert in_place(builder) == [None, None, None]


def test_every_kernel_is_reached() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.depthwise(builder.depthwise(builder.depthwise(builder.conv(builder.input, 4, 3), 5), 3), 1)
    x = builder.max_pool(x, 2, 2)
    x = builder.add(builder.sigmoid(builder.upsample(x, (4, 4))), builder.conv(builder.input, 4))
    x = builder.conv(x, 4, weight_bits=4)
    x = builder.mul(x, builder.global_avg_pool(x))
    builder.softmax(builder.dense(builder.dense(x, 5), 3, weight_bits=4))
    assert {step.kernel for step in lower(builder.build(), TARGET).steps} == set(KERNELS)


def test_a_depthwise_convolution_writes_over_an_input_of_its_shape() -> None:
    builder = GraphBuilder((6, 6, 4))
    x = builder.depthwise(builder.depthwise(builder.input, 3), 5, dilation=2)
    x = builder.depthwise(builder.depthwise(x, 1), 3, 2)  # another shape
    x = builder.depthwise(x, 3, multiplier=2)
    builder.add(x, builder.depthwise(x, 3))  # read again
    assert in_place(builder) == ["input", "depthwise0", "depthwise1", None, None, None, "depthwise4"]


@pytest.mark.parametrize("shape", [(32, 32, 3), (49, 10, 1), (8, 8, 1)])
def test_random_networks_meet_the_bound(shape: tuple[int, int, int]) -> None:
    space = get_space("ds_cnn", shape, 10)
    for row in space.draw(np.random.default_rng(7), 60):
        plan = lower(space.build(space.decode(row)), TARGET)
        check(plan)
        assert plan.arena_bytes == lower_bound(*blocks_of(plan))


def blocks_of(plan: Plan) -> tuple[list[Block], list[Overlap]]:
    """What was packed, told from the finished plan: tensors that share all of their bytes are one block."""
    shapes, places = plan.graph.shapes, plan.placements
    owner = {name: name for name in places}
    for step in plan.steps:
        if step.in_place is not None:
            owner[step.op.output] = owner[step.in_place]
    last = {owner[name]: place.last for name, place in places.items()}
    number = {name: index for index, name in enumerate(last)}
    overlaps = []
    for index, step in enumerate(plan.steps):
        (read, *_), output = step.reads, step.op.output
        if step.kernel in OVERLAPPING and places[read].last == index:
            overlaps.append(Overlap(number[output], number[owner[read]], lag(step.op, shapes[read], shapes[output])))
    blocks = [Block(places[name].size, places[name].first, end) for name, end in last.items()]
    scratch = [Block(step.scratch_bytes, i, i) for i, step in enumerate(plan.steps) if step.scratch_bytes]
    return [*blocks, *scratch], overlaps


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
