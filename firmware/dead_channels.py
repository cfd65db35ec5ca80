"""Removes channels whose values no input can change: what is left computes the same bytes with less of everything.

A filter is dead when the least and the greatest sum that any input can give requantise to the same value, be its
weights zero or its bias so low that the ReLU always holds it down. Operations that treat every channel alone pass such
a value on; the convolution or dense layer that finally reads it takes its products into its bias. Where it reads
padding beside the value, that is exact only if both mean zero, so other cases stay. A channel that only zero weights
read goes too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from firmware.fixed_point import multiply_by_quantized_multiplier
from firmware.int8_model import Int8Model, LayerWeights
from firmware.integers import accumulator_bounds, layer_integers, lookup_table
from search_spaces.geometry import Padding
from search_spaces.graph import Graph
from search_spaces.ops import (
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Op,
    Scale,
    Sigmoid,
    UpsampleNearest,
)

Mask = NDArray[np.bool_]

_PASSING = (MaxPool, AvgPool, UpsampleNearest, Scale)
_MIXING = (Conv2D, FullyConnected)


@dataclass(frozen=True, slots=True)
class _Constant:
    """Which channels of a tensor hold one value whatever the input, and that value (int64, else meaningless)."""

    mask: Mask
    value: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where the channels of a tensor come from: each from one channel of ``root``, a mixing operation's output."""

    root: str
    channel: NDArray[np.int64]


def without_dead_channels(model: Int8Model) -> Int8Model:
    """The model without its dead channels, the very same object where there are none.

    Its graph has fewer filters, so plan and estimates of it are its own. Every input gives the same output bytes.
    """
    while True:
        kept = _kept(model)
        if all(mask.all() for mask in kept.values()):
            return model
        model = _shrink(model, kept)


def _kept(model: Int8Model) -> dict[str, Mask]:
    """For every mixing operation's output the channels that stay: at least one."""
    graph = model.graph
    constants, origins = _constants(model), _origins(graph)
    kept = {op.output: np.zeros(graph.shapes[op.output][2], bool) for op in graph.ops if isinstance(op, _MIXING)}
    for name, needed in _needed(model, constants):
        if name in origins:
            kept[origins[name].root][origins[name].channel[needed]] = True
    for mask in kept.values():
        mask[0] |= not mask.any()
    return kept


def _needed(model: Int8Model, constants: Mapping[str, _Constant]) -> Iterator[tuple[str, Mask]]:
    """What each reader outside the channelwise operations needs of a tensor; the output is needed whole."""
    graph = model.graph
    yield graph.output, np.ones(graph.output_shape[2], bool)
    for op in graph.ops:
        if isinstance(op, _MIXING):
            name = op.inputs[0]
            read = _by_channel(model, op).any(axis=(0, 1))
            yield name, read & ~_absorbable(model, op, constants[name])
        elif not isinstance(op, (*_PASSING, DepthwiseConv2D, Sigmoid)):
            for name in op.inputs:
                yield name, np.ones(graph.shapes[name][2], bool)


def _absorbable(model: Int8Model, op: Op, constant: _Constant) -> Mask:
    """Channels of the input of ``op`` whose products a bias can stand for."""
    if isinstance(op, Conv2D | DepthwiseConv2D) and op.padding is Padding.SAME and op.kernel != (1, 1):
        zero: Mask = constant.mask & (constant.value == model.quant[op.inputs[0]].zero_point)
        return zero
    return constant.mask


def _by_channel(model: Int8Model, op: Op) -> NDArray[np.int64]:
    """Weights of a mixing operation as (outputs, taps, input channels)."""
    channels = model.graph.shapes[op.inputs[0]][2]
    weights = model.layers[op.output].weights.astype(np.int64)
    return weights.reshape(len(weights), -1, channels)


def _origins(graph: Graph) -> dict[str, _Origin]:
    """The origin of every tensor that channelwise operations alone part from a mixing one."""
    origins: dict[str, _Origin] = {}
    for op in graph.ops:
        name, channels = op.output, np.arange(graph.shapes[op.output][2])
        if isinstance(op, _MIXING):
            origins[name] = _Origin(name, channels)
        elif isinstance(op, (*_PASSING, DepthwiseConv2D, Sigmoid)) and op.inputs[0] in origins:
            before = origins[op.inputs[0]]
            multiplier = op.multiplier if isinstance(op, DepthwiseConv2D) else 1
            origins[name] = _Origin(before.root, before.channel[channels // multiplier])
    return origins


def _constants(model: Int8Model) -> dict[str, _Constant]:
    graph = model.graph
    channels = graph.input_shape[2]
    found = {graph.input: _Constant(np.zeros(channels, bool), np.zeros(channels, np.int64))}
    for op in graph.ops:
        before = found[op.inputs[0]]
        if isinstance(op, (*_MIXING, DepthwiseConv2D)):
            found[op.output] = _layer_constant(model, op, before)
        elif isinstance(op, _PASSING):
            found[op.output] = before
        elif isinstance(op, Sigmoid):
            found[op.output] = _Constant(before.mask, lookup_table(model, op).astype(np.int64)[before.value + 128])
        else:
            channels = graph.shapes[op.output][2]
            found[op.output] = _Constant(np.zeros(channels, bool), np.zeros(channels, np.int64))
    return found


def _layer_constant(model: Int8Model, op: Op, before: _Constant) -> _Constant:
    numbers = layer_integers(model, op)
    low, high = accumulator_bounds(model, op)
    if isinstance(op, DepthwiseConv2D):
        known = np.repeat(_absorbable(model, op, before), op.multiplier)
        value = np.repeat(before.value - model.quant[op.inputs[0]].zero_point, op.multiplier)
        layer = model.layers[op.output]
        total = layer.bias + layer.weights.astype(np.int64).sum(axis=(0, 1)) * value
        low, high = np.where(known, total, low), np.where(known, total, high)
    bounds = [
        np.clip(
            multiply_by_quantized_multiplier(sums, numbers.multiplier, numbers.shift).astype(np.int64)
            + numbers.output_offset,
            numbers.act_min,
            numbers.act_max,
        )
        for sums in (low, high)
    ]
    return _Constant(bounds[0] == bounds[1], bounds[0])


def _shrink(model: Int8Model, kept: Mapping[str, Mask]) -> Int8Model:
    """The model with the channels of ``kept`` alone; readers' biases take what the others contributed."""
    graph, constants, origins = model.graph, _constants(model), _origins(model.graph)
    stays = {name: kept[origin.root][origin.channel] for name, origin in origins.items()}
    ops: list[Op] = []
    layers: dict[str, LayerWeights] = {}
    for op in graph.ops:
        name, source = op.output, op.inputs[0]
        own = stays.get(name, np.ones(graph.shapes[name][2], bool))
        read = stays.get(source, np.ones(graph.shapes[source][2], bool))
        if isinstance(op, _MIXING):
            layers[name] = _shrunk(model, op, own, read, constants[source])
            count = int(own.sum())
            ops.append(replace(op, filters=count) if isinstance(op, Conv2D) else replace(op, units=count))
        else:
            if isinstance(op, DepthwiseConv2D):
                layer = model.layers[name]
                layers[name] = LayerWeights(layer.weights[:, :, own], layer.weight_scales[own], layer.bias[own])
            ops.append(op)
    slim = replace(graph, ops=tuple(ops))
    return Int8Model(slim, model.quant, layers, model.metadata)


def _shrunk(model: Int8Model, op: Op, own: Mask, read: Mask, constant: _Constant) -> LayerWeights:
    layer, weights = model.layers[op.output], _by_channel(model, op)
    value = constant.value - model.quant[op.inputs[0]].zero_point
    gone = ~read
    bias = layer.bias.astype(np.int64) + (weights.sum(axis=1)[:, gone] * value[gone]).sum(axis=1)
    slim = weights[own][:, :, read].astype(np.int8)
    shape = (len(slim), *layer.weights.shape[1:-1], -1)
    return LayerWeights(slim.reshape(shape), layer.weight_scales[own], bias[own].astype(np.int32))
