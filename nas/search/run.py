"""The run folder: all that a search leaves behind, and all that it needs to go on.

| entry | holds |
|---|---|
| ``config.json`` | the frozen configuration, the versions it ran with, the digest of a sound task's clips |
| ``records/00007.json`` | one candidate: choices, resources, training, status |
| ``models/00007.int8`` | its trained network; ``00007-final.int8`` after promotion |
| ``optuna.log`` | Optuna's journal of the same candidates |
| ``rejected.json`` | draws that violate the budget: counts per bound, and a sample |
| ``checkpoints/`` | trainings under way |
| ``lock`` | held by the process that works on the run |

Records are the truth: whatever else is lost follows from them.
"""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import Any

import pydantic

from firmware.files import atomic_write
from nas.search.config import SearchConfig, Stage
from nas.search.records import FORMAT, Drawn, Record
from search_spaces.errors import NasError

CONFIG = "config.json"
JOURNAL = "optuna.log"
REJECTED = "rejected.json"
LOCK = "lock"
TEMPORARY = ".tmp"
_FOLDERS = ("records", "models", "checkpoints")
_PACKAGES = ("mcu-nas", "numpy", "optuna", "torch")


class Run:
    """A run folder whose configuration has been read. Reading needs no lock, writing belongs inside ``claim``."""

    def __init__(self, path: Path, config: SearchConfig) -> None:
        self.path = path
        self.config = config

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """The run in folder ``path``; raises NasError where there is none or where its configuration is damaged."""
        folder = Path(path)
        file = folder / CONFIG
        if not file.exists():
            raise NasError(f"{folder} is no run folder: it has no {CONFIG}")
        try:
            document = json.loads(file.read_bytes())
            if document["format"] != FORMAT:
                raise NasError(f"{file} has format {document['format']!r}; this version reads {FORMAT}")
            return cls(folder, SearchConfig.model_validate(document["config"]))
        except (KeyError, TypeError, UnicodeDecodeError, json.JSONDecodeError, pydantic.ValidationError) as error:
            raise NasError(f"{file} is not what this version writes: {_brief(error)}") from error

    @classmethod
    @contextmanager
    def claim(
        cls, path: str | os.PathLike[str], config: SearchConfig, clips_sha256: str | None = None
    ) -> Iterator[Run]:
        """The run in ``path``, made where there is none, kept from every other process meanwhile.

        A new run keeps ``clips_sha256``, the digest of a sound task's clips; see ``Sound``.

        Where the work is done (``executor``, ``jobs``, ``data_root``) may differ from one start to the next. Raises
        NasError where the folder holds something else or another search, or while another process works on it.
        """
        folder = Path(path)
        if folder.exists() and not folder.is_dir():
            raise NasError(f"{folder} is a file; a folder for the run expected")
        foreign = {entry.name for entry in folder.iterdir()} - {*_FOLDERS, LOCK} if folder.exists() else set()
        if not (folder / CONFIG).exists() and any(not name.endswith(TEMPORARY) for name in foreign):
            raise NasError(f"{folder} is no run folder and not empty (it has {min(foreign)}); choose another")
        for name in _FOLDERS:
            (folder / name).mkdir(parents=True, exist_ok=True)
        run = cls(folder, config)
        with _locked(folder / LOCK):
            if not (folder / CONFIG).exists():
                data = {} if clips_sha256 is None else {"clips_sha256": clips_sha256}
                run._write(CONFIG, {"format": FORMAT, "config": config.frozen(), "versions": versions(), **data})
            elif cls.open(folder).config.frozen() != config.frozen():
                raise NasError(f"{folder} holds another search; resume that or choose another folder")
            yield run

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of Python and of the packages that the run was started with."""
        return {str(key): str(value) for key, value in self._document().get("versions", {}).items()}

    @property
    def clips_sha256(self) -> str | None:
        """Digest of the clips that the run was started with; None for images, and for runs from before it was kept."""
        found = self._document().get("clips_sha256")
        return None if found is None else str(found)

    def records(self) -> list[Record]:
        """All candidates by number; raises NasError naming a record that is damaged or missing."""
        paths = sorted((self.path / "records").glob("[0-9]*.json"))
        for number, path in enumerate(paths):
            if path.stem != f"{number:05d}":
                raise NasError(
                    f"run {self.path} has {path.name} but no record {number:05d}.json; put that back, or remove "
                    f"{JOURNAL} and all records from {path.name} on"
                )
        return [self._read_record(path) for path in paths]

    def rejected(self) -> Drawn:
        """All draws of the run so far."""
        return Drawn.total(record.drawn for record in self.records())

    def save_record(self, record: Record) -> None:
        """Replaces a candidate's record; when this returns, it is on the disk."""
        self._write(f"records/{record.number:05d}.json", record.model_dump(mode="json"))

    def save_rejected(self, drawn: Drawn) -> None:
        """Writes counts and sample of the draws that violate the budget."""
        self._write(REJECTED, {**drawn.model_dump(mode="json"), "share": drawn.share})

    def save_model(self, number: int, stage: Stage, content: bytes) -> str:
        """Stores a trained network; returns its path inside the run folder."""
        name = f"models/{number:05d}{_suffix(stage)}.int8"
        atomic_write(self.path / name, content)
        return name

    def checkpoint(self, number: int, stage: Stage) -> Path:
        """Where a training keeps its state while it is under way."""
        return self.path / "checkpoints" / f"{number:05d}{_suffix(stage)}"

    def sweep(self) -> None:
        """Removes what a killed process leaves: half-written files, which only ever have temporary names."""
        for path in [*self.path.glob(f"*{TEMPORARY}"), *self.path.glob(f"*/*{TEMPORARY}")]:
            path.unlink(missing_ok=True)

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads((self.path / CONFIG).read_bytes())
        return document

    def _read_record(self, path: Path) -> Record:
        try:
            record = Record.model_validate_json(path.read_bytes())
        except pydantic.ValidationError as error:
            raise NasError(f"record {path} is not what this version writes: {_brief(error)}") from error
        if record.number != int(path.stem):
            raise NasError(f"record {path} is of candidate {record.number}; its name says {int(path.stem)}")
        return record

    def _write(self, name: str, document: Mapping[str, Any]) -> None:
        atomic_write(self.path / name, (json.dumps(document, indent=1) + "\n").encode())


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the lock file; the kernel frees it with the process, however that ends."""
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.seek(0)
            holder = file.read().decode(errors="replace").strip() or "unknown"
            raise NasError(f"process {holder} is working on run {path.parent}; wait for it or stop it") from error
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        yield


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that results depend on."""
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _suffix(stage: Stage) -> str:
    return "-final" if stage == "final" else ""


def _brief(error: Exception) -> str:
    """One line for an error that says more."""
    if isinstance(error, pydantic.ValidationError):
        first = error.errors()[0]
        return f"{'.'.join(str(part) for part in first['loc']) or 'document'}: {first['msg']}"
    return f"{type(error).__name__}: {error}".splitlines()[0]
