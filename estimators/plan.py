"""What the firmware will do, decided once: the estimators read the plan, the emitter obeys it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from estimators import depthwise
from estimators import frontend as front_end
from estimators.arena import pack
from estimators.blocks import Block, Overlap
from estimators.kernels import IN_PLACE, Kernel, kernel_of
from estimators.overlap import OVERLAPPING, lag
from estimators.scratch import scratch_bytes
from estimators.targets import Target
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Add, Mul, Op, Scale, Shape, UpsampleNearest

Mode = Literal["speed"]
"""What the kernels are chosen for."""

MODES: Final[tuple[Mode, ...]] = get_args(Mode)


@dataclass(frozen=True, slots=True)
class Step:
    """One call of one kernel.

    ``reads`` names the tensors whose bytes the kernel reads, one for each input of ``op``: the input itself, or what it
    was made of by operations that cost no step. A Scale leaves the bytes as they are. An UpsampleNearest that is fused
    into an Add or Mul leaves them in their place too: the kernel finds its way by the shapes of ``reads``, reading row
    ``y * in // out``, columns likewise.

    ``in_place`` names the one of ``reads`` whose bytes the output takes over, ``overlaps`` the one with which it shares
    some: it starts no higher, and the kernel has read a byte of it by the time it writes there. Both are None when the
    output's bytes hold nothing else during the step. ``scratch_bytes`` of the arena at ``scratch_offset`` belong to the
    kernel during this step alone.
    """

    op: Op
    kernel: Kernel
    reads: tuple[str, ...]
    in_place: str | None = None
    overlaps: str | None = None
    scratch_bytes: int = 0
    scratch_offset: int = 0


@dataclass(frozen=True, slots=True)
class Placement:
    """A tensor's ``size`` bytes at ``offset`` of the arena, alive from step ``first`` to step ``last``, both included.

    The network's input is alive from step 0, its output to the last step. A Scale's output has the very placement of
    its input: the bytes are alive as long as any name for them is read.
    """

    offset: int
    size: int
    first: int
    last: int


@dataclass(frozen=True)
class Plan:
    """The steps of a network on a target, in order, and the place of every tensor in the arena.

    ``placements`` has an entry for every tensor that has bytes, input and output included: for all but those that a
    fused UpsampleNearest would write. ``sources`` names for every tensor the one that a step reads in its stead: itself
    unless a Scale or a fused UpsampleNearest made it. An output written in place shares its offset with the input it
    replaces. ``arena_bytes`` holds all tensors and scratch; offsets are multiples of 4. Weights play no part: equal
    graphs have equal plans.

    ``frontend_scratch`` is where the front end of a graph that has one works before the first step: apart from the
    network's input, which it writes, but over tensors that come later. None without a front end.
    """

    graph: Graph
    target: Target = field(repr=False)
    mode: Mode
    steps: tuple[Step, ...]
    sources: Mapping[str, str] = field(hash=False)
    placements: Mapping[str, Placement] = field(hash=False)
    arena_bytes: int
    frontend_scratch: int | None = None

    def shapes(self, step: Step) -> tuple[tuple[Shape, ...], Shape]:
        """Shapes (height, width, channels) of the tensors that a step reads, and of its output."""
        shapes = self.graph.shapes
        return tuple(shapes[name] for name in step.reads), shapes[step.op.output]


def lower(graph: Graph, target: Target, mode: Mode = "speed") -> Plan:
    """The plan for running ``graph`` on ``target``.

    Steps follow the graph's order, one for each operation but Scale and fused UpsampleNearest (see ``Step``). Fused is
    an UpsampleNearest that one operand of one Add or Mul reads, through Scales or not. Add, Mul, Sigmoid, Softmax and
    depthwise convolutions write over an input of the output's shape that nothing reads later under any name;
    convolutions, pooling and upsampling may run into such an input of any shape (``estimators.overlap``).

    A convolution's sum is not fused with the Add behind it: the convolution runs into its own input, so that its output
    needs no more than the few rows between them. A band of rows in scratch would need as much.

    Raises NasError for an unknown mode, for an operation without a kernel and for a graph that computes nothing.
    """
    if mode not in MODES:
        raise NasError(f"mode {mode!r} is unknown; known are {', '.join(MODES)}")
    sources, unwritten = _sources(graph)
    computing = [op for op in graph.ops if sources[op.output] == op.output]
    if not computing:
        raise NasError(f"network {graph.name!r} has nothing to compute: at least one operation besides Scale expected")
    reads = [tuple(sources[name] for name in op.inputs) for op in computing]
    last_use = {name: index for index, names in enumerate(reads) for name in names}
    last_use[sources[graph.output]] = len(computing) - 1
    steps = tuple(_step(graph, index, op, reads[index], last_use) for index, op in enumerate(computing))
    places, steps, arena_bytes, scratch = _place(graph, steps, last_use)
    placements = {name: places[sources[name]] for name in graph.shapes if name not in unwritten}
    return Plan(graph, target, mode, steps, sources, placements, arena_bytes, scratch)


def _sources(graph: Graph) -> tuple[dict[str, str], set[str]]:
    """For every tensor the one whose bytes are read in its stead, and the tensors that therefore are never written."""
    readers: dict[str, list[Op]] = {name: [] for name in graph.shapes}
    for op in graph.ops:
        for name in op.inputs:
            readers[name].append(op)
    sources, unwritten = {graph.input: graph.input}, set[str]()
    for op in graph.ops:
        fused = isinstance(op, UpsampleNearest) and _is_fused(graph, op, readers)
        if fused or (isinstance(op, Scale) and op.inputs[0] in unwritten):
            unwritten.add(op.output)
        sources[op.output] = sources[op.inputs[0]] if fused or isinstance(op, Scale) else op.output
    return sources, unwritten


def _is_fused(graph: Graph, op: UpsampleNearest, readers: Mapping[str, Sequence[Op]]) -> bool:
    """Whether one operand of one Add or Mul alone reads the output, which is no smaller than the input along any axis.

    One that shrinks is better kept itself than the larger tensor that it is taken from.
    """
    name = op.output
    while len(readers[name]) == 1:
        (reader,) = readers[name]
        if isinstance(reader, Scale):
            name = reader.output
            continue
        if not isinstance(reader, Add | Mul):
            return False
        source, out = graph.shapes[op.inputs[0]], graph.shapes[reader.output]
        # A single row or column repeats, be it to the operand's extent or to the output's.
        return all(source[axis] == 1 or source[axis] <= op.size[axis] == out[axis] for axis in (0, 1))
    return False


def _step(graph: Graph, index: int, op: Op, reads: tuple[str, ...], last_use: Mapping[str, int]) -> Step:
    kernel, shapes = kernel_of(op), graph.shapes
    read, out = [shapes[name] for name in reads], shapes[op.output]
    dying = [name for name in reads if last_use[name] == index]
    in_place = overlaps = None
    if kernel in OVERLAPPING:
        overlaps = next(iter(dying), None)
    elif kernel in IN_PLACE or depthwise.runs_in_place(op, read, out):
        in_place = next((name for name in dying if shapes[name] == out), None)
    return Step(op, kernel, reads, in_place, overlaps, scratch_bytes(kernel, op, read[0]))


def _place(
    graph: Graph, steps: tuple[Step, ...], last_use: Mapping[str, int]
) -> tuple[dict[str, Placement], tuple[Step, ...], int, int | None]:
    """Places every tensor that a step writes, and each step's scratch; in-place chains are one block.

    Also tells the arena's bytes, and where in it a front end works: in a step of its own before all others. Steps come
    back with their scratch's place, and overlapping only where tensors really share bytes.
    """
    shapes = graph.shapes
    first = {graph.input: 0} | {step.op.output: index for index, step in enumerate(steps)}
    size = {name: shapes[name][0] * shapes[name][1] * shapes[name][2] for name in first}
    owner = {graph.input: graph.input}
    last: dict[str, int] = {graph.input: last_use[graph.input]}
    for step in steps:
        name = step.op.output
        block = owner[step.in_place] if step.in_place is not None else name
        owner[name] = block
        last[block] = last_use[name]
    blocks = [Block(size[name], first[name], end) for name, end in last.items()]
    number = {name: index for index, name in enumerate(last)}
    overlaps = [
        Overlap(number[name], number[owner[source]], lag(step.op, shapes[source], shapes[name]))
        for step in steps
        if (source := step.overlaps) is not None and (name := step.op.output)
    ]
    needy = [index for index, step in enumerate(steps) if step.scratch_bytes]
    blocks += [Block(steps[index].scratch_bytes, index, index) for index in needy]
    if graph.frontend is not None:
        later = [Block(block.size, block.first + 1, block.last + 1) for block in blocks[1:]]
        work = Block(front_end.scratch_bytes(graph.frontend), 0, 0)
        blocks = [Block(blocks[0].size, 0, blocks[0].last + 1), *later, work]
    packing = pack(blocks, overlaps)
    scratch = None if graph.frontend is None else packing.offsets[-1]
    offsets = dict(zip(last, packing.offsets, strict=False))
    scratches = dict(zip(needy, packing.offsets[len(last) :], strict=False))
    placements = {
        name: Placement(offsets[block], size[name], first[name], last_use[name]) for name, block in owner.items()
    }
    placed = tuple([_placed(step, placements, scratches.get(index, 0)) for index, step in enumerate(steps)])
    return placements, placed, packing.size, scratch


def _placed(step: Step, placements: Mapping[str, Placement], scratch_offset: int) -> Step:
    """The step with its scratch's place, and overlapping what it may only where they do share bytes."""
    overlaps = step.overlaps
    if overlaps is not None:
        output, source = placements[step.op.output], placements[overlaps]
        if source.offset >= output.offset + output.size or output.offset >= source.offset + source.size:
            overlaps = None
    return Step(step.op, step.kernel, step.reads, step.in_place, overlaps, step.scratch_bytes, scratch_offset)
