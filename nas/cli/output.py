"""What a command prints: one JSON document, or lines for people; everything else goes to standard error."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas.cli.errors import tell

if TYPE_CHECKING:
    from rich.table import Table

_WIDE = 200
"""Columns of a table where no terminal says how wide it is: nothing is cut, nothing is folded."""

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of lines.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print the result alone, no progress.")]


@dataclass(frozen=True, slots=True)
class Output:
    """Standard output of one command, as ``--json`` and ``--quiet`` want it."""

    json: bool
    quiet: bool

    def result(self, document: Mapping[str, Any], lines: Iterable[str]) -> None:
        """Prints the result: ``document`` with ``--json``, else ``lines``."""
        if self.json:
            print(json.dumps(_plain(document), indent=2, allow_nan=False))
        else:
            for line in lines:
                print(line)

    def note(self, line: str) -> None:
        """Says on standard error what is going on, unless that was declined."""
        if not self.quiet:
            tell(line)


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Lines of a table with aligned columns; columns that hold numbers stand to the right."""
    body = [list(row) for row in rows]
    right = [bool(body) and all(_numeric(row[i]) for row in body if row[i]) for i in range(len(headers))]
    widths = [max(len(row[i]) for row in [list(headers), *body]) for i in range(len(headers))]

    def line(row: Sequence[str]) -> str:
        cells = (c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True))
        return "  ".join(cells).rstrip()

    head = line(headers)
    return [f"\x1b[1m{head}\x1b[0m" if sys.stdout.isatty() else head, *(line(row) for row in body)]


def rendered(grid: Table) -> list[str]:
    """Lines of a table of rich: with its frame on a terminal, without one elsewhere; the title in a line of its own."""
    from rich.console import Console

    console = Console(width=None if sys.stdout.isatty() else _WIDE)
    if not console.is_terminal:
        grid.box = None
        grid.pad_edge = False
    title, grid.title = grid.title, None
    with console.capture() as capture:
        console.print(grid)
    return [str(title or ""), *(line.rstrip() for line in capture.get().splitlines())]


def _numeric(cell: str) -> bool:
    return cell[0].isdigit() or (cell[0] in "-+±<" and len(cell) > 1 and cell[1].isdigit())


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: both become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
