"""The integers that a kernel needs, derived from scales as TensorFlow Lite's ``Prepare`` functions do.

The numpy reference and the C emitter read these objects and nothing else, so they cannot differ. Scales are float32, as
a .tflite file stores them; where TensorFlow Lite multiplies in float32 rather than in double precision, so does this.
Sources: ``kernels/kernel_util.cc``, ``add.cc``, ``mul.cc`` and ``activations.cc`` of TensorFlow Lite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from firmware.fixed_point import quantize_multiplier, quantize_multipliers
from firmware.int8_model import INT8_MAX, INT8_MIN, Int8Model, Quant
from search_spaces.errors import NasError
from search_spaces.ops import Activation, Add, Conv2D, DepthwiseConv2D, FullyConnected, Mul, Op, Sigmoid, Softmax

ADD_LEFT_SHIFT = 20
LARGEST_SHIFT = 30  # 1 << 31 is no int32
SOFTMAX_INTEGER_BITS = 5  # differences are Q5.26 when they enter exp
SOFTMAX_CHANNELS = 511  # 512 equal values leave the reciprocal no bits to shift; TensorFlow Lite aborts there


@dataclass(frozen=True, slots=True)
class LayerIntegers:
    """Convolution or dense layer: ``clamp(((x + input_offset) . w + bias) * multiplier + output_offset)``.

    ``multiplier`` and ``shift`` (positive: left) are int32, one per output channel.
    """

    input_offset: int
    output_offset: int
    multiplier: NDArray[np.int32]
    shift: NDArray[np.int32]
    act_min: int
    act_max: int


@dataclass(frozen=True, slots=True)
class AddIntegers:
    """Addition: both inputs, offset and shifted left by ``left_shift``, come to a common scale and are summed there."""

    left_shift: int
    input1_offset: int
    input1_multiplier: int
    input1_shift: int
    input2_offset: int
    input2_multiplier: int
    input2_shift: int
    output_offset: int
    output_multiplier: int
    output_shift: int
    act_min: int
    act_max: int


@dataclass(frozen=True, slots=True)
class MulIntegers:
    """Product: ``clamp((x1 + input1_offset) * (x2 + input2_offset) * multiplier + output_offset)``."""

    input1_offset: int
    input2_offset: int
    output_offset: int
    multiplier: int
    shift: int
    act_min: int
    act_max: int


@dataclass(frozen=True, slots=True)
class SoftmaxIntegers:
    """Softmax: scaling of differences to the row's maximum, and the least difference that still counts."""

    input_multiplier: int
    input_left_shift: int
    diff_min: int


def activation_range(activation: Activation, quant: Quant) -> tuple[int, int]:
    """Least and greatest int8 value of an output with a fused activation."""
    if activation is Activation.NONE:
        return INT8_MIN, INT8_MAX
    act_max = INT8_MAX
    if activation is Activation.RELU6:
        six = np.float32(6.0) / np.float32(quant.scale)
        act_max = min(INT8_MAX, quant.zero_point + math.floor(float(six) + 0.5)) if np.isfinite(six) else INT8_MAX
    return max(INT8_MIN, quant.zero_point), act_max


def layer_integers(model: Int8Model, op: Op) -> LayerIntegers:
    """Integers of a Conv2D, DepthwiseConv2D or FullyConnected; NasError where its scales lie too far apart."""
    if not isinstance(op, Conv2D | DepthwiseConv2D | FullyConnected):
        raise _unfit(op, "a Conv2D, DepthwiseConv2D or FullyConnected")
    source, target = model.quant[op.inputs[0]], model.quant[op.output]
    scales = model.layers[op.output].weight_scales
    product = np.float64(source.scale) * scales.astype(np.float64)
    multiplier, shift = quantize_multipliers(product / np.float64(target.scale))
    if int(shift.max()) > LARGEST_SHIFT:
        raise _too_far_apart(op, f"input {source.scale} times weight {scales.max()}", target)
    return LayerIntegers(
        -source.zero_point, target.zero_point, multiplier, shift, *activation_range(op.activation, target)
    )


def accumulator_bounds(model: Int8Model, op: Op) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Least and greatest sum (bias included) that any input can produce in a weighted op, per output channel.

    A model whose sums stay within int32 has no overflow; one that does not wraps modulo 2**32 everywhere.
    """
    layer = model.layers[op.output]
    zero_point = model.quant[op.inputs[0]].zero_point
    weights = layer.weights.astype(np.int64)
    axes = (0, 1) if isinstance(op, DepthwiseConv2D) else tuple(range(1, weights.ndim))
    positive, negative = np.maximum(weights, 0).sum(axis=axes), np.minimum(weights, 0).sum(axis=axes)
    low, high = INT8_MIN - zero_point, INT8_MAX - zero_point
    # Padding counts as 0, which lies between low and high, so borders stay within the same bounds.
    bias = layer.bias.astype(np.int64)
    return bias + positive * low + negative * high, bias + positive * high + negative * low


def add_integers(model: Int8Model, op: Op) -> AddIntegers:
    """Integers of an Add; NasError where the output's scale is too small for its inputs'."""
    if not isinstance(op, Add):
        raise _unfit(op, "an Add")
    first, second, target = model.quant[op.inputs[0]], model.quant[op.inputs[1]], model.quant[op.output]
    twice_max = 2 * max(first.scale, second.scale)
    multiplier1, shift1 = quantize_multiplier(first.scale / twice_max)
    multiplier2, shift2 = quantize_multiplier(second.scale / twice_max)
    multiplier, shift = quantize_multiplier(twice_max / ((1 << ADD_LEFT_SHIFT) * target.scale))
    if shift > 0:  # TensorFlow Lite aborts on a multiplier of one or more
        raise _too_far_apart(op, f"inputs {first.scale} and {second.scale}", target)
    act_min, act_max = activation_range(op.activation, target)
    return AddIntegers(
        left_shift=ADD_LEFT_SHIFT,
        input1_offset=-first.zero_point,
        input1_multiplier=multiplier1,
        input1_shift=shift1,
        input2_offset=-second.zero_point,
        input2_multiplier=multiplier2,
        input2_shift=shift2,
        output_offset=target.zero_point,
        output_multiplier=multiplier,
        output_shift=shift,
        act_min=act_min,
        act_max=act_max,
    )


def mul_integers(model: Int8Model, op: Op) -> MulIntegers:
    """Integers of a Mul; NasError where the output's scale is too small for its inputs'."""
    if not isinstance(op, Mul):
        raise _unfit(op, "a Mul")
    first, second, target = model.quant[op.inputs[0]], model.quant[op.inputs[1]], model.quant[op.output]
    with np.errstate(over="ignore", under="ignore"):
        real = np.float32(first.scale) * np.float32(second.scale) / np.float32(target.scale)
    if not np.isfinite(real):
        raise _too_far_apart(op, f"inputs {first.scale} and {second.scale}", target)
    multiplier, shift = quantize_multiplier(float(real))
    if shift > LARGEST_SHIFT:
        raise _too_far_apart(op, f"inputs {first.scale} and {second.scale}", target)
    act_min, act_max = activation_range(op.activation, target)
    return MulIntegers(-first.zero_point, -second.zero_point, target.zero_point, multiplier, shift, act_min, act_max)


def lookup_table(model: Int8Model, op: Op) -> NDArray[np.int8]:
    """Output of a Sigmoid for every input ``value``, at index ``value + 128``.

    float32 throughout as in TensorFlow Lite, except that exp is taken in double precision and rounded: that is what a
    C library's ``expf`` returns (to within a rounding boundary), while numpy's float32 exp may be one unit off.
    """
    if not isinstance(op, Sigmoid):
        raise _unfit(op, "a Sigmoid")
    source, target = model.quant[op.inputs[0]], model.quant[op.output]
    values = np.arange(INT8_MIN, INT8_MAX + 1) - source.zero_point
    real = np.float32(source.scale) * values.astype(np.float32)
    with np.errstate(over="ignore", under="ignore"):
        exponential = np.exp(-real.astype(np.float64)).astype(np.float32)
    result = np.float32(1.0) / (np.float32(1.0) + exponential)
    scaled = np.floor((result * (np.float32(1.0) / np.float32(target.scale))).astype(np.float64) + 0.5)
    table: NDArray[np.float64] = np.clip(scaled + target.zero_point, INT8_MIN, INT8_MAX)
    return table.astype(np.int8)


def softmax_integers(model: Int8Model, op: Op) -> SoftmaxIntegers:
    """Integers of a Softmax; NasError for too small an input scale or more than 511 channels."""
    if not isinstance(op, Softmax):
        raise _unfit(op, "a Softmax")
    channels = model.graph.shapes[op.inputs[0]][2]
    if channels > SOFTMAX_CHANNELS:
        raise NasError(
            f"Softmax {op.output!r} has {channels} channels; at most {SOFTMAX_CHANNELS} are possible in int8"
        )
    scale = model.quant[op.inputs[0]].scale
    real = min(scale * (1 << (31 - SOFTMAX_INTEGER_BITS)), float((1 << 31) - 1))
    if real <= 1.0:
        raise NasError(f"Softmax {op.output!r} has input scale {scale}; more than 2**-26 expected")
    multiplier, shift = quantize_multiplier(real)
    radius = math.floor(((1 << SOFTMAX_INTEGER_BITS) - 1) * (1 << (31 - SOFTMAX_INTEGER_BITS)) / (1 << shift))
    return SoftmaxIntegers(multiplier, shift, -radius)


def _unfit(op: Op, kinds: str) -> NasError:
    return NasError(f"{op.kind} {op.output!r}: {kinds} expected")


def _too_far_apart(op: Op, inputs: str, target: Quant) -> NasError:
    return NasError(f"{op.kind} {op.output!r}: output scale {target.scale} is too small for {inputs}")
