from __future__ import annotations

import numpy as np
import pytest

from estimators import KERNELS, load_target, lower, step_cycles
from estimators.cycles import TERMS, Terms, cycles, terms
from estimators.kernels import TERMS_OF, Term
from search_spaces import Graph, GraphBuilder, get_space, network

TARGET = load_target("stm32l4r9")


def _terms(graph: Graph) -> Terms:
    plan = lower(graph, TARGET)
    return terms(plan, plan.steps[-1])


def test_terms_of_the_other_kernels_by_hand() -> None:
    for name in ("sigmoid", "softmax"):
        builder = GraphBuilder((4, 4, 3))
        getattr(builder, name)(builder.input)
        assert _terms(builder.build()) == {"outputs": 48, "pixels": 16, "calls": 1}


@pytest.mark.parametrize("name", ["add", "mul"])
def test_terms_of_sums_and_products_by_hand(name: str) -> None:
    # Two whole tensors: one run of all values.
    builder = GraphBuilder((4, 5, 3))
    getattr(builder, name)(builder.input, builder.scale(builder.input))
    assert _terms(builder.build()) == {"words": 15, "word_runs": 1, "lone_outputs": 0, "runs": 1, "rows": 1, "calls": 1}
    # One position for all: a run at each of them.
    builder = GraphBuilder((4, 5, 3))
    getattr(builder, name)(builder.global_avg_pool(builder.input), builder.input)
    alone: dict[Term, int] = {"words": 0, "word_runs": 0, "lone_outputs": 60, "runs": 20, "calls": 1}
    assert _terms(builder.build()) == alone | {"rows": 1}
    # One row for all: a run for each row.
    builder = GraphBuilder((4, 5, 3))
    getattr(builder, name)(builder.input, builder.max_pool(builder.input, (4, 1), (4, 1)))
    assert _terms(builder.build()) == {
        "words": 12,
        "word_runs": 4,
        "lone_outputs": 12,
        "runs": 4,
        "rows": 4,
        "calls": 1,
    }
    # Upsampled along both axes.
    builder = GraphBuilder((4, 5, 3))
    getattr(builder, name)(builder.input, builder.upsample(builder.max_pool(builder.input, 2, 2), (4, 5)))
    assert _terms(builder.build()) == alone | {"rows": 4}
    # Four elements together, what is left over alone.
    builder = GraphBuilder((4, 4, 7))
    getattr(builder, name)(builder.input, builder.upsample(builder.max_pool(builder.input, 2, 2), (4, 4)))
    assert _terms(builder.build()) == {
        "words": 16,
        "word_runs": 16,
        "lone_outputs": 48,
        "runs": 16,
        "rows": 4,
        "calls": 1,
    }


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


def test_a_product_with_a_repeated_channel_goes_alone() -> None:
    builder = GraphBuilder((4, 4, 8))
    builder.mul(builder.input, builder.conv(builder.input, 1))
    counts = _terms(builder.build())
    assert (counts["words"], counts["lone_outputs"]) == (0, 128)


def test_terms_of_upsampling_by_hand() -> None:
    builder = GraphBuilder((2, 3, 7))
    builder.upsample(builder.input, (4, 6))
    assert _terms(builder.build()) == {
        "words": 24,
        "word_runs": 24,
        "lone_outputs": 72,
        "pixels": 24,
        "rows": 4,
        "calls": 1,
    }


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
