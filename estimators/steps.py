"""What a plan is made of: steps, segments of steps that take turns row by row, and places in the arena."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from estimators.kernels import Kernel
from search_spaces.ops import Op


@dataclass(frozen=True, slots=True)
class Step:
    """One call of one kernel, or one for each row of its output.

    ``reads`` names the tensors whose bytes the kernel reads, one for each input of ``op``: the input itself, or what it
    was made of by operations that cost no step. A Scale leaves the bytes as they are. An UpsampleNearest that is fused
    into an Add or Mul leaves them in their place too: the kernel finds its way by the shapes of ``reads``, reading row
    ``y * in // out``, columns likewise.

    ``in_place`` names the one of ``reads`` whose bytes the output takes over, ``overlaps`` the one with which it shares
    some: it starts no higher, and the kernel has read a byte of it by the time it writes there. Both are None when the
    output's bytes hold nothing else during the step. ``scratch_bytes`` of the arena at ``scratch_offset`` belong to the
    kernel during this step alone.

    ``by_rows`` is true in a ``Segment``: each call then makes one row. Of its last step, ``overlaps`` may name a tensor
    that an earlier step of the segment reads.
    """

    op: Op
    kernel: Kernel
    reads: tuple[str, ...]
    in_place: str | None = None
    overlaps: str | None = None
    scratch_bytes: int = 0
    scratch_offset: int = 0
    by_rows: bool = False


class Pace(NamedTuple):
    """A step of a segment makes row y of its output, ``rows`` in all, at tick ``delay + y * every``."""

    delay: int
    every: int
    rows: int

    @property
    def end(self) -> int:
        """The tick after its last row."""
        return self.delay + (self.rows - 1) * self.every + 1


@dataclass(frozen=True)
class Segment:
    """Steps ``first`` to ``end`` - 1 of a plan, computed together: in every tick each makes a row or none, in order.

    What the last one writes and what comes from outside lies whole in the arena. Any other tensor is a ring: row y
    of it lies in place y modulo ``rings[name]``, the ring's number of rows, until the last step that reads it has done
    so. ``paces`` has an entry for each step.
    """

    first: int
    end: int
    paces: tuple[Pace, ...]
    rings: Mapping[str, int] = field(hash=False)

    @property
    def ticks(self) -> int:
        return max(pace.end for pace in self.paces)


@dataclass(frozen=True, slots=True)
class Placement:
    """A tensor's ``size`` bytes at ``offset`` of the arena, alive from step ``first`` to step ``last``, both included.

    The network's input is alive from step 0, its output to the last step. A Scale's output has the very placement of
    its input: the bytes are alive as long as any name for them is read. Of a tensor that is a ring in a ``Segment``
    only the ring has bytes. All that a segment touches is alive through all of its steps.
    """

    offset: int
    size: int
    first: int
    last: int
