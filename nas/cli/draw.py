"""``nas draw``: a network as a picture, or as a table of its operations."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nas import units
from nas.cli.options import Network
from nas.cli.output import Json, Output, Quiet, table

if TYPE_CHECKING:
    from nas.report.operations import Anatomy, Operation


def draw(
    network: Network,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The picture, .svg or .html; else a table is printed.")
    ] = None,
    target: Annotated[
        str | None, typer.Option("--target", "-t", help="Microcontroller whose plan is shown too: cycles, arena.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Picture a network: shapes, MACs, parameters and bytes of every operation, and how tensors flow."""
    from nas.report import drawing
    from nas.report.operations import take_apart

    file = None if out is None else drawing.check_suffix(out)
    anatomy = take_apart(network, target)
    document = anatomy.to_json()
    if file is None:
        lines = _lines(anatomy)
    else:
        document["file"] = str(drawing.draw(anatomy, file))
        lines = iter([f"wrote {file}: {drawing.facts(anatomy)[0]}"])
    Output(json, quiet).result(document, lines)


def _lines(anatomy: Anatomy) -> Iterator[str]:
    from nas.report.drawing import columns, facts, figure
    from nas.report.text import printable

    yield printable(anatomy.title)
    yield from facts(anatomy)
    told = columns(anatomy)
    rows = [(*map(printable, _words(row)), *(figure(column.value(row)) for column in told)) for row in anatomy.rows]
    whole = ("whole network", "", "", "", *(column.total for column in told))
    headings = [column.heading for column in told]
    yield from table(("operation", "inputs", "output", "shape", *headings), [*rows, whole])


def _words(row: Operation) -> tuple[str, ...]:
    return ", ".join([row.heading, *row.remarks]), ", ".join(row.inputs), row.name, units.extents(row.shape)


COMMANDS = {"draw": draw}
