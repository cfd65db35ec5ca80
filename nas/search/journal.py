"""Optuna's side of a run: the journal file, and how it is brought to agree with the records."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import optuna
from optuna.distributions import BaseDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import Study
from optuna.trial import FrozenTrial, Trial, TrialState

from nas.search.records import Record
from search_spaces.errors import NasError

STUDY = "search"
DIRECTIONS: tuple[Literal["maximize"], Literal["minimize"]] = ("maximize", "minimize")
"""Of ``val_accuracy`` and of ``seconds`` per inference."""


class _Journal(JournalFileBackend):
    """The file without lock and without waiting for the disk.

    The run's own lock keeps other processes away, and a killed one leaves none behind to wait for. What the disk loses
    of the journal follows from the records, which are flushed first.
    """

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        lines = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with open(self._file_path, "ab") as file:
            file.write(lines.encode())


def mend(path: Path) -> int:
    """Cuts a journal behind its last whole line; returns the number of bytes that were beyond it.

    A process killed while writing, or a full disk, leaves part of a line, which Optuna would refuse to read.
    """
    if not path.exists():
        return 0
    content = path.read_bytes()
    whole = 0
    for line in content.split(b"\n")[:-1]:
        if not _is_entry(line):
            break
        whole += len(line) + 1
    if whole < len(content):
        os.truncate(path, whole)
    return len(content) - whole


def _is_entry(line: bytes) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    return isinstance(entry, dict) and "op_code" in entry


def open_study(path: Path | None, sampler: optuna.samplers.BaseSampler) -> Study:
    """The study in a journal file, made where there is none; without ``path`` an empty one in memory."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    if path is None:
        return optuna.create_study(sampler=sampler, study_name=STUDY, directions=DIRECTIONS)
    storage = JournalStorage(_Journal(str(path)))
    if STUDY in optuna.get_all_study_names(storage):
        return optuna.load_study(storage=storage, sampler=sampler, study_name=STUDY)
    return optuna.create_study(storage=storage, sampler=sampler, study_name=STUDY, directions=DIRECTIONS)


def enter(study: Study, distributions: Mapping[str, BaseDistribution], record: Record) -> None:
    """Brings the trial of a record up to date: its parameters, its constraints, and its end when it has one.

    May be called at any time and again; a process killed in the middle of it loses nothing. The study's sampler must
    know the record's choices. Trials come into being in the order of their numbers, so all earlier records have theirs.

    Raises NasError when the journal contradicts the record.
    """
    trials = study.get_trials(deepcopy=False)
    if record.number < len(trials) and trials[record.number].state.is_finished():
        return _agree(trials[record.number], record)
    if record.number > len(trials):
        raise NasError(f"Optuna's next trial is {len(trials)}, the next record {record.number}: a record is missing")
    trial = Trial(study, trials[record.number]._trial_id) if record.number < len(trials) else study.ask()
    for name, distribution in distributions.items():
        trial._suggest(name, distribution)
    if trial.params != record.choices:
        raise NasError(
            f"Optuna's trial {record.number} has other choices than its record; the journal is another run's"
        )
    stored = trial.constraints
    for name, value in record.constraints.items():
        if name not in stored:
            trial.set_constraint(name, value)
    if record.training is not None:
        study.tell(trial, [record.training.val_accuracy, record.resources["seconds"]])
    elif record.status == "failed":
        study.tell(trial, state=TrialState.FAIL)


def _agree(trial: FrozenTrial, record: Record) -> None:
    expected = {"complete": TrialState.COMPLETE, "failed": TrialState.FAIL}.get(record.status)
    if trial.state is not expected or trial.params != record.choices:
        raise NasError(
            f"Optuna's trial {record.number} is {trial.state.name} with choices {trial.params}, its record says "
            f"{record.status}; remove the journal, and it is written anew from the records"
        )
