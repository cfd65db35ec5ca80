from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from nas.cli import main
from nas.search.samplers import FeasibleSampler
from nas.tasks import get_task, registry
from tests.conftest import CHECKOUT
from tests.nas.cli.conftest import Ended, assert_one_sentence
from tests.nas.search.fakes import FakeTrainer

Nas = Callable[..., Ended]
BUDGET = "macs=100k,sram_bytes=4KiB"
UNTRAINED = """
import sys
import nas.search.trainer
from nas.cli import main
from tests.nas.search.fakes import FakeTrainer
nas.search.trainer.QatTrainer = lambda: FakeTrainer(seconds=0.05)
raise SystemExit(main(sys.argv[1:]))
"""
SHORT = ("search", "--budget", BUDGET, "--sampler", "random", "--epochs", 1)


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of three candidates, with what the command printed beside it."""
    folder = tmp_path_factory.mktemp("search")
    out, err = StringIO(), StringIO()
    with chdir(folder), redirect_stdout(out), redirect_stderr(err):
        assert main([*map(str, SHORT), "--trials", "3", "--run", "small", "--json"]) == 0, err.getvalue()
    (folder / "document.json").write_text(out.getvalue())
    (folder / "lines.txt").write_text(err.getvalue())
    return folder / "runs" / "small"


def test_document_and_lines(run_folder: Path) -> None:
    document = json.loads((run_folder.parents[1] / "document.json").read_text())
    assert document["status"] == "complete"
    assert document["trained"] == 3
    assert document["rejected"] == round(document["rejected_share"] * document["draws"]) > 0
    assert set(document["rejected_by_bound"]) <= {"sram_bytes", "macs", "flash_bytes"}
    assert document["best"] in document["front"]
    lines = (run_folder.parents[1] / "lines.txt").read_text().splitlines()
    assert lines[0] == f"run folder runs/small; budget {BUDGET.replace('4KiB', '4096').replace('100k', '100000')}"
    assert [line.split()[0] for line in lines[-3:]] == ["[1/3]", "[2/3]", "[3/3]"]


def test_front_prints_both_tables_and_writes_the_page(nas: Nas, run_folder: Path, tmp_path: Path) -> None:
    ended = nas("front", run_folder, "--out", tmp_path / "pages")
    assert ended.code == 0
    assert "digits on stm32l4r9" in ended.out
    assert "violate the budget and were never trained" in ended.out
    assert "val: measured" in ended.out
    page = (tmp_path / "pages" / "front.html").read_text()
    assert "plotly" in page.lower()
    document = nas("front", run_folder, "--json").document
    assert document["trained"] == 3
    assert str(run_folder / "front.html") in document["files"]


def test_a_run_is_called_by_its_name(nas: Nas, run_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run_folder.parents[1])
    assert nas("front", "small", "--json").document["trained"] == 3
    best = json.loads(Path("document.json").read_text())["best"]
    by_number = nas("estimate", f"small:{best}", "-t", "stm32l4r9", "--json").document
    assert nas("estimate", "small:best", "-t", "stm32l4r9", "--json").document == by_number
    assert by_number["macs"] <= 100_000
    ended = nas("estimate", "small:9", "-t", "stm32l4r9")
    assert_one_sentence(ended.err, "no candidate '9'", "0 to 2", "'best'")
    exported = nas("export", "small", "-t", "stm32l4r9", "-o", "c", "--json").document
    assert exported["predicted"]["macs"] == by_number["macs"]
    assert exported["vectors"] == 8


def test_resuming_a_finished_run_trains_nothing(nas: Nas, run_folder: Path) -> None:
    before = {path: path.read_bytes() for path in (run_folder / "records").iterdir()}
    ended = nas("search", "--resume", run_folder, "--json")
    assert ended.code == 0
    assert ended.document["trained"] == 3
    assert {path: path.read_bytes() for path in (run_folder / "records").iterdir()} == before


def records(run: Path, status: str) -> dict[str, dict[str, Any]]:
    """Training of every candidate of that status, by the name of its record."""
    found = {path.name: json.loads(path.read_text()) for path in sorted((run / "records").glob("*.json"))}
    return {name: record for name, record in found.items() if record["status"] == status}


def start(folder: Path, *words: object, **options: Any) -> subprocess.Popen[str]:
    """The command line in a process of its own, with trainings that take a moment and learn nothing."""
    command = [sys.executable, "-c", UNTRAINED, *map(str, words)]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, stderr=subprocess.PIPE, **options)


def wait_for(process: subprocess.Popen[str], run: Path, complete: int) -> None:
    end = time.monotonic() + 60
    while len(records(run, "complete")) < complete:
        assert process.poll() is None, process.stderr and process.stderr.read()
        assert time.monotonic() < end, f"{complete} candidates are not trained after a minute"
        time.sleep(0.05)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nas.search.trainer.QatTrainer", FakeTrainer)


@pytest.mark.usefixtures("untrained")
def test_a_run_that_is_interrupted_and_then_killed_loses_nothing(nas: Nas, tmp_path: Path) -> None:
    run = tmp_path / "run"
    process = start(tmp_path, *SHORT, "--task", "noise", "--trials", 12, "--out", "run", "--quiet")
    wait_for(process, run, 1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err == "interrupted: stopped by SIGINT; go on with: nas search --resume run\n"
    interrupted = records(run, "complete")

    process = start(tmp_path, "search", "--resume", "run", "--quiet")
    wait_for(process, run, len(interrupted) + 1)
    process.kill()
    process.communicate(timeout=60)
    kept = records(run, "complete")
    assert len(interrupted) < len(kept) < 12

    ended = nas("search", "--resume", "run", "--json")
    assert (ended.code, ended.document["status"], ended.document["trained"]) == (0, "complete", 12)
    finished = records(run, "complete")
    assert all(finished[name]["training"] == record["training"] for name, record in kept.items())
    assert len({record["digest"] for record in finished.values()}) == 12
    assert not list(run.rglob("*.tmp"))


@pytest.mark.usefixtures("untrained")
def test_a_least_accuracy_that_nothing_reaches_is_a_no(nas: Nas, tmp_path: Path) -> None:
    words = ("--task", "noise", "--trials", 2, "--sampler", "random", "--out", tmp_path / "run")
    ended = nas("search", *words, "--budget", f"{BUDGET},min_accuracy=99.9%")
    assert ended.code == 1
    assert ended.out.splitlines()[-1] == "none of the 2 trained candidates reaches the budget's least accuracy"


@pytest.mark.usefixtures("untrained")
def test_no_room_is_one_sentence_and_the_run_can_go_on(nas: Nas, tmp_path: Path) -> None:
    def no_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    words = (*SHORT, "--task", "noise", "--trials", 1, "--out", "run", "--quiet")
    process = start(tmp_path, *words, preexec_fn=no_room, stdout=subprocess.PIPE)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert_one_sentence(err, "run", "File too large")
    assert not list(tmp_path.rglob("*.tmp"))
    assert nas("search", "--resume", "run", "--json").document["trained"] == 1


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["--target", "stm32l4"], ["target 'stm32l4' is unknown", "did you mean 'stm32l4r9'?"]),
        (["--task", "digit"], ["task 'digit' is unknown"]),
        (["--space", "dscnn"], ["'dscnn' is unknown", "ds_cnn"]),
        (["--sampler", "evolve"], ["'evolve' is unknown", "evolution"]),
        (["--budget", ""], ["budget '' bounds nothing"]),
        (["--budget", "sram=4KiB"], ["'sram' is unknown"]),
        (["--epochs", "-1"], ["epochs", "-1"]),
        (["--budget", "sram_bytes=100"], ["sram_bytes", "nearest"]),
        (["--task", "cifar10"], ["cifar10", "make data"]),
        (["--run", "a", "--out", "b"], ["--run a", "--out b"]),
        (["--resume", "nothing"], ["nothing is no run folder"]),
        (["--resume", "nothing", "--jobs", "2", "--trials", "9"], ["--trials does not go with --resume"]),
        (["--out", "taken"], ["taken", "no run folder"]),
    ],
)
def test_bad_input(
    nas: Nas, tmp_path: Path, words: list[str], parts: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("torchvision.datasets.utils.download_url", unreachable)
    monkeypatch.setattr(FeasibleSampler.__init__, "__defaults__", (1000,))  # draws before it gives a budget up
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "diary.txt").write_text("dear diary")
    ended = nas("search", *words)
    assert (ended.code, ended.out) == (2, "")
    assert_one_sentence(ended.err, *parts)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["diary.txt", "taken"]


@pytest.mark.parametrize("words", [("--target", "stm32l4"), ("--space", "dscnn"), ("--sampler", "evolve")])
def test_names_are_checked_before_data_is_read(
    nas: Nas, words: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nas.search.engine.load_task", lambda *_: pytest.fail("data was read"))
    assert_one_sentence(nas("search", *words).err, f"{words[1]!r} is unknown")


@pytest.mark.usefixtures("untrained")
def test_without_a_name_and_a_budget(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder is called after task and target, fit to be named in RUN:NUMBER; the budget is the chip itself."""
    task = get_task("noise")
    monkeypatch.setitem(registry._TASKS, "noise", replace(task, with_options=lambda text: task))
    ended = nas("search", "--task", "noise:loud,soft", "--trials", 1, "--sampler", "random")
    assert ended.code == 0, ended.err
    assert ended.err.splitlines()[0] == "run folder runs/noise-loud-soft-stm32l4r9-1; budget the chip itself"
    assert nas("estimate", "noise-loud-soft-stm32l4r9-1:0", "-t", "stm32l4r9").code == 0


def unreachable(*_: object) -> None:
    raise OSError("the network is unreachable")


def test_front_of_nothing(nas: Nas) -> None:
    ended = nas("front", "nothing")
    assert ended.code == 2
    assert_one_sentence(ended.err, "nothing is no run folder")
