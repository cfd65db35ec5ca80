"""From float weights and value ranges to an Int8Model, by TensorFlow Lite's int8 specification.

Training takes the scales of activations from here and follows the same rule for those of weights in torch
(``nas.training.fake_quant.weight_scales``, held equal by a test), so that a fake-quantised network and the integer
model made of it have the very same scales. The rules, in the order of computation:

* activations: float64 up to the end, then the scale is rounded to float32; the zero point comes from the unrounded
  scale and is rounded half away from zero (TensorFlow Lite's ``ChooseQuantizationParams``);
* weights: float32 throughout, rounded half to even (as ``numpy.rint`` and ``torch.round`` do);
* biases: float64, rounded half to even, in units of input scale times weight scale.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from firmware.fixed_point import INT32_MAX
from firmware.int8_model import (
    INT8_MAX,
    INT8_MIN,
    PROBABILITIES,
    PROBABILITY,
    SHARING,
    WEIGHTED,
    Int8Model,
    LayerWeights,
    Quant,
    weight_max,
)
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Conv2D, DepthwiseConv2D, FullyConnected, Op, Scale

WEIGHT_MAX = 127  # symmetric: -128 is not used; layers with weights of 4 bits have ``weight_max``
LEAST_RANGE = 1e-9  # a narrower range holds nothing but zero
BIAS_LIMIT = 1 << 30  # leaves the other half of int32 to the products

_CLIPPED = (1.0, 0.95, 0.9, 0.85, 0.8, 0.75, 0.7, 0.65, 0.6, 0.55, 0.5)  # shares of the range that 4 bits cover

Range = tuple[float, float]


def activation_quant(low: float, high: float) -> Quant:
    """Quantisation of a tensor with values from ``low`` to ``high``, widened to hold 0, which becomes exact.

    scale = (high - low) / 255, zero point = round(-128 - low / scale). A range of nothing but zero counts as 0..1.
    Raises NasError for a bound that is not finite, or a range the wrong way round.
    """
    if not (math.isfinite(low) and math.isfinite(high) and low <= high):
        raise NasError(f"range {low} to {high}: two finite numbers, the smaller first, expected")
    low, high = min(float(low), 0.0), max(float(high), 0.0)
    if high - low < LEAST_RANGE:
        low, high = 0.0, 1.0
    scale = (high - low) / (INT8_MAX - INT8_MIN)
    position = INT8_MIN - low / scale
    zero_point = int(math.copysign(math.floor(abs(position) + 0.5), position))
    return Quant(scale, min(max(zero_point, INT8_MIN), INT8_MAX))


def scaled_quant(source: Quant, factor: float) -> Quant:
    """Quantisation under which a tensor's bytes stand for ``factor`` times what they stand for under ``source``.

    The product is taken in float64 and rounded to float32. Raises NasError for a factor that is not positive or takes
    the scale out of float32.
    """
    if not (math.isfinite(factor) and factor > 0):
        raise NasError(f"factor {factor}: a positive finite number expected")
    return Quant(factor * source.scale, source.zero_point)


def weight_quant(weights: ArrayLike, axis: int) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Weights as int8 in [-127, 127] and their float32 scales, one per index along ``axis`` (the output channel).

    scale = max(abs(w)) / 127. A channel of nothing but zeros takes the largest scale of the others (1/127 where there
    is none), so that its bias keeps its precision. Raises NasError for a weight that is not finite.
    """
    w = np.asarray(weights, dtype=np.float32)
    if not np.isfinite(w).all():
        raise NasError("a weight is not finite")
    scales = weight_scales(w, axis)
    return quantize_weights(w, scales, axis), scales


def weight_scales(weights: NDArray[np.float32], axis: int, limit: int = WEIGHT_MAX) -> NDArray[np.float32]:
    """The scales that ``weight_quant`` gives, or for a greatest integer ``limit`` other than 127."""
    others = tuple(i for i in range(weights.ndim) if i != axis % weights.ndim)
    scales: NDArray[np.float32] = np.abs(weights).max(axis=others) / np.float32(limit)
    alive = scales >= np.finfo(np.float32).tiny
    substitute = scales[alive].max() if alive.any() else np.float32(1) / np.float32(limit)
    return np.where(alive, scales, substitute).astype(np.float32)


def finest_scales(weights: NDArray[np.float32], scales: NDArray[np.float32], limit: int) -> NDArray[np.float32]:
    """Of some scales no greater than ``scales`` those that bring integers up to ``limit`` closest to the weights.

    One per index along the first axis, by the sum of squared errors. A smaller scale clips the greatest weights and is
    finer for all others, which with few bits is often the better bargain.
    """
    flat = weights.reshape(len(weights), -1)
    best, least = scales, np.full(len(scales), np.inf)
    for factor in _CLIPPED:
        trial = scales * np.float32(factor)
        near = quantize_weights(flat, trial, 0, limit) * trial[:, None]
        errors = ((flat - near).astype(np.float64) ** 2).sum(axis=1)
        best, least = np.where(errors < least, trial, best), np.minimum(errors, least)
    return best.astype(np.float32)


def quantize_weights(
    weights: NDArray[np.float32], scales: NDArray[np.float32], axis: int, limit: int = WEIGHT_MAX
) -> NDArray[np.int8]:
    """``clip(round(w / scale))`` with one scale per index along ``axis``, integers within ``limit``."""
    shape = [1] * weights.ndim
    shape[axis] = -1
    rounded: NDArray[np.float32] = np.clip(np.rint(weights / scales.reshape(shape)), -limit, limit)
    return rounded.astype(np.int8)


def bias_quant(bias: ArrayLike, input_scale: float, scales: NDArray[np.float32]) -> NDArray[np.int32]:
    """Biases as int32 in units of ``input_scale * scale``, saturated at the ends of int32."""
    units = np.float64(np.float32(input_scale)) * scales.astype(np.float64)
    with np.errstate(over="ignore"):
        rounded = np.rint(np.asarray(bias, dtype=np.float64) / units)
    limited: NDArray[np.float64] = np.clip(rounded, -INT32_MAX, INT32_MAX)
    return limited.astype(np.int32)


def quantize_values(x: ArrayLike, quant: Quant) -> NDArray[np.int8]:
    """Real values as int8: ``clip(round(x / scale) + zero_point)``, in float64, rounded half to even."""
    integers = np.rint(np.asarray(x, dtype=np.float64) / quant.scale) + quant.zero_point
    limited: NDArray[np.float64] = np.clip(integers, INT8_MIN, INT8_MAX)
    return limited.astype(np.int8)


def dequantize_values(q: NDArray[np.int8], quant: Quant) -> NDArray[np.float32]:
    """Real values of int8 integers: ``scale * (q - zero_point)``."""
    return ((q.astype(np.int32) - quant.zero_point) * quant.scale).astype(np.float32)


def quantize_graph(
    graph: Graph,
    weights: Mapping[str, tuple[ArrayLike, ArrayLike]],
    ranges: Mapping[str, Range],
    input_quant: Quant,
    metadata: Mapping[str, Any] | None = None,
    *,
    factors: Mapping[str, float] | None = None,
) -> Int8Model:
    """Integers for ``graph``.

    ``weights``: float weights (in the layouts of ``LayerWeights``) and biases by the output of their operation.
    ``ranges``: least and greatest value, after any fused activation, of the output of every convolution, dense layer,
    Add and Mul. Pooling and upsampling keep their input's quantisation; Sigmoid and Softmax have 1/256 and -128.
    ``factors``: the positive number that each Scale multiplies by; see ``scaled_quant``.

    Weights of layers with 4 bits are scaled by ``finest_scales``.

    Raises NasError where weights, a range or a factor are missing, of another shape, not finite or not positive.
    """
    quant = {graph.input: input_quant}
    layers: dict[str, LayerWeights] = {}
    for op in graph.ops:
        source = quant[op.inputs[0]]
        if isinstance(op, SHARING):
            quant[op.output] = source
        elif isinstance(op, PROBABILITIES):
            quant[op.output] = PROBABILITY
        elif isinstance(op, Scale):
            if factors is None or op.output not in factors:
                raise NasError(f"Scale {op.output!r} has no factor; the positive number that it multiplies by needed")
            quant[op.output] = _named(op, scaled_quant, source, factors[op.output])
        elif op.output in ranges:
            quant[op.output] = _named(op, activation_quant, *ranges[op.output])
        else:
            raise NasError(f"{op.kind} {op.output!r} has no range; the least and greatest value of its output needed")
        if isinstance(op, WEIGHTED):
            if op.output not in weights:
                raise NasError(f"{op.kind} {op.output!r} has no weights")
            layers[op.output] = _named(op, _quantize_layer, op, *weights[op.output], source.scale)
    return Int8Model(graph, quant, layers, dict(metadata or {}))


def with_weight_bits(model: Int8Model, graph: Graph) -> Int8Model:
    """The model with the weights of ``graph``, which is its own graph but for ``weight_bits``.

    Layers whose bits differ get their weights and biases rounded anew, after training and without data; all else is
    kept. ``Graph.with_weight_bits`` makes such a graph. Raises NasError where graphs differ in more than that.
    """
    if graph.with_weight_bits(8).ops != model.graph.with_weight_bits(8).ops:
        raise NasError(f"network {graph.name!r} differs from the model's in more than weight_bits")
    layers = dict(model.layers)
    for old, op in zip(model.graph.ops, graph.ops, strict=True):
        if isinstance(op, WEIGHTED) and op != old:
            source, layer = model.quant[op.inputs[0]].scale, model.layers[op.output]
            scales = layer.weight_scales.reshape(-1, *[1] * (layer.weights.ndim - 1))
            bias = layer.bias * (np.float64(source) * layer.weight_scales.astype(np.float64))
            layers[op.output] = _named(op, _quantize_layer, op, layer.weights * scales, bias, source)
    return Int8Model(graph, model.quant, layers, model.metadata)


def _quantize_layer(
    op: Conv2D | DepthwiseConv2D | FullyConnected, weights: ArrayLike, bias: ArrayLike, input_scale: float
) -> LayerWeights:
    axis = -1 if isinstance(op, DepthwiseConv2D) else 0
    w, b = np.asarray(weights, dtype=np.float32), np.asarray(bias, dtype=np.float64)
    if not (np.isfinite(w).all() and np.isfinite(b).all()):
        raise NasError("a weight or bias is not finite")
    if w.ndim == 0 or b.shape != (w.shape[axis],):
        raise NasError(
            f"weights of shape {w.shape} with a bias of shape {b.shape}; one bias per output channel expected"
        )
    limit = weight_max(op)
    scales = weight_scales(w, axis, limit)
    if limit != WEIGHT_MAX:
        scales = finest_scales(w, scales, limit)
    # Beside a bias beyond int32 the weights of that channel count for nothing: coarser ones let the bias fit.
    least = np.abs(b) / (BIAS_LIMIT * np.float64(np.float32(input_scale)))
    scales = np.maximum(scales, least.astype(np.float32))
    return LayerWeights(quantize_weights(w, scales, axis, limit), scales, bias_quant(b, input_scale, scales))


def _named(op: Op, function: Any, *arguments: Any) -> Any:
    """The result of ``function``, with the operation's name in front of what it complains about."""
    try:
        return function(*arguments)
    except NasError as error:
        raise NasError(f"{op.kind} {op.output!r}: {error}") from error
