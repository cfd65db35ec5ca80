"""Pooling, upsampling and tables in C on this machine, under the sanitisers, apart from their input and over it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from estimators import lower
from estimators.kernels import kernel_of
from estimators.overlap import lag
from estimators.targets import load_target
from firmware import reference
from firmware.c_params import window_params
from firmware.c_text import Value
from firmware.int8_model import Int8Model, Quant
from search_spaces.builder import GraphBuilder
from search_spaces.geometry import Padding
from search_spaces.graph import Graph
from search_spaces.ops import AvgPool, MaxPool, UpsampleNearest
from tests.firmware.kernels.elementwise import ElementwiseDriver, Int8, packed


def check(elementwise: ElementwiseDriver, graph: Graph, x: Int8) -> None:
    """The one operation of ``graph`` equals the reference, also as far over its input as it may be laid."""
    (op,) = graph.ops
    assert isinstance(op, MaxPool | AvgPool | UpsampleNearest)
    model = Int8Model(graph, dict.fromkeys(graph.shapes, Quant(0.1, 0)), {})
    wanted = reference.run(model, x[None])[0]
    params = packed(resize_members(graph) if isinstance(op, UpsampleNearest) else window_params(graph, op))
    for place in (-1, lag(op, graph.input_shape, graph.output_shape)):
        got = elementwise.run(kernel_of(op), params, x, graph.output_shape, lag=place)
        np.testing.assert_array_equal(got, wanted)


def resize_members(graph: Graph) -> dict[str, Value]:
    """Members of ``upsample_nearest_s8_params``."""
    names = ("input_height", "input_width", "channels", "output_height", "output_width")
    return dict(zip(names, (*graph.input_shape, *graph.output_shape[:2]), strict=True))


@st.composite
def pools(draw: st.DrawFn) -> Graph:
    """A pooling step of any geometry on a small image, either kind."""
    extent, side = st.integers(1, 9), st.integers(1, 5)
    builder = GraphBuilder((draw(extent), draw(extent), draw(st.integers(1, 17))))
    height, width, _ = builder.input_shape
    kernel = draw(st.sampled_from([(draw(side), draw(side)), (height, width), (height, 1), (1, width)]))
    fits = kernel[0] <= height and kernel[1] <= width
    stride = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    padding = draw(st.sampled_from(Padding)) if fits else Padding.SAME
    draw(st.sampled_from([builder.max_pool, builder.avg_pool]))(builder.input, kernel, stride, padding)
    return builder.build()


@settings(max_examples=150)
@given(pools(), st.integers(0, 2**32 - 1))
def test_windows_of_all_shapes(elementwise: ElementwiseDriver, graph: Graph, seed: int) -> None:
    check(elementwise, graph, np.random.default_rng(seed).integers(-128, 128, graph.input_shape).astype(np.int8))


@pytest.mark.parametrize("value", [-128, 127])
@pytest.mark.parametrize("shape", [(16, 16, 5), (17, 16, 4), (33, 20, 6), (1, 700, 3), (300, 2, 4)])
def test_averages_of_many_extreme_values(
    elementwise: ElementwiseDriver, shape: tuple[int, int, int], value: int
) -> None:
    builder = GraphBuilder(shape)
    builder.global_avg_pool(builder.input)
    check(elementwise, builder.build(), np.full(shape, value, np.int8))


@settings(max_examples=50)
@given(st.tuples(*[st.integers(1, 7)] * 2, st.integers(1, 13)), st.tuples(*[st.integers(1, 12)] * 2))
def test_resizing(elementwise: ElementwiseDriver, shape: tuple[int, int, int], size: tuple[int, int]) -> None:
    builder = GraphBuilder(shape)
    builder.upsample(builder.input, size)
    graph = builder.build()
    check(elementwise, graph, np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8))


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 255, 256])
def test_tables(elementwise: ElementwiseDriver, count: int) -> None:
    rng = np.random.default_rng(2)
    table = rng.integers(-128, 128, 256).astype(np.int8)
    x = rng.permutation(np.arange(-128, 128))[:count].astype(np.int8)
    for place in (-1, 0):
        got = elementwise.run("lookup_s8", table.tobytes(), x, (count,), lag=place)
        np.testing.assert_array_equal(got, table[x.astype(np.intp) + 128])


def test_plans_overlap_as_tested_here() -> None:
    """A pooled image that dies shares its bytes with the result."""
    builder = GraphBuilder((8, 8, 6))
    builder.max_pool(builder.sigmoid(builder.input), 2, 2)
    plan = lower(builder.build(), load_target("stm32l4r9"))
    assert plan.arena_bytes == 8 * 8 * 6
