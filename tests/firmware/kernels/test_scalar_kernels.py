"""Kernels for cores without the DSP extension, against the numpy reference: on this machine under the sanitisers, with
products put together from those of halves, and on the emulated Xtensa core."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware import reference
from firmware.emit import export
from firmware.host import HostModel
from firmware.int8_model import Int8Model, LayerWeights, Quant
from firmware.virtual import build_firmware, find_compiler, run_elf
from firmware.virtual.run import obstacle
from search_spaces.builder import GraphBuilder
from search_spaces.graph import Graph
from search_spaces.ops import Activation
from tests.firmware.kernels.layers import (
    NUMBERS,
    Driver,
    awkward_model,
    conv_graphs,
    dense_graphs,
    layers,
    pointwise_graphs,
)
from tests.firmware.kernels.test_depthwise import Driver as DepthwiseDriver
from tests.firmware.kernels.test_depthwise import layers as depthwise_layers
from tests.firmware.kernels.test_matmul_on_cortex_m4 import convolutions, lively, pointwise_and_dense

Layer = tuple[Int8Model, NDArray[np.int8]]


@pytest.fixture(scope="module")
def scalar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driver]:
    with Driver(tmp_path_factory.mktemp("scalar"), dsp=False) as program:
        yield program


@pytest.fixture(scope="module")
def scalar_depthwise(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DepthwiseDriver]:
    program = DepthwiseDriver(tmp_path_factory.mktemp("scalar_depthwise"), dsp=False)
    yield program
    program.process.communicate()


@settings(max_examples=150)
@given(layers(st.one_of(conv_graphs(), pointwise_graphs(), dense_graphs())))
def test_any_shape_and_numbers(scalar: Driver, layer: Layer) -> None:
    model, images = layer
    expected = reference.run(model, images)
    for image, output in zip(images, expected, strict=True):
        np.testing.assert_array_equal(scalar.run(model, image), output)


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.parametrize("channels", [64, 252, 256, 257, 260, 512, 1030])
def test_extreme_sums_of_many_inputs(scalar: Driver, numbers: str, channels: int) -> None:
    """The greatest and the least sums that lie in one word together; inputs that make a chunk, and more."""
    builder = GraphBuilder((1, 7, channels))
    builder.conv(builder.input, 5)
    model = awkward_model(builder.build(), numbers, (-128, 5), np.random.default_rng(channels))
    weights = next(iter(model.layers.values())).weights.reshape(5, channels)
    for row, value in enumerate((-128, 127, -128, -1)):
        weights[row] = value
    image = np.array([127, 127, -128, 127, -128, -128, 127], np.int8)[None, :, None].repeat(channels, axis=2)
    np.testing.assert_array_equal(scalar.run(model, image), reference.run(model, image[None])[0])


@settings(max_examples=150)
@given(depthwise_layers(), st.integers(0, 2**32 - 1))
def test_any_depthwise(scalar_depthwise: DepthwiseDriver, model: Int8Model, seed: int) -> None:
    rng = np.random.default_rng(seed)
    image = rng.choice(np.array([-128, 127, 0, 5], np.int8), model.graph.input_shape)
    np.testing.assert_array_equal(scalar_depthwise.run(model, image), reference.run(model, image[None])[0])


def many_inputs() -> Graph:
    """More inputs than are multiplied at a time, and a filter left over."""
    builder = GraphBuilder((5, 7, 6))
    x = builder.conv(builder.input, 40, 3)
    x = builder.conv(x, 9, 3, activation=Activation.NONE)
    return builder.build()


@pytest.mark.parametrize("graph", [convolutions(), pointwise_and_dense(), many_inputs()])
def test_same_bytes_of_an_export(graph: Graph, tmp_path: Path) -> None:
    """The export for the ESP32-S2 on this machine; where there are compiler and emulator, on the emulated core too."""
    rng = np.random.default_rng(7)
    model = lively(graph, rng)
    images = rng.integers(-128, 128, (2, *graph.input_shape)).astype(np.int8)
    expected = reference.run(model, images)
    folder = export(model, "esp32s2", tmp_path / "model", images)
    with HostModel(folder, sanitize=True) as host:
        np.testing.assert_array_equal(host.run(images), expected)
    missing = obstacle("esp32s2")
    if missing:
        pytest.skip(missing)
    execution = run_elf(
        build_firmware(folder, "esp32s2", find_compiler("esp32s2"), tmp_path / "build"), target="esp32s2"
    )
    np.testing.assert_array_equal(execution.outputs.reshape(expected.shape), expected)
    assert execution.stack_bytes <= 512


def test_depthwise_on_xtensa(tmp_path: Path) -> None:
    missing = obstacle("esp32s2")
    if missing:
        pytest.skip(missing)
    builder = GraphBuilder((9, 7, 6))
    x = builder.depthwise(builder.input, 3, activation=Activation.NONE)
    builder.depthwise(x, 3)
    graph = builder.build()
    rng = np.random.default_rng(3)
    quant, layer = {graph.input: Quant(1.0, 3)}, {}
    for op in graph.ops:
        quant[op.output] = Quant(1.0, -128 if op is graph.ops[1] else 4)
        weights = rng.integers(-127, 128, (3, 3, 6)).astype(np.int8)
        scales = rng.uniform(0.002, 0.004, 6).astype(np.float32)
        layer[op.output] = LayerWeights(weights, scales, rng.integers(-5000, 5000, 6).astype(np.int32))
    model = Int8Model(graph, quant, layer)
    images = rng.integers(-128, 128, (2, *graph.input_shape)).astype(np.int8)
    folder = export(model, "esp32s2", tmp_path / "model", images)
    image = build_firmware(folder, "esp32s2", find_compiler("esp32s2"), tmp_path / "build")
    outputs = run_elf(image, target="esp32s2").outputs.reshape(-1, *graph.output_shape)
    np.testing.assert_array_equal(outputs, reference.run(model, images))
    assert len(np.unique(outputs)) > 40
