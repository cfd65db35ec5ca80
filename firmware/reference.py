"""Exact integer execution of an Int8Model in numpy: what every other implementation has to reproduce, bit by bit.

Arithmetic is TensorFlow Lite's int8 specification. Sums wrap modulo 2**32 like int32 in two's complement; whether any
input can make them do so, ``integers.accumulator_bounds`` tells.

Speed: images are computed in blocks, with the image as the last axis, so that every inner loop runs over contiguous
memory whatever the kernel, stride or channel count. Convolutions are matrix products in floating point, which is exact
as long as every partial sum is an integer of at most 2**24 (float32) or 2**53 (float64): weights and inputs enter as
they are, the zero point goes into the bias, and the bound 128 * sum(abs(weights)) is taken from the weights at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from firmware.fixed_point import INT32_MAX, multiply_by_quantized_multiplier
from firmware.int8_model import INT8_MAX, INT8_MIN, Int8Model
from firmware.integers import (
    accumulator_bounds,
    add_integers,
    layer_integers,
    lookup_table,
    mul_integers,
    softmax_integers,
)
from firmware.softmax import softmax
from search_spaces.errors import NasError
from search_spaces.geometry import Padding, window
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
    Shape,
    Sigmoid,
    Softmax,
    UpsampleNearest,
)

Int8 = NDArray[np.int8]
Kernel = Callable[..., Int8]  # int8 arrays (height, width, channels, images) in, one out

IMAGES = 64  # per block; large enough for long inner loops, small enough for the cache
BLOCK_ELEMENTS = 1 << 17  # accumulators computed at a time (1 MiB of int64)


def run(model: Int8Model, x: Int8) -> Int8:
    """Output of the model for images ``x`` (int8, N x height x width x channels); N x h x w x c.

    Raises NasError for an array of another type or shape.
    """
    (output,) = _execute(model, x, (model.graph.output,)).values()
    return output


def run_all(model: Int8Model, x: Int8) -> dict[str, Int8]:
    """Every tensor of the model for images ``x``, by name, the input included; see ``run``."""
    return _execute(model, x, tuple(model.graph.shapes))


def _execute(model: Int8Model, x: Int8, wanted: tuple[str, ...]) -> dict[str, Int8]:
    graph = model.graph
    if x.dtype != np.int8 or x.ndim != 4 or x.shape[1:] != graph.input_shape:
        raise NasError(f"images are {x.dtype} {x.shape}; int8 (N, {', '.join(map(str, graph.input_shape))}) expected")
    kernels = [(op, _prepare(model, op)) for op in graph.ops]
    last_reader = {name: op for op in graph.ops for name in op.inputs}
    results = {name: np.empty((len(x), *graph.shapes[name]), np.int8) for name in wanted}
    for start in range(0, len(x), IMAGES):
        block = slice(start, start + IMAGES)
        tensors = {graph.input: np.ascontiguousarray(np.moveaxis(x[block], 0, -1))}
        for op, kernel in kernels:
            tensors[op.output] = kernel(*(tensors[name] for name in op.inputs))
            for name in {*op.inputs, op.output} & {*wanted}:
                results[name][block] = np.moveaxis(tensors[name], -1, 0)
            for name in {*op.inputs}:
                if last_reader[name] is op:
                    del tensors[name]
    return results


def _prepare(model: Int8Model, op: Op) -> Kernel:
    """The kernel of one operation, everything that does not depend on the images computed beforehand."""
    match op:
        case Conv2D():
            return _conv2d(model, op)
        case DepthwiseConv2D():
            return _depthwise(model, op)
        case FullyConnected():
            return _fully_connected(model, op)
        case MaxPool():
            return _max_pool(op, model.graph.shapes[op.inputs[0]])
        case AvgPool():
            return _avg_pool(op, model.graph.shapes[op.inputs[0]])
        case UpsampleNearest():
            return _upsample(op, model.graph.shapes[op.inputs[0]])
        case Add():
            return _add(model, op)
        case Mul():
            return _mul(model, op)
        case Scale():
            return lambda x: x  # what the bytes stand for changes, not the bytes
        case Sigmoid():
            table = lookup_table(model, op)
            return lambda x: table[x.astype(np.intp) - INT8_MIN]
        case Softmax():
            integers = softmax_integers(model, op)
            return lambda x: softmax(x, integers, axis=2)
    raise NasError(f"operation {op.kind} has no integer reference")


# --- windows ---------------------------------------------------------------------------------------------------------


class _Windows:
    """Geometry of a sliding window over images of one size: pads, then names the slice that each tap reads."""

    def __init__(self, op: Conv2D | DepthwiseConv2D | MaxPool | AvgPool, shape: Shape) -> None:
        self.kernel, self.stride, self.dilation = op.kernel, op.stride, op.dilation
        spans = [_span(shape[i], op.kernel[i], op.stride[i], op.dilation[i], op.padding) for i in (0, 1)]
        self.out = (spans[0][0], spans[1][0])
        self.margins = (spans[0][1], spans[1][1])

    def pad(self, x: NDArray[Any], fill: int, dtype: type[np.generic]) -> NDArray[Any]:
        """``x`` as ``dtype`` with the margins that the windows reach over, filled with ``fill``."""
        (top, bottom), (left, right) = self.margins
        height, width, *rest = x.shape
        if not any((top, bottom, left, right)):
            return x.astype(dtype, copy=False)
        padded = np.full((height + top + bottom, width + left + right, *rest), fill, dtype)
        padded[top : top + height, left : left + width] = x
        return padded

    def rows(self, tap: int, first: int, count: int) -> slice:
        """Padded rows that the tap in kernel row ``tap`` reads for ``count`` output rows from ``first``."""
        start = first * self.stride[0] + tap * self.dilation[0]
        return slice(start, start + (count - 1) * self.stride[0] + 1, self.stride[0])

    def columns(self, tap: int) -> slice:
        """Padded columns that the tap in kernel column ``tap`` reads for a whole output row."""
        start = tap * self.dilation[1]
        return slice(start, start + (self.out[1] - 1) * self.stride[1] + 1, self.stride[1])

    def fold(self, ufunc: np.ufunc, padded: NDArray[Any]) -> NDArray[Any]:
        """All elements of each window combined by ``ufunc``, along rows first, then along columns."""
        across = padded[:, self.columns(0)].copy()
        for tap in range(1, self.kernel[1]):
            ufunc(across, padded[:, self.columns(tap)], out=across)
        result = across[self.rows(0, 0, self.out[0])].copy()
        for tap in range(1, self.kernel[0]):
            ufunc(result, across[self.rows(tap, 0, self.out[0])], out=result)
        return result

    def blocks(self, elements_per_row: int) -> Iterator[tuple[int, int]]:
        """First output row and number of rows of blocks that stay within the cache."""
        step = max(1, BLOCK_ELEMENTS // max(1, elements_per_row))
        for first in range(0, self.out[0], step):
            yield first, min(step, self.out[0] - first)


def _span(size: int, kernel: int, stride: int, dilation: int, padding: Padding) -> tuple[int, tuple[int, int]]:
    """Output extent and (before, after) margins along one axis."""
    out, before = window(size, kernel, stride, dilation, padding)
    reach = (out - 1) * stride + (kernel - 1) * dilation + 1
    return out, (before, max(0, reach - before - size))


# --- weighted layers -------------------------------------------------------------------------------------------------


class _Requantise:
    """From raw sums (zero point and bias not yet in) of (..., output channels, images) to int8."""

    def __init__(self, model: Int8Model, op: Conv2D | DepthwiseConv2D | FullyConnected) -> None:
        self.integers = layer_integers(model, op)
        layer = model.layers[op.output]
        weights = layer.weights.astype(np.int64)
        axes = (0, 1) if isinstance(op, DepthwiseConv2D) else tuple(range(1, weights.ndim))
        self.bias = layer.bias + weights.sum(axis=axes) * self.integers.input_offset
        left, right = np.maximum(self.integers.shift, 0).astype(np.int64), np.maximum(-self.integers.shift, 0)
        low, high = accumulator_bounds(model, op)
        # Without overflow a shift to the left may be part of the multiplier, and the bias part of the rounding.
        self.safe = bool((np.maximum(high, -low) <= INT32_MAX >> left).all())
        multiplier = self.integers.multiplier.astype(np.int64) << left
        self.multiplier, self.right = multiplier, right.astype(np.int64)
        if self.safe:
            self.constant = self.bias * multiplier + (1 << 30)
            self.rounding = ((1 << self.right) >> 1) + (self.integers.output_offset << self.right)
            self.negative = np.where(self.right > 0, -1, 0).astype(np.int64)

    def __call__(self, sums: NDArray[Any]) -> Int8:
        images = sums.shape[-1]
        integers = self.integers
        y = sums.astype(np.int64)
        if self.safe:
            # floor((a * m + 2**30) / 2**31), then half away from zero: the same two roundings, fewer passes.
            y *= _columns(self.multiplier, images)
            y += _columns(self.constant, images)
            y >>= 31
            sign = y >> 63
            sign &= _columns(self.negative, images)
            y += sign
            y += _columns(self.rounding, images)
            y >>= _columns(self.right, images)
        else:
            y += _columns(self.bias, images)
            wrapped = y.astype(np.int32)
            m, shift = _columns(integers.multiplier, images), _columns(integers.shift, images)
            y = multiply_by_quantized_multiplier(wrapped, m, shift).astype(np.int64) + integers.output_offset
        return np.clip(y, integers.act_min, integers.act_max, out=y).astype(np.int8)


def _columns(values: NDArray[Any], images: int) -> NDArray[Any]:
    """One value per channel, repeated for every image: broadcasts over positions in long contiguous runs."""
    return np.repeat(values[:, None], images, axis=1)


def _exact_float(weights: NDArray[np.int8]) -> type[np.floating[Any]]:
    """The narrowest float in which products with int8 values sum up exactly; rows of ``weights`` are the sums."""
    bound = 128 * int(np.abs(weights.astype(np.int64)).sum(axis=1).max(initial=0))
    # 2**53 would take 5e11 weights of one output: float64 always suffices.
    return np.float32 if bound <= 1 << 24 else np.float64


def _conv2d(model: Int8Model, op: Conv2D) -> Kernel:
    windows = _Windows(op, model.graph.shapes[op.inputs[0]])
    requantise = _Requantise(model, op)
    weights = model.layers[op.output].weights
    dtype = _exact_float(weights.reshape(op.filters, -1))
    # Without dilation the taps of a kernel row lie side by side, so one product covers them all.
    side_by_side = op.kernel[1] if op.dilation[1] == 1 else 1
    parts = [
        (row, column, weights[:, row, column : column + side_by_side].reshape(op.filters, -1).astype(dtype))
        for row in range(op.kernel[0])
        for column in range(0, op.kernel[1], side_by_side)
    ]
    zero_point = -requantise.integers.input_offset

    def kernel(x: Int8) -> Int8:
        images = x.shape[3]
        padded = windows.pad(x, zero_point, dtype)
        output = np.empty((*windows.out, op.filters, images), np.int8)
        for first, count in windows.blocks(windows.out[1] * op.filters * images):
            sums: NDArray[Any] | None = None
            for row, column, matrix in parts:
                read = padded[windows.rows(row, first, count), windows.columns(column)]
                depth = matrix.shape[1]  # taps side by side times channels: contiguous in memory
                patches = as_strided(read, (count, windows.out[1], depth, images), read.strides, writeable=False)
                product = np.matmul(matrix, patches)
                sums = product if sums is None else np.add(sums, product, out=sums)
            assert sums is not None
            output[first : first + count] = requantise(sums)
        return output

    return kernel


def _depthwise(model: Int8Model, op: DepthwiseConv2D) -> Kernel:
    windows = _Windows(op, model.graph.shapes[op.inputs[0]])
    requantise = _Requantise(model, op)
    channels = model.graph.shapes[op.inputs[0]][2]
    weights = model.layers[op.output].weights.reshape(*op.kernel, channels, op.multiplier)
    # Taps are summed one by one; as integers of 32 bits they wrap as they do on the device.
    zero_point = -requantise.integers.input_offset

    def kernel(x: Int8) -> Int8:
        images = x.shape[3]
        padded = windows.pad(x, zero_point, np.int32)[:, :, :, None, :]
        taps = np.repeat(weights.astype(np.int32)[..., None], images, axis=-1)
        output = np.empty((*windows.out, channels * op.multiplier, images), np.int8)
        for first, count in windows.blocks(windows.out[1] * channels * op.multiplier * images):
            sums = np.zeros((count, windows.out[1], channels, op.multiplier, images), np.int32)
            product = np.empty_like(sums)
            for row in range(op.kernel[0]):
                for column in range(op.kernel[1]):
                    read = padded[windows.rows(row, first, count), windows.columns(column)]
                    sums += np.multiply(read, taps[row, column], out=product)
            output[first : first + count] = requantise(sums.reshape(count, windows.out[1], -1, images))
        return output

    return kernel


def _fully_connected(model: Int8Model, op: FullyConnected) -> Kernel:
    requantise = _Requantise(model, op)
    weights = model.layers[op.output].weights
    matrix = weights.astype(_exact_float(weights))

    def kernel(x: Int8) -> Int8:
        flat = x.reshape(-1, x.shape[3]).astype(matrix.dtype)
        return requantise(matrix @ flat)[None, None]

    return kernel


# --- layers without weights ------------------------------------------------------------------------------------------


def _max_pool(op: MaxPool, shape: Shape) -> Kernel:
    windows = _Windows(op, shape)

    def kernel(x: Int8) -> Int8:
        padded = windows.pad(x, INT8_MIN, np.int8)  # every window holds an element of the image, so -128 never wins
        largest: Int8 = windows.fold(np.maximum, padded)
        return largest

    return kernel


def _avg_pool(op: AvgPool, shape: Shape) -> Kernel:
    windows = _Windows(op, shape)
    counts = windows.fold(np.add, windows.pad(np.ones((*shape[:2], 1, 1)), 0, np.int32))

    def kernel(x: Int8) -> Int8:
        sums = windows.fold(np.add, windows.pad(x, 0, np.int32))
        means = (np.abs(sums) + counts // 2) // counts  # half away from zero
        signed: NDArray[np.int32] = np.where(sums < 0, -means, means)
        return signed.astype(np.int8)

    return kernel


def _upsample(op: UpsampleNearest, shape: Shape) -> Kernel:
    rows = np.arange(op.size[0]) * shape[0] // op.size[0]
    columns = np.arange(op.size[1]) * shape[1] // op.size[1]
    return lambda x: x[rows[:, None], columns]


def _add(model: Int8Model, op: Add) -> Kernel:
    k = add_integers(model, op)
    values = np.arange(INT8_MIN, INT8_MAX + 1)
    # Each input has 256 values only, so its way to the common scale is a table.
    table1, table2 = (
        multiply_by_quantized_multiplier((values + offset) << k.left_shift, multiplier, shift)
        for offset, multiplier, shift in (
            (k.input1_offset, k.input1_multiplier, k.input1_shift),
            (k.input2_offset, k.input2_multiplier, k.input2_shift),
        )
    )

    def pair(a: Int8, b: Int8) -> Int8:
        total = table1[a.astype(np.intp) - INT8_MIN] + table2[b.astype(np.intp) - INT8_MIN]
        y = multiply_by_quantized_multiplier(total, k.output_multiplier, k.output_shift).astype(np.int64)
        clipped: NDArray[np.int64] = np.clip(y + k.output_offset, k.act_min, k.act_max)
        return clipped.astype(np.int8)

    return _tabulated(pair)


def _mul(model: Int8Model, op: Mul) -> Kernel:
    k = mul_integers(model, op)

    def pair(a: Int8, b: Int8) -> Int8:
        product = (a.astype(np.int32) + k.input1_offset) * (b.astype(np.int32) + k.input2_offset)
        y = multiply_by_quantized_multiplier(product, k.multiplier, k.shift).astype(np.int64)
        clipped: NDArray[np.int64] = np.clip(y + k.output_offset, k.act_min, k.act_max)
        return clipped.astype(np.int8)

    return _tabulated(pair)


def _tabulated(pair: Callable[[Int8, Int8], Int8]) -> Kernel:
    """A function of two int8 values, through a table of all 65,536 pairs once that is the shorter way."""
    table: list[Int8] = []

    def kernel(a: Int8, b: Int8) -> Int8:
        if max(a.size, b.size) <= 1 << 16:
            return pair(a, b)
        if not table:
            values = np.arange(INT8_MIN, INT8_MAX + 1, dtype=np.int8)
            table.append(pair(values[:, None], values[None, :]).ravel())
        index = (a.astype(np.int32) - INT8_MIN) * 256 + (b.astype(np.int32) - INT8_MIN)
        return table[0].take(index)

    return kernel
