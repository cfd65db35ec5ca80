"""Layers with weights of 4 bits, against the numpy reference under the sanitisers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from estimators import load_target, lower
from estimators.flash import PARAMS_BYTES, flash
from firmware import c_layers, reference
from firmware.emit import export
from firmware.host import HostModel
from firmware.int8_model import Int8Model, LayerWeights, Quant
from search_spaces import GraphBuilder, NasError
from tests.firmware.kernels.layers import Driver, dense_graphs, layers, pointwise_graphs
from tests.firmware.kernels.test_matmul_on_cortex_m4 import lively, pointwise_and_dense

Layer = tuple[Int8Model, NDArray[np.int8]]


@settings(max_examples=100)
@given(layers(pointwise_graphs(weight_bits=4)))
def test_pointwise(driver: Driver, layer: Layer) -> None:
    model, images = layer
    expected = reference.run(model, images)
    for image, output in zip(images, expected, strict=True):
        np.testing.assert_array_equal(driver.run(model, image), output)


@settings(max_examples=60)
@given(layers(pointwise_graphs(weight_bits=4)))
def test_pointwise_in_place(driver: Driver, layer: Layer) -> None:
    model, images = layer
    (height, width, channels), filters = model.graph.input_shape, model.graph.output_shape[2]
    ahead = max(0, (height * width - 1) * (filters - channels))
    np.testing.assert_array_equal(driver.run(model, images[0], lag=ahead), reference.run(model, images[:1])[0])


@settings(max_examples=100)
@given(layers(dense_graphs(weight_bits=4)))
def test_dense(driver: Driver, layer: Layer) -> None:
    model, images = layer
    expected = reference.run(model, images)
    for image, output in zip(images, expected, strict=True):
        np.testing.assert_array_equal(driver.run(model, image), output)


@given(layers(st.one_of(pointwise_graphs(weight_bits=4), dense_graphs(weight_bits=4))))
def test_flash_is_that_of_the_stream(layer: Layer) -> None:
    model, _ = layer
    for name in ("stm32l4r9", "esp32s2"):
        target = load_target(name)
        plan = lower(model.graph, target)
        used = flash(plan)
        words = c_layers.filters(model, model.graph.ops[0], target.dsp)
        assert 4 * len(words) == used.weights + used.bias + used.tables - PARAMS_BYTES[plan.steps[0].kernel]


@pytest.mark.parametrize("weight", [7, 6])
def test_sums_that_kernels_cannot_take_apart_are_refused(weight: int) -> None:
    builder = GraphBuilder((1, 1, 149_797))
    builder.dense(builder.input, 2, weight_bits=4)
    graph = builder.build()
    weights = np.full((2, 149_797), weight, np.int8)
    layer = LayerWeights(weights, np.full(2, 1e-6, np.float32), np.zeros(2, np.int32))
    quant = {graph.input: Quant(1.0, 0), graph.output: Quant(1.0, 0)}
    model = Int8Model(graph, quant, {graph.output: layer})
    if weight == 7:
        with pytest.raises(NasError, match="can reach 134218112; weights of 4 bits allow 134217727"):
            c_layers.filters(model, graph.ops[0])
    else:
        assert len(c_layers.filters(model, graph.ops[0])) == 37_450 + 8


def test_cores_without_the_dsp_extension(tmp_path: Path) -> None:
    """Their C on this machine; the emulated core runs it as part of random networks."""
    rng = np.random.default_rng(3)
    model = lively(pointwise_and_dense(weight_bits=4), rng)
    images = rng.integers(-128, 128, (3, *model.graph.input_shape)).astype(np.int8)
    folder = export(model, "esp32s2", tmp_path / "model", images)
    assert {"matmul_s4_scalar.c", "matmul_common_scalar.c"} <= {path.name for path in (folder / "kernels").iterdir()}
    with HostModel(folder, sanitize=True) as host:
        np.testing.assert_array_equal(host.run(images), reference.run(model, images))
