"""Writes the calls of convolutions over all channels and of dense layers, with their tables."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from estimators import Step
from firmware.c_params import Written, checked_integers, params, window_params
from firmware.c_text import Value, table
from firmware.int8_model import INT8_MIN, Int8Model
from firmware.packing import (
    DENSE_LANES,
    EXCESS,
    GREATEST_NIBBLE_SUM,
    MATMUL_LANES,
    biased_stream,
    filter_stream,
    folded_bias,
    nibble_stream,
)
from firmware.requantization import requantization_table
from search_spaces.errors import NasError
from search_spaces.ops import Conv2D, FullyConnected, Op


def conv2d(model: Int8Model, step: Step, index: int, dsp: bool) -> Written:
    """Tables and parameters of a convolution over all channels."""
    return _layer(model, step.op, index, dsp, "conv2d_s8_params", conv2d_values(model, step.op))


def pointwise(model: Int8Model, step: Step, index: int, dsp: bool) -> Written:
    """Tables and parameters of a convolution of one pixel and stride 1."""
    return _layer(model, step.op, index, dsp, f"{step.kernel}_params", pointwise_values(model, step.op))


def fully_connected(model: Int8Model, step: Step, index: int, dsp: bool) -> Written:
    """Tables and parameters of a dense layer."""
    return _layer(model, step.op, index, dsp, f"{step.kernel}_params", fully_connected_values(model, step.op))


def conv2d_values(model: Int8Model, op: Op) -> dict[str, Value]:
    """Members of ``conv2d_s8_params``."""
    assert isinstance(op, Conv2D)
    return {
        "window": window_params(model.graph, op),
        "output_channels": op.filters,
        "padding": model.quant[op.inputs[0]].zero_point,
        "requantization": _requantization(model, op),
    }


def pointwise_values(model: Int8Model, op: Op) -> dict[str, Value]:
    """Members of ``pointwise_s8_params``, which is ``pointwise_s4_params`` too."""
    return {
        "input_channels": model.graph.shapes[op.inputs[0]][2],
        "output_channels": model.graph.shapes[op.output][2],
        "requantization": _requantization(model, op),
    }


def fully_connected_values(model: Int8Model, op: Op) -> dict[str, Value]:
    """Members of ``fully_connected_s8_params``, which is ``fully_connected_s4_params`` too."""
    return {
        "input_size": int(np.prod(model.graph.shapes[op.inputs[0]])),
        "output_size": model.graph.shapes[op.output][2],
        "requantization": _requantization(model, op),
    }


def filters(model: Int8Model, op: Op, dsp: bool = True) -> NDArray[np.int32]:
    """The stream of a layer's filters, for a core with the Cortex-M's DSP extension or for one without.

    Raises NasError where its sums would leave 32 bits, or of 4-bit weights what their kernels can add up.
    """
    numbers = checked_integers(model, op)
    layer = model.layers[op.output]
    weights = layer.weights.reshape(len(layer.weights), -1)
    bias = folded_bias(layer.bias, weights, -numbers.input_offset)
    lanes = DENSE_LANES if isinstance(op, FullyConnected) else MATMUL_LANES
    requantization = requantization_table(model, op).values
    biased = not dsp and not isinstance(op, FullyConnected)
    if biased:
        # matmul_scalar.c multiplies inputs that are 128 greater, which is as if their zero point were.
        bias = folded_bias(bias, weights, EXCESS)
    if getattr(op, "weight_bits", 8) == 4:
        _check_nibble_sums(op, weights)
        return nibble_stream(weights, bias, requantization, lanes, unsigned=biased)
    if dsp:
        return filter_stream(weights, bias, requantization, lanes)
    return biased_stream(weights, bias, requantization, lanes)


def _check_nibble_sums(op: Op, weights: NDArray[np.int8]) -> None:
    greatest = -INT8_MIN * int(np.abs(weights.astype(np.int64)).sum(axis=1).max())
    if greatest > GREATEST_NIBBLE_SUM:
        raise NasError(
            f"{op.kind} {op.output!r}: its sums of products can reach {greatest}; weights of 4 bits allow "
            f"{GREATEST_NIBBLE_SUM}, use weight_bits 8"
        )


def _requantization(model: Int8Model, op: Op) -> dict[str, Value]:
    """Members of ``requantization``."""
    numbers = checked_integers(model, op)
    return {
        "kind": int(requantization_table(model, op).kind),
        "output_offset": numbers.output_offset,
        "act_min": numbers.act_min,
        "act_max": numbers.act_max,
    }


def _layer(model: Int8Model, op: Op, index: int, dsp: bool, kernel_type: str, values: dict[str, Value]) -> Written:
    name = f"filters_{index}"
    return (table("int32_t", name, filters(model, op, dsp)), params(kernel_type, index, values)), (name,)
