"""Writes the calls of operations without weights: sums, products, pooling, upsampling, tables, softmax."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np

from estimators import Step
from estimators.elementwise import joined
from firmware.c_params import Written, params, window_params
from firmware.c_text import Value, table
from firmware.fixed_point import SMALLEST_SHIFT
from firmware.int8_model import INT8_MAX, INT8_MIN, Int8Model
from firmware.integers import AddIntegers, MulIntegers, add_integers, lookup_table, mul_integers, softmax_integers
from firmware.linear_add import linear_add
from firmware.requantization import GREATEST_FAST_SHIFT
from search_spaces.ops import Add, AvgPool, MaxPool, Mul, Shape


def pool(model: Int8Model, step: Step, index: int) -> Written:
    """Parameters of a pooling step."""
    op = step.op
    assert isinstance(op, MaxPool | AvgPool)
    window = window_params(model.graph, op)
    if step.by_rows:
        # Of an image as high as the window, which meets no border above or below.
        window |= {"input_height": op.kernel[0], "output_height": 1}
    return (params("window_params", index, window),), ()


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
    run = add_run(add_integers(model, op))
    return (params("add_s8_params", index, {"shapes": _operands(model, step), "run": run}),), ()


def add_run(numbers: AddIntegers) -> dict[str, Value]:
    """Members of ``add_run_s8_params``: the linear form where one is exact, and always the integers of the general."""
    form = linear_add(numbers)
    linear = {"factor1": 0, "factor2": 0, "constant": 0} if form is None else asdict(form)
    general = {name: value for name, value in asdict(numbers).items() if name != "left_shift"}
    for name in ("input1", "input2", "output"):
        if general[f"{name}_multiplier"] == 0:
            general[f"{name}_shift"] = SMALLEST_SHIFT
    return {"kind": int(form is not None), **linear, **general}


def mul(model: Int8Model, step: Step, index: int) -> Written:
    """Parameters of a product."""
    op = step.op
    assert isinstance(op, Mul)
    run = mul_run(mul_integers(model, op))
    return (params("mul_s8_params", index, {"shapes": _operands(model, step), "run": run}),), ()


def mul_run(numbers: MulIntegers) -> dict[str, Value]:
    """Members of ``mul_run_s8_params``."""
    right = -numbers.shift
    fast = 1 <= right <= GREATEST_FAST_SHIFT and (numbers.act_min, numbers.act_max) == (INT8_MIN, INT8_MAX)
    return {
        "fast": int(fast),
        "input1_offset": numbers.input1_offset,
        "input2_offset": numbers.input2_offset,
        "multiplier": numbers.multiplier,
        "shift": numbers.shift,
        "rounding": (1 << right - 1) + (numbers.output_offset << right) if fast else 0,
        "output_offset": numbers.output_offset,
        "act_min": numbers.act_min,
        "act_max": numbers.act_max,
    }


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
