"""Convolutions of one pixel, against the numpy reference under the sanitisers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from firmware import reference
from firmware.int8_model import Int8Model
from tests.firmware.kernels.layers import Driver, layers, pointwise_graphs

Layer = tuple[Int8Model, NDArray[np.int8]]


@settings(max_examples=120)
@given(layers(pointwise_graphs()))
def test_any_shape_and_numbers(driver: Driver, layer: Layer) -> None:
    model, images = layer
    expected = reference.run(model, images)
    for image, output in zip(images, expected, strict=True):
        np.testing.assert_array_equal(driver.run(model, image), output)


@settings(max_examples=100)
@given(layers(pointwise_graphs()))
def test_in_place(driver: Driver, layer: Layer) -> None:
    """Fewer outputs than inputs begin where the input does; more begin so far before it that they never catch up."""
    model, images = layer
    (height, width, channels), filters = model.graph.input_shape, model.graph.output_shape[2]
    ahead = max(0, (height * width - 1) * (filters - channels))
    np.testing.assert_array_equal(driver.run(model, images[0], lag=ahead), reference.run(model, images[:1])[0])
