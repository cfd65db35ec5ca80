from __future__ import annotations

import numpy as np
import pytest

from estimators import Kernel, load_target, lower
from estimators.flash import PARAMS_BYTES, Flash, flash
from firmware.toolchain import find_host_compiler, run_tool
from search_spaces import Graph, GraphBuilder, get_space, network
from tests.conftest import CHECKOUT

TARGET = load_target("stm32l4r9")


def _flash(graph: Graph) -> Flash:
    return flash(lower(graph, TARGET))


def _code(*kernels: Kernel) -> int:
    """Code of a network that calls these kernels in turn."""
    code = TARGET.code
    return code.base + sum(code.calls[k] for k in kernels) + sum(code.kernels[k] for k in set(kernels))


def test_keyword_network_by_hand() -> None:
    used = _flash(network("mlperf-kws-dscnn"))
    channels = 64 + 4 * (64 + 64) + 12
    assert used.weights == 10 * 4 * 64 + 4 * (9 * 64 + 64 * 64) + 64 * 12 == 22_016
    assert used.bias == 4 * channels
    assert used.tables == 8 * channels + 9 * 72 + 52 + 24
    separable: list[Kernel] = ["depthwise_conv2d_s8", "conv2d_s8"]
    assert used.code == _code("conv2d_s8", *separable * 4, "avg_pool_s8", "fully_connected_s8")
    assert used.total == used.weights + used.bias + used.tables + used.code


def test_tables_of_the_small_operations() -> None:
    builder = GraphBuilder((4, 4, 3))
    x = builder.add(builder.max_pool(builder.input, 2, 2), builder.avg_pool(builder.input, 2, 2))
    x = builder.mul(builder.sigmoid(builder.upsample(x, (4, 4))), builder.input)
    builder.softmax(x)
    used = _flash(builder.build())
    assert (used.weights, used.bias) == (0, 0)
    assert used.tables == 52 + 52 + 84 + 20 + 64 + 256 + 20


def test_scales_and_fused_upsampling_take_no_flash() -> None:
    def used(*, condensed: bool) -> Flash:
        builder = GraphBuilder((4, 4, 3))
        v, a = builder.input, builder.avg_pool(builder.input, 2, 2) if condensed else builder.input
        builder.add(builder.scale(v), builder.upsample(a, (4, 4)))
        return _flash(builder.build())

    assert used(condensed=False) == Flash(0, 0, 84, _code("add_s8"))
    assert used(condensed=True) == Flash(0, 0, 84 + 52, _code("avg_pool_s8", "add_s8"))


def test_weights_are_padded_to_words() -> None:
    builder = GraphBuilder((1, 1, 3))
    builder.dense(builder.input, 3)
    used = _flash(builder.build())
    assert used.weights == 9
    assert used.tables == 3 * 8 + 24 + 3


def test_a_kernel_is_paid_for_once_and_its_calls_each_time() -> None:
    def code(depth: int) -> int:
        builder = GraphBuilder((4, 4, 3))
        x = builder.input
        for _ in range(depth):
            x = builder.conv(x, 4)
        return _flash(builder.build()).code

    assert code(2) - code(1) == code(3) - code(2) == TARGET.code.calls["conv2d_s8"]


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
    def total(filters: int = 8, kernel: int = 3, units: int = 10) -> int:
        builder = GraphBuilder((8, 8, 3))
        x = builder.depthwise(builder.conv(builder.input, filters, kernel), kernel)
        builder.dense(builder.global_avg_pool(x), units)
        return _flash(builder.build()).total

    for changed in ({"filters": 9}, {"filters": 12}, {"kernel": 5}, {"units": 11}):
        assert total(**changed) > total()
