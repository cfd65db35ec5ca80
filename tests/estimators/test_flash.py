from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from estimators import Kernel, load_target, lower
from estimators.flash import PARAMS_BYTES, Flash, flash
from estimators.kernels import sources_of
from firmware.toolchain import find_host_compiler, run_tool
from search_spaces import Graph, GraphBuilder, get_space, network
from tests.conftest import CHECKOUT

TARGET = load_target("stm32l4r9")


def _flash(graph: Graph) -> Flash:
    return flash(lower(graph, TARGET))


def _code(*kernels: Kernel) -> int:
    """Code of a network that calls these kernels in turn."""
    code = TARGET.code
    files = {file for kernel in kernels for file in sources_of(kernel)}
    return code.base + sum(code.calls[k] for k in kernels) + sum(code.files[file] for file in files)


def test_keyword_network_by_hand() -> None:
    used = _flash(network("mlperf-kws-dscnn"))
    channels = 64 + 4 * (64 + 64) + 12
    assert used.weights == 10 * 4 * 64 + 4 * (9 * 64 + 64 * 64) + 64 * 12 == 22_016
    assert used.bias == 4 * channels
    sizes = PARAMS_BYTES
    params = sizes["conv2d_s8"] + 4 * (sizes["depthwise3_s8"] + sizes["pointwise_s8"]) + 52 + 24
    assert used.tables == 12 * channels + params
    separable: list[Kernel] = ["depthwise3_s8", "pointwise_s8"]
    assert used.code == _code("conv2d_s8", *separable * 4, "avg_pool_s8", "fully_connected_s8")
    assert used.total == used.weights + used.bias + used.tables + used.code


def test_tables_of_the_small_operations() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.add(builder.max_pool(builder.input, 2, 2), builder.avg_pool(builder.input, 2, 2))
    x = builder.mul(builder.sigmoid(builder.upsample(x, (4, 4))), builder.input)
    builder.softmax(x)
    used = _flash(builder.build())
    assert (used.weights, used.bias) == (0, 0)
    assert used.tables == 52 + 52 + PARAMS_BYTES["add_s8"] + 20 + PARAMS_BYTES["mul_s8"] + 256 + 20


def test_scales_and_fused_upsampling_take_no_flash() -> None:
    def used(*, condensed: bool) -> Flash:
        builder = GraphBuilder((4, 4, 3))
        v, a = builder.input, builder.avg_pool(builder.input, 2, 2) if condensed else builder.input
        builder.add(builder.scale(v), builder.upsample(a, (4, 4)))
        return _flash(builder.build())

    params = PARAMS_BYTES["add_s8"]
    assert used(condensed=False) == Flash(0, 0, params, _code("add_s8"))
    assert used(condensed=True) == Flash(0, 0, params + 52, _code("avg_pool_s8", "add_s8"))


@pytest.mark.parametrize(
    ("layer", "weights", "padded"),
    [
        (lambda builder: builder.dense(builder.input, 3), 3 * 18, 3 * 20),
        (lambda builder: builder.conv(builder.input, 5), 5 * 3, 5 * 4),
        (lambda builder: builder.conv(builder.input, 5, 3), 5 * 27, 5 * 28),
        (lambda builder: builder.depthwise(builder.input, 3), 27, 28),
        (lambda builder: builder.depthwise(builder.input, 5, multiplier=2), 150, 152),
        (lambda builder: builder.depthwise(builder.input, 1), 3, 4),
    ],
)
def test_weights_are_padded_to_words(layer: Callable[[GraphBuilder], str], weights: int, padded: int) -> None:
    """Filter by filter where filters are packed, the whole table where weights lie tap by tap."""
    builder = GraphBuilder((3, 2, 3))
    layer(builder)
    plan = lower(builder.build(), TARGET)
    used, channels = flash(plan), plan.graph.output_shape[2]
    assert (used.weights, used.bias) == (weights, 4 * channels)
    assert used.tables == padded - weights + 12 * channels + PARAMS_BYTES[plan.steps[0].kernel]


@pytest.mark.parametrize(
    ("filters", "weights", "packed"),
    [(1, 2, 4), (2, 3, 4), (5, 8, 12), (6, 9, 12)],
)
def test_two_weights_of_4_bits_take_a_byte(filters: int, weights: int, packed: int) -> None:
    """Three inputs, padded to a word for every two filters and for one that is left over."""
    builder = GraphBuilder((3, 2, 3))
    builder.dense(builder.conv(builder.input, filters, weight_bits=4), 2, weight_bits=4)
    pointwise, dense = lower(builder.build(), TARGET).steps
    assert (pointwise.kernel, dense.kernel) == ("pointwise_s4", "fully_connected_s4")
    builder = GraphBuilder((3, 2, 3))
    builder.conv(builder.input, filters, weight_bits=4)
    used = _flash(builder.build())
    assert (used.weights, used.bias, used.tables) == (weights, 4 * filters, packed - weights + 12 * filters + 24)


def test_a_kernel_is_paid_for_once_and_its_calls_each_time() -> None:
    def code(depth: int) -> int:
        builder = GraphBuilder((4, 4, 3))
        x = builder.input
        for _ in range(depth):
            x = builder.conv(x, 4)
        return _flash(builder.build()).code

    assert code(2) - code(1) == code(3) - code(2) == TARGET.code.calls["pointwise_s8"]


def test_a_file_of_two_kernels_is_paid_for_once() -> None:
    def code(*kernels: int) -> int:
        builder = GraphBuilder((4, 4, 3))
        x = builder.input
        for kernel in kernels:
            x = builder.conv(x, 4, kernel)
        return _flash(builder.build()).code

    shared = set(sources_of("conv2d_s8")) & set(sources_of("pointwise_s8"))
    assert shared == {"matmul_s8.c", "matmul_common.c"}
    both, base = code(1, 3), TARGET.code.base
    assert both == code(1) + code(3) - base - sum(TARGET.code.files[file] for file in shared)


def test_weights_and_biases_are_the_parameters() -> None:
    space = get_space("ds_cnn", (16, 16, 3), 10)
    for row in space.draw(np.random.default_rng(5), 40):
        graph = space.build(space.decode(row))
        used = _flash(graph)
        assert used.weights + used.bias // 4 == graph.params


@pytest.mark.parametrize(
    ("kernel", "structure"),
    [(kernel, f"{kernel}_params") for kernel in PARAMS_BYTES if not kernel.startswith(("max", "avg", "lookup"))]
    + [("max_pool_s8", "window_params"), ("avg_pool_s8", "window_params")],
)
def test_sizes_of_parameter_structures_are_the_compilers(kernel: Kernel, structure: str) -> None:
    source = (
        f'#include "kernels.h"\ntypedef char as_estimated[sizeof({structure}) == {PARAMS_BYTES[kernel]} ? 1 : -1];\n'
    )
    compiler = find_host_compiler()
    folder = CHECKOUT / "firmware" / "kernels"
    run_tool([*compiler.cc, "-std=c99", "-fsyntax-only", f"-I{folder}", "-x", "c", "-"], stdin=source)


def test_more_never_takes_less_flash() -> None:
    def total(filters: int = 8, kernel: int = 5, units: int = 10) -> int:
        builder = GraphBuilder((8, 8, 3))
        x = builder.depthwise(builder.conv(builder.input, filters, kernel), kernel)
        builder.dense(builder.global_avg_pool(x), units)
        return _flash(builder.build()).total

    for changed in ({"filters": 9}, {"filters": 12}, {"kernel": 7}, {"units": 11}):
        assert total(**changed) > total()
