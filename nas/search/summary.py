"""How a search ended."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from nas.search.records import Drawn, Record
from nas.search.selection import front, most_accurate

Status = Literal["complete", "exhausted", "stopped"]


@dataclass(frozen=True, slots=True)
class RunSummary:
    """A search that has ended, and where it stands.

    ``status`` is ``complete`` when all candidates wanted are trained, ``exhausted`` when the space holds no more within
    the budget, ``stopped`` when a signal came; ``message`` then says how to go on. ``front``: numbers of the candidates
    on it, the fastest first. ``best``: the most accurate of them on the validation split; ``best_model`` is its int8
    file. ``seconds``: wall time since the search was started or resumed.
    """

    path: Path
    status: Status
    message: str
    trained: int
    failed: int
    drawn: Drawn
    front: tuple[int, ...]
    best: int | None
    best_model: Path | None
    seconds: float

    @classmethod
    def of(
        cls, path: Path, records: Collection[Record], status: Status, message: str, drawn: Drawn, seconds: float
    ) -> RunSummary:
        """The summary of the run in folder ``path``."""
        best = most_accurate(records)
        trained = sum(record.status == "complete" for record in records)
        if not message and best is None:
            message = f"none of the {trained} trained candidates reaches the budget's least accuracy"
        return cls(
            path=path,
            status=status,
            message=message,
            trained=trained,
            failed=sum(record.status == "failed" for record in records),
            drawn=drawn,
            front=tuple(record.number for record in front(records)),
            best=best.number if best else None,
            best_model=path / best.best.model if best and best.best else None,
            seconds=seconds,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return {
            "run": str(self.path),
            "status": self.status,
            "message": self.message,
            "trained": self.trained,
            "failed": self.failed,
            "draws": self.drawn.draws,
            "rejected": self.drawn.rejected,
            "rejected_share": self.drawn.share,
            "rejected_by_bound": self.drawn.bounds,
            "duplicates": self.drawn.duplicates,
            "front": list(self.front),
            "best": self.best,
            "best_model": None if self.best_model is None else str(self.best_model),
            "seconds": self.seconds,
        }
