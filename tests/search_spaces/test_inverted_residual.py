"""The inverted-residual space builds MobileNetV2's blocks, for any input."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Activation, Add, AvgPool, Conv2D, DepthwiseConv2D, Graph, InvertedResidual, Op, Shape
from search_spaces.inverted_residual import STAGE_WIDTHS, scaled_width
from search_spaces.published.mobilenet import inverted_residual_choices

SHAPES: list[Shape] = [(32, 32, 3), (96, 96, 3), (8, 8, 1), (49, 10, 1), (47, 13, 1), (224, 224, 3), (1, 1, 1)]


def build(shape: Shape, stages: list[tuple[int, int, int, int, int]], **changes: int | float) -> Graph:
    choices = inverted_residual_choices((8, 1), stages)
    return InvertedResidual(shape, 10).build(choices | changes)


def said(op: Op) -> tuple[object, ...]:
    """An operation as kind, kernel, stride, filters and activation, those that it has."""
    match op:
        case Conv2D():
            return ("Conv2D", op.kernel, op.stride, op.filters, op.activation)
        case DepthwiseConv2D():
            return ("DepthwiseConv2D", op.kernel, op.stride, op.activation)
        case Add():
            return ("Add", op.activation)
    return (op.kind,)


def test_layers_in_order() -> None:
    # Stage 1: expansion 1, width 8 as the stem; stage 2: expansion 6, width 16, two blocks, stride 2, kernel 5.
    graph = build((9, 9, 1), [(1, 8, 1, 1, 3), (6, 16, 2, 2, 5)], head=32)
    relu6, none = Activation.RELU6, Activation.NONE
    assert [said(op) for op in graph.ops] == [
        ("Conv2D", (3, 3), (1, 1), 8, relu6),
        # No widening where the expansion is 1; a linear bottleneck; the residual without activation.
        ("DepthwiseConv2D", (3, 3), (1, 1), relu6),
        ("Conv2D", (1, 1), (1, 1), 8, none),
        ("Add", none),
        # Stride 2 and another width: no residual.
        ("Conv2D", (1, 1), (1, 1), 48, relu6),
        ("DepthwiseConv2D", (5, 5), (2, 2), relu6),
        ("Conv2D", (1, 1), (1, 1), 16, none),
        ("Conv2D", (1, 1), (1, 1), 96, relu6),
        ("DepthwiseConv2D", (5, 5), (1, 1), relu6),
        ("Conv2D", (1, 1), (1, 1), 16, none),
        ("Add", none),
        ("Conv2D", (1, 1), (1, 1), 32, relu6),
        ("AvgPool",),
        ("FullyConnected",),
    ]
    first, second = (op for op in graph.ops if isinstance(op, Add))
    assert first.inputs == ("conv0", "conv2")
    assert second.inputs == (graph.ops[6].output, graph.ops[9].output)


def test_the_resolution_divides_the_input() -> None:
    stages = [(2, 8, 1, 1, 3)]
    assert all(op.kind != "AvgPool" for op in build((49, 10, 1), stages).ops[:-2])
    graph = build((49, 10, 1), stages, resolution=3)
    pool = graph.ops[0]
    assert isinstance(pool, AvgPool)
    assert (pool.inputs, pool.kernel, pool.stride) == (("input",), (3, 3), (3, 3))
    assert graph.shapes[pool.output] == (17, 4, 1)


def test_strides_beyond_the_last_pixel_change_nothing() -> None:
    stages = [(1, widths[0], 1, 2, 5) for widths in STAGE_WIDTHS]
    graph = build((8, 8, 1), stages, stem_stride=2, resolution=4)
    assert graph.shapes["conv1"] == (1, 1, 8)
    assert graph.output_shape == (1, 1, 10)


@pytest.mark.parametrize(
    ("multiplier", "expected"),
    # Widths of the authors' checkpoints for the paper's stem and seven stages.
    [
        (0.35, [16, 8, 8, 16, 24, 32, 56, 112]),
        (0.5, [16, 8, 16, 16, 32, 48, 80, 160]),
        (0.75, [24, 16, 24, 24, 48, 72, 120, 240]),
        (1.0, [32, 16, 24, 32, 64, 96, 160, 320]),
        (1.4, [48, 24, 32, 48, 88, 136, 224, 448]),
    ],
)
def test_scaled_widths_are_the_authors(multiplier: float, expected: list[int]) -> None:
    assert [scaled_width(width, multiplier) for width in (32, 16, 24, 32, 64, 96, 160, 320)] == expected


def test_fine_widths_keep_their_step() -> None:
    assert [scaled_width(width, 1.0) for width in (4, 12, 20)] == [4, 12, 20]
    # 12 * 0.35 = 4.2 -> 4; 20 * 0.35 = 7 -> 8; 20 * 0.75 = 15 -> 16; 4 * 0.35 = 1.4, and 4 is the least.
    assert [scaled_width(12, 0.35), scaled_width(20, 0.35), scaled_width(20, 0.75), scaled_width(4, 0.35)] == [
        4,
        8,
        16,
        4,
    ]


@given(
    width=st.sampled_from(sorted({width for widths in STAGE_WIDTHS for width in widths})), multiplier=st.floats(0.1, 2)
)
def test_scaled_widths_lose_at_most_a_tenth(width: int, multiplier: float) -> None:
    scaled = scaled_width(width, multiplier)
    assert scaled % 4 == 0
    assert 0.9 * width * multiplier <= scaled <= max(width * multiplier + 8, 8)


def test_the_multiplier_spares_the_head() -> None:
    graph = build((8, 8, 1), [(6, 24, 1, 1, 3)], head=64, width_multiplier=0.5)
    # Stem 8 -> 8 (the least), widened 6 times; 24 -> 12, the nearest multiple of 8 is 16; the head as it is.
    assert [op.filters for op in graph.ops if isinstance(op, Conv2D)] == [8, 48, 16, 64]


def test_an_absent_stage_leaves_one_network_for_many_vectors() -> None:
    base = build((8, 8, 1), [(6, 8, 1, 1, 3)])
    assert base.digest == build((8, 8, 1), [(6, 8, 1, 1, 3)], stage5_width=96, stage5_expansion=4).digest


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_seeded_draws_build(shape: Shape) -> None:
    space = InvertedResidual(shape, 12)
    for row in space.draw(np.random.default_rng(0), 60):
        graph = space.build(space.decode(row))
        assert (graph.input_shape, graph.output_shape) == (shape, (1, 1, 12))
        assert (space.encode(space.decode(row)) == row).all()


@given(
    height=st.integers(1, 50),
    width=st.integers(1, 50),
    channels=st.integers(1, 4),
    classes=st.integers(2, 20),
    seed=st.integers(0, 2**32),
)
def test_every_vector_is_a_network_for_every_input(
    height: int, width: int, channels: int, classes: int, seed: int
) -> None:
    space = InvertedResidual((height, width, channels), classes)
    graph = space.build(space.decode(space.draw(np.random.default_rng(seed), 1)[0]))
    assert graph.output_shape == (1, 1, classes)
