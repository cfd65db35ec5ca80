"""The real trainer on real images: a short search, interrupted inside a training, against the uninterrupted one."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pytest

from nas.search.config import SearchConfig
from nas.search.engine import resume, search
from nas.search.jobs import Tick
from nas.search.progress import Progress
from nas.search.run import Run
from nas.search.selection import front

CONFIG = SearchConfig.of(
    task="digits",
    budget="macs=40k,sram_bytes=4KiB",
    trials=3,
    generation=2,
    train={"epochs": 2, "qat_epochs": 1},
    promote=1,
    final={"epochs": 3, "qat_epochs": 1, "distill": None},
)


class Interrupting(Progress):
    """Ctrl-C after the second epoch of candidate 1."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []

    def tick(self, tick: Tick) -> None:
        self.ticks.append(tick)
        if (tick.number, tick.stage, tick.done) == (1, "search", 2):
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "run"
    assert search(CONFIG, folder).status == "complete"
    return folder


def found(folder: Path) -> list[Any]:
    """Records without wall times, and the bytes of all models."""
    records = [record.model_dump(mode="json") for record in Run.open(folder).records()]
    for record in records:
        for stage in filter(None, (record["training"], record["final"])):
            del stage["train_seconds"]
            for epoch in stage["curve"]:
                del epoch["seconds"]
    return [records, {path.name: path.read_bytes() for path in (folder / "models").iterdir()}]


def test_what_was_trained(whole: Path) -> None:
    records = Run.open(whole).records()
    assert [record.status for record in records] == ["complete"] * 3
    assert sum(record.final is not None for record in records) == 1
    for record in records:
        assert record.training is not None
        assert [epoch["phase"] for epoch in record.training.curve] == ["float", "float", "qat"]
        # A network that learned something loses little of it on the way to integers.
        if record.training.float_val_accuracy > 0.5:
            assert abs(record.training.val_accuracy - record.training.fake_quant_val_accuracy) < 0.03
    best = max(front(records), key=lambda record: record.best.val_accuracy if record.best else 0)
    assert best.best is not None
    assert best.best.val_accuracy > 0.5
    assert best.test_accuracy is not None
    assert abs(best.test_accuracy - best.best.val_accuracy) < 0.1


def test_interrupted_inside_a_training(whole: Path, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    assert search(CONFIG, folder, progress=Interrupting()).status == "stopped"
    assert [path.name for path in (folder / "checkpoints").iterdir()] == ["00001"]
    rest = Interrupting()
    assert resume(folder, progress=rest).status == "complete"
    assert (rest.ticks[0].number, rest.ticks[0].done) == (1, 3), "the checkpoint was not used"
    assert found(folder) == found(whole)
    assert not list((folder / "checkpoints").iterdir())
