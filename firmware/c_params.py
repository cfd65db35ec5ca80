"""What the writers of kernel calls share: parameter structures, windows, and the tables of weighted layers."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from firmware.c_text import Value, initializer
from firmware.int8_model import Int8Model
from firmware.integers import LayerIntegers, accumulator_bounds, layer_integers
from search_spaces.errors import NasError
from search_spaces.geometry import window
from search_spaces.graph import Graph
from search_spaces.ops import AvgPool, Conv2D, DepthwiseConv2D, MaxPool, Op

INT32 = np.iinfo(np.int32)

Written = tuple[tuple[str, ...], tuple[str, ...]]
"""Declarations of constants, and the arguments that they make beside parameters and tensors."""


def params(kernel_type: str, index: int, values: Mapping[str, Value]) -> str:
    """The declaration of a step's parameters."""
    return f"static const {kernel_type} params_{index} = {initializer(values)};"


def window_params(graph: Graph, op: Conv2D | DepthwiseConv2D | MaxPool | AvgPool) -> dict[str, Value]:
    """A sliding window's parameters."""
    (height, width, channels), (out_height, out_width, _) = graph.shapes[op.inputs[0]], graph.shapes[op.output]
    pads = [
        window(size, kernel, stride, dilation, op.padding)[1]
        for size, kernel, stride, dilation in zip((height, width), op.kernel, op.stride, op.dilation, strict=True)
    ]
    return {
        "input_height": height,
        "input_width": width,
        "input_channels": channels,
        "output_height": out_height,
        "output_width": out_width,
        "kernel_height": op.kernel[0],
        "kernel_width": op.kernel[1],
        "stride_height": op.stride[0],
        "stride_width": op.stride[1],
        "dilation_height": op.dilation[0],
        "dilation_width": op.dilation[1],
        "pad_top": pads[0],
        "pad_left": pads[1],
    }


def checked_integers(model: Int8Model, op: Op) -> LayerIntegers:
    """Integers of a weighted layer; raises NasError where its sums would leave 32 bits."""
    low, high = accumulator_bounds(model, op)
    if low.min() < INT32.min or high.max() > INT32.max:
        raise NasError(f"{op.kind} {op.output!r}: its sums can reach {max(-low.min(), high.max())}, beyond 32 bits")
    return layer_integers(model, op)
