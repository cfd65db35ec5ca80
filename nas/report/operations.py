"""What each operation of a network is and costs: the rows of its table and the boxes of its drawing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from estimators import Plan, Resources, Step, estimate, load_target, lower, step_cycles
from estimators.kinds import EXACT
from firmware.int8_model import WEIGHTED, Int8Model
from nas.networks import find_graph
from nas.units import extents
from search_spaces.frontend import Features, FrontEnd
from search_spaces.geometry import Padding
from search_spaces.graph import Graph
from search_spaces.ops import Activation, Op, Pair, Shape, UpsampleNearest

INPUT_KIND, FRONT_END_KIND = "Input", "FrontEnd"
"""Kinds of the first row, which stands for no operation."""

ACTIVATIONS = {Activation.RELU: "ReLU", Activation.RELU6: "ReLU6"}


@dataclass(frozen=True, slots=True, kw_only=True)
class OnTarget:
    """What the plan makes of one operation.

    An operation with a ``step`` (its position) has that step's ``cycles`` and ``live_bytes``, the arena's bytes that
    hold something while it runs; ``in_place`` names the input that it writes over, ``overlaps`` the one that its output
    shares some bytes with; one ``by_rows`` takes turns with its neighbours, row by row. One without a step costs
    nothing: it is ``free`` where its output is another name for its input's bytes, or ``fused_into`` the operation that
    reads it. A front end has no step either, but ``cycles``.
    """

    step: int | None = None
    cycles: float = 0.0
    live_bytes: int | None = None
    in_place: str | None = None
    overlaps: str | None = None
    by_rows: bool = False
    free: bool = False
    fused_into: str | None = None

    @property
    def writes(self) -> bool:
        """Whether it writes an output."""
        return not (self.free or self.fused_into)

    @property
    def note(self) -> str:
        """In a few words, what is special about it; nothing where it is an ordinary step."""
        if self.fused_into:
            return f"fused into {self.fused_into}"
        if self.free:
            return "free: its input's bytes"
        if self.by_rows:
            return "row by row"
        return "in place" if self.in_place else "overlaps its input" if self.overlaps else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One row: the input (or the front end that makes it), or an operation with all that it does and costs.

    ``name`` is that of the tensor it writes, ``inputs`` those of the tensors it reads. ``settings`` are its other
    fields (kernel, stride ...), ``heading`` and ``details`` say the important ones in words. ``weights_bytes`` counts
    a byte for each weight, without biases.
    """

    name: str
    kind: str
    inputs: tuple[str, ...]
    shape: Shape
    heading: str
    details: tuple[str, ...] = ()
    settings: Mapping[str, Any]
    macs: int = 0
    params: int = 0
    weights_bytes: int = 0
    on_target: OnTarget | None = None

    @property
    def output_bytes(self) -> int:
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def remarks(self) -> tuple[str, ...]:
        """``details`` and what the plan makes of it."""
        note = self.on_target.note if self.on_target else ""
        return (*self.details, note) if note else self.details

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; what the plan says only where there is one."""
        row: dict[str, Any] = {"name": self.name, "op": self.kind, "inputs": list(self.inputs)}
        row |= {key: list(value) if isinstance(value, tuple) else value for key, value in self.settings.items()}
        row |= {"output_shape": list(self.shape), "output_bytes": self.output_bytes}
        row |= {"macs": self.macs, "params": self.params, "weights_bytes": self.weights_bytes}
        plan = self.on_target
        return row if plan is None else row | {item.name: getattr(plan, item.name) for item in fields(plan)}


@dataclass(frozen=True)
class Anatomy:
    """A network taken apart: its operations in order, the input first; with a ``plan`` also what each does on a chip.

    ``title`` is what the network is called.
    """

    title: str
    graph: Graph
    plan: Plan | None = None

    @cached_property
    def rows(self) -> tuple[Operation, ...]:
        """The input (or the front end that makes it), then every operation in the order in which they run."""
        on_target = {} if self.plan is None else _on_target(self.plan)
        operations = [_row(self.graph, op, on_target.get(op.output)) for op in self.graph.ops]
        if self.graph.frontend is None:
            return (_input(self.graph), *operations)
        front = None if self.resources is None else OnTarget(cycles=self.resources.frontend_cycles)
        return (_front_end(self.graph, self.graph.frontend, front), *operations)

    @cached_property
    def resources(self) -> Resources | None:
        """What the whole network costs on the chip; None without one."""
        return None if self.plan is None else estimate(self.plan)

    @property
    def weights_bytes(self) -> int:
        return sum(row.weights_bytes for row in self.rows)

    def to_json(self) -> dict[str, Any]:
        """Everything as plain JSON values, every number with its kind."""
        front = self.graph.frontend
        counts = {"params": self.graph.params, "macs": self.graph.macs, "weights_bytes": self.weights_bytes}
        document: dict[str, Any] = {
            "network": self.title,
            "input_shape": list(self.graph.input_shape),
            "frontend": None if front is None else front.to_json(),
            **counts,
            "kinds": dict.fromkeys(counts, EXACT),
            "operations": [row.to_json() for row in self.rows[1:]],
        }
        if self.plan is not None and self.resources is not None:
            document |= {"target": self.plan.target.name, "resources": self.resources.to_dict()}
        return document


def take_apart(network: str | Path | Graph | Int8Model, target: str | None = None) -> Anatomy:
    """The anatomy of what ``nas.networks.find_graph`` reads, on the microcontroller ``target`` where one is named.

    Raises NasError where there is no such network or microcontroller, and for an operation that no kernel runs.
    """
    graph = find_graph(network)
    file = "" if isinstance(network, Graph | Int8Model) else Path(network).name
    plan = None if target is None else lower(graph, load_target(target))
    return Anatomy(_title(graph.name, file), graph, plan)


def _title(name: str, file: str) -> str:
    """What to call a network: by its own name, and by what the user called it where that says something else."""
    if not name or name == Path(file).stem:
        return file or "network"
    return f"{name} ({file})" if file and file != name else name


def live_bytes(plan: Plan, index: int) -> int:
    """Bytes of the arena that hold a tensor or scratch during step ``index``; what shares its bytes counts once."""
    step = plan.steps[index]
    spans = [(p.offset, p.offset + p.size) for p in plan.placements.values() if p.first <= index <= p.last]
    spans.append((step.scratch_offset, step.scratch_offset + step.scratch_bytes))
    total = reached = 0
    for start, end in sorted(spans):
        total += max(0, end - max(start, reached))
        reached = max(reached, end)
    return total


def _on_target(plan: Plan) -> dict[str, OnTarget]:
    """What the plan makes of every operation, by the tensor it writes."""
    found = {step.op.output: _of_step(plan, index, step) for index, step in enumerate(plan.steps)}
    reader = {name: op.output for op in plan.graph.ops for name in op.inputs}
    for op in plan.graph.ops:
        if op.output not in found:
            # Without bytes of its own it is computed by whoever reads it, element by element.
            free = op.output in plan.placements
            fused_into = None if free else _next_step(plan, reader, op.output)
            found[op.output] = OnTarget(free=free, fused_into=fused_into)
    return found


def _next_step(plan: Plan, reader: Mapping[str, str], name: str) -> str:
    """The first operation with a step among the only readers from ``name`` on."""
    steps = {step.op.output for step in plan.steps}
    while name not in steps:
        name = reader[name]
    return name


def _of_step(plan: Plan, index: int, step: Step) -> OnTarget:
    return OnTarget(
        step=index,
        cycles=step_cycles(plan, step),
        live_bytes=live_bytes(plan, index),
        in_place=step.in_place,
        overlaps=step.overlaps,
        by_rows=step.by_rows,
    )


def _input(graph: Graph) -> Operation:
    return Operation(
        name=graph.input, kind=INPUT_KIND, inputs=(), shape=graph.input_shape, heading=INPUT_KIND, settings={}
    )


def _front_end(graph: Graph, front: FrontEnd, on_target: OnTarget | None) -> Operation:
    return Operation(
        name=graph.input,
        kind=FRONT_END_KIND,
        inputs=(),
        shape=graph.input_shape,
        heading="MFCC front end" if front.features is Features.MFCC else "Log-mel front end",
        details=(f"window {front.window}", f"hop {front.hop}", f"{front.mel_bands} mel bands"),
        settings=front.to_json(),
        on_target=on_target,
    )


def _row(graph: Graph, op: Op, on_target: OnTarget | None) -> Operation:
    inputs = [graph.shapes[name] for name in op.inputs]
    shape = graph.shapes[op.output]
    params = op.params(inputs, shape)
    told = {"inputs", "output"}
    return Operation(
        name=op.output,
        kind=op.kind,
        inputs=op.inputs,
        shape=shape,
        heading=_heading(op, inputs[0]),
        details=_details(op, inputs[0]),
        settings={item.name: getattr(op, item.name) for item in fields(op) if item.name not in told},
        macs=op.macs(inputs, shape),
        params=params,
        weights_bytes=params - shape[2] if isinstance(op, WEIGHTED) else 0,  # one bias per output channel
        on_target=on_target,
    )


def _heading(op: Op, source: Shape) -> str:
    kernel: Pair | None = getattr(op, "kernel", None)
    if kernel is None:
        return op.kind
    return f"{op.kind} global" if _is_global(op, source) else f"{op.kind} {extents(kernel)}"


def _details(op: Op, source: Shape) -> tuple[str, ...]:
    """What differs from the plainest operation of its kind, in words."""
    words = []
    multiplier = getattr(op, "multiplier", 1)
    if multiplier != 1:
        words.append(f"multiplier {multiplier}")
    for name in ("stride", "dilation"):
        pair: Pair = getattr(op, name, (1, 1))
        if pair != (1, 1) and not _is_global(op, source):
            words.append(f"{name} {pair[0] if pair[0] == pair[1] else extents(pair)}")
    if getattr(op, "padding", Padding.SAME) is Padding.VALID and not _is_global(op, source):
        words.append("no padding")
    if isinstance(op, UpsampleNearest):
        words.append(f"from {extents(source[:2])}")
    if len(set(op.inputs)) < len(op.inputs):
        words.append("with itself")
    activation = getattr(op, "activation", Activation.NONE)
    if activation is not Activation.NONE:
        words.append(ACTIVATIONS[activation])
    return tuple(words)


def _is_global(op: Op, source: Shape) -> bool:
    """Whether one window covers the whole input, so that stride and padding say nothing."""
    return getattr(op, "padding", None) is Padding.VALID and getattr(op, "kernel", None) == source[:2]
