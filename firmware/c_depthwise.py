"""Writes the calls of depthwise convolutions, with their tables."""

from __future__ import annotations

from estimators import Step
from firmware.c_layers import layer_tables
from firmware.c_params import Written, params, window_params
from firmware.int8_model import Int8Model
from search_spaces.ops import DepthwiseConv2D


def depthwise(model: Int8Model, step: Step, index: int) -> Written:
    """Tables and parameters of a depthwise convolution."""
    op = step.op
    assert isinstance(op, DepthwiseConv2D)
    tables, ranges, names = layer_tables(model, op, index)
    values = {"window": window_params(model.graph, op), "channel_multiplier": op.multiplier, **ranges}
    return (*tables, params("depthwise_conv2d_s8_params", index, values)), names
