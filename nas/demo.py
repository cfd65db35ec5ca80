"""The whole way on real images within minutes: search, train, export to C, run on the core, compare."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from firmware.validate import Validation
    from nas.search.config import SearchConfig
    from nas.search.progress import Progress
    from nas.search.run import Run
    from nas.search.summary import RunSummary

TASK, TARGET = "digits", "stm32l4r9"
BUDGET = "sram_bytes=8KiB,flash_bytes=48KiB,seconds=8ms"
"""Tight enough that most draws from the space violate it, and wide enough for 97 % of the test images."""

TRIALS, PROMOTED, JOBS = 12, 2, 2
VECTORS = 50
"""Test images that the virtual core runs; this machine runs the whole test split."""

FIRMWARE = "firmware"
"""Folder of the exported C, inside the run folder."""


@dataclass(frozen=True, slots=True)
class Demo:
    """What a demonstration brought: the run with its summary, the exported folder, what was measured, wall seconds."""

    run: Run
    summary: RunSummary
    folder: Path
    validation: Validation
    seconds: float


def configuration() -> SearchConfig:
    """The search of the demonstration."""
    from nas.search.config import SearchConfig

    return SearchConfig.of(
        task=TASK,
        target=TARGET,
        budget=BUDGET,
        trials=TRIALS,
        promote=PROMOTED,
        executor="processes",
        jobs=JOBS,
    )


def demonstrate(run_folder: Path, progress: Progress, found: Callable[[Run], None]) -> Demo | RunSummary:
    """Searches in ``run_folder``, tells ``found`` of the run, exports the most accurate network and validates it.

    A run that is there already is gone on with, so that an interrupted demonstration can be repeated; what is trained
    is not trained again. Returns the summary alone when a signal stopped the search.
    """
    from nas import api
    from nas.search.engine import search
    from nas.search.run import Run

    began = time.monotonic()
    summary = search(configuration(), run_folder, progress)
    if summary.status == "stopped" or summary.best_model is None:
        return summary
    run = Run.open(run_folder)
    found(run)
    folder = api.export(summary.best_model, TARGET, run_folder / FIRMWARE, task=TASK, vectors=VECTORS)
    validation = api.validate(folder, task=TASK)
    return Demo(run, summary, folder, validation, time.monotonic() - began)
