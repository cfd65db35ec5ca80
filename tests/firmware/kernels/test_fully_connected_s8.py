"""Dense layers, against the numpy reference under the sanitisers."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from numpy.typing import NDArray

from firmware import reference
from firmware.int8_model import Int8Model
from tests.firmware.kernels.layers import Driver, dense_graphs, layers

Layer = tuple[Int8Model, NDArray[np.int8]]


@settings(max_examples=120)
@given(layers(dense_graphs()))
def test_any_shape_and_numbers(driver: Driver, layer: Layer) -> None:
    model, images = layer
    expected = reference.run(model, images)
    for image, output in zip(images, expected, strict=True):
        np.testing.assert_array_equal(driver.run(model, image), output)
