"""Writes the calls of operations without weights: sums, products, pooling, upsampling, tables, softmax."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from estimators import Step
from estimators.elementwise import joined
from firmware.c_params import Written, params, window_params
from firmware.c_text import Value, table
from firmware.int8_model import Int8Model
from firmware.integers import add_integers, lookup_table, mul_integers, softmax_integers
from search_spaces.ops import Add, AvgPool, MaxPool, Mul, Shape


def pool(model: Int8Model, step: Step, index: int) -> Written:
    """Parameters of a pooling step."""
    op = step.op
    assert isinstance(op, MaxPool | AvgPool)
    return (params("window_params", index, window_params(model.graph, op)),), ()


def upsample(model: Int8Model, step: Step, index: int) -> Written:
    """Parameters of an upsampling step."""
    op = step.op
    (height, width, channels), (out_height, out_width, _) = (
        model.graph.shapes[op.inputs[0]],
        model.graph.shapes[op.output],
    )
    values: dict[str, Value] = {
        "input_height": height,
        "input_width": width,
        "channels": channels,
        "output_height": out_height,
        "output_width": out_width,
    }
    return (params("upsample_nearest_s8_params", index, values),), ()


def _operands(model: Int8Model, step: Step) -> dict[str, Value]:
    """Shapes of output and inputs, as few loops as they allow."""
    shapes = model.graph.shapes
    out, (first, second) = joined(shapes[step.op.output], [shapes[name] for name in step.reads])
    return {name: _shape(shape) for name, shape in (("output", out), ("input1", first), ("input2", second))}


def _shape(shape: Shape) -> dict[str, Value]:
    return dict(zip(("height", "width", "channels"), shape, strict=True))


def add(model: Int8Model, step: Step, index: int) -> Written:
    """Parameters of a sum."""
    op = step.op
    assert isinstance(op, Add)
    values = {**_operands(model, step), **asdict(add_integers(model, op))}
    return (params("add_s8_params", index, values),), ()


def mul(model: Int8Model, step: Step, index: int) -> Written:
    """Parameters of a product."""
    op = step.op
    assert isinstance(op, Mul)
    values = {**_operands(model, step), **asdict(mul_integers(model, op))}
    return (params("mul_s8_params", index, values),), ()


def lookup(model: Int8Model, step: Step, index: int) -> Written:
    """The table of a function of one value."""
    op = step.op
    size = int(np.prod(model.graph.shapes[op.output]))
    return (table("int8_t", f"table_{index}", lookup_table(model, op)),), (f"table_{index}", str(size))


def softmax(model: Int8Model, step: Step, index: int) -> Written:
    """Parameters of a softmax."""
    op = step.op
    height, width, channels = model.graph.shapes[op.output]
    values = {"rows": height * width, "channels": channels, **asdict(softmax_integers(model, op))}
    return (params("softmax_s8_params", index, values),), ()
