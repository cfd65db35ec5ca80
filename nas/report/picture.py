"""``front.svg``: the front as a still picture that reads well on light and on dark pages."""

from __future__ import annotations

import math
from dataclasses import dataclass

from nas.report.front import budget_line, budget_of, latency_label, rejected_line, rejected_rows, short_name
from nas.report.page import environment
from nas.search.records import Drawn, Record
from nas.search.run import Run
from nas.search.selection import front, objectives

WIDTH, LEFT, RIGHT, TOP, PLOT, ROW, BOTTOM = 860, 108, 24, 92, 340, 24, 52
"""Layout in pixels: the plot is ``PLOT`` high, each row of rejected draws ``ROW``."""

_STEPS = (1, 2, 5)
_SLACK = 1e-9
"""Of a step: what rounding may move a tick that stands on the end of its axis."""


@dataclass(frozen=True, slots=True)
class Axis:
    """Maps values to pixels, from ``low`` at ``start`` to ``high`` at ``end``; logarithmic where ``log``."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """Where a value lies, in pixels."""
        low, high, value = (math.log(v) if self.log else v for v in (self.low, self.high, value))
        return round(self.start + (value - low) / (high - low) * (self.end - self.start), 1)

    @property
    def ticks(self) -> list[float]:
        """Round values inside the axis: 1, 2 and 5 times powers of ten, or equal steps of such a size."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            values = [step * 10.0**decade for decade in decades for step in _STEPS]
        else:
            step = next(s for s in _steps() if (self.high - self.low) / s <= 7)
            first, last = math.ceil(self.low / step - _SLACK), math.floor(self.high / step + _SLACK)
            return [i * step for i in range(first, last + 1)]
        return [value for value in values if self.low <= value <= self.high]


def latency_axis(seconds: list[float]) -> Axis:
    """Logarithmic, in milliseconds, with some room at both ends."""
    values = [1e3 * value for value in seconds] or [1.0]
    return Axis(min(values) / 1.25, max(values) * 1.25, LEFT, WIDTH - RIGHT, log=True)


def accuracy_axis(shares: list[float]) -> Axis:
    """In per cent, from a little below the worst to a little above the best, no further than 100."""
    values = [100 * share for share in shares] or [0.0, 100.0]
    room = max(0.08 * (max(values) - min(values)), 0.5)
    return Axis(max(min(values) - room, 0), min(max(values) + room, 100), TOP + PLOT, TOP)


def front_svg(run: Run) -> str:
    """The picture: accuracy over latency of what was trained, the front's line, rejected draws below by bound."""
    records = [record for record in run.records() if record.best is not None]
    drawn = run.rejected()
    members = front(records)
    x = latency_axis(
        [objectives(record)[1] for record in records] + [draw.resources["seconds"] for draw in drawn.sample]
    )
    y = accuracy_axis([objectives(record)[0] for record in records])
    rows = rejected_rows(drawn)
    limit = budget_of(run).seconds
    return (
        environment()
        .get_template("front.svg.j2")
        .render(
            title=f"{run.config.task} on {run.config.target}",
            budget=budget_line(run),
            subtitle=f"{len(records)} trained; {rejected_line(drawn)}",
            width=WIDTH,
            height=TOP + PLOT + ROW * len(rows) + BOTTOM + (12 if rows else 0),
            left=LEFT,
            right=WIDTH - RIGHT,
            top=TOP,
            floor=TOP + PLOT,
            x_ticks=[(x.at(value), f"{value:g}") for value in x.ticks],
            y_ticks=[(y.at(value), f"{value:g}") for value in y.ticks],
            points=[(*_place(record, x, y), record.feasible) for record in records if record not in members],
            members=[_place(record, x, y) for record in members],
            path=_staircase([_place(record, x, y) for record in members]),
            limit=x.at(1e3 * limit) if limit is not None and x.low < 1e3 * limit < x.high else None,
            note_at=TOP + PLOT + 12 + ROW * len(rows) / 2,
            rows=_rows(rows, drawn, x),
            latency=latency_label(records),
            x_labels=TOP + PLOT + ROW * len(rows) + (12 if rows else 0),
        )
    )


def _place(record: Record, x: Axis, y: Axis) -> tuple[float, float]:
    accuracy, seconds = objectives(record)
    return x.at(1e3 * seconds), y.at(100 * accuracy)


def _staircase(points: list[tuple[float, float]]) -> str:
    """The path along the front: what it dominates lies below and to the right."""
    if not points:
        return ""
    (x, y), *rest = points
    return f"M{x},{y}" + "".join(f"H{across}V{up}" for across, up in rest)


def _rows(rows: list[tuple[str, int, float]], drawn: Drawn, x: Axis) -> list[tuple[float, str, list[float]]]:
    """(middle, label, ticks) of every bound's row of rejected draws."""
    return [
        (
            TOP + PLOT + 12 + ROW * (i + 0.5),
            f"{short_name(name)} {share:.0%}",
            [x.at(1e3 * draw.resources["seconds"]) for draw in drawn.sample if draw.violations.get(name, 0) > 0],
        )
        for i, (name, _, share) in enumerate(rows)
    ]


def _steps() -> list[float]:
    return [step * 10.0**power for power in range(-4, 3) for step in _STEPS]
