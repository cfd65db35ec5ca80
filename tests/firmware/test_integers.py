from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware.int8_model import Int8Model, LayerWeights, Quant
from firmware.integers import (
    AddIntegers,
    MulIntegers,
    SoftmaxIntegers,
    accumulator_bounds,
    activation_range,
    add_integers,
    layer_integers,
    lookup_table,
    mul_integers,
    softmax_integers,
)
from firmware.reference import run_all
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Activation, Op
from tests.strategies import WEIGHTED, models, random_input


def _only(graph: Graph) -> Op:
    (op,) = graph.ops
    return op


def _binary(
    kind: str, first: Quant, second: Quant, target: Quant, activation: Activation = Activation.NONE
) -> Int8Model:
    """A graph that adds or multiplies a 1x1 convolution of the input and the input."""
    builder = GraphBuilder((1, 1, 1))
    x = builder.conv(builder.input, 1)
    out = getattr(builder, kind)(x, builder.input, activation)
    layer = LayerWeights(np.ones((1, 1, 1, 1), np.int8), np.ones(1, np.float32), np.zeros(1, np.int32))
    return Int8Model(builder.build(), {builder.input: second, x: first, out: target}, {x: layer})


def _unary(kind: str, source: Quant, channels: int = 1) -> Int8Model:
    builder = GraphBuilder((1, 1, channels))
    out = getattr(builder, kind)(builder.input)
    return Int8Model(builder.build(), {builder.input: source, out: Quant(1 / 256, -128)}, {})


def _dense(source: Quant, target: Quant, scales: list[float], activation: Activation = Activation.NONE) -> Int8Model:
    builder = GraphBuilder((1, 1, 2))
    out = builder.dense(builder.input, len(scales), activation)
    weights = np.array([[3, -4]] * len(scales), np.int8)
    layer = LayerWeights(weights, np.array(scales, np.float32), np.full(len(scales), 10, np.int32))
    return Int8Model(builder.build(), {builder.input: source, out: target}, {out: layer})


@pytest.mark.parametrize(
    ("activation", "quant", "expected"),
    [
        (Activation.NONE, Quant(0.1, 5), (-128, 127)),
        (Activation.RELU, Quant(0.1, 5), (5, 127)),
        (Activation.RELU, Quant(0.1, -128), (-128, 127)),
        (Activation.RELU6, Quant(0.1, 5), (5, 65)),
        (Activation.RELU6, Quant(6 / 255, -128), (-128, 127)),
        (Activation.RELU6, Quant(4.0, 0), (0, 2)),  # 1.5 rounds away from zero
        (Activation.RELU6, Quant(1e-30, 0), (0, 127)),
        (Activation.RELU6, Quant(100.0, 7), (7, 7)),
    ],
)
def test_activation_range(activation: Activation, quant: Quant, expected: tuple[int, int]) -> None:
    assert activation_range(activation, quant) == expected


def test_layer_integers() -> None:
    model = _dense(Quant(0.5, 3), Quant(0.25, -7), [0.25, 0.5, 3.0], Activation.RELU)
    k = layer_integers(model, _only(model.graph))
    assert (k.input_offset, k.output_offset, k.act_min, k.act_max) == (-3, -7, -7, 127)
    assert k.multiplier.tolist() == [1 << 30, 1 << 30, 3 << 29]  # 0.5, 1, 6
    assert k.shift.tolist() == [0, 1, 3]
    assert k.multiplier.dtype == k.shift.dtype == np.int32


def test_layer_multiplies_in_double_precision() -> None:
    a, b, c = (float(np.float32(v)) for v in (0.1, 0.3, 0.7))
    model = _dense(Quant(a, 0), Quant(c, 0), [b])
    k = layer_integers(model, _only(model.graph))
    fraction, shift = math.frexp(a * b / c)
    assert (int(k.multiplier[0]), int(k.shift[0])) == (math.floor(fraction * 2**31 + 0.5), shift)


def test_layer_refuses_a_shift_beyond_int32() -> None:
    model = _dense(Quant(1e5, 0), Quant(1e-9, 0), [1.0])
    with pytest.raises(NasError, match=r"'dense0'.*too small"):
        layer_integers(model, _only(model.graph))


def test_accumulator_bounds_by_hand() -> None:
    model = _dense(Quant(0.5, 3), Quant(0.25, 0), [1.0])
    low, high = accumulator_bounds(model, _only(model.graph))
    # 10 + 3 * (x - 3) - 4 * (y - 3) for x, y in -128..127
    assert low.tolist() == [10 + 3 * -131 - 4 * 124]
    assert high.tolist() == [10 + 3 * 124 - 4 * -131]


@given(models(max_ops=3))
def test_outputs_respect_bounds_and_ranges(model: Int8Model) -> None:
    tensors = run_all(model, random_input(model, 4, np.random.default_rng(0)))
    for op in model.graph.ops:
        if isinstance(op, WEIGHTED):
            k = layer_integers(model, op)
            assert k.act_min <= int(tensors[op.output].min()) <= int(tensors[op.output].max()) <= k.act_max
            low, high = accumulator_bounds(model, op)
            assert (low <= high).all()
            assert int(low.min()) >= -(2**31)
            assert int(high.max()) < 2**31


def test_add_integers() -> None:
    model = _binary("add", Quant(0.5, 1), Quant(0.25, 2), Quant(0.125, 3), Activation.RELU)
    assert add_integers(model, model.graph.ops[-1]) == AddIntegers(
        left_shift=20,
        input1_offset=-1,
        input1_multiplier=1 << 30,  # 0.5 / (2 * 0.5)
        input1_shift=0,
        input2_offset=-2,
        input2_multiplier=1 << 30,  # 0.25
        input2_shift=-1,
        output_offset=3,
        output_multiplier=1 << 30,  # 1 / (2**20 * 0.125) = 2**-17
        output_shift=-16,
        act_min=3,
        act_max=127,
    )


def test_add_refuses_what_tflite_aborts_on() -> None:
    tight = 2.0**-19  # twice the larger scale over 2**20 times this is exactly 1
    model = _binary("add", Quant(1.0, 0), Quant(0.5, 0), Quant(tight, 0))
    with pytest.raises(NasError, match=r"'add1'.*too small"):
        add_integers(model, model.graph.ops[-1])
    wider = _binary("add", Quant(1.0, 0), Quant(0.5, 0), Quant(tight * 1.01, 0))
    assert add_integers(wider, wider.graph.ops[-1]).output_shift == 0


def test_mul_integers() -> None:
    model = _binary("mul", Quant(0.5, 1), Quant(0.25, 2), Quant(0.5, 3))
    assert mul_integers(model, model.graph.ops[-1]) == MulIntegers(-1, -2, 3, 1 << 30, -1, -128, 127)
    model = _binary("mul", Quant(4.0, 1), Quant(0.25, 2), Quant(0.5, 3), Activation.RELU6)
    assert mul_integers(model, model.graph.ops[-1]) == MulIntegers(-1, -2, 3, 1 << 30, 2, 3, 15)


def test_mul_multiplies_in_single_precision() -> None:
    a, b, c = np.float32(0.1), np.float32(0.3), np.float32(0.7)
    model = _binary("mul", Quant(float(a), 0), Quant(float(b), 0), Quant(float(c), 0))
    k = mul_integers(model, model.graph.ops[-1])
    fraction, shift = math.frexp(float(a * b / c))
    assert (k.multiplier, k.shift) == (int(fraction * 2**31), shift)
    assert k.multiplier % 128 == 0  # 24 bits of precision


def test_mul_refuses_scales_too_far_apart() -> None:
    for target in (1e-9, 1e-38):
        model = _binary("mul", Quant(100.0, 0), Quant(100.0, 0), Quant(target, 0))
        with pytest.raises(NasError, match=r"'mul1'.*too small"):
            mul_integers(model, model.graph.ops[-1])


def test_lookup_table_by_hand() -> None:
    model = _unary("sigmoid", Quant(0.1, 10))
    table = lookup_table(model, _only(model.graph))
    assert table.dtype == np.int8
    assert table.shape == (256,)
    for value in (-128, -10, 10, 20, 64, 127):
        real = 256 / (1 + math.exp(-0.1 * (value - 10))) - 128
        assert int(table[value + 128]) == min(127, math.floor(real + 0.5))
    assert int(table[10 + 128]) == 0  # sigmoid(0) = 128 / 256
    assert (np.diff(table.astype(int)) >= 0).all()


@given(st.floats(1e-6, 1e3), st.integers(-128, 127))
def test_lookup_table_is_within_half_a_step(scale: float, zero_point: int) -> None:
    model = _unary("sigmoid", Quant(scale, zero_point))
    real = model.input_quant.scale * (np.arange(-128.0, 128.0) - zero_point)
    exact = np.minimum(256 / (1 + np.exp(-np.clip(real, -700, 700))) - 128, 127)
    assert np.abs(lookup_table(model, _only(model.graph)) - exact).max() <= 0.5 + 1e-4


def test_softmax_integers() -> None:
    model = _unary("softmax", Quant(0.25, 4), channels=3)
    # 0.25 * 2**26 = 2**24 = 2**30 / 2**31 * 2**25; 31 * 2**26 / 2**25 = 62
    assert softmax_integers(model, _only(model.graph)) == SoftmaxIntegers(1 << 30, 25, -62)
    capped = _unary("softmax", Quant(1000.0, 4), channels=3)
    assert softmax_integers(capped, _only(capped.graph)) == SoftmaxIntegers((1 << 31) - 1, 31, 0)


def test_softmax_refuses() -> None:
    model = _unary("softmax", Quant(2.0**-27, 0), channels=3)
    with pytest.raises(NasError, match=r"more than 2\*\*-26"):
        softmax_integers(model, _only(model.graph))
    model = _unary("softmax", Quant(0.1, 0), channels=512)
    with pytest.raises(NasError, match="512 channels; at most 511"):
        softmax_integers(model, _only(model.graph))


def test_wrong_operation_is_named() -> None:
    model = _unary("sigmoid", Quant(0.1, 0))
    for function in (layer_integers, add_integers, mul_integers, softmax_integers):
        with pytest.raises(NasError, match="Sigmoid 'sigmoid0'"):
            function(model, _only(model.graph))
    softmax = _unary("softmax", Quant(0.1, 0))
    with pytest.raises(NasError, match="Softmax 'softmax0': a Sigmoid expected"):
        lookup_table(softmax, _only(softmax.graph))
