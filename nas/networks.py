"""Finds what a user names: a network by its published name or file, a trained model by its file or run."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from firmware.int8_model import Int8Model
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.published import impossible_networks, network, network_names
from search_spaces.space import did_you_mean

if TYPE_CHECKING:
    from nas.search.records import Record
    from nas.search.run import Run

GRAPH_SUFFIX = ".json"
MODEL_SUFFIX = ".int8"
RUNS = Path("runs")
"""Folder of the runs that are called by a bare name."""

BEST = "best"

_LONGEST = 120
"""Characters of a file name that is made up; with suffixes and temporary ones no file system finds it too long."""


def find_graph(source: str | Path | Graph | Int8Model, classes: int | None = None) -> Graph:
    """The network that ``source`` names: a published name, a graph in JSON, a model file, or RUN:NUMBER.

    A published network gets ``classes`` outputs where they are given; what else is named is taken as it is. Raises
    NasError where there is none or where its file is damaged.
    """
    if isinstance(source, Graph):
        return source
    if isinstance(source, Int8Model):
        return source.graph
    if Path(source).suffix == GRAPH_SUFFIX:
        return read_graph(Path(source))
    if Path(source).suffix == MODEL_SUFFIX or _names_candidate(source):
        return find_model(source).graph
    name = str(source)
    if name not in network_names() and name not in impossible_networks():
        known = did_you_mean(name, network_names())
        raise NasError(f"network {name!r} is unknown{known}; or a graph .json, a model .int8, RUN:NUMBER")
    return network(name, classes)


def find_model(source: str | Path | Int8Model) -> Int8Model:
    """The trained model that ``source`` names: a model file, RUN or RUN:best for a run's best, or RUN:NUMBER.

    Raises NasError where there is none or where its file is damaged.
    """
    from firmware.int8_file import load_model

    return source if isinstance(source, Int8Model) else load_model(model_file(source))


def model_file(source: str | Path) -> Path:
    """The file of the model that ``source`` names, as ``find_model`` reads it; NasError where there is none."""
    path = Path(source)
    if path.suffix == MODEL_SUFFIX:
        return path
    if not _names_candidate(source):
        raise NasError(
            f"model {str(source)!r} is neither a model file (.int8) nor a run folder, RUN:NUMBER or RUN:best"
        )
    name, _, which = str(source).partition(":")
    run = find_run(name)
    record = _candidate(run, which)
    if record.best is None:
        raise NasError(
            f"candidate {record.number} of run {run.path} has no trained model: {record.why or record.status}"
        )
    return run.path / record.best.model


def read_graph(path: Path) -> Graph:
    """The graph in a JSON file, named after the file where it has no name; NasError where there is none."""
    try:
        graph = Graph.from_json(json.loads(path.read_bytes()))
    except OSError as error:
        raise NasError(f"graph file {path} cannot be read: {error.strerror}") from error
    except NasError as error:
        raise NasError(f"graph file {path}: {error}") from error
    except (ValueError, RecursionError) as error:  # of the JSON, its encoding and its nesting
        raise NasError(f"graph file {path} is no JSON: {error}") from error
    return graph if graph.name else replace(graph, name=path.stem)


def run_folder(name: str | Path) -> Path:
    """The folder of a run: ``name`` where that is a folder, else the one called so below ``runs``."""
    path = Path(name)
    return path if path.is_dir() or len(path.parts) != 1 else RUNS / path


def find_run(name: str | Path) -> Run:
    """The run in folder ``name``, or the one called so below ``runs``; NasError where there is none."""
    from nas.search.run import Run

    return Run.open(run_folder(name))


def file_name(*parts: str) -> str:
    """``parts``, joined by dashes, as the beginning of a file's name: letters, digits, dots, dashes and underscores.

    So a task's words are no obstacle: ``speech_commands:yes,no`` becomes ``speech_commands-yes-no``, which is no
    RUN:NUMBER either. What is very long is cut, and a digest of all of it put behind.
    """
    whole = "-".join(parts)
    name = re.sub(r"[^\w.-]+", "-", whole).strip(".-") or "unnamed"
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(whole.encode(errors="surrogatepass")).hexdigest()[:8]
    return f"{name[: _LONGEST - 9]}-{digest}"


def _names_candidate(source: str | Path) -> bool:
    name, _, _ = str(source).partition(":")
    return bool(name) and run_folder(name).is_dir()  # the path of an empty name is the current folder


def _candidate(run: Run, which: str) -> Record:
    from nas.search.selection import most_accurate

    records = {str(record.number): record for record in run.records()}
    best = most_accurate(records.values()) if which in ("", BEST) else records.get(which)
    if best is not None:
        return best
    if which in ("", BEST):
        raise NasError(f"run {run.path} has no trained candidate within its budget yet")
    span = f"0 to {len(records) - 1}" if records else "none yet"
    raise NasError(f"run {run.path} has no candidate {which!r}; it has {span}, and {BEST!r}")
