"""The assembly of matrix products: networks of awkward layers on the emulated core."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firmware import reference
from firmware.emit import export
from firmware.int8_model import Int8Model, LayerWeights, Quant, weight_max, weight_shape
from firmware.requantization import Requantization, requantization_table
from firmware.toolchain import Compiler, find_arm_compiler
from firmware.virtual import build_firmware, run_elf
from search_spaces.builder import GraphBuilder
from search_spaces.geometry import Padding
from search_spaces.graph import Graph
from search_spaces.ops import Activation, Conv2D, FullyConnected

RELU, NONE = Activation.RELU, Activation.NONE


@pytest.fixture(scope="module", params=["gcc", "zig"])
def compiler(request: pytest.FixtureRequest) -> Compiler:
    """Both compilers, one after the other."""
    if request.param == "zig":
        return find_arm_compiler("zig")
    gcc: Compiler = request.getfixturevalue("arm_gcc")
    return gcc


def convolutions() -> Graph:
    """Runs of whole words and not, borders, strides, dilation, rows that end within four positions, odd filters."""
    builder = GraphBuilder((11, 13, 3))
    x = builder.conv(builder.input, 8, 3)
    x = builder.conv(x, 7, 3, activation=NONE)
    x = builder.conv(x, 12, (2, 3), (1, 2), padding=Padding.VALID)
    x = builder.conv(x, 5, 3, dilation=(2, 1), activation=NONE)
    x = builder.conv(x, 4, (3, 2), dilation=(1, 2))
    x = builder.conv(x, 1, 1, 2, activation=NONE)
    x = builder.conv(x, 9, (4, 1))
    builder.conv(x, 6, (10, 4), (2, 2), activation=NONE)
    return builder.build()


def pointwise_and_dense(weight_bits: int = 8) -> Graph:
    """One to forty inputs, one filter and more, leftovers of every kind."""
    builder = GraphBuilder((5, 3, 2))
    x = builder.input
    for index, filters in enumerate((1, 40, 3, 36, 17, 18, 7, 32, 6, 5, 16, 2, 11)):
        x = builder.conv(x, filters, activation=RELU if index % 2 else NONE, weight_bits=weight_bits)
    for units in (33, 7, 10, 31, 6):
        x = builder.dense(x, units, weight_bits=weight_bits)
    builder.dense(x, 9, RELU, weight_bits=weight_bits)
    return builder.build()


def lively(graph: Graph, rng: np.random.Generator) -> Int8Model:
    """Integers that spread every tensor over int8; a third of the layers needs the general requantisation."""
    quant = {graph.input: Quant(1.0, 3)}
    layers: dict[str, LayerWeights] = {}
    for index, op in enumerate(graph.ops):
        assert isinstance(op, Conv2D | FullyConnected)
        rectified = op.activation is RELU
        quant[op.output] = Quant(1.0, -128 if rectified else int(rng.integers(-20, 20)))
        shape = weight_shape(graph, op)
        limit = weight_max(op)
        weights = rng.integers(-limit, limit + 1, shape).astype(np.int8)
        inputs = weights.size // shape[0]
        scales = rng.uniform(50, 90, shape[0]) / (np.sqrt(inputs) * 74 * 73 * limit / 127)
        bias = rng.integers(-42 * limit, 42 * limit, shape[0]).astype(np.int32)
        if index % 3 == 2 and shape[0] > 1:
            # A channel that is always 0 has a factor of 0, which only the general way knows.
            scales[-1], weights[-1], bias[-1] = 2.0**-40, 0, 0
        layers[op.output] = LayerWeights(weights, scales.astype(np.float32), bias)
    return Int8Model(graph, quant, layers)


@pytest.mark.parametrize(
    "graph",
    [convolutions(), pointwise_and_dense(), pointwise_and_dense(weight_bits=4)],
    ids=["convolutions", "pointwise", "4 bits"],
)
def test_same_bytes(compiler: Compiler, graph: Graph, tmp_path: Path) -> None:
    rng = np.random.default_rng(7)
    model = lively(graph, rng)
    assert {requantization_table(model, op).kind for op in graph.ops} == {*Requantization}
    images = rng.integers(-128, 128, (4, *graph.input_shape)).astype(np.int8)
    for name, tensor in reference.run_all(model, images).items():
        assert len(np.unique(tensor)) > 10, name
    folder = export(model, "stm32l4r9", tmp_path / "model", images)
    execution = run_elf(build_firmware(folder, "stm32l4r9", compiler, tmp_path / "build"))
    np.testing.assert_array_equal(execution.outputs.reshape(-1, *graph.output_shape), reference.run(model, images))
    assert execution.stack_bytes <= 512
