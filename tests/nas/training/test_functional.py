"""Geometry of the torch operations, against the integer reference's rules written out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from nas.training import functional as G
from search_spaces.geometry import Padding
from search_spaces.ops import AvgPool, Conv2D, DepthwiseConv2D, MaxPool, UpsampleNearest


def image(*rows: list[float]) -> torch.Tensor:
    return torch.tensor([[rows]], dtype=torch.float32)


def conv(kernel: tuple[int, int], stride: tuple[int, int], padding: Padding = Padding.SAME) -> Conv2D:
    return Conv2D(inputs=("input",), output="y", filters=1, kernel=kernel, stride=stride, padding=padding)


def test_same_with_stride_2_on_an_even_size_pads_behind_alone() -> None:
    x = torch.arange(1.0, 5).reshape(1, 1, 1, 4).expand(1, 1, 4, 4)
    y = G.convolve(x, conv((1, 3), (1, 2)), torch.tensor([[[[1.0, 10, 100]]]]), None)
    # Windows start at columns 0 and 2: 1 + 20 + 300 and 3 + 40 + nothing; torch's padding=1 would give 210, 432.
    np.testing.assert_array_equal(y[0, 0, 0], [321, 43])


def test_same_on_an_odd_size_pads_both_sides() -> None:
    x = torch.arange(1.0, 6).reshape(1, 1, 1, 5)
    y = G.convolve(x, conv((1, 3), (1, 2)), torch.tensor([[[[1.0, 10, 100]]]]), None)
    np.testing.assert_array_equal(y[0, 0, 0], [210, 432, 54])


def test_valid_drops_what_no_window_covers() -> None:
    x = torch.arange(1.0, 7).reshape(1, 1, 1, 6)
    y = G.convolve(x, conv((1, 3), (1, 2), Padding.VALID), torch.tensor([[[[1.0, 10, 100]]]]), torch.tensor([0.5]))
    np.testing.assert_array_equal(y[0, 0, 0], [321.5, 543.5])


@pytest.mark.parametrize("size", [(2, 1), (5, 1), (5, 2)])
def test_one_channel_in_channels_last_order_with_unequal_strides(size: tuple[int, int]) -> None:
    height, width = size
    x = torch.empty_strided((4, 1, height, width), (height * width, 1, width, 1)).copy_(
        torch.randn(4, 1, height, width)
    )
    weight = torch.randn(1, 1, 3, 3)
    y = G.convolve(x, conv((3, 3), (1, 2)), weight, None)
    exact = G.convolve(x.double(), conv((3, 3), (1, 2)), weight.double(), None)
    torch.testing.assert_close(y.double(), exact, rtol=1e-5, atol=1e-5)


def test_depthwise_numbers_outputs_channel_by_channel() -> None:
    op = DepthwiseConv2D(inputs=("input",), output="y", kernel=(1, 1), multiplier=2)
    x = torch.tensor([1.0, 10.0]).reshape(1, 2, 1, 1)
    y = G.convolve(x, op, torch.tensor([2.0, 3, 5, 7]).reshape(4, 1, 1, 1), None)
    np.testing.assert_array_equal(y.flatten(), [2, 3, 50, 70])


def test_average_counts_elements_inside_the_image_alone() -> None:
    op = AvgPool(inputs=("input",), output="y", kernel=(2, 2), stride=(2, 2))
    y = G.avg_pool(image([1, 2, 3], [5, 6, 7], [9, 10, 11]), op)
    np.testing.assert_array_equal(y[0, 0], [[3.5, 5], [9.5, 11]])


def test_maximum_of_negative_numbers_is_not_the_padding() -> None:
    op = MaxPool(inputs=("input",), output="y", kernel=(2, 2), stride=(2, 2))
    y = G.max_pool(image([-1, -2, -3], [-5, -6, -7], [-9, -10, -11]), op)
    np.testing.assert_array_equal(y[0, 0], [[-1, -3], [-9, -11]])


def test_upsampling_by_a_fraction() -> None:
    y = G.upsample(image([1, 2], [3, 4]), UpsampleNearest(inputs=("input",), output="y", size=(3, 5)))
    # Rows 0, 1, 2 read 0 * 2 // 3, 1 * 2 // 3, 2 * 2 // 3; columns likewise in fifths.
    np.testing.assert_array_equal(y[0, 0], [[1, 1, 1, 2, 2], [1, 1, 1, 2, 2], [3, 3, 3, 4, 4]])


def test_flattening_is_in_height_width_channel_order() -> None:
    x = torch.arange(12.0).reshape(1, 2, 3, 2)
    np.testing.assert_array_equal(G.flatten_hwc(x)[0], x[0].permute(1, 2, 0).flatten())
    assert G.flatten_hwc(x)[0, :2].tolist() == [0, 6]


@pytest.mark.parametrize("padding", list(Padding))
@given(size=st.integers(3, 12), kernel=st.integers(1, 3), stride=st.integers(1, 3), dilation=st.integers(1, 2))
def test_output_extent_is_the_graphs(padding: Padding, size: int, kernel: int, stride: int, dilation: int) -> None:
    if (kernel - 1) * dilation + 1 > size:
        return
    op = Conv2D(
        inputs=("input",),
        output="y",
        filters=1,
        kernel=(kernel, 1),
        stride=(stride, 2),
        dilation=(dilation, 1),
        padding=padding,
    )
    y = G.convolve(torch.zeros(1, 1, size, 5), op, torch.zeros(1, 1, kernel, 1), None)
    assert (y.shape[2], y.shape[3], 1) == op.output_shape([(size, 5, 1)])
