"""What the firmware will do, decided once: the estimators read the plan, the emitter obeys it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from estimators.arena import Block, pack
from estimators.kernels import IN_PLACE, Kernel, kernel_of
from estimators.targets import Target
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Op, Shape

Mode = Literal["speed"]
"""What the kernels are chosen for."""

MODES: Final[tuple[Mode, ...]] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class Step:
    """One call of one kernel.

    ``in_place`` names the input whose bytes the output takes over; None when the output has bytes of its own.
    ``scratch_bytes`` of the arena at ``scratch_offset`` belong to the kernel during this step alone.
    """

    op: Op
    kernel: Kernel
    in_place: str | None = None
    scratch_bytes: int = 0
    scratch_offset: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """A tensor's ``size`` bytes at ``offset`` of the arena, alive from step ``first`` to step ``last``, both included.

    The network's input is alive from step 0, its output to the last step.
    """

    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """The steps of a network on a target, in order, and the place of every tensor in the arena.

    ``placements`` has an entry for every tensor of the graph, input and output included; an output written in place
    shares its offset with the input it replaces. ``arena_bytes`` holds all tensors and scratch; offsets are multiples
    of 4. Weights play no part: equal graphs have equal plans.
    """

    graph: Graph
    target: Target = field(repr=False)
    mode: Mode
    steps: tuple[Step, ...]
    placements: Mapping[str, Placement] = field(hash=False)
    arena_bytes: int

    def shapes(self, step: Step) -> tuple[tuple[Shape, ...], Shape]:
        """Shapes (height, width, channels) of a step's inputs, and of its output."""
        shapes = self.graph.shapes
        return tuple(shapes[name] for name in step.op.inputs), shapes[step.op.output]


def lower(graph: Graph, target: Target, mode: Mode = "speed") -> Plan:
    """The plan for running ``graph`` on ``target``.

    Steps follow the graph's order, one per operation. Add, Mul, Sigmoid and Softmax write over an input of the
    output's shape that nothing reads later.

    Raises NasError for an unknown mode and for an operation without a kernel.
    """
    if mode not in MODES:
        raise NasError(f"mode {mode!r} is unknown; known are {', '.join(MODES)}")
    last_use = {name: step for step, op in enumerate(graph.ops) for name in op.inputs}
    last_use[graph.output] = len(graph.ops) - 1
    steps = tuple(_step(graph, index, op, last_use) for index, op in enumerate(graph.ops))
    placements, arena_bytes = _place(graph, steps, last_use)
    return Plan(graph, target, mode, steps, placements, arena_bytes)


def _step(graph: Graph, index: int, op: Op, last_use: Mapping[str, int]) -> Step:
    kernel = kernel_of(op)
    if kernel not in IN_PLACE:
        return Step(op, kernel)
    shapes = graph.shapes
    dying = (n for n in op.inputs if last_use[n] == index and shapes[n] == shapes[op.output])
    return Step(op, kernel, in_place=next(dying, None))


def _place(graph: Graph, steps: tuple[Step, ...], last_use: Mapping[str, int]) -> tuple[dict[str, Placement], int]:
    """Places every tensor; a chain of in-place steps is one block, alive from its first writer to its last reader."""
    first = {graph.input: 0} | {step.op.output: index for index, step in enumerate(steps)}
    size = {name: shape[0] * shape[1] * shape[2] for name, shape in graph.shapes.items()}
    owner = {graph.input: graph.input}
    last: dict[str, int] = {graph.input: last_use[graph.input]}
    for step in steps:
        name = step.op.output
        block = owner[step.in_place] if step.in_place is not None else name
        owner[name] = block
        last[block] = last_use[name]
    packing = pack([Block(size[name], first[name], end) for name, end in last.items()])
    offsets = dict(zip(last, packing.offsets, strict=True))
    placements = {
        name: Placement(offsets[block], size[name], first[name], last_use[name]) for name, block in owner.items()
    }
    return placements, packing.size
