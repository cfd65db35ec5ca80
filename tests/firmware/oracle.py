"""TensorFlow Lite's int8 arithmetic once more, element by element in Python's unbounded integers.

Written from the C sources without a look at the numpy reference, slow and plain, for tests alone.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from firmware.int8_model import Int8Model
from firmware.integers import add_integers, layer_integers, lookup_table, mul_integers
from search_spaces.geometry import window
from search_spaces.ops import (
    Add,
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Mul,
    Op,
    Scale,
    Sigmoid,
    UpsampleNearest,
)


def int32(value: int) -> int:
    """Two's complement."""
    return (value + 2**31) % 2**32 - 2**31


def truncated(numerator: int, denominator: int) -> int:
    """Division as in C, towards zero."""
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def high_mul(a: int, b: int) -> int:
    """gemmlowp's SaturatingRoundingDoublingHighMul."""
    if a == b == -(2**31):
        return 2**31 - 1
    nudge = 2**30 if a * b >= 0 else 1 - 2**30
    return truncated(a * b + nudge, 2**31)


def divide_by_pot(x: int, exponent: int) -> int:
    """gemmlowp's RoundingDivideByPOT."""
    mask = 2**exponent - 1
    threshold = mask // 2 + (1 if x < 0 else 0)
    return (x >> exponent) + (1 if x & mask > threshold else 0)


def requantise(x: int, multiplier: int, shift: int) -> int:
    """MultiplyByQuantizedMultiplier with double rounding."""
    return divide_by_pot(high_mul(int32(x * 2 ** max(shift, 0)), multiplier), max(-shift, 0))


def clamp(value: int, low: int, high: int) -> int:
    return max(low, min(high, value))


def half_away(value: Fraction) -> int:
    magnitude = int(abs(value) + Fraction(1, 2))
    return magnitude if value >= 0 else -magnitude


def run_slowly(model: Int8Model, image: NDArray[np.int8]) -> dict[str, NDArray[np.int8]]:
    """Every tensor for one image (height, width, channels); Softmax is left out."""
    tensors = {model.graph.input: image}
    for op in model.graph.ops:
        inputs = [tensors[name] for name in op.inputs]
        out = np.zeros(model.graph.shapes[op.output], np.int8)
        for position in np.ndindex(*out.shape):
            out[position] = _element(model, op, inputs, position)
        tensors[op.output] = out
    return tensors


def _element(model: Int8Model, op: Op, inputs: list[NDArray[np.int8]], position: tuple[int, int, int]) -> int:
    x = inputs[0]
    y0, x0, channel = position
    if isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected):
        k = layer_integers(model, op)
        layer = model.layers[op.output]
        total = int(layer.bias[channel])
        if isinstance(op, FullyConnected):
            total += sum(
                (int(v) + k.input_offset) * int(w) for v, w in zip(x.ravel(), layer.weights[channel], strict=True)
            )
        else:
            for i, j, row, column in taps(op, x.shape, y0, x0):
                if isinstance(op, Conv2D):
                    pairs = zip(x[row, column], layer.weights[channel, i, j], strict=True)
                else:
                    pairs = zip([x[row, column, channel // op.multiplier]], [layer.weights[i, j, channel]], strict=True)
                total += sum((int(v) + k.input_offset) * int(w) for v, w in pairs)
        value = requantise(int32(total), int(k.multiplier[channel]), int(k.shift[channel]))
        return clamp(int32(value + k.output_offset), k.act_min, k.act_max)
    if isinstance(op, MaxPool | AvgPool):
        values = [int(x[row, column, channel]) for _, _, row, column in taps(op, x.shape, y0, x0)]
        return max(values) if isinstance(op, MaxPool) else half_away(Fraction(sum(values), len(values)))
    if isinstance(op, UpsampleNearest):
        return int(x[y0 * x.shape[0] // op.size[0], x0 * x.shape[1] // op.size[1], channel])
    if isinstance(op, Scale):
        return int(x[position])
    if isinstance(op, Sigmoid):
        return int(lookup_table(model, op)[int(x[position]) + 128])
    a, b = (
        int(tensor[tuple(0 if extent == 1 else index for index, extent in zip(position, tensor.shape, strict=True))])
        for tensor in inputs
    )
    if isinstance(op, Add):
        s = add_integers(model, op)
        first = requantise((a + s.input1_offset) * 2**s.left_shift, s.input1_multiplier, s.input1_shift)
        second = requantise((b + s.input2_offset) * 2**s.left_shift, s.input2_multiplier, s.input2_shift)
        value = requantise(first + second, s.output_multiplier, s.output_shift)
        return clamp(value + s.output_offset, s.act_min, s.act_max)
    assert isinstance(op, Mul)
    p = mul_integers(model, op)
    value = requantise((a + p.input1_offset) * (b + p.input2_offset), p.multiplier, p.shift)
    return clamp(value + p.output_offset, p.act_min, p.act_max)


def taps(
    op: Conv2D | DepthwiseConv2D | MaxPool | AvgPool, shape: tuple[int, ...], y: int, x: int
) -> list[tuple[int, int, int, int]]:
    """(kernel row, kernel column, image row, image column) of the taps that lie inside the image."""
    _, top = window(shape[0], op.kernel[0], op.stride[0], op.dilation[0], op.padding)
    _, left = window(shape[1], op.kernel[1], op.stride[1], op.dilation[1], op.padding)
    inside = []
    for i in range(op.kernel[0]):
        for j in range(op.kernel[1]):
            row, column = y * op.stride[0] - top + i * op.dilation[0], x * op.stride[1] - left + j * op.dilation[1]
            if 0 <= row < shape[0] and 0 <= column < shape[1]:
                inside.append((i, j, row, column))
    return inside
