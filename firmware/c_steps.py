"""The steps of a plan as C: constant tables, a parameter structure and one kernel call each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from estimators import Kernel, Plan, Step
from firmware import c_depthwise, c_elementwise, c_layers
from firmware.c_params import Written
from firmware.c_text import extents, plain
from firmware.int8_model import Int8Model
from search_spaces.ops import Shape


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
    return [_call(model, step, index, plan.target.dsp, macros) for index, step in enumerate(plan.steps)]


def _call(model: Int8Model, step: Step, index: int, dsp: bool, macros: Mapping[str, str]) -> Call:
    op, shapes = step.op, model.graph.shapes
    if step.kernel in _PACKED:
        constants, extra = _PACKED[step.kernel](model, step, index, dsp)
    else:
        constants, extra = _WRITERS[step.kernel](model, step, index)
    if step.scratch_bytes:
        extra = (*extra, f"arena + {step.scratch_offset // 4}")
    extra = (*extra, *_extent(step, shapes[op.output]))
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
    elif step.overlaps is not None:
        comment += f", running into {plain(step.overlaps)}"
    return Call(comment, step.kernel, constants, arguments)


def _extent(step: Step, out: Shape) -> tuple[str, ...]:
    """How much of its output a kernel that can compute a part of it is asked for: all of it."""
    if step.kernel == "conv2d_s8":
        return "0", str(out[0])
    if step.kernel == "pointwise_s8":
        return (str(out[0] * out[1]),)
    return ()


def _operand(step: Step, index: int, shapes: Mapping[str, Shape]) -> str:
    """Shape of an input; where an UpsampleNearest is fused into the step, from which one to which one."""
    source, size = shapes[step.reads[index]], shapes[step.op.inputs[index]]
    return extents(source) if source == size else f"{extents(source)} upsampled to {extents(size)}"


_PACKED: dict[Kernel, Callable[[Int8Model, Step, int, bool], Written]] = {
    "conv2d_s8": c_layers.conv2d,
    "pointwise_s8": c_layers.pointwise,
    "fully_connected_s8": c_layers.fully_connected,
}
"""Writers of tables whose order depends on the core: whether it has the DSP extension is their last argument."""

_WRITERS: dict[Kernel, Callable[[Int8Model, Step, int], Written]] = {
    "depthwise_conv2d_s8": c_depthwise.depthwise,
    "depthwise3_s8": c_depthwise.depthwise,
    "channelwise_s8": c_depthwise.depthwise,
    "max_pool_s8": c_elementwise.pool,
    "avg_pool_s8": c_elementwise.pool,
    "upsample_nearest_s8": c_elementwise.upsample,
    "add_s8": c_elementwise.add,
    "mul_s8": c_elementwise.mul,
    "lookup_s8": c_elementwise.lookup,
    "softmax_s8": c_elementwise.softmax,
}
