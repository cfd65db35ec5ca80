"""The steps of a plan as C: constant tables, a parameter structure and one kernel call each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from estimators import Kernel, Plan, Step
from firmware import c_depthwise, c_elementwise, c_layers
from firmware.c_params import Written
from firmware.c_rows import ROW_FUNCTIONS, Call, held_rows, row_arguments
from firmware.c_text import extents, plain
from firmware.int8_model import Int8Model
from search_spaces.ops import DepthwiseConv2D, Shape


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor's place in the arena: the macro that points to it, and what a reader wants to know of it."""

    macro: str
    offset: int
    size: int
    comment: str


def tensors(plan: Plan) -> dict[str, Tensor]:
    """The tensors that have bytes of their own, by name, in the order of the graph.

    Names from users appear in comments alone, there also the names that a Scale gives to the same bytes.
    """
    shapes, places = plan.graph.shapes, plan.placements
    names: dict[str, list[str]] = {}
    for name in places:
        names.setdefault(plan.sources[name], []).append(name)
    result: dict[str, Tensor] = {}
    rings = {name: rows for segment in plan.segments for name, rows in segment.rings.items()}
    for index, (name, aliases) in enumerate(names.items()):
        place = places[name]
        known_as = " = ".join(plain(alias) for alias in aliases)
        rows = rings.get(name)
        extent = extents(shapes[name]) if rows is None else f"{rows} of {extents(shapes[name])}'s rows"
        comment = f"{known_as}, {extent}, steps {place.first} to {place.last}"
        result[name] = Tensor(f"TENSOR_{index}", place.offset, place.size, comment)
    return result


def calls(model: Int8Model, plan: Plan) -> list[Call]:
    """One call per step. Raises NasError where a kernel's integers would leave their range."""
    macros = {name: tensor.macro for name, tensor in tensors(plan).items()}
    return [_call(model, plan, step, index, macros) for index, step in enumerate(plan.steps)]


def _call(model: Int8Model, plan: Plan, step: Step, index: int, macros: Mapping[str, str]) -> Call:
    op, shapes = step.op, model.graph.shapes
    segment = next((each for each in plan.segments if each.first <= index < each.end), None)
    if isinstance(op, DepthwiseConv2D):
        held = None if segment is None else held_rows(segment, shapes, step.reads[0])
        constants, extra = c_depthwise.depthwise(model, step, index, held)
    elif step.kernel in _PACKED:
        constants, extra = _PACKED[step.kernel](model, step, index, plan.target.dsp)
    else:
        constants, extra = _WRITERS[step.kernel](model, step, index)
    if step.scratch_bytes:
        extra = (*extra, f"arena + {step.scratch_offset // 4}")
    function: str = step.kernel
    if segment is not None:
        function = ROW_FUNCTIONS.get(step.kernel, step.kernel)
        arguments = row_arguments(plan, segment, step, index, extra, macros)
    else:
        extra = (*extra, *_extent(model, step, shapes))
        first, *others = (macros[name] for name in step.reads)
        arguments = (*extra, first, macros[op.output])
        if step.kernel != "lookup_s8":
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
    elif step.overlaps is not None:
        comment += f", running into {plain(step.overlaps)}"
    return Call(comment, function, constants, arguments)


def _extent(model: Int8Model, step: Step, shapes: Mapping[str, Shape]) -> tuple[str, ...]:
    """How much of its output a kernel that can compute a part of it is asked for: all of it, from all of its input."""
    if isinstance(step.op, DepthwiseConv2D) and step.kernel != "channelwise_s8":
        return (str(c_depthwise.origin(model, step.op)),)
    out = shapes[step.op.output]
    if step.kernel == "conv2d_s8":
        return str(shapes[step.reads[0]][0]), "0", str(out[0])
    if step.kernel in ("pointwise_s8", "pointwise_s4"):
        return (str(out[0] * out[1]),)
    return ()


def _operand(step: Step, index: int, shapes: Mapping[str, Shape]) -> str:
    """Shape of an input; where an UpsampleNearest is fused into the step, from which one to which one."""
    source, size = shapes[step.reads[index]], shapes[step.op.inputs[index]]
    return extents(source) if source == size else f"{extents(source)} upsampled to {extents(size)}"


_PACKED: dict[Kernel, Callable[[Int8Model, Step, int, bool], Written]] = {
    "conv2d_s8": c_layers.conv2d,
    "pointwise_s8": c_layers.pointwise,
    "pointwise_s4": c_layers.pointwise,
    "fully_connected_s8": c_layers.fully_connected,
    "fully_connected_s4": c_layers.fully_connected,
}
"""Writers of tables whose order depends on the core: whether it has the DSP extension is their last argument."""

_WRITERS: dict[Kernel, Callable[[Int8Model, Step, int], Written]] = {
    "max_pool_s8": c_elementwise.pool,
    "avg_pool_s8": c_elementwise.pool,
    "upsample_nearest_s8": c_elementwise.upsample,
    "add_s8": c_elementwise.add,
    "mul_s8": c_elementwise.mul,
    "lookup_s8": c_elementwise.lookup,
    "softmax_s8": c_elementwise.softmax,
}
