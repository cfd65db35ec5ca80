"""Writes the calls of convolutions over all channels and of dense layers, with their tables."""

from __future__ import annotations

import numpy as np

from estimators import Step
from firmware.c_params import Written, checked_integers, params, ranges, window_params
from firmware.c_text import Value, table
from firmware.int8_model import Int8Model
from search_spaces.ops import Conv2D, FullyConnected, Op


def layer_tables(model: Int8Model, op: Op, index: int) -> tuple[tuple[str, ...], dict[str, Value], tuple[str, ...]]:
    """Tables of a weighted layer, its last four parameters, its arguments."""
    numbers = checked_integers(model, op)
    layer = model.layers[op.output]
    weights, *per_channel = names = tuple(f"{name}_{index}" for name in ("weights", "bias", "multiplier", "shift"))
    values = (layer.bias, numbers.multiplier, numbers.shift)
    tables = (
        table("int8_t", weights, layer.weights),
        *(table("int32_t", name, value) for name, value in zip(per_channel, values, strict=True)),
    )
    return tables, ranges(numbers), names


def conv2d(model: Int8Model, step: Step, index: int) -> Written:
    """Tables and parameters of a convolution over all channels."""
    op = step.op
    assert isinstance(op, Conv2D)
    tables, ranges, names = layer_tables(model, op, index)
    values = {"window": window_params(model.graph, op), "output_channels": op.filters, **ranges}
    return (*tables, params("conv2d_s8_params", index, values)), names


def fully_connected(model: Int8Model, step: Step, index: int) -> Written:
    """Tables and parameters of a dense layer."""
    op = step.op
    assert isinstance(op, FullyConnected)
    tables, ranges, names = layer_tables(model, op, index)
    values = {"input_size": int(np.prod(model.graph.shapes[op.inputs[0]])), "output_size": op.units, **ranges}
    return (*tables, params("fully_connected_s8_params", index, values)), names
