"""How papers count a network's parameters and MACs, each way as a function of the graph.

Our own count is ``exact``: every trained number after folding, every multiply-accumulate at its layer's own output
positions. Published tables often mean something else. A mode here is a rule that was found to reproduce them; what no
rule reproduces stays unreproduced (``docs/networks.md`` says which).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Activation, AvgPool, Conv2D, DepthwiseConv2D, FullyConnected, Op, Scale, Shape

Layer = Conv2D | DepthwiseConv2D | FullyConnected

TINYSPEECH_POSITIONS = 1_040
"""Positions (height x width) at which TinySpeech's table counts every convolution.

The paper names no input size. Dividing its mult-adds by the weights of the convolutions gives 1,037 to 1,046 for X,
1,017 to 1,056 for Z and 1,024 to 1,047 for M (ranges, because the printed figures are rounded): 1,040 lies in all.
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Parameters and MACs of a network, as one mode counts them."""

    params: int
    macs: int


def exact(graph: Graph) -> Counts:
    """Ours: weights and biases after folding, MACs at each layer's own output positions."""
    return Counts(graph.params, graph.macs)


def weights_only(graph: Graph) -> Counts:
    """Weights without biases and without BatchNorm; MACs as ``exact``, those of BatchNorms left out."""
    layers = [layer for layer in _layers(graph) if not layer.is_batchnorm]
    return Counts(sum(layer.weights for layer in layers), sum(layer.macs for layer in layers))


def tinyspeech(graph: Graph, positions: int = TINYSPEECH_POSITIONS) -> Counts:
    """Weights only, and every convolution at 1,040 positions, as if condensation did not shrink maps.

    Neither biases, nor BatchNorm, nor S count. ``positions`` is the number of them. Source: table 1 of TinySpeech (Wong
    et al., 2020, arXiv:2008.04245), whose rows X, Z and M this reproduces; the text of the paper gives no rule.
    """
    layers = [layer for layer in _layers(graph) if not layer.is_batchnorm]
    macs = sum(layer.weights * (1 if layer.is_dense else positions) for layer in layers)
    return Counts(sum(layer.weights for layer in layers), macs)


def qtinyspeech(graph: Graph) -> Counts:
    """Weights, biases of convolutions but not of dense layers, and S once for every channel; BatchNorm not at all.

    A rule that gives the 3,164 parameters of a report on voice commands on an ESP32-S2, which prints only the sum (and
    3.09 KB: one byte each). A public re-implementation has the same two oddities: dense layers without bias, S a number
    per channel. MACs as ``weights_only``.
    """
    params = sum(graph.shapes[op.output][2] for op in graph.ops if isinstance(op, Scale))
    for layer in _layers(graph):
        if not layer.is_batchnorm:
            params += layer.weights + (0 if layer.is_dense else layer.outputs)
    return Counts(params, weights_only(graph).macs)


def trained_batchnorm(graph: Graph) -> Counts:
    """PyTorch's usual count: convolutions without bias but with BatchNorm's two trained numbers per output channel.

    Dense layers have weights and biases. A BatchNorm that stands alone in the graph (a 1x1 depthwise convolution of
    multiplier 1) is its two numbers per channel. MACs as ``weights_only``.
    """
    params = 0
    for layer in _layers(graph):
        params += layer.weights + layer.outputs * (1 if layer.is_batchnorm or layer.is_dense else 2)
    return Counts(params, weights_only(graph).macs)


def keras_total(graph: Graph) -> Counts:
    """Keras's "total params" of MLPerf Tiny's models: biases and BatchNorm's four numbers per channel besides weights.

    Every convolution has both; only 1x1 projections of a shortcut (those with a stride above 1) have no BatchNorm.
    Source: ``keras_model.py`` of MLPerf Tiny's keyword spotting and image classification. MACs as ``exact``.
    """
    params = graph.params
    for layer in _layers(graph):
        if isinstance(layer.op, FullyConnected):
            continue
        projection = isinstance(layer.op, Conv2D) and layer.op.kernel == (1, 1) and layer.op.stride != (1, 1)
        params += 0 if projection else 4 * layer.outputs
    return Counts(params, graph.macs)


def bc_resnet(graph: Graph) -> Counts:
    """BC-ResNet's "#Param" and "#Mult": as ``trained-batchnorm``; elements of BatchNorms, ReLUs and pools count too.

    A BatchNorm follows every convolution but the pointwise ones without activation and the depthwise one over both
    axes. "#Mult" adds to the MACs two per element of a BatchNorm, one per element of a convolution's ReLU (the paper's
    swish counts none) and one per element that a pool reads, which is how the tool ptflops counts. Tables 2 and 3 of
    the paper (Kim et al., 2021, arXiv:2106.04140) give no rule; this one reproduces all six widths, at 98 frames.
    """
    params = 0
    multiplies = graph.macs
    for op in graph.ops:
        out = math.prod(graph.shapes[op.output])
        if isinstance(op, AvgPool):
            multiplies += math.prod(graph.shapes[op.inputs[0]])
        if isinstance(op, Conv2D) and op.activation is not Activation.NONE:
            multiplies += out
        if _bc_resnet_batchnorm(op):
            multiplies += 2 * out
    for layer in _layers(graph):
        params += layer.weights + layer.outputs * (2 * _bc_resnet_batchnorm(layer.op) + layer.is_dense)
    return Counts(params, multiplies)


def _bc_resnet_batchnorm(op: Op) -> bool:
    match op:
        case Conv2D():
            return op.activation is not Activation.NONE
        case DepthwiseConv2D():
            return 1 in op.kernel
    return False


COUNTINGS: Mapping[str, Callable[[Graph], Counts]] = {
    "exact": exact,
    "weights-only": weights_only,
    "tinyspeech": tinyspeech,
    "qtinyspeech": qtinyspeech,
    "trained-batchnorm": trained_batchnorm,
    "keras-total": keras_total,
    "bc-resnet": bc_resnet,
}
"""The counting modes by name; what each counts is the first sentence of its function's docstring."""


def count(graph: Graph, mode: str) -> Counts:
    """``graph`` counted by the mode of that name; NasError where there is none."""
    if mode not in COUNTINGS:
        raise NasError(f"counting mode {mode!r} is unknown; known are {', '.join(COUNTINGS)}")
    return COUNTINGS[mode](graph)


@dataclass(frozen=True, slots=True)
class _Layer:
    """An operation with weights: how many it has, its output channels and its MACs."""

    op: Layer
    weights: int
    outputs: int
    macs: int

    @property
    def is_dense(self) -> bool:
        return isinstance(self.op, FullyConnected)

    @property
    def is_batchnorm(self) -> bool:
        """A 1x1 depthwise convolution of multiplier 1 and stride 1: one factor and one offset per channel."""
        op = self.op
        return isinstance(op, DepthwiseConv2D) and op.multiplier == 1 and op.kernel == (1, 1) and op.stride == (1, 1)


def _layers(graph: Graph) -> Iterator[_Layer]:
    for op in graph.ops:
        if isinstance(op, Layer):
            inputs: list[Shape] = [graph.shapes[name] for name in op.inputs]
            out = graph.shapes[op.output]
            # One bias per output channel is what params() counts besides the weights.
            yield _Layer(op, op.params(inputs, out) - out[2], out[2], op.macs(inputs, out))
