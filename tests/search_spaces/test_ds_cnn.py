"""The DS-CNN space builds what its choices say, for any input."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from search_spaces import Conv2D, DepthwiseConv2D, DsCnn, NasError
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


def test_dilation_spreads_the_convolutions_without_stride() -> None:
    space = DsCnn((16, 16, 1), 10)
    base = ds_cnn_choices(("3x3", 1, 8), [(2, 8, 3, 1), (3, 16, 5, 2)])
    plain, dilated = space.build(base), space.build(base | {"stage2_dilation": 2})
    dilations = [op.dilation for op in dilated.ops if isinstance(op, DepthwiseConv2D)]
    # Stage 2 starts with a stride of 2, which a dilation of 2 would leave blind for every other row.
    assert dilations == [(1, 1), (1, 1), (1, 1), (2, 2), (2, 2)]
    assert (dilated.macs, dilated.params, dict(dilated.shapes)) == (plain.macs, plain.params, dict(plain.shapes))


@pytest.mark.parametrize(
    ("height", "width", "expected"), [(2, 0, (2, 2)), (2, 1, (2, 1)), (1, 2, (1, 2)), (1, 0, (1, 1)), (2, 2, (2, 2))]
)
def test_the_stems_stride_may_be_rectangular(height: int, width: int, expected: tuple[int, int]) -> None:
    choices = ds_cnn_choices(("10x4", height, 8), [(1, 8, 3, 1)]) | {"stem_stride_width": width}
    stem = DsCnn((49, 10, 1), 12).build(choices).ops[0]
    assert isinstance(stem, Conv2D)
    assert stem.stride == expected


def test_choices_of_the_past_come_first_and_in_their_order() -> None:
    names = list(DsCnn((8, 8, 1), 10).distributions())
    first = ["stem_kernel", "stem_stride", "stem_width"]
    stages = [f"stage{n}_{what}" for n in range(1, 5) for what in ("depth", "width", "kernel", "stride")]
    assert names[:21] == [*first, *stages, "residual", "head"]
    assert names[21:] == [*(f"stage{n}_dilation" for n in range(1, 5)), "stem_stride_width"]


def test_records_from_before_dilation_build_the_networks_they_name(checkout: Path) -> None:
    space = DsCnn((32, 32, 3), 10)
    records = [json.loads(path.read_text()) for path in sorted(checkout.glob("results/cifar10-stm32l4r9/records/*"))]
    assert len(records) == 16
    for record in records:
        assert "stage1_dilation" not in record["choices"]
        assert space.build(record["choices"]).digest == record["digest"]
        row = space.encode(record["choices"])
        assert space.build(space.decode(row)).digest == record["digest"]


def test_what_the_past_had_to_say_is_still_needed() -> None:
    choices = ds_cnn_choices(("3x3", 1, 8), [(1, 8, 3, 1)])
    del choices["head"]
    with pytest.raises(NasError, match="'head' is missing"):
        DsCnn((8, 8, 1), 10).build(choices)


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
