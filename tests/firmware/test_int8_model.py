from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from firmware.int8_model import Int8Model, LayerWeights, Quant, weight_shape
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.ops import Conv2D, DepthwiseConv2D, FullyConnected
from tests.strategies import random_int8_model


def test_scale_is_rounded_to_float32() -> None:
    quant = Quant(0.1, 3)
    assert quant.scale == float(np.float32(0.1)) != 0.1
    assert quant == Quant(quant.scale, 3)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf"), 1e-60, 1e60])
def test_bad_scale(scale: float) -> None:
    with pytest.raises(NasError, match=re.escape(f"scale {scale}:")):
        Quant(scale, 0)


@pytest.mark.parametrize("zero_point", [-129, 128])
def test_bad_zero_point(zero_point: int) -> None:
    with pytest.raises(NasError, match=f"zero_point {zero_point}:"):
        Quant(1.0, zero_point)


def _model() -> Int8Model:
    builder = GraphBuilder((4, 3, 2))
    x = builder.depthwise(builder.conv(builder.input, 5, (3, 1)), (2, 3), multiplier=2)
    builder.softmax(builder.dense(builder.max_pool(x, 2, 2), 7))
    return random_int8_model(builder.build(), np.random.default_rng(0))


def test_weight_shapes() -> None:
    model = _model()
    shapes = [
        weight_shape(model.graph, op)
        for op in model.graph.ops
        if isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected)
    ]
    assert shapes == [(5, 3, 1, 2), (2, 3, 10), (7, 2 * 2 * 10)]


def test_quantisation_must_be_complete_and_shared() -> None:
    model = _model()
    for name, message in (
        ("maxpool2", "MaxPool 'maxpool2' needs the quantisation of its input 'depthwise1'"),
        ("softmax4", "Softmax 'softmax4' needs scale 1/256"),
    ):
        with pytest.raises(NasError, match=message):
            Int8Model(model.graph, {**model.quant, name: Quant(0.5, 1)}, model.layers)
    without = {name: quant for name, quant in model.quant.items() if name != "dense3"}
    with pytest.raises(NasError, match="tensor 'dense3' has no quantisation"):
        Int8Model(model.graph, without, model.layers)


def test_a_scale_keeps_the_zero_point() -> None:
    builder = GraphBuilder((2, 2, 1))
    builder.scale(builder.scale(builder.input))
    graph = builder.build()
    quant = {"input": Quant(0.5, 3), "scale0": Quant(0.001, 3), "scale1": Quant(70.0, 3)}
    Int8Model(graph, quant, {})
    with pytest.raises(NasError, match="Scale 'scale1' has zero point 4; that of its input 'scale0', 3, expected"):
        Int8Model(graph, quant | {"scale1": Quant(70.0, 4)}, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights": np.zeros((5, 3, 1, 1), np.int8)}, r"weights of 'conv0' are int8 \(5, 3, 1, 1\)"),
        ({"weights": np.zeros((5, 3, 1, 2), np.int32)}, "weights of 'conv0' are int32"),
        ({"weights": np.full((5, 3, 1, 2), -128, np.int8)}, "hold -128"),
        ({"bias": np.zeros(5, np.int64)}, "bias of 'conv0' is int64"),
        ({"bias": np.zeros(4, np.int32)}, r"bias of 'conv0' is int32 \(4,\); int32 \(5,\) expected"),
        ({"weight_scales": np.ones(5)}, "weight scales of 'conv0' must be 5 positive float32"),
        ({"weight_scales": np.ones(6, np.float32)}, "weight scales of 'conv0'"),
        ({"weight_scales": np.array([1, 1, 1, 1, 0], np.float32)}, "weight scales of 'conv0'"),
        ({"weight_scales": np.array([1, 1, 1, 1, np.nan], np.float32)}, "weight scales of 'conv0'"),
    ],
)
def test_layers_are_checked(change: dict[str, Any], message: str) -> None:
    model = _model()
    layer = model.layers["conv0"]
    parts = {"weights": layer.weights, "weight_scales": layer.weight_scales, "bias": layer.bias} | change
    with pytest.raises(NasError, match=message):
        Int8Model(model.graph, model.quant, {**model.layers, "conv0": LayerWeights(**parts)})


def test_weights_of_4_bits_are_checked() -> None:
    builder = GraphBuilder((1, 1, 2))
    builder.dense(builder.input, 2, weight_bits=4)
    graph, quant = builder.build(), Quant(1.0, 0)

    def model(*weights: int) -> Int8Model:
        integers = np.array(weights, np.int8).reshape(2, 2)
        layer = LayerWeights(integers, np.ones(2, np.float32), np.zeros(2, np.int32))
        return Int8Model(graph, {"input": quant, "dense0": quant}, {"dense0": layer})

    model(7, -7, 0, 1)
    for wrong in (8, -8, 127):
        with pytest.raises(NasError, match=rf"weights of 'dense0' hold {wrong}; weights of 4 bits lie in -7\.\.7"):
            model(7, -7, wrong, 1)


def test_missing_layer() -> None:
    model = _model()
    with pytest.raises(NasError, match="FullyConnected 'dense3' has no weights"):
        Int8Model(model.graph, model.quant, {k: v for k, v in model.layers.items() if k != "dense3"})
