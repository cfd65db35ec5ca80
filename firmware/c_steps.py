"""The steps of a plan as C: constant tables, a parameter structure and one kernel call each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import numpy as np

from estimators import Kernel, Plan, Step
from estimators.elementwise import joined
from firmware.c_text import Value, extents, initializer, plain, table
from firmware.int8_model import Int8Model
from firmware.integers import (
    LayerIntegers,
    accumulator_bounds,
    add_integers,
    layer_integers,
    lookup_table,
    mul_integers,
    softmax_integers,
)
from search_spaces.errors import NasError
from search_spaces.geometry import window
from search_spaces.graph import Graph
from search_spaces.ops import Add, AvgPool, Conv2D, DepthwiseConv2D, FullyConnected, MaxPool, Mul, Op, Shape

INT32 = np.iinfo(np.int32)


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's place in the arena: the macro that points to it, and what a reader wants to know of it."""

    macro: str
    offset: int
    size: int
    comment: str


@dataclass(frozen=True, slots=True)
class Call:
    """One step: the constants it reads, its call, and a comment with operation, shapes and MACs."""

    comment: str
    kernel: Kernel
    constants: tuple[str, ...]
    arguments: tuple[str, ...]


def tensors(plan: Plan) -> dict[str, Tensor]:
    """The tensors that have bytes of their own, by name, in the order of the graph.

    Names from users appear in comments alone, there also the names that a Scale gives to the same bytes.
    """
    shapes, places = plan.graph.shapes, plan.placements
    names: dict[str, list[str]] = {}
    for name in places:
        names.setdefault(plan.sources[name], []).append(name)
    result: dict[str, Tensor] = {}
    for index, (name, aliases) in enumerate(names.items()):
        place = places[name]
        known_as = " = ".join(plain(alias) for alias in aliases)
        comment = f"{known_as}, {extents(shapes[name])}, steps {place.first} to {place.last}"
        result[name] = Tensor(f"TENSOR_{index}", place.offset, place.size, comment)
    return result


def calls(model: Int8Model, plan: Plan) -> list[Call]:
    """One call per step. Raises NasError where a kernel's integers would leave their range."""
    macros = {name: tensor.macro for name, tensor in tensors(plan).items()}
    return [_call(model, step, index, macros) for index, step in enumerate(plan.steps)]


def _call(model: Int8Model, step: Step, index: int, macros: Mapping[str, str]) -> Call:
    op, shapes = step.op, model.graph.shapes
    constants, extra = _WRITERS[step.kernel](model, step, index)
    first, *others = (macros[name] for name in step.reads)
    if step.kernel == "lookup_s8":
        arguments = (*extra, first, macros[op.output])
    else:
        arguments = (f"&params_{index}", first, *others, *extra, macros[op.output])
    comment = (
        f"{index}: {op.kind} {plain(op.output)}: {' and '.join(_operand(step, i, shapes) for i in range(op.arity))} to "
        f"{extents(shapes[op.output])}"
    )
    macs = op.macs([shapes[name] for name in op.inputs], shapes[op.output])
    if macs:
        comment += f", {macs} MACs"
    if step.in_place is not None:
        comment += f", over {plain(step.in_place)}"
    return Call(comment, step.kernel, constants, arguments)


def _operand(step: Step, index: int, shapes: Mapping[str, Shape]) -> str:
    """Shape of an input; where an UpsampleNearest is fused into the step, from which one to which one."""
    source, size = shapes[step.reads[index]], shapes[step.op.inputs[index]]
    return extents(source) if source == size else f"{extents(source)} upsampled to {extents(size)}"


Written = tuple[tuple[str, ...], tuple[str, ...]]
"""Declarations of constants, and the arguments that they make beside parameters and tensors."""


def _params(kernel_type: str, index: int, values: Mapping[str, Value]) -> str:
    return f"static const {kernel_type} params_{index} = {initializer(values)};"


def _window(graph: Graph, op: Conv2D | DepthwiseConv2D | MaxPool | AvgPool) -> dict[str, Value]:
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


def _layer(model: Int8Model, op: Op, index: int) -> tuple[tuple[str, ...], dict[str, Value], tuple[str, ...]]:
    """Tables of a weighted layer, its last four parameters, its arguments."""
    low, high = accumulator_bounds(model, op)
    if low.min() < INT32.min or high.max() > INT32.max:
        raise NasError(f"{op.kind} {op.output!r}: its sums can reach {max(-low.min(), high.max())}, beyond 32 bits")
    layer, numbers = model.layers[op.output], layer_integers(model, op)
    weights, *per_channel = names = tuple(f"{name}_{index}" for name in ("weights", "bias", "multiplier", "shift"))
    values = (layer.bias, numbers.multiplier, numbers.shift)
    tables = (
        table("int8_t", weights, layer.weights),
        *(table("int32_t", name, value) for name, value in zip(per_channel, values, strict=True)),
    )
    return tables, _ranges(numbers), names


def _ranges(numbers: LayerIntegers) -> dict[str, Value]:
    return {
        "input_offset": numbers.input_offset,
        "output_offset": numbers.output_offset,
        "act_min": numbers.act_min,
        "act_max": numbers.act_max,
    }


def _conv2d(model: Int8Model, step: Step, index: int) -> Written:
    op = step.op
    assert isinstance(op, Conv2D)
    tables, ranges, names = _layer(model, op, index)
    values = {"window": _window(model.graph, op), "output_channels": op.filters, **ranges}
    return (*tables, _params("conv2d_s8_params", index, values)), names


def _depthwise(model: Int8Model, step: Step, index: int) -> Written:
    op = step.op
    assert isinstance(op, DepthwiseConv2D)
    tables, ranges, names = _layer(model, op, index)
    values = {"window": _window(model.graph, op), "channel_multiplier": op.multiplier, **ranges}
    return (*tables, _params("depthwise_conv2d_s8_params", index, values)), names


def _dense(model: Int8Model, step: Step, index: int) -> Written:
    op = step.op
    assert isinstance(op, FullyConnected)
    tables, ranges, names = _layer(model, op, index)
    values = {"input_size": int(np.prod(model.graph.shapes[op.inputs[0]])), "output_size": op.units, **ranges}
    return (*tables, _params("fully_connected_s8_params", index, values)), names


def _pool(model: Int8Model, step: Step, index: int) -> Written:
    op = step.op
    assert isinstance(op, MaxPool | AvgPool)
    return (_params("window_params", index, _window(model.graph, op)),), ()


def _upsample(model: Int8Model, step: Step, index: int) -> Written:
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
    return (_params("upsample_nearest_s8_params", index, values),), ()


def _operands(model: Int8Model, step: Step) -> dict[str, Value]:
    """Shapes of output and inputs, as few loops as they allow."""
    shapes = model.graph.shapes
    out, (first, second) = joined(shapes[step.op.output], [shapes[name] for name in step.reads])
    return {name: _shape(shape) for name, shape in (("output", out), ("input1", first), ("input2", second))}


def _shape(shape: Shape) -> dict[str, Value]:
    return dict(zip(("height", "width", "channels"), shape, strict=True))


def _add(model: Int8Model, step: Step, index: int) -> Written:
    op = step.op
    assert isinstance(op, Add)
    values = {**_operands(model, step), **asdict(add_integers(model, op))}
    return (_params("add_s8_params", index, values),), ()


def _mul(model: Int8Model, step: Step, index: int) -> Written:
    op = step.op
    assert isinstance(op, Mul)
    values = {**_operands(model, step), **asdict(mul_integers(model, op))}
    return (_params("mul_s8_params", index, values),), ()


def _lookup(model: Int8Model, step: Step, index: int) -> Written:
    op = step.op
    size = int(np.prod(model.graph.shapes[op.output]))
    return (table("int8_t", f"table_{index}", lookup_table(model, op)),), (f"table_{index}", str(size))


def _softmax(model: Int8Model, step: Step, index: int) -> Written:
    op = step.op
    height, width, channels = model.graph.shapes[op.output]
    values = {"rows": height * width, "channels": channels, **asdict(softmax_integers(model, op))}
    return (_params("softmax_s8_params", index, values),), ()


_WRITERS: dict[Kernel, Callable[[Int8Model, Step, int], Written]] = {
    "conv2d_s8": _conv2d,
    "depthwise_conv2d_s8": _depthwise,
    "fully_connected_s8": _dense,
    "max_pool_s8": _pool,
    "avg_pool_s8": _pool,
    "upsample_nearest_s8": _upsample,
    "add_s8": _add,
    "mul_s8": _mul,
    "lookup_s8": _lookup,
    "softmax_s8": _softmax,
}
