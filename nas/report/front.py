"""The front of a run as data and as tables."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.table import Table

from estimators.budget import Budget
from estimators.targets import load_target
from nas.search.filter import full_budget
from nas.search.pareto import hypervolume
from nas.search.records import Drawn, Record
from nas.search.run import Run
from nas.search.selection import MAXIMISE, front, objectives
from nas.units import percent, quantity

COLUMNS = (
    ("val_accuracy", "val"),
    ("test_accuracy", "test"),
    ("seconds", "latency"),
    ("sram_bytes", "SRAM"),
    ("flash_bytes", "flash"),
    ("joules", "energy"),
    ("macs", "MACs"),
    ("params", "params"),
)
"""Fields of a front's table and their headings."""

_UNITS = ((1e6, "M"), (1e3, "k"))

NARROW = 7
"""How many of them a terminal of 80 columns holds."""

ACCURACY_KINDS = {
    "val_accuracy": "measured (integer model, whole validation split)",
    "test_accuracy": "measured (integer model, whole test split, once)",
}


def candidate_row(record: Record) -> dict[str, Any]:
    """A trained candidate as plain values: accuracies are shares, resources are bytes, cycles, seconds and joules."""
    best = record.best
    return {
        "number": record.number,
        "val_accuracy": best.val_accuracy if best else None,
        "test_accuracy": record.test_accuracy,
        "float_val_accuracy": best.float_val_accuracy if best else None,
        "fake_quant_val_accuracy": best.fake_quant_val_accuracy if best else None,
        **record.resources,
        "promoted": record.final is not None,
        "model": best.model if best else None,
        "digest": record.digest,
        "choices": record.choices,
    }


def front_rows(run: Run) -> list[dict[str, Any]]:
    """The candidates on the front, the fastest first."""
    return [candidate_row(record) for record in front(run.records())]


def budget_of(run: Run) -> Budget:
    """The budget that the run's draws were held against: the configuration's, and the chip's own limits."""
    return full_budget(run.config.budget, load_target(run.config.target))


def rejected_rows(drawn: Drawn) -> list[tuple[str, int, float]]:
    """(bound, draws that violate it, their share of all draws), the strictest bound first."""
    rows = [(name, count, count / drawn.draws) for name, count in drawn.bounds.items()]
    return sorted(rows, key=lambda row: (-row[1], row[0]))


def kinds_of(records: list[Record]) -> dict[str, str]:
    """How far each column can be trusted; the same for all candidates of a run."""
    return {**(records[0].kinds if records else {}), **ACCURACY_KINDS}


def front_document(run: Run) -> dict[str, Any]:
    """All that a front says, as plain JSON values.

    ``hypervolume`` is the area between the front and ``reference``: accuracy 0 and the budget's latency, or where that
    is not bounded the slowest trained candidate's.
    """
    records = run.records()
    drawn = Drawn.total(record.drawn for record in records)
    trained = [record for record in records if record.best is not None]
    slowest = max((float(record.resources["seconds"]) for record in trained), default=0.0)
    budget = budget_of(run)
    reference = (0.0, slowest if budget.seconds is None else budget.seconds)
    members = front(records)
    config = run.config
    return {
        "task": config.task,
        "target": config.target,
        "space": config.space,
        "sampler": config.sampler,
        "seed": config.seed,
        "budget": budget.bounds(),
        "trained": len(trained),
        "failed": sum(record.status == "failed" for record in records),
        "draws": drawn.draws,
        "rejected": drawn.rejected,
        "rejected_share": drawn.share,
        "rejected_by_bound": drawn.bounds,
        "duplicates": drawn.duplicates,
        "kinds": kinds_of(records),
        "hypervolume": hypervolume([objectives(record) for record in members], reference, MAXIMISE),
        "reference": {"val_accuracy": reference[0], "seconds": reference[1]},
        "front": [candidate_row(record) for record in members],
    }


def front_table(run: Run) -> Table:
    """The front for a terminal, with the kind of every column below it."""
    records = run.records()
    columns = COLUMNS[:NARROW]
    table = _table(title(run), caption(records, columns))
    for heading in ("no.", *(heading for _, heading in columns)):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in (candidate_row(record) for record in front(records)):
        table.add_row(str(row["number"]), *(cell(name, row[name]) for name, _ in columns))
    return table


def rejected_table(run: Run) -> Table:
    """How many draws violated which bound; several at once count under each."""
    drawn = run.rejected()
    table = _table(rejected_line(drawn), "")
    table.add_column("bound")
    table.add_column("allowed", justify="right")
    table.add_column("draws over it", justify="right")
    table.add_column("share", justify="right")
    bounds = budget_of(run).bounds()
    for name, count, share in rejected_rows(drawn):
        table.add_row(name, quantity(name, bounds[name]), f"{count:,}", percent(share))
    return table


def title(run: Run) -> str:
    """What was searched, in one line."""
    return f"{run.config.task} on {run.config.target}, {budget_line(run)}"


def budget_line(run: Run) -> str:
    """The bounds that were asked for, for people."""
    limits = [
        f"{short_name(name)} {'≥' if name == 'min_accuracy' else '≤'} {cell(name, bound)}"
        for name, bound in run.config.budget.bounds().items()
    ]
    return f"budget {', '.join(limits)}" if limits else "budget: what the chip holds"


def latency_label(records: list[Record]) -> str:
    """What stands along the axis of latencies."""
    return f"latency in ms, {kinds_of(records).get('seconds', 'estimate')}"


def short_name(field: str) -> str:
    """What a field is called where there is little room."""
    known = {**dict(COLUMNS), "min_accuracy": "accuracy"}
    return known.get(field, field.removesuffix("_bytes"))


def rejected_line(drawn: Drawn) -> str:
    """The whole of the rejected draws in one line."""
    share = percent(drawn.share)
    return f"{drawn.rejected:,} of {drawn.draws:,} draws ({share}) violate the budget and were never trained"


def caption(records: list[Record], columns: Iterable[tuple[str, str]]) -> str:
    """Which columns are measured and which estimated."""
    kinds = kinds_of(records)
    return "\n".join(f"{heading}: {kinds[name]}" for name, heading in columns if name in kinds)


def _table(title: str, caption: str) -> Table:
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        caption=caption or None,
        caption_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1),
    )


def cell(name: str, value: float | None) -> str:
    """A value of a table, with three or four digits; a dash where there is none."""
    if value is None:
        return "-"
    if name.endswith("_bytes"):
        return f"{value / 1024:.1f} KiB"
    if name in ("macs", "params", "cycles"):
        return next((f"{value / unit:.4g} {letter}" for unit, letter in _UNITS if value >= unit), f"{value:g}")
    return quantity(name, value)
