"""Random networks whose integers are like those of trained ones: every tensor is spread over its int8 range."""

from __future__ import annotations

from dataclasses import replace
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware.int8_model import INT8_MAX, INT8_MIN, WEIGHTED, Int8Model, Quant, weight_shape
from firmware.quantize import Range, activation_quant, dequantize_values, quantize_graph, quantize_values
from firmware.reference import run
from search_spaces import INPUT, Activation, Add, DepthwiseConv2D, Graph, Mul, Op, Scale

IMAGES: Final = 4
"""Random images that the ranges are read off."""

INPUT_MAX: Final = 1.0
INPUT_QUANT: Final = Quant(INPUT_MAX / 255, INT8_MIN)
"""The input: values from 0 to 1, as those of pictures."""

SCALE_FACTOR: Final = 0.7
"""Of every Scale."""

_PASSES: Final = 2
"""The first range is a bound, so wide that the values take few of its steps; the second comes of those values."""

Float = NDArray[np.float64]


class _Tensor(NamedTuple):
    """Integers of all images, and what they stand for."""

    values: NDArray[np.int8]
    quant: Quant

    @property
    def real(self) -> Float:
        return dequantize_values(self.values, self.quant).astype(np.float64)


def calibrated_model(graph: Graph, rng: np.random.Generator) -> Int8Model:
    """``graph`` with random weights, quantised by the ranges that its tensors have over random images.

    Weights are normal, their spread another for every output channel, so that multipliers and shifts differ between
    channels. The ranges of convolutions, dense layers, Adds and Muls are found one after the other, each from the
    integers that the layers before it compute.
    """
    weights = {op.output: _random_weights(graph, op, rng) for op in graph.ops if isinstance(op, WEIGHTED)}
    factors = {op.output: SCALE_FACTOR for op in graph.ops if isinstance(op, Scale)}
    tensors = {graph.input: _Tensor(random_images(graph, IMAGES, rng), INPUT_QUANT)}
    ranges: dict[str, Range] = {}
    for op in graph.ops:
        sources = [tensors[name] for name in op.inputs]
        if isinstance(op, Add | Mul):
            real = sources[0].real + sources[1].real if isinstance(op, Add) else sources[0].real * sources[1].real
            ranges[op.output] = _range(_activated(op, real))
            quant = activation_quant(*ranges[op.output])
            tensors[op.output] = _Tensor(quantize_values(real, quant), quant)
            continue
        if isinstance(op, WEIGHTED):
            bound = _bound(op, np.abs(sources[0].real).max(), *weights[op.output])
            ranges[op.output] = _range(_activated(op, np.array([-bound, bound])))
        alone = Graph(graph.shapes[op.inputs[0]], (replace(op, inputs=(INPUT,)),))
        for _ in range(_PASSES if isinstance(op, WEIGHTED) else 1):
            model = quantize_graph(alone, weights, ranges, sources[0].quant, factors=factors)
            tensors[op.output] = _Tensor(run(model, sources[0].values), model.quant[op.output])
            ranges[op.output] = _range(_activated(op, tensors[op.output].real))
    return quantize_graph(graph, weights, ranges, INPUT_QUANT, factors=factors)


def random_images(graph: Graph, count: int, rng: np.random.Generator) -> NDArray[np.int8]:
    """Inputs of independent values, all equally likely: int8 (count, height, width, channels)."""
    return rng.integers(INT8_MIN, INT8_MAX + 1, (count, *graph.input_shape)).astype(np.int8)


def _random_weights(graph: Graph, op: Op, rng: np.random.Generator) -> tuple[Float, Float]:
    assert isinstance(op, WEIGHTED)
    shape, channels = weight_shape(graph, op), graph.shapes[op.output][2]
    axis = -1 if isinstance(op, DepthwiseConv2D) else 0
    by_channel = [1] * len(shape)
    by_channel[axis] = channels
    taps = int(np.prod(shape)) // channels
    spread = rng.uniform(0.5, 1.5, by_channel) * np.sqrt(2 / taps)
    return rng.normal(0, 1, shape) * spread, rng.normal(0, 0.1, channels)


def _bound(op: Op, largest: float, weights: Float, bias: Float) -> float:
    """What no sum of ``op`` exceeds in magnitude where its inputs do not exceed ``largest``."""
    others = (0, 1) if isinstance(op, DepthwiseConv2D) else tuple(range(1, weights.ndim))
    return float((largest * np.abs(weights).sum(axis=others) + np.abs(bias)).max())


def _activated(op: Op, values: Float) -> Float:
    """``values`` after the activation fused into ``op``."""
    activation = getattr(op, "activation", Activation.NONE)
    if activation is Activation.NONE:
        return values
    return np.clip(values, 0.0, 6.0 if activation is Activation.RELU6 else None)


def _range(values: Float) -> Range:
    return float(values.min()), float(values.max())
