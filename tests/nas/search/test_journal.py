"""Optuna's journal: cut anywhere, it is mended and made up for from the records."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

from estimators.budget import Budget
from estimators.targets import load_target
from nas.search.filter import ResourceFilter, numbers
from nas.search.journal import enter, mend, open_study
from nas.search.records import Record
from nas.search.samplers import RandomSampler
from search_spaces.errors import NasError
from tests.nas.search.fakes import space
from tests.nas.search.test_selection import training


def sampler() -> RandomSampler:
    return RandomSampler(ResourceFilter(space(), load_target("stm32l4r9"), Budget.parse("macs=1M")), seed=0)


@pytest.fixture(scope="module")
def records() -> list[Record]:
    """Four complete candidates, one failed, one running."""
    source = sampler()
    study = open_study(None, source)
    made = []
    for number in range(6):
        candidate, drawn = source.find(study, number)
        record = Record(
            number=number,
            generation=0,
            choices=candidate.choices,
            digest=candidate.graph.digest,
            resources=numbers(candidate.resources),
            kinds={},
            constraints=candidate.violations,
            drawn=drawn,
        )
        if number == 3:
            record = record.changed(status="failed", why="diverged")
        elif number < 5:
            record = record.changed(status="complete", training=training(0.5 + number / 10))
        made.append(record)
    return made


def open_with(path: Path, records: list[Record]) -> optuna.Study:
    """What a resumed search does with its journal."""
    knowing = sampler()
    study = open_study(path, knowing)
    for record in records:
        knowing.remember(record.number, record.choices, record.digest, record.drawn)
        enter(study, knowing.distributions, record)
    return study


def told(study: optuna.Study) -> list[tuple[object, ...]]:
    return [(t.number, t.state, t.values, t.params, t.constraints) for t in study.trials]


def expected(records: list[Record]) -> list[tuple[object, ...]]:
    states = {"complete": TrialState.COMPLETE, "failed": TrialState.FAIL, "running": TrialState.RUNNING}
    return [
        (
            record.number,
            states[record.status],
            [record.training.val_accuracy, record.resources["seconds"]] if record.training else None,
            record.choices,
            record.constraints,
        )
        for record in records
    ]


def test_trials_say_what_records_say(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    assert told(open_with(path, records)) == expected(records)
    size = path.stat().st_size
    assert told(open_with(path, records)) == expected(records)
    assert path.stat().st_size == size, "entering again writes nothing"
    assert mend(path) == 0


def test_optuna_itself_reads_the_journal(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    open_with(path, records)
    storage = optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(str(path)))
    study = optuna.load_study(study_name="search", storage=storage)
    assert told(study) == expected(records)
    assert {trial.number for trial in study.best_trials} <= {0, 1, 2, 4}


def test_cut_at_any_byte(records: list[Record], tmp_path: Path) -> None:
    """Around every line's end, and at many places between."""
    whole = tmp_path / "whole.log"
    open_with(whole, records)
    content = whole.read_bytes()
    ends = [i + 1 for i, byte in enumerate(content) if byte == ord("\n")]
    rng = np.random.default_rng(0)
    cuts = {0, 1, len(content)} | {end + step for end in ends[::9] for step in (-1, 0, 1)}
    cuts |= set(rng.integers(len(content), size=30).tolist())
    path = tmp_path / "optuna.log"
    for cut in sorted(cut for cut in cuts if cut <= len(content)):
        path.write_bytes(content[:cut])
        last = max((end for end in ends if end <= cut), default=0)
        assert mend(path) == cut - last, "only what lies beyond the last whole line is dropped"
        assert path.stat().st_size == last
        assert told(open_with(path, records)) == expected(records), f"cut at byte {cut}"


@pytest.mark.parametrize("garbage", [b"\0\0\0\0", b'{"op_code": 4, "worker', b"[1, 2]\n", b"not json\n", b'{"a": 1}\n'])
def test_garbage_is_dropped_with_all_behind_it(records: list[Record], tmp_path: Path, garbage: bytes) -> None:
    path = tmp_path / "optuna.log"
    open_with(path, records)
    content = path.read_bytes()
    lines = content.splitlines(keepends=True)
    kept, rest = b"".join(lines[:40]), b"".join(lines[40:])
    path.write_bytes(kept + garbage + rest)
    assert mend(path) == len(garbage + rest)
    assert told(open_with(path, records)) == expected(records)


def test_a_journal_that_says_otherwise(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    open_with(path, records)
    with pytest.raises(NasError, match=r"Optuna's trial 1 is COMPLETE .* its record says running"):
        open_with(path, [records[0], records[1].changed(status="running", training=None), *records[2:]])
    path.unlink()
    with pytest.raises(NasError, match="Optuna's next trial is 1, the next record 2: a record is missing"):
        open_with(path, [records[0], records[2]])
    path.unlink()
    open_with(path, records[:5])
    other = records[5].changed(choices=records[0].choices)
    open_with(path, [*records[:5], records[5]])
    with pytest.raises(NasError, match="trial 5 has other choices than its record"):
        open_with(path, [*records[:5], other])


def test_an_absent_journal_needs_no_mending(tmp_path: Path) -> None:
    assert mend(tmp_path / "optuna.log") == 0


def test_lines_are_optunas(records: list[Record], tmp_path: Path) -> None:
    path = tmp_path / "optuna.log"
    open_with(path, records)
    assert all("op_code" in json.loads(line) for line in path.read_text().splitlines())
