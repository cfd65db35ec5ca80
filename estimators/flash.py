"""Flash of the firmware: weights, biases, requantisation and look-up tables, parameters, code.

Everything but the code is exact, because the emitter writes exactly these tables. Code is each C file that a kernel
needs once plus model.c's share for every call, measured in bytes by ``benchmarks/fit_cycles.py``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from estimators.blocks import aligned
from estimators.frontend import table_bytes
from estimators.kernels import Kernel, sources_of
from estimators.plan import Plan

BIAS_BYTES: Final = 4
"""One int32 per output channel."""

REQUANTISATION_BYTES: Final = 12
"""A ``requant_s8`` per output channel: multiplier, rounding and shift, int32 each."""

LOOKUP_BYTES: Final = 256

ROW_CODE_BYTES: Final = 52
"""Code for a step that takes turns row by row, beside that of its call: 45 to 57 by arm-none-eabi-gcc 12.2, -O2."""

PARAMS_BYTES: Final[dict[Kernel, int]] = {
    "conv2d_s8": 76,
    "pointwise_s8": 24,
    "pointwise_s4": 24,
    "depthwise_conv2d_s8": 136,
    "depthwise3_s8": 136,
    "channelwise_s8": 28,
    "fully_connected_s8": 24,
    "fully_connected_s4": 24,
    "max_pool_s8": 52,
    "avg_pool_s8": 52,
    "upsample_nearest_s8": 20,
    "add_s8": 96,
    "mul_s8": 72,
    "lookup_s8": 0,
    "softmax_s8": 20,
}
"""Size of the parameter structure that a call gets, all of int32 (``firmware/kernels/kernels.h``)."""


_BY_FILTER: Final[frozenset[Kernel]] = frozenset({"conv2d_s8", "pointwise_s8", "fully_connected_s8"})
"""Kernels whose filters are padded to words one by one; they read biases and requantisation between them."""

_BY_PAIR: Final[frozenset[Kernel]] = frozenset({"pointwise_s4", "fully_connected_s4"})
"""Kernels of weights of 4 bits: a byte for each input of two filters, padded to words; a filter left over has bytes of
its own. ``Flash.weights`` counts half a byte for each weight, rounded up."""

_BY_TAP: Final[frozenset[Kernel]] = frozenset({"depthwise_conv2d_s8", "depthwise3_s8", "channelwise_s8"})
"""Kernels whose weights are one table, followed by one of biases and one for requantisation."""


class Flash(NamedTuple):
    """Bytes of flash. ``tables`` are requantisation and look-up tables, a front end's constants, parameter structures,
    and padding to words."""

    weights: int
    bias: int
    tables: int
    code: int

    @property
    def total(self) -> int:
        return self.weights + self.bias + self.tables + self.code


def flash(plan: Plan) -> Flash:
    """Flash in bytes; how a layer is requantised changes none of it."""
    weights = bias = tables = 0
    code = plan.target.code
    text = code.base
    shapes = plan.graph.shapes
    used: set[str] = set()
    for step in plan.steps:
        kernel, op = step.kernel, step.op
        tables += PARAMS_BYTES[kernel]
        text += code.calls[kernel] + (ROW_CODE_BYTES if step.by_rows else 0)
        used.update(sources_of(kernel, plan.target.dsp))
        if kernel in _BY_FILTER or kernel in _BY_PAIR or kernel in _BY_TAP:
            out = shapes[op.output]
            channels = out[2]
            count = op.params((shapes[op.inputs[0]],), out) - channels
            padded = channels * aligned(count // channels) if kernel in _BY_FILTER else aligned(count)
            if kernel in _BY_PAIR:
                padded = -(-channels // 2) * aligned(count // channels)
                count = -(-count // 2)
            weights += count
            bias += BIAS_BYTES * channels
            tables += REQUANTISATION_BYTES * channels + padded - count
        elif kernel == "lookup_s8":
            tables += LOOKUP_BYTES
    text += sum([code.files[file] for file in used])
    if plan.graph.frontend is not None:
        tables += table_bytes(plan.graph.frontend)
        text += plan.target.frontend.code
    return Flash(weights, bias, tables, text)
