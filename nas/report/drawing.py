"""A network as a picture: its operations from top to bottom, what each costs beside it, and where its tensors go."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

from firmware.files import atomic_write
from nas import units
from nas.report.layout import ROW, Box, lay_out
from nas.report.operations import FRONT_END_KIND, INPUT_KIND, Anatomy, Operation
from nas.report.page import environment
from nas.report.text import fitted, printable, text_width
from search_spaces.errors import NasError

SVG, HTML = ".svg", ".html"

MARGIN, GAP, CELL, AIR = 28, 34, 104, 16
"""Around everything; between boxes and figures; least width of a column of figures, and what stays empty of it."""

HEAD, LINE = 94, 19
"""Height of what stands above the first row (title, headings, totals), and of each line of facts among it."""

NARROWEST, WIDEST = 260, 430
"""Of the box that is indented most; its width follows its texts."""

TITLE_SIZE, FACTS_SIZE, HEADING_SIZE, DETAILS_SIZE = 20.0, 13.0, 12.5, 11.0

PAD = 10
"""Between a box's edges and its texts."""

FAMILIES = {
    "Conv2D": "conv",
    "DepthwiseConv2D": "depthwise",
    "FullyConnected": "dense",
    "MaxPool": "resize",
    "AvgPool": "resize",
    "UpsampleNearest": "resize",
    "Add": "join",
    "Mul": "join",
    INPUT_KIND: "input",
    FRONT_END_KIND: "input",
}
"""Which colour a kind of operation has; ``other`` where it is not here."""

LANE_COLOURS = 3


@dataclass(frozen=True, slots=True)
class Column:
    """Figures beside the boxes: what each row has, and how the whole network's is told.

    ``whole`` is also what the bars under the figures are shares of; None where the largest figure is that.
    """

    heading: str
    value: Callable[[Operation], float | None]
    total: str
    whole: float | None = None


class _Figure(NamedTuple):
    """A figure beside a box: its right end, its text, and the bar under it."""

    right: float
    text: str
    bar: float


def columns(anatomy: Anatomy) -> list[Column]:
    """The figures of a network, of its plan too where it has one."""
    graph, resources = anatomy.graph, anatomy.resources
    found = [
        Column("output bytes", _own_bytes, ""),
        Column("MACs", lambda row: row.macs, units.number(graph.macs)),
        Column("parameters", lambda row: row.params, units.number(graph.params)),
        Column("weight bytes", lambda row: row.weights_bytes, units.number(anatomy.weights_bytes)),
    ]
    if resources is not None:
        arena = resources.arena_bytes
        found += [
            Column("cycles", _cycles, units.number(resources.cycles)),
            Column("arena bytes", _live_bytes, units.number(arena), float(arena)),
        ]
    return found


def draw(anatomy: Anatomy, file: str | Path) -> Path:
    """Writes the picture of a network to ``file``, by its suffix .svg, or .html with a table; returns the path.

    Raises NasError for any other suffix and where the file cannot be written.
    """
    path = check_suffix(file)
    return atomic_write(path, svg(anatomy) if path.suffix.lower() == SVG else html(anatomy))


def check_suffix(file: str | Path) -> Path:
    """``file`` as a path; raises NasError unless its suffix is one that is drawn to."""
    path = Path(file)
    if path.suffix.lower() not in (SVG, HTML):
        raise NasError(f"drawing {str(file)!r} has the suffix {path.suffix!r}; {SVG} or {HTML} expected")
    return path


def svg(anatomy: Anatomy) -> str:
    """The picture by itself; it follows the reader's choice of light or dark."""
    rows, told, lines = anatomy.rows, columns(anatomy), facts(anatomy)
    head = HEAD + LINE * len(lines)
    number = {row.name: i for i, row in enumerate(rows)}
    layout = lay_out([[number[name] for name in row.inputs] for row in rows], MARGIN, head, _box_width(rows))
    widths = [_column_width(column, rows) for column in told]
    ends = [layout.boxes[0].right + GAP + end for end in accumulate(widths)]
    width = math.ceil(ends[-1]) + MARGIN
    sources = {edge.source for edge in layout.edges if edge.lane is not None}
    colour = {source: i % LANE_COLOURS for i, source in enumerate(sorted(sources))}
    return (
        environment()
        .get_template("network.svg.j2")
        .render(
            title=printable(anatomy.title),
            shown_title=fitted(printable(anatomy.title), TITLE_SIZE, width - 2 * MARGIN, bold=True),
            facts=[fitted(line, FACTS_SIZE, width - 2 * MARGIN) for line in lines],
            line_height=LINE,
            width=width,
            height=head + ROW * len(rows) + MARGIN - 12,
            margin=MARGIN,
            head=head,
            pad=PAD,
            headings=[(end, column.heading, column.total) for end, column in zip(ends, told, strict=True)],
            edges=[(edge, "spine" if edge.lane is None else f"lane{colour[edge.source]}") for edge in layout.edges],
            rows=[
                (_texts(row, box), box, cells)
                for row, box, cells in zip(rows, layout.boxes, _figures(rows, told, ends, widths), strict=True)
            ],
        )
    )


def html(anatomy: Anatomy) -> str:
    """A page with the picture and a table of everything that is known about each operation; it needs nothing else."""
    told = columns(anatomy)
    settings = [name for name in ("kernel", "stride", "dilation", "padding") if _anybody_has(anatomy, name)]
    headings = ["operation", "reads", "writes", "shape (HWC)", *settings, "fused"]
    if anatomy.plan is not None:
        headings.append("on the chip")
    return (
        environment()
        .get_template("network.html.j2")
        .render(
            title=printable(anatomy.title),
            picture=svg(anatomy),
            headings=headings,
            figures=[column.heading for column in told],
            totals=[column.total for column in told],
            rows=[
                (
                    i,
                    [printable(cell) for cell in _cells(row, settings, anatomy.plan is not None)],
                    [figure(column.value(row)) for column in told],
                )
                for i, row in enumerate(anatomy.rows)
            ],
        )
    )


def facts(anatomy: Anatomy) -> list[str]:
    """A few lines about the whole network."""
    graph, resources = anatomy.graph, anatomy.resources
    shapes = f"input {units.extents(graph.input_shape)}, output {units.extents(graph.output_shape)}"
    lines = [
        f"{len(graph.ops)} operations, {typeset(shapes)}, {units.number(graph.params)} parameters, "
        f"{units.number(graph.macs)} MACs (exact)"
    ]
    if (front := graph.frontend) is not None:
        lines.append(
            f"front end {front.name}: {front.sample_rate / 1000:g} kHz, {units.number(front.samples)} samples, "
            f"{units.number(front.low_hz)} to {units.number(front.high_hz)} Hz"
        )
    if anatomy.plan is not None and resources is not None:
        kind = resources.kinds
        lines += [
            f"on {anatomy.plan.target.title}",
            f"{units.seconds(resources.seconds)}, {kind['seconds']}; cycles {kind['cycles']}; "
            f"arena {units.size(resources.arena_bytes)}, {kind['arena_bytes']}",
        ]
    return lines


def typeset(text: str) -> str:
    """``3x3`` as 3×3, wherever an x stands between digits."""
    return re.sub(r"(?<=\d)x(?=\d)", "×", text)


class _Texts(NamedTuple):
    """What stands in a box and, on hover, about it; ``styles`` are its classes."""

    heading: str
    shape: str
    details: str
    name: str
    hover: str
    styles: str


def _texts(row: Operation, box: Box) -> _Texts:
    room = box.width - 2 * PAD
    shape = typeset(units.extents(row.shape))
    heading = fitted(typeset(row.heading), HEADING_SIZE, room - text_width(shape, HEADING_SIZE) - PAD, bold=True)
    details = fitted(_remarks(row), DETAILS_SIZE, room)
    left = room - text_width(details, DETAILS_SIZE) - (PAD if details else 0)
    reads = f" reads {', '.join(row.inputs)}" if row.inputs else ""
    hover = [f"{row.name}: {row.heading}{reads}", *row.remarks, f"output {units.extents(row.shape)}"]
    styles = FAMILIES.get(row.kind, "other")
    if row.on_target is not None and not row.on_target.writes:
        styles += " free"
    return _Texts(
        heading, shape, details, fitted(printable(row.name), DETAILS_SIZE, left), printable("; ".join(hover)), styles
    )


def _box_width(rows: Sequence[Operation]) -> float:
    """Wide enough for the texts of every row, within bounds."""
    needed = [
        max(
            text_width(typeset(row.heading), HEADING_SIZE, bold=True)
            + text_width(typeset(units.extents(row.shape)), HEADING_SIZE),
            text_width(_remarks(row), DETAILS_SIZE) + text_width(printable(row.name), DETAILS_SIZE),
        )
        for row in rows
    ]
    return min(max(NARROWEST, math.ceil(max(needed)) + 3 * PAD), WIDEST)


def _remarks(row: Operation) -> str:
    return printable(typeset(" · ".join(row.remarks)))


def _column_width(column: Column, rows: Sequence[Operation]) -> int:
    """With room for the widest figure and some air."""
    figures = max(text_width(figure(column.value(row)), HEADING_SIZE) for row in rows)
    total = text_width(column.total, HEADING_SIZE, bold=True)
    return max(CELL, math.ceil(max(figures, total)) + AIR)


def _figures(
    rows: Sequence[Operation], told: Sequence[Column], ends: Sequence[float], widths: Sequence[int]
) -> Iterator[list[_Figure]]:
    """The figures beside each row; the bar under each is its share of the column's whole, or of its largest."""
    most = [column.whole or max(column.value(row) or 0 for row in rows) for column in told]
    for row in rows:
        values = [column.value(row) or 0 for column in told]
        yield [
            _Figure(end, figure(value), round((width - AIR) * value / whole, 1))
            for end, width, value, whole in zip(ends, widths, values, most, strict=True)
            if value
        ]


def _cells(row: Operation, settings: Sequence[str], planned: bool) -> list[str]:
    """One row of the page's table, without figures."""
    own = [_setting(row.settings[name]) if name in row.settings else "" for name in settings]
    fused = [word for word in row.details if word.startswith("ReLU")]
    cells = [typeset(row.heading), ", ".join(row.inputs), row.name, typeset(units.extents(row.shape)), *own, *fused]
    cells += [] if fused else [""]
    return [*cells, row.on_target.note if row.on_target else ""] if planned else cells


def _setting(value: object) -> str:
    return typeset(units.extents(value)) if isinstance(value, tuple) else str(value)


def _anybody_has(anatomy: Anatomy, name: str) -> bool:
    return any(name in row.settings for row in anatomy.rows)


def _own_bytes(row: Operation) -> float | None:
    """Of its output; nothing where the plan writes none."""
    return row.output_bytes if row.on_target is None or row.on_target.writes else None


def _cycles(row: Operation) -> float | None:
    return row.on_target.cycles if row.on_target else None


def _live_bytes(row: Operation) -> float | None:
    return row.on_target.live_bytes if row.on_target else None


def figure(value: float | None) -> str:
    """A figure as people read it; nothing where there is none, or nothing of it."""
    return units.number(value) if value else ""
