"""Whole searches with a trainer that takes no time: what they find, what fails, what is refused."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import nas.report
import nas.training
from estimators.budget import Budget
from estimators.targets import load_target
from nas.search.engine import resume, search
from nas.search.filter import BudgetError, ResourceFilter, full_budget
from nas.search.jobs import Tick
from nas.search.progress import Lines, Progress
from nas.search.run import Run
from nas.search.samplers import FeasibleSampler
from nas.search.selection import front
from nas.tasks import Task, registry
from search_spaces.ds_cnn import DsCnn
from search_spaces.errors import NasError
from tests.nas.search.fakes import BUDGET, EPOCHS, FakeTrainer, Stopping, config, essence, noise, space
from tests.nas.training.sounds import beeps


def test_what_a_search_leaves(reference: Path) -> None:
    run = Run.open(reference)
    records = run.records()
    assert [record.number for record in records] == list(range(7))
    assert [record.generation for record in records] == [0, 0, 0, 1, 1, 1, 2]
    assert {record.status for record in records} == {"complete"}
    assert len({record.digest for record in records}) == 7
    limits = Budget.parse(BUDGET).bounds()
    for record in records:
        assert all(record.resources[name] <= bound for name, bound in limits.items())
        assert set(record.constraints) == {"macs", "sram_bytes", "flash_bytes"}
        assert record.kinds["macs"] == "exact"
        assert record.training is not None
        assert (reference / record.training.model).is_file()
        assert len(record.training.curve) == EPOCHS
    assert sum(record.final is not None for record in records) == 2
    on_front = {record.number for record in front(records)}
    assert {record.number for record in records if record.test_accuracy is not None} == on_front
    rejected = json.loads((reference / "rejected.json").read_text())
    assert 0.3 < rejected["share"] < 0.95
    assert rejected["rejected"] == sum(record.drawn.rejected for record in records)
    assert not list((reference / "checkpoints").iterdir())
    assert {path.name for path in reference.iterdir() if path.is_file()} == {
        "config.json",
        "optuna.log",
        "rejected.json",
        "front.json",
        "front.html",
        "front.svg",
        "lock",
    }


def test_test_accuracy_is_the_integer_models_on_the_test_split(reference: Path) -> None:
    from firmware import reference as arithmetic
    from firmware.int8_file import load_model
    from nas.tasks import to_int8

    task = noise(Path())
    record = front(Run.open(reference).records())[0]
    assert record.best is not None
    logits = arithmetic.run(load_model(reference / record.best.model), to_int8(task.x_test))
    assert record.test_accuracy == np.mean(logits.reshape(len(logits), -1).argmax(1) == task.y_test)


def test_a_finished_search_has_nothing_left_to_do(
    reference: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = shutil.copytree(reference, tmp_path / "run")
    monkeypatch.setattr(nas.training, "integer_accuracy", lambda *args: pytest.fail("the test split is seen once"))
    diary = tmp_path / "diary"
    summary = resume(copy, trainer=FakeTrainer(diary=str(diary), broken=True))
    assert summary.status == "complete"
    assert not diary.exists()
    assert essence(copy) == essence(reference)


@pytest.mark.usefixtures("light")
def test_jobs_and_executors_do_not_matter(reference: Path, tmp_path: Path) -> None:
    search(config(executor="processes", jobs=2), tmp_path / "run", trainer=FakeTrainer())
    assert [without_test(one) for one in essence(tmp_path / "run")[0]] == [
        without_test(one) for one in essence(reference)[0]
    ]
    assert essence(tmp_path / "run")[1:] == essence(reference)[1:]


def without_test(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "test_accuracy": None}


class Ticks(Progress):
    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.stages: list[tuple[str, int, int]] = []

    def tick(self, tick: Tick) -> None:
        self.ticks.append(tick)

    def stage(self, title: str, done: int, total: int) -> None:
        self.stages.append((title, done, total))


@pytest.mark.usefixtures("light")
def test_progress_is_told(tmp_path: Path) -> None:
    progress = Ticks()
    search(config(trials=2, promote=1), tmp_path / "run", progress=progress, trainer=FakeTrainer())
    assert progress.stages == [("search", 0, 2), ("final training", 0, 1)]
    assert [(tick.stage, tick.done) for tick in progress.ticks] == [
        *[("search", epoch) for _ in range(2) for epoch in range(1, EPOCHS + 1)],
        *[("final", epoch) for epoch in range(1, EPOCHS + 1)],
    ]


@pytest.mark.usefixtures("light")
@pytest.mark.parametrize("sampler", ["random", "evolution"])
@pytest.mark.parametrize("generation", [0, 3])
def test_failed_trainings_are_replaced(tmp_path: Path, sampler: str, generation: int) -> None:
    trainer = FakeTrainer(fails=frozenset({0, 2, 5}))
    summary = search(config(sampler=sampler, generation=generation), tmp_path / "run", trainer=trainer)
    records = Run.open(tmp_path / "run").records()
    assert (summary.trained, summary.failed) == (7, 3)
    failed = [record for record in records if record.status == "failed"]
    assert [record.number for record in failed] == [0, 2, 5]
    assert {record.why for record in failed} == {"RuntimeError: loss is not finite"}
    assert not {0, 2, 5} & set(summary.front)


@pytest.mark.usefixtures("light")
def test_failures_in_a_row_end_the_search(tmp_path: Path) -> None:
    trainer = FakeTrainer(fails=frozenset(range(1, 99)))
    with pytest.raises(
        NasError, match=r"5 trainings in a row failed, .* because: RuntimeError: loss is not finite; when"
    ):
        search(config(), tmp_path / "run", trainer=trainer)
    assert len(Run.open(tmp_path / "run").records()) <= 9
    # Mended, the search goes on; what failed stays failed.
    assert resume(tmp_path / "run", trainer=FakeTrainer()).trained == 7


@pytest.mark.usefixtures("light")
def test_failed_promotion_keeps_the_first_model(tmp_path: Path) -> None:
    search(config(), tmp_path / "one", trainer=FakeTrainer())
    promoted = [record.number for record in Run.open(tmp_path / "one").records() if record.final]
    folder = tmp_path / "two"
    assert search(config(), folder, progress=Stopping(after=7), trainer=FakeTrainer()).status == "stopped"
    summary = resume(folder, trainer=FakeTrainer(fails=frozenset(promoted)))
    records = Run.open(folder).records()
    assert summary.status == "complete"
    assert {record.final_why for record in records if record.number in promoted} == {"RuntimeError: loss is not finite"}
    assert all(record.best == record.training for record in records)


@pytest.mark.usefixtures("light")
def test_least_accuracy(tmp_path: Path) -> None:
    plain = search(config(promote=0), tmp_path / "plain", trainer=FakeTrainer())
    accuracies = {r.number: r.training.val_accuracy for r in Run.open(plain.path).records() if r.training}
    bar = sorted(accuracies.values())[3]
    search(
        config(promote=0, budget=f"{BUDGET},min_accuracy={bar}", sampler="random"),
        tmp_path / "r",
        trainer=FakeTrainer(),
    )
    for record in Run.open(tmp_path / "r").records():
        assert record.training is not None
        assert record.feasible == (record.training.val_accuracy >= bar)
    summary = search(config(budget=f"{BUDGET},min_accuracy=99.9%"), tmp_path / "none", trainer=FakeTrainer())
    assert (summary.front, summary.best, summary.best_model) == ((), None, None)
    assert summary.message == "none of the 7 trained candidates reaches the budget's least accuracy"


@pytest.mark.usefixtures("light")
def test_a_least_accuracy_that_only_promotion_reaches(tmp_path: Path) -> None:
    plain = search(config(seed=1), tmp_path / "plain", trainer=FakeTrainer())
    records = Run.open(plain.path).records()
    short = max(record.training.val_accuracy for record in records if record.training)
    promoted = max(record.final.val_accuracy for record in records if record.final)
    assert short < promoted
    bar = f"min_accuracy={(short + promoted) / 2}"
    summary = search(config(budget=f"{BUDGET},{bar}", seed=1), tmp_path / "run", trainer=FakeTrainer())
    assert summary.best is not None
    best = Run.open(summary.path).records()[summary.best]
    assert best.final is not None
    assert best.final.val_accuracy == promoted
    # The bar changes neither which candidates are drawn nor what becomes of them.
    assert [r.choices for r in Run.open(summary.path).records()] == [r.choices for r in records]


@pytest.mark.usefixtures("light")
def test_a_space_that_is_used_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of forty networks, those within the budget are trained, and the search says that there are no more."""
    few = space().draw(np.random.default_rng(0), 40)
    monkeypatch.setattr(DsCnn, "draw", lambda self, rng, count: few[rng.integers(len(few), size=count)])
    monkeypatch.setattr(FeasibleSampler.__init__, "__defaults__", (800,))
    said: list[str] = []
    wide = config(trials=60, sampler="random", promote=0)
    summary = search(wide, tmp_path / "run", progress=Lines(said.append), trainer=FakeTrainer())
    assert summary.status == "exhausted"
    fits = {one.graph.digest for one in map(_filter().examine, few) if one.feasible}
    assert summary.trained == len(fits) > 5
    assert any("brought no new network within the budget" in line for line in said)
    assert summary.front


@pytest.mark.usefixtures("light")
def test_a_run_of_sounds_knows_its_clips(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = beeps(train=8, held_out=4)
    assert sounds.sound is not None
    others = replace(sounds, sound=replace(sounds.sound, digest="others"))
    loaded = [sounds, sounds, others]
    task = Task("beeps", "", sounds.input_shape, sounds.class_names, lambda root: loaded.pop(0), lambda root: None)
    monkeypatch.setitem(registry._TASKS, "beeps", task)
    said: list[str] = []
    plan = config(task="beeps", trials=1, promote=0, sampler="random")
    for expected in (False, False, True):
        said.clear()
        search(plan, tmp_path / "run", Lines(said.append), FakeTrainer())
        assert any("begun with other clips" in line for line in said) == expected
        assert Run.open(tmp_path / "run").clips_sha256 == sounds.sound.digest


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"task": "digitz"}, "task 'digitz' is unknown"),
        ({"target": "stm32"}, "target 'stm32' is unknown"),
        ({"space": "ds-cnn"}, "search space 'ds-cnn' is unknown; did you mean 'ds_cnn'"),
        ({"sampler": "evo"}, "sampler 'evo' is unknown"),
        ({"budget": "macs=10"}, r"none of 600 draws from space 'ds_cnn' fits stm32l4r9; .* macs \("),
    ],
)
def test_bad_input_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, Any], sentence: str
) -> None:
    monkeypatch.setattr(FeasibleSampler.__init__, "__defaults__", (600,))
    with pytest.raises(NasError, match=sentence) as caught:
        search(config(**fields), tmp_path / "run", trainer=FakeTrainer())
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, BudgetError) == ("macs" in str(fields))
    assert not (tmp_path / "run").exists()


def _filter() -> ResourceFilter:
    target = load_target("stm32l4r9")
    return ResourceFilter(space(), target, full_budget(Budget.parse(BUDGET), target))
