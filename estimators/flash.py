"""Flash of the firmware: weights, biases, requantisation and look-up tables, parameters, code.

Everything but the code is exact, because the emitter writes exactly these tables. Code is each used kernel once plus
model.c's share for every call, measured in bytes per kernel by ``benchmarks/fit_cycles.py``.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from estimators.arena import aligned
from estimators.frontend import table_bytes
from estimators.kernels import Kernel
from estimators.plan import Plan

BIAS_BYTES: Final = 4
"""One int32 per output channel."""

REQUANTISATION_BYTES: Final = 8
"""An int32 multiplier and an int32 shift per output channel."""

LOOKUP_BYTES: Final = 256

PARAMS_BYTES: Final[dict[Kernel, int]] = {
    "conv2d_s8": 72,
    "depthwise_conv2d_s8": 72,
    "fully_connected_s8": 24,
    "max_pool_s8": 52,
    "avg_pool_s8": 52,
    "upsample_nearest_s8": 20,
    "add_s8": 84,
    "mul_s8": 64,
    "lookup_s8": 0,
    "softmax_s8": 20,
}
"""Size of the parameter structure that a call gets, all of int32 (``firmware/kernels/kernels.h``)."""


_WEIGHTED: Final[frozenset[Kernel]] = frozenset({"conv2d_s8", "depthwise_conv2d_s8", "fully_connected_s8"})
"""Kernels that read weights, biases and requantisation tables."""


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
    """Flash in bytes, with the general requantisation path, so an upper bound before training."""
    weights = bias = tables = 0
    code = plan.target.code
    text = code.base
    shapes = plan.graph.shapes
    used: set[Kernel] = set()
    for step in plan.steps:
        kernel, op = step.kernel, step.op
        tables += PARAMS_BYTES[kernel]
        text += code.calls[kernel]
        if kernel not in used:
            used.add(kernel)
            text += code.kernels[kernel]
        if kernel in _WEIGHTED:
            out = shapes[op.output]
            channels = out[2]
            count = op.params((shapes[op.inputs[0]],), out) - channels
            weights += count
            bias += BIAS_BYTES * channels
            tables += REQUANTISATION_BYTES * channels + aligned(count) - count
        elif kernel == "lookup_s8":
            tables += LOOKUP_BYTES
    if plan.graph.frontend is not None:
        tables += table_bytes(plan.graph.frontend)
        text += plan.target.frontend.code
    return Flash(weights, bias, tables, text)
