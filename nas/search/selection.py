"""Who is drawn next, who is promoted, who stands on the front: decided from the records alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from nas.search.pareto import non_dominated, ranks
from nas.search.records import Record

MAXIMISE = (True, False)
"""Validation accuracy up, seconds per inference down."""


def next_generation(records: Collection[Record], trials: int, size: int) -> int | None:
    """The generation that the next candidate belongs to; None while results must be waited for, and in the end.

    A generation has ``size`` candidates, fewer when fewer are missing to ``trials`` complete ones. It begins when all
    before it have ended, which makes the outcome independent of who finishes first. Size 0 means one endless
    generation: a candidate is drawn whenever complete and running ones together fall short of ``trials``.
    """
    complete = sum(record.status == "complete" for record in records)
    running = sum(record.status == "running" for record in records)
    if size == 0:
        return 0 if complete + running < trials else None
    current = max((record.generation for record in records), default=0)
    members = [record for record in records if record.generation == current]
    before = complete - sum(record.status == "complete" for record in members)
    if len(members) < min(size, trials - before):
        return current
    return current + 1 if running == 0 and complete < trials else None


def objectives(record: Record) -> tuple[float, float]:
    """(validation accuracy, seconds per inference) of a candidate's best model; NaN before it has one."""
    best = record.best
    return (best.val_accuracy if best else float("nan"), float(record.resources["seconds"]))


def front(records: Collection[Record]) -> list[Record]:
    """The trained candidates within the budget that no other dominates, the fastest first."""
    feasible = [record for record in records if record.best is not None and record.feasible]
    mask = non_dominated([objectives(record) for record in feasible], MAXIMISE)
    members = [record for record, on_front in zip(feasible, mask, strict=True) if on_front]
    return sorted(members, key=lambda record: (*reversed(objectives(record)), record.number))


def most_accurate(records: Collection[Record]) -> Record | None:
    """The member of the front with the best validation accuracy, the faster where two share it."""
    return max(front(records), key=lambda record: (objectives(record)[0], -objectives(record)[1]), default=None)


def promotion(records: Sequence[Record], count: int) -> list[Record]:
    """The ``count`` best by the search's own training: rank by rank, the most accurate first.

    Those below the least accuracy count too: the longer training may bring them there.
    """
    trained = [record for record in records if record.training is not None and record.fits]
    values = [(r.training.val_accuracy, r.resources["seconds"]) for r in trained if r.training]
    rank = ranks(values, MAXIMISE)
    order = sorted(range(len(trained)), key=lambda i: (rank[i], -values[i][0], trained[i].number))
    return [trained[i] for i in order[:count]]
