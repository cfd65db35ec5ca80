"""The run folder: who may write it, what it refuses to read."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nas.search.config import SearchConfig
from nas.search.records import Drawn
from nas.search.run import Run
from search_spaces.errors import NasError
from tests.conftest import CHECKOUT
from tests.nas.search.test_selection import record

CONFIG = SearchConfig.of(budget="macs=1M", trials=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Run.claim(tmp_path / "run", CONFIG) as run:
        run.save_record(record(0))
        run.save_record(record(1, "running"))
    return tmp_path / "run"


def test_what_was_written_is_read(folder: Path) -> None:
    run = Run.open(folder)
    assert run.config == CONFIG
    assert run.records() == [record(0), record(1, "running")]
    assert set(run.versions) >= {"python", "numpy", "optuna"}
    assert run.rejected() == Drawn()


def test_the_clips_of_a_sound_task_are_kept(folder: Path, tmp_path: Path) -> None:
    assert Run.open(folder).clips_sha256 is None
    with Run.claim(tmp_path / "sounds", CONFIG, "abc") as run:
        assert run.clips_sha256 == "abc"
    with Run.claim(tmp_path / "sounds", CONFIG, "def"):  # gone on with: what it was begun with stays
        assert Run.open(tmp_path / "sounds").clips_sha256 == "abc"


def test_the_published_runs_can_be_read() -> None:
    for folder in ("cifar10-stm32l4r9", "speech-esp32s2"):
        run = Run.open(CHECKOUT / "results" / folder)
        assert run.clips_sha256 is None
        assert all(record.status == "complete" for record in run.records())


def test_where_the_work_is_done_may_change(folder: Path) -> None:
    with Run.claim(folder, SearchConfig.of(**{**dict(CONFIG), "jobs": 2, "executor": "processes"})) as run:
        assert run.config.jobs == 2
    with (
        pytest.raises(NasError, match="holds another search; resume that or choose another folder"),
        Run.claim(folder, SearchConfig.of(**{**dict(CONFIG), "seed": 1})),
    ):
        raise AssertionError


def test_two_processes_on_one_run(folder: Path) -> None:
    """The second is told who is there; when the first is gone, however it went, nothing is in the way."""
    program = (
        "import sys, time\n"
        "from nas.search.run import Run\n"
        f"with Run.claim({str(folder)!r}, Run.open({str(folder)!r}).config):\n"
        "    print('in', flush=True)\n"
        "    time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], cwd=CHECKOUT, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"in\n"
        with pytest.raises(NasError, match=f"process {other.pid} is working on run"), Run.claim(folder, CONFIG):
            raise AssertionError
        Run.open(folder).records()  # reading goes on
        other.kill()
    with Run.claim(folder, CONFIG):
        pass


def test_foreign_folders_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("all my work")
    with (
        pytest.raises(NasError, match=r"is no run folder and not empty \(it has thesis.txt\)"),
        Run.claim(tmp_path, CONFIG),
    ):
        raise AssertionError
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
    with pytest.raises(NasError, match="is a file"), Run.claim(tmp_path / "thesis.txt", CONFIG):
        raise AssertionError
    with pytest.raises(NasError, match=r"is no run folder: it has no config.json"):
        Run.open(tmp_path)


def test_a_folder_left_before_its_configuration_was_written(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    (folder / "records").mkdir(parents=True)
    (folder / ".config.json.1234.tmp").write_text("{")
    with Run.claim(folder, CONFIG) as run:
        run.sweep()
    assert Run.open(folder).config == CONFIG
    assert not list(folder.rglob("*.tmp"))


@pytest.mark.parametrize(
    ("name", "change", "sentence"),
    [
        ("config.json", lambda text: text[: len(text) // 2], "config.json is not what this version writes"),
        ("config.json", lambda text: text.replace('"format": 1', '"format": 9'), "has format 9; this version reads 1"),
        ("config.json", lambda text: text.replace('"trials": 3', '"trials": 0'), "trials: Input should be"),
        ("config.json", lambda text: text.replace('"trials"', '"trails"'), "trails: Extra inputs"),
        ("records/00001.json", lambda text: text[:-20], "record .*00001.json is not what this version writes"),
        ("records/00001.json", lambda text: text.replace('"running"', '"resting"'), "status: Input should be"),
        ("records/00001.json", lambda text: text.replace('"number": 1', '"number": 2'), "is of candidate 2; .* says 1"),
        ("records/00001.json", lambda text: "", "record .*00001.json is not what"),
    ],
)
def test_damage_is_named(folder: Path, name: str, change: Callable[[str], str], sentence: str) -> None:
    path = folder / name
    path.write_text(change(path.read_text()))
    with pytest.raises(NasError, match=sentence) as caught:
        Run.open(folder).records()
    assert "\n" not in str(caught.value)


def test_a_missing_record_is_named(folder: Path) -> None:
    (folder / "records/00000.json").unlink()
    with pytest.raises(NasError, match=r"has 00001.json but no record 00000.json"):
        Run.open(folder).records()


def test_config_in_the_folder_tells_no_place(folder: Path) -> None:
    document = json.loads((folder / "config.json").read_text())
    assert not {"data_root", "jobs", "executor"} & set(document["config"])
