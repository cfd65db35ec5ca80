from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimators import KERNELS, load_target, lower, step_cycles
from estimators.cycles import TERMS, Terms, cycles, taps_inside, terms
from estimators.kernels import TERMS_OF
from search_spaces import Graph, GraphBuilder, Padding, get_space, network, window

TARGET = load_target("stm32l4r9")


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "dilation", "padding", "inside"),
    [
        (4, 3, 1, 1, Padding.VALID, 6),  # two windows of 3
        (4, 3, 1, 1, Padding.SAME, 10),  # 2 + 3 + 3 + 2
        (4, 3, 2, 1, Padding.SAME, 5),  # TFLite pads behind: 3 + 2
        (5, 3, 2, 1, Padding.SAME, 7),  # 2 + 3 + 2
        (5, 3, 1, 2, Padding.SAME, 11),  # 2 + 2 + 3 + 2 + 2
        (1, 5, 1, 1, Padding.SAME, 1),
        (2, 3, 1, 3, Padding.SAME, 2),  # only the middle tap ever lies inside
        (49, 10, 2, 1, Padding.SAME, 250 - (4 + 2) - (1 + 3 + 5)),
    ],
)
def test_taps_inside(size: int, kernel: int, stride: int, dilation: int, padding: Padding, inside: int) -> None:
    assert taps_inside(size, kernel, stride, dilation, padding) == inside


@given(st.integers(1, 20), st.integers(1, 6), st.integers(1, 4), st.integers(1, 3), st.sampled_from(Padding))
def test_taps_inside_counts_one_by_one(size: int, kernel: int, stride: int, dilation: int, padding: Padding) -> None:
    out, before = window(size, kernel, stride, dilation, padding)
    reads = [y * stride - before + k * dilation for y in range(max(out, 0)) for k in range(kernel)]
    assert taps_inside(size, kernel, stride, dilation, padding) == sum(0 <= read < size for read in reads)


def _terms(graph: Graph) -> Terms:
    plan = lower(graph, TARGET)
    return terms(plan, plan.steps[-1])


def test_terms_of_a_convolution_by_hand() -> None:
    builder = GraphBuilder((4, 4, 3))
    builder.conv(builder.input, 6, 3)
    # 10 taps lie inside along either axis; 6 filters make two groups of four, each over the rows inside the image.
    assert _terms(builder.build()) == {
        "macs": 10 * 10 * 3 * 8,
        "runs": 10 * 4 * 2,
        "outputs": 4 * 4 * 6,
        "groups": 16 * 2,
        "pixels": 16,
        "calls": 1,
    }


def test_dilation_parts_the_runs_of_a_convolution() -> None:
    builder = GraphBuilder((5, 5, 3))
    builder.conv(builder.input, 8, 3, dilation=2)
    assert _terms(builder.build())["runs"] == 11 * 11 * 2


def test_terms_of_a_depthwise_convolution_by_hand() -> None:
    builder = GraphBuilder((4, 4, 11))
    builder.depthwise(builder.input, 3)
    # Two groups of four channels, three channels alone: five runs over each of the rows inside the image.
    assert _terms(builder.build()) == {
        "macs": 10 * 10 * 8,
        "lone_macs": 10 * 10 * 3,
        "runs": 10 * 4 * 5,
        "outputs": 16 * 11,
        "groups": 16 * 5,
        "pixels": 16,
        "calls": 1,
    }


def test_several_outputs_of_a_channel_are_computed_alone() -> None:
    builder = GraphBuilder((4, 4, 4))
    builder.depthwise(builder.input, 3, multiplier=2)
    counts = _terms(builder.build())
    assert (counts["macs"], counts["lone_macs"], counts["groups"]) == (0, 10 * 10 * 8, 16 * 8)


def test_terms_of_the_other_kernels_by_hand() -> None:
    builder = GraphBuilder((4, 4, 3))
    builder.max_pool(builder.input, 3, 2)
    assert _terms(builder.build()) == {"taps": 5 * 5 * 3, "runs": 5 * 2 * 3, "outputs": 12, "pixels": 4, "calls": 1}
    builder = GraphBuilder((4, 4, 3))
    builder.global_avg_pool(builder.input)
    assert _terms(builder.build()) == {"taps": 48, "runs": 12, "outputs": 3, "pixels": 1, "calls": 1}
    builder = GraphBuilder((4, 4, 3))
    builder.dense(builder.input, 7)
    assert _terms(builder.build()) == {"macs": 336, "outputs": 7, "calls": 1}
    for name in ("sigmoid", "softmax"):
        builder = GraphBuilder((4, 4, 3))
        getattr(builder, name)(builder.input)
        assert _terms(builder.build()) == {"outputs": 48, "pixels": 16, "calls": 1}


@pytest.mark.parametrize("name", ["add", "mul"])
def test_terms_of_sums_and_products_by_hand(name: str) -> None:
    # Two whole tensors: one run of all values.
    builder = GraphBuilder((4, 5, 3))
    getattr(builder, name)(builder.input, builder.scale(builder.input))
    assert _terms(builder.build()) == {"outputs": 60, "runs": 1, "calls": 1}
    # One position for all: a run at each of them.
    builder = GraphBuilder((4, 5, 3))
    getattr(builder, name)(builder.global_avg_pool(builder.input), builder.input)
    assert _terms(builder.build()) == {"outputs": 60, "runs": 20, "calls": 1}
    # One row for all: a run for each row.
    builder = GraphBuilder((4, 5, 3))
    getattr(builder, name)(builder.input, builder.max_pool(builder.input, (4, 1), (4, 1)))
    assert _terms(builder.build()) == {"outputs": 60, "runs": 4, "calls": 1}
    # Upsampled along both axes.
    builder = GraphBuilder((4, 5, 3))
    getattr(builder, name)(builder.input, builder.upsample(builder.max_pool(builder.input, 2, 2), (4, 5)))
    assert _terms(builder.build()) == {"outputs": 60, "runs": 20, "calls": 1}


def test_every_kernel_counts_its_terms() -> None:
    assert set(TERMS) == set(KERNELS)
    builder = GraphBuilder((4, 4, 3))
    x = builder.max_pool(builder.depthwise(builder.conv(builder.input, 4)), 2, 2)
    x = builder.add(builder.sigmoid(builder.upsample(x, (4, 4))), builder.conv(builder.input, 4))
    x = builder.mul(x, builder.global_avg_pool(x))
    builder.softmax(builder.dense(x, 3))
    plan = lower(builder.build(), TARGET)
    for step in plan.steps:
        assert set(TERMS_OF[step.kernel]) <= set(terms(plan, step))


@pytest.mark.parametrize("name", ["mlperf-kws-dscnn", "mlperf-ic-resnet8", "cifar-lite"])
def test_cycles_are_the_sum_over_the_steps(name: str) -> None:
    plan = lower(network(name), TARGET)
    assert cycles(plan) == pytest.approx(sum(step_cycles(plan, step) for step in plan.steps))


def test_cycles_per_mac_depend_on_the_layers() -> None:
    """One constant for all networks is wrong: a depthwise network pays more for a MAC than a dense one."""
    depthwise, dense = network("mlperf-kws-dscnn"), network("mlperf-ic-resnet8")
    per_mac = [cycles(lower(graph, TARGET)) / graph.macs for graph in (depthwise, dense)]
    assert per_mac[0] > 1.05 * per_mac[1]


@pytest.mark.parametrize("target", ["stm32l4r9", "esp32s2"])
def test_more_of_anything_never_takes_fewer_cycles(target: str) -> None:
    def cost(size: int = 8, filters: int = 8, kernel: int = 3, stride: int = 2) -> float:
        builder = GraphBuilder((size, size, 3))
        x = builder.depthwise(builder.conv(builder.input, filters, kernel, stride), kernel)
        x = builder.add(x, builder.conv(x, filters))
        builder.dense(builder.global_avg_pool(x), 10)
        return cycles(lower(builder.build(), load_target(target)))

    assert cost() < cost(size=10) < cost(size=12)
    assert cost() < cost(filters=12) < cost(filters=16)
    assert cost() < cost(kernel=4) < cost(kernel=5)
    assert cost() < cost(stride=1)


def test_four_channels_may_cost_less_than_three() -> None:
    """Alignment explains it: four lie in one group, three are computed one by one."""

    def cost(channels: int) -> float:
        builder = GraphBuilder((8, 8, channels))
        builder.depthwise(builder.input)
        return cycles(lower(builder.build(), TARGET))

    assert cost(12) < cost(11)
    assert cost(8) < cost(12) < cost(16)


def test_random_networks_cost_something() -> None:
    space = get_space("ds_cnn", (16, 16, 3), 10)
    for row in space.draw(np.random.default_rng(3), 50):
        graph = space.build(space.decode(row))
        assert cycles(lower(graph, TARGET)) > graph.macs
