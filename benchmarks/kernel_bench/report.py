"""What the measurements say beside peers and goals: as rows for the JSON file, as tables for people."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from kernel_bench.measure import Measured
from kernel_bench.peers import Goal, Record
from kernel_bench.platforms import Platform

_COLUMNS = (
    *("kernel or network", "MACs", "instructions", "per MAC", "reach", "aim", "cycles", "activation B", "code B"),
    *("stack B", "peer", "its count", "ours / peer"),
)


@dataclass(frozen=True, slots=True)
class Results:
    """All that was measured on one platform; ``failures`` tells why of each case that gave no result."""

    platform: Platform
    version: str
    rows: Sequence[Measured]
    failures: Sequence[str] = ()


def ratio(ours: int, theirs: int) -> float:
    """Our instructions over a peer's: below 1 where ours are fewer."""
    return ours / theirs


def verdict(value: float, limit: float | None) -> str:
    """Whether ``value`` stays within ``limit``: "yes", "no", or nothing where there is no limit."""
    if limit is None:
        return ""
    return "yes" if value <= limit else "no"


def in_unit(row: Measured, unit: str) -> float:
    """Instructions in a goal's unit."""
    return row.instructions if unit == "inference" else row.instructions / row.units


def json_rows(results: Sequence[Results], record: Record) -> list[dict[str, Any]]:
    """A row for every measurement and peer, with null for the peer of a measurement that has none; always in order."""
    rows: list[dict[str, Any]] = []
    for result in results:
        target = result.platform.target
        for row in result.rows:
            ours = {
                "target": target,
                "compiler": result.platform.compiler,
                "name": row.case.name,
                "macs": row.macs,
                "instructions": row.instructions,
                "activation_bytes": row.activation_bytes,
                "code_bytes": row.code_bytes,
            }
            peers = record.counts(target, row.case.name, row.macs)
            rows += [{**ours, "peer": peer, "peer_instructions": count} for peer, count in peers]
            if not peers:
                rows.append({**ours, "peer": None, "peer_instructions": None})
    return rows


def table(result: Results, record: Record) -> Table:
    """One platform's table: a line for every measurement, and one for every further peer of it."""
    grid = Table(title=f"{result.platform.target}, {result.version}")
    for index, name in enumerate(_COLUMNS):
        left = name in (_COLUMNS[0], "peer")
        grid.add_column(name, justify="left" if left else "right", no_wrap=index == 0)
    for row in result.rows:
        target, case = result.platform.target, row.case.name
        ours = _cells(row, record.goal_of(target, case))
        peers = record.counts(target, case, row.macs)
        if not peers:
            grid.add_row(*ours)
        for peer, count in peers:
            grid.add_row(*ours, peer, f"{count:,}", f"{ratio(row.instructions, count):.2f}")
            ours = [""] * len(ours)
    return grid


def _cells(row: Measured, goal: Goal | None) -> list[str]:
    per = row.instructions / row.units
    cells = [row.case.name, f"{row.macs:,}", f"{row.instructions:,}"]
    cells.append(f"{per:.2f}" if row.case.unit == "MAC" else f"{per:.2f} / {row.case.unit}")
    for limit in (None, None) if goal is None else (goal.reach, goal.aim):
        cells.append("" if goal is None or limit is None else f"{limit:,} {verdict(in_unit(row, goal.unit), limit)}")
    cells.append(f"{row.cycles:,}")
    for value, most in (
        (row.activation_bytes, None if goal is None else goal.activation_bytes),
        (row.code_bytes, None if goal is None else goal.code_bytes),
    ):
        cells.append(f"{value:,} {verdict(value, most)}".rstrip())
    return [*cells, f"{row.stack_bytes:,}"]


def profile_table(platform: Platform, row: Measured) -> Table:
    """Instructions by function, most first."""
    grid = Table(title=f"{row.case.name} on {platform.title}: {row.instructions:,} instructions")
    for name in ("function", "instructions", "share", "per MAC" if row.case.unit == "MAC" else "per element"):
        grid.add_column(name, justify="left" if name == "function" else "right")
    for name, count in row.functions.items():
        grid.add_row(name, f"{count:,}", f"{100 * count / row.instructions:.1f} %", f"{count / row.units:.3f}")
    return grid


def sources(record: Record, target: str) -> list[str]:
    """Where the peers' counts on ``target`` come from."""
    return [f"{peer.name}: {peer.source}" for peer in record.peer if peer.target == target]
