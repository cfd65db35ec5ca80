"""What the firmware will do, decided once: the estimators read the plan, the emitter obeys it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

from estimators import depthwise
from estimators import frontend as front_end
from estimators.arena import pack
from estimators.blocks import Block, Overlap
from estimators.cycles import cycles_of
from estimators.kernels import IN_PLACE, kernel_of
from estimators.overlap import OVERLAPPING
from estimators.scratch import scratch_bytes
from estimators.segments import choose, neighbour, ring_bytes, scratch_of, size_of, step_scratch, whole
from estimators.steps import Placement, Segment, Step
from estimators.targets import Target
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Add, Mul, Op, Scale, Shape, UpsampleNearest

Mode = Literal["speed", "ram"]
"""What a plan is made for: the fewest cycles, or the smallest arena, with parts of the network computed by rows."""

MODES: Final[tuple[Mode, ...]] = get_args(Mode)


@dataclass(frozen=True)
class Plan:
    """The steps of a network on a target, in order, and the place of every tensor in the arena.

    ``placements`` has an entry for every tensor that has bytes, input and output included: for all but those that a
    fused UpsampleNearest would write. ``sources`` names for every tensor the one that a step reads in its stead: itself
    unless a Scale or a fused UpsampleNearest made it. An output written in place shares its offset with the input it
    replaces. ``arena_bytes`` holds all tensors and scratch; offsets are multiples of 4. Weights play no part: equal
    graphs have equal plans.

    ``segments`` are the runs of steps that take turns row by row, in order; mode "speed" has none.

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
    segments: tuple[Segment, ...] = ()

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

    Mode "ram" computes runs of steps row by row where that makes the arena smaller (``estimators.segments``).

    Raises NasError for an unknown mode, for an operation without a kernel and for a graph that computes nothing.
    """
    if mode not in MODES:
        raise NasError(f"mode {mode!r} is unknown; known are {', '.join(MODES)}")
    network = Lowered.of(graph)
    plan = network.plan(target, mode, network.alone)
    if mode == "ram":

        def cycles(step: Step, by_rows: bool) -> float:
            return cycles_of(target, step, *plan.shapes(step), by_rows)

        output = network.sources[graph.output]
        by_rows = choose(network.steps, graph.shapes, network.last_use, graph.input, output, cycles)
        plan = min(plan, network.plan(target, mode, by_rows), key=lambda each: each.arena_bytes)
    return plan


@dataclass(frozen=True)
class Lowered:
    """A network's steps, before anything has a place.

    ``sources`` are those of its plans; ``unwritten`` the tensors without bytes of their own. ``last_use`` tells the
    last step that reads a tensor; the output is read by the last of all.
    """

    graph: Graph
    steps: tuple[Step, ...]
    sources: Mapping[str, str]
    unwritten: Collection[str]
    last_use: Mapping[str, int]

    @classmethod
    def of(cls, graph: Graph) -> Lowered:
        sources, unwritten = _sources(graph)
        computing = [op for op in graph.ops if sources[op.output] == op.output]
        if not computing:
            raise NasError(
                f"network {graph.name!r} has nothing to compute: at least one operation besides Scale expected"
            )
        reads = [tuple(sources[name] for name in op.inputs) for op in computing]
        last_use = {name: index for index, names in enumerate(reads) for name in names}
        last_use[sources[graph.output]] = len(computing) - 1
        steps = tuple(_step(graph, index, op, reads[index], last_use) for index, op in enumerate(computing))
        return cls(graph, steps, sources, unwritten, last_use)

    @property
    def alone(self) -> tuple[Segment, ...]:
        """Every step by itself."""
        return tuple(whole(step, index, self.graph.shapes) for index, step in enumerate(self.steps))

    def plan(self, target: Target, mode: Mode, segments: Sequence[Segment]) -> Plan:
        """The plan with the steps of each segment row by row; ``segments`` hold all steps, most by themselves."""
        places, steps, arena_bytes, scratch = _place(self.graph, self.steps, self.last_use, segments)
        placements = {name: places[self.sources[name]] for name in self.graph.shapes if name not in self.unwritten}
        by_rows = tuple([segment for segment in segments if segment.end - segment.first > 1])
        return Plan(self.graph, target, mode, steps, self.sources, placements, arena_bytes, scratch, by_rows)


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
    graph: Graph, steps: tuple[Step, ...], last_use: Mapping[str, int], segments: Sequence[Segment]
) -> tuple[dict[str, Placement], tuple[Step, ...], int, int | None]:
    """Places every tensor that a step writes, and each step's scratch; in-place chains are one block.

    ``segments`` hold all steps in order, most by themselves; to whoever packs them each is a single moment. Also tells
    the arena's bytes, and where in it a front end works: in a moment of its own before all others. Steps come back with
    their scratch's place, and overlapping only where tensors really share bytes.
    """
    shapes = graph.shapes
    moment = [number for number, segment in enumerate(segments) for _ in range(segment.first, segment.end)]
    first = {graph.input: 0} | {step.op.output: moment[index] for index, step in enumerate(steps)}
    last_read = {name: moment[index] for name, index in last_use.items()}
    size = {name: size_of(shapes[name]) for name in first}
    owner = {graph.input: graph.input}
    last: dict[str, int] = {graph.input: last_read[graph.input]}
    near: dict[str, str] = {}
    overlaps: list[tuple[str, str, int]] = []
    for segment in segments:
        size.update(ring_bytes(segment, shapes))
        for step in steps[segment.first : segment.end]:
            name = step.op.output
            in_place = step.in_place if segment.end - segment.first == 1 else None
            block = name if in_place is None else owner[in_place]
            owner[name] = block
            last[block] = last_read[name]
        output = steps[segment.end - 1].op.output
        found = neighbour(segment, steps, shapes, last_use)
        if found is not None:
            near[output] = found.source
            overlaps.append((output, owner[found.source], found.lag))
    blocks = [Block(size[name], first[name], end) for name, end in last.items()]
    number = {name: index for index, name in enumerate(last)}
    needs = [(index, scratch_of(segment, steps, shapes)) for index, segment in enumerate(segments)]
    needy = [index for index, need in needs if need]
    blocks += [Block(need, index, index) for index, need in needs if need]
    if graph.frontend is not None:
        later = [Block(block.size, block.first + 1, block.last + 1) for block in blocks[1:]]
        work = Block(front_end.scratch_bytes(graph.frontend), 0, 0)
        blocks = [Block(blocks[0].size, 0, blocks[0].last + 1), *later, work]
    packing = pack(blocks, [Overlap(number[output], number[source], lag) for output, source, lag in overlaps])
    scratch = None if graph.frontend is None else packing.offsets[-1]
    offsets = dict(zip(last, packing.offsets, strict=False))
    scratches = dict(zip(needy, packing.offsets[len(last) :], strict=False))
    placements = {
        name: Placement(offsets[block], size[name], segments[first[name]].first, segments[last_read[name]].end - 1)
        for name, block in owner.items()
    }
    placed = tuple(
        [
            _placed(step, segments[now], near.get(step.op.output), placements, scratches.get(now, 0), shapes)
            for step, now in zip(steps, moment, strict=True)
        ]
    )
    return placements, placed, packing.size, scratch


def _placed(
    step: Step,
    segment: Segment,
    near: str | None,
    placements: Mapping[str, Placement],
    scratch_offset: int,
    shapes: Mapping[str, Shape],
) -> Step:
    """The step with its scratch's place, and overlapping what it may only where they do share bytes."""
    overlaps = near
    if overlaps is not None:
        output, source = placements[step.op.output], placements[overlaps]
        if source.offset >= output.offset + output.size or output.offset >= source.offset + source.size:
            overlaps = None
    by_rows = segment.end - segment.first > 1
    in_place = None if by_rows else step.in_place
    scratch = step_scratch(step, segment, shapes)
    return Step(
        step.op, step.kernel, step.reads, in_place, overlaps, scratch, scratch_offset if scratch else 0, by_rows
    )
