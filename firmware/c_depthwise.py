"""Writes the calls of depthwise convolutions, with their tables."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from estimators import Kernel, Step, kernel_of
from estimators.depthwise import planes, row_planes
from firmware.c_params import Written, checked_integers, params
from firmware.c_text import Value, table
from firmware.int8_model import Int8Model
from firmware.requantization import requantization_table
from search_spaces.ops import DepthwiseConv2D


class Tables(NamedTuple):
    """What a depthwise kernel reads for a layer, an output channel after the other.

    ``weights`` (channels, kernel down, kernel across), ``bias`` with the zero point folded in, ``requant`` rows of
    ``requant_s8``.
    """

    weights: NDArray[np.int8]
    bias: NDArray[np.int32]
    requant: NDArray[np.int32]


def depthwise(model: Int8Model, step: Step, index: int, held_rows: int | None = None) -> Written:
    """Tables and parameters of depthwise3_s8, depthwise_conv2d_s8 and channelwise_s8.

    ``held_rows``: of a step that makes a row at a time, the rows of its input that are there.
    """
    op = step.op
    assert isinstance(op, DepthwiseConv2D)
    weights, bias, requant = tables(model, op, step.by_rows)
    names = (f"weights_{index}", f"bias_{index}", f"requant_{index}")
    declared = (
        table("int8_t", names[0], weights),
        table("int32_t", names[1], bias),
        _requant_table(names[2], requant),
    )
    return (*declared, params(f"{step.kernel}_params", index, values(model, op, held_rows))), names


def tables(model: Int8Model, op: DepthwiseConv2D, by_rows: bool = False) -> Tables:
    """Tables of a layer, with ``by_rows`` of one that makes a row at a time.

    Raises NasError where its sums would leave 32 bits.
    """
    checked_integers(model, op)
    layer = model.layers[op.output]
    transposed = (row_planes if by_rows else planes)(op, model.graph.shapes[op.inputs[0]]).transposed
    # Zero points are folded in; sums wrap modulo 2**32, so this may wrap too.
    bias = layer.bias - model.quant[op.inputs[0]].zero_point * layer.weights.sum(axis=(0, 1), dtype=np.int64)
    return Tables(
        np.ascontiguousarray(layer.weights.transpose((2, 1, 0) if transposed else (2, 0, 1))),
        bias.astype(np.int32),
        requantization_table(model, op).values,
    )


def origin(model: Int8Model, op: DepthwiseConv2D) -> int:
    """Where the first window begins along the axis called across, if all of the output is made at once."""
    return -planes(op, model.graph.shapes[op.inputs[0]]).across.pad


def values(model: Int8Model, op: DepthwiseConv2D, held_rows: int | None = None) -> dict[str, Value]:
    """The parameters of a layer's kernel, in the order of its structure.

    ``held_rows``: of a kernel that makes a row at a time, the rows of its input that are there.
    """
    numbers = checked_integers(model, op)
    requantization: dict[str, Value] = {
        "kind": int(requantization_table(model, op).kind),
        "output_offset": numbers.output_offset,
        "act_min": numbers.act_min,
        "act_max": numbers.act_max,
    }
    kernel = kernel_of(op)
    (height, width, channels) = model.graph.shapes[op.inputs[0]]
    if kernel == "channelwise_s8":
        sizes: dict[str, Value] = {
            "pixels": width if held_rows else height * width,
            "channels": channels,
            "channel_multiplier": op.multiplier,
        }
        return {**sizes, "requantization": requantization}
    geometry = _geometry(model, op, kernel, held_rows)
    return {**geometry, "padding": model.quant[op.inputs[0]].zero_point, "requantization": requantization}


def _geometry(model: Int8Model, op: DepthwiseConv2D, kernel: Kernel, held_rows: int | None) -> dict[str, Value]:
    """What the kernels that work on planes know of extents and steps."""
    source, out = model.graph.shapes[op.inputs[0]], model.graph.shapes[op.output]
    layout = row_planes(op, source) if held_rows else planes(op, source)
    down, across = layout.down, layout.across
    # Bytes from a pixel to its neighbours: below and on the right, or the other way round.
    steps = [(shape[1] * shape[2], shape[2])[:: -1 if layout.transposed else 1] for shape in (source, out)]
    return {
        "channels": source[2],
        "channel_multiplier": op.multiplier,
        "size_down": down.size,
        "size_across": across.size,
        "input_down": steps[0][0],
        "input_across": steps[0][1],
        "output_down": steps[1][0],
        "output_across": steps[1][1],
        "rows": down.out,
        "columns": across.out,
        "kernel_down": down.kernel,
        "kernel_across": across.kernel,
        "stride_down": down.stride,
        "dilation_down": down.dilation,
        "pad_down": down.pad,
        "held_across": held_rows or across.size,
        "pairs": layout.pairs,
        "groups": layout.groups,
        "group_strips": layout.group_strips,
        "group_step": layout.group_step,
        "strip_step": layout.strip_step,
        "pair_step": layout.pair_step,
        "odd": int(layout.odd),
        "step_even": layout.steps[0],
        "step_odd": layout.steps[1],
        "strip_rows": layout.strip_rows,
        "band_rows": layout.band_rows,
        "kept_rows": layout.kept_rows,
        "table_words": layout.table_words if kernel == "depthwise_conv2d_s8" else 0,
    }


def _requant_table(name: str, values: NDArray[np.int32]) -> str:
    """A constant array of ``requant_s8``, a channel a line."""
    rows = "\n".join(f"    {{{multiplier}, {rounding}, {shift}}}," for multiplier, rounding, shift in values.tolist())
    return f"static const requant_s8 {name}[{len(values)}] = {{\n{rows}\n}};"
