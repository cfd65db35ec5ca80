"""A trained network as the device holds it: a graph plus integers.

Scales are kept beside the integers because they say what the integers mean and because TensorFlow Lite derives the
requantisation integers from them; nothing that runs on the device reads them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import (
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Scale,
    Sigmoid,
    Softmax,
    UpsampleNearest,
)

INT8_MIN, INT8_MAX = -128, 127

WEIGHTED = (Conv2D, DepthwiseConv2D, FullyConnected)
SHARING = (MaxPool, AvgPool, UpsampleNearest)  # pass integers on: input and output have one quantisation
PROBABILITIES = (Sigmoid, Softmax)  # have the quantisation PROBABILITY at their output


@dataclass(frozen=True, slots=True)
class Quant:
    """Affine int8 quantisation of a tensor: real = scale * (integer - zero_point).

    The scale is rounded to float32, which is what a .tflite file holds and what all integers are derived from.
    """

    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        with np.errstate(over="ignore", under="ignore"):
            scale = float(np.float32(self.scale))
        if not (np.isfinite(scale) and scale > 0):
            raise NasError(f"scale {self.scale}: a positive finite number that float32 can hold expected")
        object.__setattr__(self, "scale", scale)
        if not INT8_MIN <= self.zero_point <= INT8_MAX:
            raise NasError(f"zero_point {self.zero_point}: an integer in -128..127 expected")


PROBABILITY = Quant(1 / 256, INT8_MIN)


@dataclass(frozen=True, slots=True)
class LayerWeights:
    """Integers of one convolution or dense layer.

    ``weights`` int8 in [-127, 127], of layers with ``weight_bits`` 4 in [-7, 7], laid out as TFLite does: Conv2D
    (filters, kernel height, kernel width, channels), DepthwiseConv2D (kernel height, kernel width, channels *
    multiplier), FullyConnected (units, flattened HWC).
    ``weight_scales`` float32 and ``bias`` int32, one per output channel; a bias counts in input scale * weight scale.
    """

    weights: NDArray[np.int8]
    weight_scales: NDArray[np.float32]
    bias: NDArray[np.int32]


def weight_shape(graph: Graph, op: Conv2D | DepthwiseConv2D | FullyConnected) -> tuple[int, ...]:
    """Shape of an operation's weights in the layout of ``LayerWeights``."""
    height, width, channels = graph.shapes[op.inputs[0]]
    if isinstance(op, Conv2D):
        return (op.filters, *op.kernel, channels)
    if isinstance(op, DepthwiseConv2D):
        return (*op.kernel, channels * op.multiplier)
    return (op.units, height * width * channels)


@dataclass(frozen=True)
class Int8Model:
    """Graph, quantisation of every tensor, weights of every weighted operation (keyed by its output tensor).

    The factor of a Scale stands in its quantisations alone: output scale over input scale.
    """

    graph: Graph
    quant: Mapping[str, Quant]
    layers: Mapping[str, LayerWeights]
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = set(self.graph.shapes) - set(self.quant)
        if missing:
            raise NasError(f"tensor {min(missing)!r} has no quantisation; every tensor of the graph needs one")
        for op in self.graph.ops:
            if isinstance(op, WEIGHTED):
                if op.output not in self.layers:
                    raise NasError(f"{op.kind} {op.output!r} has no weights")
                _check_layer(
                    op.output, self.layers[op.output], weight_shape(self.graph, op), self.graph.shapes[op.output][2]
                )
                _check_weight_range(op, self.layers[op.output].weights)
            elif isinstance(op, SHARING) and self.quant[op.output] != self.quant[op.inputs[0]]:
                raise NasError(f"{op.kind} {op.output!r} needs the quantisation of its input {op.inputs[0]!r}")
            elif isinstance(op, PROBABILITIES) and self.quant[op.output] != PROBABILITY:
                raise NasError(f"{op.kind} {op.output!r} needs scale 1/256 and zero point -128 at its output")
            elif isinstance(op, Scale):
                zero_point = self.quant[op.inputs[0]].zero_point
                if self.quant[op.output].zero_point != zero_point:
                    raise NasError(
                        f"Scale {op.output!r} has zero point {self.quant[op.output].zero_point}; that of its input "
                        f"{op.inputs[0]!r}, {zero_point}, expected"
                    )

    @property
    def input_quant(self) -> Quant:
        return self.quant[self.graph.input]

    @property
    def output_quant(self) -> Quant:
        return self.quant[self.graph.output]


def weight_max(op: Conv2D | DepthwiseConv2D | FullyConnected) -> int:
    """The greatest weight of a layer, the least being its opposite: 127, or 7 of 4 bits."""
    return (1 << (getattr(op, "weight_bits", 8) - 1)) - 1


def _check_weight_range(op: Conv2D | DepthwiseConv2D | FullyConnected, weights: NDArray[np.int8]) -> None:
    limit = weight_max(op)
    low, high = (int(weights.min()), int(weights.max())) if weights.size else (0, 0)
    if low < -limit or high > limit:
        bits = "symmetric int8 weights" if limit == 127 else "weights of 4 bits"
        raise NasError(
            f"weights of {op.output!r} hold {low if low < -limit else high}; {bits} lie in -{limit}..{limit}"
        )


def _check_layer(name: str, layer: LayerWeights, shape: tuple[int, ...], outputs: int) -> None:
    if layer.weights.shape != shape or layer.weights.dtype != np.int8:
        raise NasError(f"weights of {name!r} are {layer.weights.dtype} {layer.weights.shape}; int8 {shape} expected")
    if layer.bias.dtype != np.int32 or layer.bias.shape != (outputs,):
        raise NasError(f"bias of {name!r} is {layer.bias.dtype} {layer.bias.shape}; int32 ({outputs},) expected")
    scales = layer.weight_scales
    if scales.dtype != np.float32 or scales.shape != (outputs,) or not (np.isfinite(scales) & (scales > 0)).all():
        raise NasError(f"weight scales of {name!r} must be {outputs} positive float32 numbers, one per output channel")
