"""The DS-CNN space builds what its choices say, for any input."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import DsCnn
from search_spaces.published.ds_cnn import ds_cnn_choices


def kinds(space: DsCnn, **changes: object) -> list[str]:
    choices = ds_cnn_choices(("3x3", 1, 8), [(1, 8, 3, 1), (2, 16, 5, 2)]) | changes  # type: ignore[operator]
    return [op.kind for op in space.build(choices).ops]


def test_layers_in_order() -> None:
    block = ["DepthwiseConv2D", "Conv2D"]
    assert kinds(DsCnn((8, 8, 1), 10)) == ["Conv2D", *block * 3, "AvgPool", "FullyConnected"]
    assert kinds(DsCnn((8, 8, 1), 10), head=32) == ["Conv2D", *block * 3, "Conv2D", "AvgPool", "FullyConnected"]


def test_a_residual_joins_blocks_that_keep_their_shape() -> None:
    block = ["DepthwiseConv2D", "Conv2D"]
    # First stage keeps 8 channels at stride 1; of the second, whose stride is 2, only the second block keeps its shape.
    expected = ["Conv2D", *block, "Add", *block, *block, "Add", "AvgPool", "FullyConnected"]
    assert kinds(DsCnn((8, 8, 1), 10), residual=True) == expected


def test_stride_is_taken_by_a_stages_first_block() -> None:
    graph = DsCnn((8, 8, 1), 10).build(ds_cnn_choices(("3x3", 2, 8), [(2, 8, 3, 1), (3, 16, 5, 2)]))
    heights = [shape[0] for name, shape in graph.shapes.items() if name.startswith("depthwise")]
    assert heights == [4, 4, 2, 2, 2]


def test_an_absent_stage_leaves_one_network_for_many_vectors() -> None:
    space = DsCnn((8, 8, 1), 10)
    base = ds_cnn_choices(("3x3", 1, 8), [(1, 8, 3, 1)])
    assert space.build(base).digest == space.build(base | {"stage3_width": 256, "stage3_kernel": 5}).digest


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
    space = DsCnn((height, width, channels), classes)
    graph = space.build(space.decode(space.draw(np.random.default_rng(seed), 1)[0]))
    assert graph.output_shape == (1, 1, classes)
    assert graph.input_shape == (height, width, channels)
