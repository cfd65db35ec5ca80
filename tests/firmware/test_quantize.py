from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware.fixed_point import INT32_MAX
from firmware.int8_model import WEIGHTED, Quant, weight_shape
from firmware.quantize import (
    activation_quant,
    bias_quant,
    dequantize_values,
    quantize_graph,
    quantize_values,
    scaled_quant,
    weight_quant,
    with_weight_bits,
)
from firmware.reference import run_all
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import (
    Activation,
    Add,
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Mul,
    Scale,
    Sigmoid,
    Softmax,
    UpsampleNearest,
)
from tests.firmware import oracle

FACTOR = 0.37
"""Of every Scale here."""


def test_worked_example_symmetric() -> None:
    """Greatest magnitude 16.7: S = 0.1315, x = 3.1 -> 24 -> 3.156."""
    q, scales = weight_quant([[-16.7, 3.1, 0.0]], axis=0)
    assert scales[0] == pytest.approx(0.1315, abs=5e-5)
    assert q.tolist() == [[-127, 24, 0]]
    assert 24 * scales[0] == pytest.approx(3.156, abs=5e-4)


def test_worked_example_affine() -> None:
    """Range -16.7..12.1: S = 0.1129, Z = 20, x = 3.1 -> 47 -> 3.05."""
    quant = activation_quant(-16.7, 12.1)
    assert quant.scale == pytest.approx(0.1129, abs=5e-5)
    assert quant.zero_point == 20
    q = quantize_values([3.1, -16.7, 12.1, 0.0, -100, 100], quant)
    assert q.tolist() == [47, -128, 127, 20, -128, 127]
    assert dequantize_values(q, quant)[0] == pytest.approx(3.05, abs=5e-3)


@pytest.mark.parametrize(
    ("low", "high", "scale", "zero_point"),
    [
        (0.0, 255.0, 1.0, -128),
        (-255.0, 0.0, 1.0, 127),
        (-127.5, 127.5, 1.0, -1),  # -0.5 rounds away from zero, as TensorFlow Lite does
        (-128.0, 127.0, 1.0, 0),
        (51.0, 255.0, 1.0, -128),  # widened to hold 0
        (-255.0, -51.0, 1.0, 127),
        (0.0, 6.0, 6 / 255, -128),
        (0.0, 0.0, 1 / 255, -128),
        (0.0, 1e-12, 1 / 255, -128),
    ],
)
def test_activation_quant(low: float, high: float, scale: float, zero_point: int) -> None:
    assert activation_quant(low, high) == Quant(scale, zero_point)


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_zero_is_exact_and_the_range_is_covered(a: float, b: float) -> None:
    low, high = min(a, b), max(a, b)
    quant = activation_quant(low, high)
    assert dequantize_values(quantize_values([0.0], quant), quant).tolist() == [0.0]
    assert quant.scale == float(np.float32(quant.scale))
    if high - low > 1e-3:
        ends = np.array([low, high])
        back = dequantize_values(quantize_values(ends, quant), quant)
        assert np.abs(back - ends).max() <= quant.scale * (1 + 1e-5)


@pytest.mark.parametrize(("low", "high"), [(math.nan, 1.0), (0.0, math.inf), (2.0, 1.0)])
def test_bad_range(low: float, high: float) -> None:
    with pytest.raises(NasError, match=f"range {low} to {high}"):
        activation_quant(low, high)


def test_weight_quant_by_hand() -> None:
    w = np.array([[127, -63.5, 1.5, 2.5], [0, 0, 0, 0], [-254, 127, 3, 5]]) / 128
    q, scales = weight_quant(w, axis=0)
    assert scales.dtype == np.float32
    assert scales.tolist() == [1 / 128, 1 / 64, 1 / 64]  # the channel of zeros takes the largest
    assert q.tolist() == [[127, -64, 2, 2], [0, 0, 0, 0], [-127, 64, 2, 2]]  # halves to even
    assert weight_quant(np.zeros((2, 3)), axis=1)[1].tolist() == [np.float32(1 / 127)] * 3


@given(st.integers(0, 2**32 - 1), st.sampled_from([0, 2, -1]))
def test_weight_quant_is_within_half_a_step(seed: int, axis: int) -> None:
    w = np.random.default_rng(seed).normal(size=(4, 3, 5)).astype(np.float32)
    q, scales = weight_quant(w, axis)
    channels = np.moveaxis(q, axis, 0).astype(np.int32)
    assert [np.abs(channel).max() for channel in channels] == [127] * len(channels)
    back = np.moveaxis(channels * scales[:, None, None].astype(np.float64), 0, axis)
    assert np.abs(back - w).max() <= 0.5001 * scales.max()


def test_bias_quant() -> None:
    scales = np.array([0.5, 0.25, 1e-20, 1e-30], np.float32)
    assert bias_quant([1.0, -0.3125, 5.0, -1e300], 0.5, scales).tolist() == [4, -2, INT32_MAX, -INT32_MAX]
    assert bias_quant([2.5 / 4], 0.5, scales[:1]).tolist() == [2]  # half to even


# --- whole graphs ----------------------------------------------------------------------------------------------------


def _all_ops() -> Graph:
    builder = GraphBuilder((8, 6, 3))
    stem = builder.conv(builder.input, 8, 3)
    x = builder.depthwise(stem, 3, multiplier=2, activation=Activation.RELU6)
    x = builder.conv(x, 8, 1, activation=Activation.NONE)
    x = builder.add(x, stem, Activation.RELU)
    gate = builder.sigmoid(builder.upsample(builder.max_pool(x, 2, 2), (8, 6)))
    x = builder.add(builder.scale(builder.mul(x, gate)), x)
    builder.softmax(builder.dense(builder.avg_pool(builder.scale(x), 2, 2), 5))
    return builder.build("everything")


def _factors(graph: Graph) -> dict[str, float]:
    return {op.output: FACTOR for op in graph.ops if isinstance(op, Scale)}


Weights = dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]


def _random_weights(graph: Graph, rng: np.random.Generator) -> Weights:
    weights = {}
    for op in graph.ops:
        if isinstance(op, WEIGHTED):
            outputs = graph.shapes[op.output][2]
            shape = weight_shape(graph, op)
            w = rng.normal(0, (np.prod(shape) / outputs) ** -0.5, shape).astype(np.float32)
            weights[op.output] = (w, rng.normal(0, 0.1, outputs).astype(np.float32))
    return weights


def _run_float(graph: Graph, weights: Weights, image: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Every tensor for one image, in real numbers."""
    tensors = {graph.input: image}
    for op in graph.ops:
        x, *more = [tensors[name] for name in op.inputs]
        out = np.zeros(graph.shapes[op.output])
        if isinstance(op, Conv2D | DepthwiseConv2D | MaxPool | AvgPool):
            for y, z in np.ndindex(*out.shape[:2]):
                taps = oracle.taps(op, x.shape, y, z)
                pixels = [x[row, column] for _, _, row, column in taps]
                if isinstance(op, MaxPool | AvgPool):
                    out[y, z] = np.max(pixels, axis=0) if isinstance(op, MaxPool) else np.mean(pixels, axis=0)
                    continue
                w, b = weights[op.output]
                for (i, j, _, _), pixel in zip(taps, pixels, strict=True):
                    repeated = np.repeat(pixel, getattr(op, "multiplier", 1))
                    out[y, z] += repeated * w[i, j] if isinstance(op, DepthwiseConv2D) else w[:, i, j] @ pixel
                out[y, z] += b
        elif isinstance(op, FullyConnected):
            out[0, 0] = weights[op.output][0] @ x.ravel() + weights[op.output][1]
        elif isinstance(op, UpsampleNearest):
            rows, columns = (np.arange(n) * m // n for n, m in zip(op.size, x.shape[:2], strict=True))
            out = x[rows][:, columns]
        elif isinstance(op, Scale):
            out = FACTOR * x
        elif isinstance(op, Sigmoid):
            out = 1 / (1 + np.exp(-x))
        elif isinstance(op, Softmax):
            out = np.exp(x) / np.exp(x).sum(axis=2, keepdims=True)
        else:
            out = x + more[0] if isinstance(op, Add) else x * more[0]
        activation = getattr(op, "activation", Activation.NONE)
        if activation is not Activation.NONE:
            out = np.clip(out, 0, 6 if activation is Activation.RELU6 else None)
        tensors[op.output] = out
    return tensors


def _ranges(tensors: list[dict[str, NDArray[np.float64]]]) -> dict[str, tuple[float, float]]:
    return {name: (min(t[name].min() for t in tensors), max(t[name].max() for t in tensors)) for name in tensors[0]}


@pytest.mark.parametrize("seed", range(5))
def test_integers_follow_the_float_network(seed: int) -> None:
    graph, rng = _all_ops(), np.random.default_rng(seed)
    weights = _random_weights(graph, rng)
    input_quant = Quant(1 / 255, -128)
    x = rng.integers(-128, 128, (6, *graph.input_shape)).astype(np.int8)
    real = [_run_float(graph, weights, image.astype(np.float64)) for image in dequantize_values(x, input_quant)]
    model = quantize_graph(graph, weights, _ranges(real), input_quant, {"origin": "test"}, factors=_factors(graph))
    assert model.metadata == {"origin": "test"}
    tensors = run_all(model, x)
    for name in graph.shapes:
        steps = np.stack([tensor[name] for tensor in real]) / model.quant[name].scale
        error = np.abs(tensors[name].astype(int) - model.quant[name].zero_point - steps)
        assert error.max() < 8, name
        assert error.mean() < 1.5, name


def test_shared_and_fixed_quantisation() -> None:
    graph = _all_ops()
    weights = _random_weights(graph, np.random.default_rng(0))
    needed = {op.output for op in graph.ops if isinstance(op, (*WEIGHTED, Add, Mul))}
    ranges = dict.fromkeys(needed, (-1.0, 2.0))
    model = quantize_graph(graph, weights, ranges, Quant(1 / 255, -128), factors=_factors(graph))
    for op in graph.ops:
        if isinstance(op, MaxPool | AvgPool | UpsampleNearest):
            assert model.quant[op.output] == model.quant[op.inputs[0]]
        elif isinstance(op, Sigmoid | Softmax):
            assert model.quant[op.output] == Quant(1 / 256, -128)
        elif isinstance(op, Scale):
            source = model.quant[op.inputs[0]]
            assert model.quant[op.output] == Quant(FACTOR * source.scale, source.zero_point)
        else:
            assert model.quant[op.output] == activation_quant(-1.0, 2.0)


def test_scaled_quantisation_is_rounded_once() -> None:
    source = Quant(0.1, 7)
    assert source.scale == float(np.float32(0.1))
    assert scaled_quant(source, 3.3) == Quant(float(np.float32(3.3 * float(np.float32(0.1)))), 7)
    assert scaled_quant(source, 1.0) == source


@pytest.mark.parametrize(
    ("factors", "message"),
    [
        (None, "Scale 'scale1' has no factor"),
        ({"scale0": 1.0}, "Scale 'scale1' has no factor"),
        ({"scale1": 0.0}, "Scale 'scale1': factor 0.0: a positive finite number"),
        ({"scale1": -1.0}, "Scale 'scale1': factor -1.0"),
        ({"scale1": np.nan}, "Scale 'scale1': factor nan"),
        ({"scale1": 1e-60}, "Scale 'scale1': scale .*: a positive finite number that float32 can hold"),
    ],
)
def test_factors_are_checked(factors: dict[str, float] | None, message: str) -> None:
    builder = GraphBuilder((2, 2, 1))
    builder.scale(builder.sigmoid(builder.input))
    with pytest.raises(NasError, match=message):
        quantize_graph(builder.build(), {}, {}, Quant(1.0, 0), factors=factors)


def _one_layer() -> tuple[Graph, str]:
    builder = GraphBuilder((2, 2, 1))
    out = builder.conv(builder.input, 2, 1, activation=Activation.NONE)
    return builder.build(), out


def test_bias_beyond_int32_coarsens_the_weights_of_its_channel() -> None:
    graph, out = _one_layer()
    weights = {out: (np.array([[[[1e-12]]], [[[1.0]]]]), np.array([0.75, 0.25]))}
    model = quantize_graph(graph, weights, {out: (-1.0, 1.0)}, Quant(0.01, 0))
    x = np.zeros((1, 2, 2, 1), np.int8)
    back = dequantize_values(run_all(model, x)[out], model.quant[out])[0, 0, 0]
    np.testing.assert_allclose(back, [0.75, 0.25], atol=model.quant[out].scale)


def test_dead_channel_keeps_its_bias() -> None:
    graph, out = _one_layer()
    weights = {out: (np.array([[[[0.0]]], [[[1.0]]]]), np.array([0.75, 0.25]))}
    model = quantize_graph(graph, weights, {out: (-1.0, 1.0)}, Quant(0.01, 0))
    back = dequantize_values(run_all(model, np.zeros((1, 2, 2, 1), np.int8))[out], model.quant[out])[0, 0, 0]
    np.testing.assert_allclose(back, [0.75, 0.25], atol=model.quant[out].scale)


@pytest.mark.parametrize(
    ("weights", "ranges", "message"),
    [
        (None, (0.0, 1.0), "'conv0' has no weights"),
        ((np.ones((2, 1, 1, 1)), np.ones(2)), None, "'conv0' has no range"),
        ((np.ones((2, 1, 1, 1)), np.ones(2)), (1.0, 0.0), "'conv0': range 1.0 to 0.0"),
        ((np.full((2, 1, 1, 1), np.nan), np.ones(2)), (0.0, 1.0), "'conv0': a weight or bias is not finite"),
        ((np.ones((2, 1, 1, 1)), np.array([1, np.inf])), (0.0, 1.0), "'conv0': a weight or bias is not finite"),
        ((np.ones((2, 1, 1, 1)), np.ones(3)), (0.0, 1.0), "'conv0': weights of shape"),
        ((np.ones((2, 3, 1, 1)), np.ones(2)), (0.0, 1.0), "weights of 'conv0'"),
        ((np.ones(()), np.ones(())), (0.0, 1.0), "'conv0': weights of shape"),
    ],
)
def test_what_is_missing_is_named(weights: Any, ranges: Any, message: str) -> None:
    graph, out = _one_layer()
    given_weights = {} if weights is None else {out: weights}
    given_ranges = {} if ranges is None else {out: ranges}
    with pytest.raises(NasError, match=message):
        quantize_graph(graph, given_weights, given_ranges, Quant(1.0, 0))


def four_bits() -> tuple[Graph, dict[str, Any]]:
    """A pointwise and a dense layer of 4 bits, and float weights for them."""
    builder = GraphBuilder((4, 4, 8))
    builder.dense(builder.conv(builder.input, 6, weight_bits=4), 3, weight_bits=4)
    graph = builder.build()
    rng = np.random.default_rng(11)
    weights = {
        op.output: (rng.normal(0, 1, weight_shape(graph, op)), rng.normal(0, 1, graph.shapes[op.output][2]))
        for op in graph.ops
        if isinstance(op, WEIGHTED)
    }
    return graph, weights


def test_weights_of_4_bits_come_closer_than_by_their_range() -> None:
    graph, weights = four_bits()
    ranges = {op.output: (0.0 if i == 0 else -9.0, 9.0) for i, op in enumerate(graph.ops)}
    model = quantize_graph(graph, weights, ranges, Quant(0.05, 0))
    for name, layer in model.layers.items():
        exact = weights[name][0]
        flat, (rows, count) = exact.reshape(len(exact), -1), (len(exact), exact[0].size)
        assert np.abs(layer.weights).max() == 7
        by_range = np.abs(flat).max(axis=1, keepdims=True) / 7
        plain = ((np.rint(flat / by_range) * by_range - flat) ** 2).sum(axis=1)
        ours = ((layer.weights.reshape(rows, count) * layer.weight_scales[:, None] - flat) ** 2).sum(axis=1)
        assert (ours <= plain * 1.0001).all()
        assert ours.sum() < plain.sum()


def test_a_model_gets_weights_of_4_bits_afterwards() -> None:
    graph, weights = four_bits()
    eight = graph.with_weight_bits(8)
    ranges = {op.output: (0.0 if i == 0 else -9.0, 9.0) for i, op in enumerate(graph.ops)}
    model = quantize_graph(eight, weights, ranges, Quant(0.05, 0), {"recipe": "none"})
    four = with_weight_bits(model, graph)
    assert four.graph == graph
    assert (four.quant, four.metadata) == (model.quant, model.metadata)
    for name, layer in four.layers.items():
        old = model.layers[name]
        real = layer.weights.reshape(len(layer.bias), -1) * layer.weight_scales[:, None]
        assert np.abs(real - old.weights.reshape(len(old.bias), -1) * old.weight_scales[:, None]).max() < 1.2
        source = model.quant[next(op for op in graph.ops if op.output == name).inputs[0]].scale
        units = source * layer.weight_scales
        np.testing.assert_allclose(layer.bias * units, old.bias * source * old.weight_scales, atol=units.max())
    assert with_weight_bits(model, eight).layers == model.layers
    builder = GraphBuilder((4, 4, 8))
    builder.dense(builder.input, 3, weight_bits=4)
    with pytest.raises(NasError, match="differs from the model's in more than weight_bits"):
        with_weight_bits(model, builder.build("other"))
