"""Searches killed, stopped, cut and starved: resumed, they end as if nothing had happened."""

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

import pytest

import firmware.files
from nas.search import journal
from nas.search.engine import resume, search
from nas.search.progress import Lines
from tests.conftest import CHECKOUT
from tests.nas.search.fakes import FakeTrainer, Stopping, config, essence


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
    for step in [*range(1, 6), *range(6, writes + 1, 9)]:
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
