"""A trained network as integers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.int8_model import Int8Model
from firmware.quantize import Range, quantize_graph
from nas.training.network import Layer, Network
from search_spaces.ops import Conv2D, DepthwiseConv2D


def to_int8_model(
    network: Network, ranges: Mapping[str, Range], metadata: Mapping[str, Any] | None = None
) -> Int8Model:
    """The integer model of a folded network, with the scales and factors that its fake quantisation had.

    Its tensors are the fake-quantised network's, which rounds weights, biases and, twice, sums as integers do, but for
    one in some ten thousand values: there a float sum ends on the other side of a half, or the 31 bits of an integer
    multiplier decide.
    """
    weights = {output: (_tflite_layout(layer), _numpy(layer.bias)) for output, layer in network.layers.items()}
    factors = {output: float(factor.value) for output, factor in network.factors.items()}
    return quantize_graph(network.graph, weights, ranges, network.input_quant, metadata, factors=factors)


def _tflite_layout(layer: Layer) -> NDArray[np.float32]:
    weight = _numpy(layer.folded)
    if isinstance(layer.op, Conv2D):
        return np.ascontiguousarray(weight.transpose(0, 2, 3, 1))
    if isinstance(layer.op, DepthwiseConv2D):
        return np.ascontiguousarray(weight[:, 0].transpose(1, 2, 0))
    return weight


def _numpy(tensor: Any) -> NDArray[np.float32]:
    values: NDArray[np.float32] = tensor.detach().cpu().numpy()
    return values
