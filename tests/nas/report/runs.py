"""A run made by hand."""

from __future__ import annotations

from pathlib import Path

from nas.search.config import SearchConfig
from nas.search.records import Drawn, Record, Rejected, Training
from nas.search.run import Run

KINDS = {
    "params": "exact",
    "macs": "exact",
    "sram_bytes": "fitted (± 5 %)",
    "flash_bytes": "exact",
    "seconds": "estimate (unverified)",
    "joules": "estimate (unverified)",
}


def resources(milliseconds: float) -> dict[str, int | float]:
    return {
        "params": 1000,
        "macs": round(20_000 * milliseconds),
        "sram_bytes": round(1024 * milliseconds),
        "flash_bytes": 20 * 1024,
        "seconds": milliseconds / 1e3,
        "joules": milliseconds * 42e-6,
    }


def training(accuracy: float, model: str) -> Training:
    return Training(
        val_accuracy=accuracy,
        float_val_accuracy=accuracy + 0.01,
        fake_quant_val_accuracy=accuracy,
        curve=[],
        train_seconds=2.0,
        model=model,
    )


def candidate(number: int, milliseconds: float, accuracy: float | None, **changes: object) -> Record:
    """Drawn after ten draws of which six were rejected; failed where there is no accuracy."""
    rejected = Rejected(
        priority=number / 10,
        choices={"width": 8 * number, "note": "a<b"},
        resources=resources(20.0 + number),
        violations={"macs": 1.0, "seconds": 1.0 + number / 10 if number % 2 else -0.1},
    )
    accuracy_violation = {} if accuracy is None else {"min_accuracy": (0.7 - accuracy) / 0.7}
    record = Record(
        number=number,
        generation=0,
        choices={"width": number, "residual": False},
        digest=f"{number:064d}",
        resources=resources(milliseconds),
        kinds=KINDS,
        constraints={"macs": -0.5, "seconds": -0.5, **accuracy_violation},
        drawn=Drawn(draws=10, rejected=6, bounds={"macs": 5, "seconds": 4}, sample=(rejected,)),
        status="failed" if accuracy is None else "complete",
        why="diverged" if accuracy is None else None,
        training=None if accuracy is None else training(accuracy, f"models/{number:05d}.int8"),
    )
    return record.changed(**changes)


def make_run(folder: Path) -> Run:
    """Front: 2 (1 ms), 0 (2 ms), 3 (4 ms, promoted). 1 is dominated, 4 failed, 5 is below the least accuracy."""
    config = SearchConfig.of(task="digits", budget="macs=200k,seconds=10ms,min_accuracy=70%")
    with Run.claim(folder, config) as run:
        for record in (
            candidate(0, 2.0, 0.9, test_accuracy=0.88),
            candidate(1, 3.0, 0.85),
            candidate(2, 1.0, 0.8, test_accuracy=0.79),
            candidate(3, 4.0, 0.91, test_accuracy=0.95, final=training(0.97, "models/00003-final.int8")),
            candidate(4, 0.5, None),
            candidate(5, 0.5, 0.6),
        ):
            run.save_record(record)
    return Run.open(folder)
