"""Where the boxes and edges of a network's drawing lie: one row per operation, skips in lanes at the left.

Rows follow the order in which the operations run. What an operation reads from the row above comes straight down the
spine; everything else leaves its box to the left, goes down a lane of its own and enters its reader from the left. A
box begins to the right of all lanes beside it, so no edge ever crosses a box, and what a skip passes is indented like a
block of code. All boxes end at the same right edge. Lengths are in pixels, y points down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

ROW, BOX = 50, 38
"""Height of a row and of the box in it."""

LANE = 14
"""Distance between lanes."""

SPINE = 26
"""Where the spine meets a box, from the left edge of the box that is indented most."""

_EXIT = 9
"""How far above a box's lower edge its skip leaves it."""

_ENTRIES = (6, 22)
"""Between which distances from a box's upper edge skips enter it."""

_RADIUS = 6

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle; ``x`` and ``y`` are its upper left corner."""

    x: float
    y: float
    width: float
    height: float

    @property
    def right(self) -> float:
        return self.x + self.width

    @property
    def bottom(self) -> float:
        return self.y + self.height


@dataclass(frozen=True, slots=True)
class Edge:
    """The way from row ``source`` to row ``target``: corner points from box to box; ``lane`` is None on the spine."""

    source: int
    target: int
    lane: int | None
    points: tuple[Point, ...]

    @property
    def path(self) -> str:
        """The way as an SVG path with rounded corners."""
        (x, y), *_ = self.points
        path = f"M{x:g},{y:g}"
        for before, corner, after in zip(self.points, self.points[1:], self.points[2:], strict=False):
            start, end = _towards(corner, before), _towards(corner, after)
            path += f"L{start[0]:g},{start[1]:g}Q{corner[0]:g},{corner[1]:g} {end[0]:g},{end[1]:g}"
        x, y = self.points[-1]
        return f"{path}L{x:g},{y:g}"

    @property
    def head(self) -> str:
        """The arrow's head as an SVG path: a triangle whose tip is the last point."""
        x, y = self.points[-1]
        if self.lane is None:
            return f"M{x:g},{y:g}l-3.5,-5.5h7z"
        return f"M{x:g},{y:g}l-6,-3.5v7z"


@dataclass(frozen=True, slots=True)
class Layout:
    """A box for every row, and the edges between them."""

    boxes: tuple[Box, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True, slots=True)
class _Skip:
    """A tensor that somebody reads past the spine: from its row to its last such reader, in a lane."""

    first: int
    last: int
    lane: int


def lay_out(reads: Sequence[Sequence[int]], left: float, top: float, width: float) -> Layout:
    """Places the rows, of which row ``i`` reads the rows ``reads[i]``, all of them smaller than ``i``.

    The drawing's upper left corner is (``left``, ``top``); the box that is indented most is ``width`` wide.
    """
    side = {i: sorted({j for j in sources if j != i - 1}) for i, sources in enumerate(reads)}
    skips = _assign_lanes(side)
    indents = [0] * len(reads)
    for skip in skips.values():
        for row in range(skip.first, skip.last + 1):
            indents[row] = max(indents[row], skip.lane + 1)
    most = max(indents, default=0)
    right = left + most * LANE + width
    boxes = tuple(
        Box(left + indent * LANE, top + row * ROW, right - left - indent * LANE, BOX)
        for row, indent in enumerate(indents)
    )
    spine = left + most * LANE + SPINE
    edges = []
    for row, sources in enumerate(reads):
        if row - 1 in sources:
            edges.append(Edge(row - 1, row, None, ((spine, boxes[row - 1].bottom), (spine, boxes[row].y))))
        entries = _spread(*_ENTRIES, len(side[row]))
        # The lane nearest to the box enters first, so that lines which turn into one box do not cross.
        for source, down in zip(sorted(side[row], key=lambda s: -skips[s].lane), entries, strict=True):
            lane = skips[source].lane
            edges.append(Edge(source, row, lane, _around(boxes[source], boxes[row], left + lane * LANE, down)))
    return Layout(boxes, tuple(edges))


def _around(source: Box, target: Box, x: float, down: float) -> tuple[Point, ...]:
    """From the left side of one box along the lane at ``x`` into the left side of another."""
    start, end = source.bottom - _EXIT, target.y + down
    return ((source.x, start), (x, start), (x, end), (target.x, end))


def _assign_lanes(side: dict[int, list[int]]) -> dict[int, _Skip]:
    """A lane for each row that others read past the spine, by row; lanes count from the left.

    ``side`` are the rows that each row reads so. Taken in order, each skip gets the free lane with the fewest crossings
    with those before it, the leftmost of equals.
    """
    readers: dict[int, list[int]] = {}
    for reader, sources in side.items():
        for source in sources:
            readers.setdefault(source, []).append(reader)
    placed: dict[int, _Skip] = {}
    for source in sorted(readers):
        last = readers[source][-1]
        beside = [skip for skip in placed.values() if skip.first < last and source < skip.last]
        taken = {skip.lane for skip in beside}
        free = [lane for lane in range(max(taken, default=-1) + 2) if lane not in taken]
        lane = min(free, key=lambda lane: _crossings(lane, source, readers, beside))
        placed[source] = _Skip(source, last, lane)
    return placed


def _crossings(lane: int, source: int, readers: dict[int, list[int]], beside: list[_Skip]) -> int:
    """How often the skip of ``source`` in ``lane`` would cross the skips ``beside`` it."""
    last = readers[source][-1]
    count = 0
    for skip in beside:
        if skip.lane > lane:  # our turns into boxes cross its lane
            count += sum(skip.first < row < skip.last for row in (source, *readers[source]))
        else:  # its turns into boxes cross ours
            count += sum(source < row < last for row in (skip.first, *readers[skip.first]))
    return count


def _spread(first: float, last: float, count: int) -> list[float]:
    """``count`` distances, evenly spread between two; one alone lies in the middle."""
    if count < 2:
        return [(first + last) / 2] * count
    return [first + (last - first) * i / (count - 1) for i in range(count)]


def _towards(corner: Point, other: Point) -> Point:
    """The point where the rounding of a corner begins, on the way to ``other``."""
    (x, y), (u, v) = corner, other
    length = abs(u - x) + abs(v - y)  # the ways run along the axes
    part = min(_RADIUS, length / 2) / length if length else 0
    return x + (u - x) * part, y + (v - y) * part
