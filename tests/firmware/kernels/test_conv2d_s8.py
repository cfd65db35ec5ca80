"""Convolutions over all channels, against the numpy reference under the sanitisers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from estimators.kernels import kernel_of
from estimators.overlap import lag
from firmware import reference
from firmware.int8_model import Int8Model
from search_spaces.builder import GraphBuilder
from tests.firmware.kernels.layers import NUMBERS, Driver, awkward_model, conv_graphs, layers

Layer = tuple[Int8Model, NDArray[np.int8]]


@settings(max_examples=200)
@given(layers(conv_graphs()))
def test_any_geometry_and_numbers(driver: Driver, layer: Layer) -> None:
    model, images = layer
    expected = reference.run(model, images)
    for image, output in zip(images, expected, strict=True):
        np.testing.assert_array_equal(driver.run(model, image), output)


@settings(max_examples=100)
@given(layers(conv_graphs()))
def test_output_over_what_has_been_read(driver: Driver, layer: Layer) -> None:
    model, images = layer
    (op,) = model.graph.ops
    least = lag(op, model.graph.input_shape, model.graph.output_shape)
    expected = reference.run(model, images[:1])[0]
    np.testing.assert_array_equal(driver.run(model, images[0], lag=least), expected)
    np.testing.assert_array_equal(driver.run(model, images[0], lag=-(-least // 4) * 4), expected)


@settings(max_examples=50)
@given(layers(conv_graphs()))
def test_bands_of_rows(driver: Driver, layer: Layer) -> None:
    model, images = layer
    if kernel_of(model.graph.ops[0]) != "conv2d_s8":
        return
    expected = reference.run(model, images[:1])[0]
    height = len(expected)
    for first, end in {(0, 1), (height - 1, height), (height // 2, height)}:
        np.testing.assert_array_equal(driver.run(model, images[0], rows=(first, end)), expected[first:end])


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize(("channels", "width"), [(4, 13), (8, 6), (3, 9), (16, 5)])
def test_wide_rows(driver: Driver, numbers: str, channels: int, width: int) -> None:
    """Four patches in a row that no border cuts, of whole words and not."""
    builder = GraphBuilder((4, width, channels))
    builder.conv(builder.input, 5, 3)
    rng = np.random.default_rng(width)
    model = awkward_model(builder.build(), numbers, (-128, 5), rng)
    images = rng.integers(-128, 128, (1, *model.graph.input_shape)).astype(np.int8)
    np.testing.assert_array_equal(driver.run(model, images[0]), reference.run(model, images)[0])
