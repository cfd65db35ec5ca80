"""Whole searches with a trainer that takes no time: what they find, and that no interruption changes it."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import firmware.files
import nas.report
import nas.training
from estimators.budget import Budget
from estimators.targets import load_target
from nas.search import journal
from nas.search.engine import resume, search
from nas.search.filter import BudgetError, ResourceFilter, full_budget
from nas.search.jobs import Tick
from nas.search.progress import Lines, Progress
from nas.search.records import Record
from nas.search.run import Run
from nas.search.samplers import FeasibleSampler
from nas.search.selection import front
from search_spaces.ds_cnn import DsCnn
from search_spaces.errors import NasError
from tests.conftest import CHECKOUT
from tests.nas.search.fakes import BUDGET, EPOCHS, FakeTrainer, config, noise, space


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what is not under test: pages for people, and the test split."""
    monkeypatch.setattr(nas.report, "write_report", lambda run: [])
    monkeypatch.setattr(nas.training, "integer_accuracy", lambda model, x, y: 0.5)


def essence(folder: Path) -> list[Any]:
    """All that a search found: records, models, rejected draws. Only wall times are left out."""
    run = Run.open(folder)
    records = [record.model_dump(mode="json") for record in run.records()]
    models = {path.name: path.read_bytes() for path in sorted((folder / "models").iterdir())}
    return [records, models, json.loads((folder / "rejected.json").read_text())]


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted search, with its real report and test accuracies."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    search(config(), folder, trainer=FakeTrainer())
    return folder


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


class Killed(BaseException):
    """Stands for kill -9 where a subprocess would take too long."""


def kill_at(step: int, patch: pytest.MonkeyPatch) -> Callable[[], int]:
    """Lets the ``step``-th write to the disk end in the middle; returns how many there were."""
    writes = 0
    replace, append = firmware.files._replace, journal._Journal.append_logs

    def die() -> bool:
        nonlocal writes
        writes += 1
        return writes == step

    def dying_replace(target: Path, data: bytes) -> None:
        if die():
            target.with_name(f".{target.name}.0.tmp").write_bytes(data[: len(data) // 2])
            raise Killed
        replace(target, data)

    def dying_append(self: journal._Journal, logs: list[dict[str, Any]]) -> None:
        if die():
            with open(self._file_path, "ab") as file:
                file.write(json.dumps(logs[0]).encode()[:30])
            raise Killed
        append(self, logs)

    patch.setattr(firmware.files, "_replace", dying_replace)
    patch.setattr(journal._Journal, "append_logs", dying_append)
    return lambda: writes


@pytest.mark.usefixtures("light")
def test_killed_at_any_write(tmp_path: Path) -> None:
    """Every file is written in one of two ways; each kill leaves half of it, and changes nothing in the end."""
    small = config(trials=3, generation=2, promote=1)
    with pytest.MonkeyPatch.context() as patch:
        count = kill_at(0, patch)
        search(small, tmp_path / "whole", trainer=FakeTrainer())
        writes = count()
    expected = essence(tmp_path / "whole")
    assert writes > 60
    for step in [*range(1, 8), *range(8, writes + 1, 5)]:
        folder = tmp_path / f"killed-{step}"
        with pytest.MonkeyPatch.context() as patch:
            kill_at(step, patch)
            with pytest.raises(Killed):
                search(small, folder, trainer=FakeTrainer(diary=str(folder) + ".diary"))
        search(small, folder, trainer=FakeTrainer(diary=str(folder) + ".diary"))
        assert essence(folder) == expected, f"killed at write {step} of {writes}"
        assert not list(folder.rglob("*.tmp"))
        epochs = [line.rsplit(" ", 1)[0] for line in Path(f"{folder}.diary").read_text().splitlines()]
        assert len(epochs) <= len(set(epochs)) + 1, "more than the epoch under way was trained twice"
        shutil.rmtree(folder)


PROGRAM = """
import sys
from nas.search.engine import resume, search
from tests.nas.search.fakes import FakeTrainer, config

if __name__ == "__main__":
    trainer = FakeTrainer(diary=sys.argv[2], seconds=float(sys.argv[3]))
    print("start", flush=True)
    summary = search(config(executor=sys.argv[4], jobs=int(sys.argv[5])), sys.argv[1], trainer=trainer)
    print(summary.status, summary.message, flush=True)
"""


def start(folder: Path, *, seconds: float = 0.02, executor: str = "inprocess", jobs: int = 1) -> subprocess.Popen[str]:
    script = folder.with_suffix(".py")
    script.write_text(PROGRAM)
    arguments = [str(folder), f"{folder}.diary", str(seconds), executor, str(jobs)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(
        [sys.executable, str(script), *arguments], cwd=folder.parent, env=environment, stdout=subprocess.PIPE, text=True
    )


def finished(folder: Path) -> int:
    """Trainings that have left a finished record."""
    records = [json.loads(path.read_text()) for path in sorted((folder / "records").glob("0*.json"))]
    return sum((record["status"] != "running") + (record["final"] is not None) for record in records)


def wait_for(condition: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)


@pytest.mark.parametrize(("executor", "jobs", "goals"), [("inprocess", 1, (2, 6)), ("processes", 2, (5,))])
def test_kill_9_and_resume(reference: Path, tmp_path: Path, executor: str, jobs: int, goals: tuple[int, ...]) -> None:
    """The real thing, at moments that nobody chose; nothing that had finished is trained again."""
    folder = tmp_path / "run"
    rng = random.Random(jobs)
    for goal in goals:
        with start(folder, executor=executor, jobs=jobs) as process:
            wait_for(lambda goal=goal: folder.exists() and finished(folder) >= goal)  # type: ignore[misc]
            time.sleep(rng.uniform(0, 0.1))
            process.kill()
        kept = finished(folder)
        if executor == "processes":
            # Workers notice that they are orphans; wait, as the last of them may be writing a checkpoint.
            diary = Path(f"{folder}.diary")
            workers = {int(line.split()[3]) for line in diary.read_text().splitlines()}
            wait_for(lambda workers=workers: not any(Path(f"/proc/{pid}").exists() for pid in workers))  # type: ignore[misc]
    resume(folder, trainer=FakeTrainer(diary=f"{folder}.diary"))
    assert kept >= goals[-1]
    assert essence(folder) == essence(reference)
    epochs = [tuple(line.split()[:3]) for line in Path(f"{folder}.diary").read_text().splitlines()]
    trainings = {epoch[:2] for epoch in epochs}
    assert len(trainings) == 9
    # An epoch whose checkpoint was not yet written is trained again: at most one per job and kill.
    assert len(epochs) - len(set(epochs)) <= 2 * jobs


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_in_order(reference: Path, tmp_path: Path, kind: signal.Signals) -> None:
    folder = tmp_path / "run"
    with start(folder) as process:
        wait_for(lambda: folder.exists() and finished(folder) >= 2)
        process.send_signal(kind)
        output, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert f"stopped stopped by {kind.name}; go on with: nas search --resume {folder}" in output
    assert (folder / "rejected.json").exists()
    resume(folder, trainer=FakeTrainer())
    assert essence(folder) == essence(reference)


@pytest.mark.usefixtures("light")
def test_a_cut_journal_is_made_up_for(tmp_path: Path) -> None:
    said: list[str] = []
    search(config(), tmp_path / "whole", trainer=FakeTrainer())
    folder = tmp_path / "run"
    stopping = Stopping(after=4)
    assert search(config(), folder, progress=stopping, trainer=FakeTrainer()).status == "stopped"
    log = folder / "optuna.log"
    os.truncate(log, log.stat().st_size * 2 // 3)
    resume(folder, progress=Lines(said.append), trainer=FakeTrainer())
    assert any("optuna.log was cut: its last" in line and "records make up for them" in line for line in said)
    assert essence(folder) == essence(tmp_path / "whole")
    log.unlink()
    assert resume(folder, trainer=FakeTrainer()).status == "complete"
    assert essence(folder) == essence(tmp_path / "whole")


class Stopping(Progress):
    """Sends this process SIGINT when so many trainings have ended."""

    def __init__(self, after: int) -> None:
        self.left = after

    def ended(self, record: Record, training: Any, why: str | None) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGINT)


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


def test_a_full_disk_ends_in_a_sentence(tmp_path: Path) -> None:
    """RLIMIT_FSIZE stops the journal or a model in the middle; with space again the search goes on."""
    program = (
        "import resource, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20000, resource.RLIM_INFINITY))\n"
        "from nas.search.engine import search\n"
        "from tests.nas.search.fakes import FakeTrainer, config\n"
        "from search_spaces.errors import NasError\n"
        "try:\n"
        f"    search(config(promote=0), {str(tmp_path / 'run')!r}, trainer=FakeTrainer())\n"
        "except NasError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True)
    assert "File too large" in done.stdout, done.stderr
    assert done.stdout.count("\n") == 1
    assert not list((tmp_path / "run").rglob("*.tmp"))
    summary = resume(tmp_path / "run", trainer=FakeTrainer())
    assert summary.status == "complete"


def _filter() -> ResourceFilter:
    target = load_target("stm32l4r9")
    return ResourceFilter(space(), target, full_budget(Budget.parse(BUDGET), target))
