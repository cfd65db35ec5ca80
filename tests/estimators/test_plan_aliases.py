"""Operations that cost no step: other names for bytes, and upsampling where it is read."""

from __future__ import annotations

import pytest

from estimators import lower
from search_spaces import GraphBuilder, NasError
from tests.estimators.plans import TARGET, in_place, planned

# --- Scale: another name for the same bytes --------------------------------------------------------------------------


def test_a_scale_is_no_step_and_takes_no_bytes() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.scale(builder.conv(builder.input, 2, 3))
    builder.dense(x, 5)
    plan = planned(builder)
    assert [(step.kernel, step.reads) for step in plan.steps] == [
        ("conv2d_s8", ("input",)),
        ("fully_connected_s8", ("conv0",)),
    ]
    places = plan.placements
    assert places["scale1"] == places["conv0"]
    assert (places["conv0"].size, places["conv0"].first, places["conv0"].last) == (32, 0, 1)


def test_scales_of_scales_at_the_input_and_at_the_output() -> None:
    builder = GraphBuilder((2, 2, 3))
    x = builder.conv(builder.scale(builder.scale(builder.input)), 3)
    builder.scale(builder.scale(x))
    places = planned(builder).placements
    assert places["input"] == places["scale0"] == places["scale1"]
    assert places["conv2"] == places["scale3"] == places["scale4"]
    assert list(places) == ["input", "scale0", "scale1", "conv2", "scale3", "scale4"]


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
    assert in_place(builder) == [None, None, "sigmoid2"]
    builder = GraphBuilder((4, 4, 3))
    x = builder.conv(builder.input, 3)
    scaled = builder.scale(x)
    builder.add(builder.sigmoid(scaled), x)
    assert in_place(builder) == [None, None, "sigmoid2"]


def test_in_place_names_the_bytes_not_their_alias() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.conv(builder.input, 3)
    builder.add(builder.scale(x), x)  # both operands are the same bytes
    assert in_place(builder) == [None, "conv0"]
    builder = GraphBuilder((4, 4, 3))
    builder.sigmoid(builder.scale(builder.input))
    assert in_place(builder) == ["input"]


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
        ("pointwise_s8", ("maxpool1",), None),
        ("lookup_s8", ("conv2",), "conv2"),
        ("mul_s8", ("conv0", "sigmoid3"), None),
        ("add_s8", ("mul5", "conv0"), "mul5"),
    ]
    assert "upsample4" not in plan.placements
    assert plan.placements["sigmoid3"].last == 4
    assert 2 * 360 + 5 * 3 * 8 <= plan.arena_bytes < 3 * 360 + 5 * 3 * 8


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
    # One map over itself, the small one, and scratch.
    assert 256 + 16 < plan.arena_bytes < 2 * 256
