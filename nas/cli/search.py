"""The search and what it found: ``nas search`` and ``nas front``."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nas.cli import errors
from nas.cli.options import BudgetText, DataRoot
from nas.cli.output import Json, Output, Quiet, rendered
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from nas.search.run import Run
    from nas.search.summary import RunSummary

_WHERE = {"resume", "jobs", "executor", "data", "json", "quiet"}
"""Options of a search that decide where the work is done, not what it finds."""

RunName = Annotated[str, typer.Argument(metavar="RUN", help="A run folder, or the name of one below runs/.")]


def search(
    context: typer.Context,
    task: Annotated[str, typer.Option("--task", help="Task, see `nas tasks`.")] = "digits",
    target: Annotated[str, typer.Option("--target", "-t", help="Microcontroller, see `nas targets`.")] = "stm32l4r9",
    space: Annotated[str, typer.Option("--space", help="Search space, see `nas spaces`.")] = "ds_cnn",
    budget: BudgetText = None,
    trials: Annotated[int, typer.Option("--trials", min=1, help="Candidates to train.")] = 20,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Trainings at the same time.")] = 1,
    executor: Annotated[
        Literal["inprocess", "processes", "ray"] | None, typer.Option("--executor", help="Where trainings run.")
    ] = None,
    sampler: Annotated[str, typer.Option("--sampler", help="How candidates are drawn.")] = "evolution",
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds draw equal candidates.")] = 0,
    epochs: Annotated[float | None, typer.Option("--epochs", help="Epochs of a candidate; else the task's.")] = None,
    promote: Annotated[int, typer.Option("--promote", min=0, help="Best candidates to train again, longer.")] = 0,
    final_epochs: Annotated[
        float | None, typer.Option("--final-epochs", help="Epochs of a promoted candidate; else the task's.")
    ] = None,
    distill: Annotated[
        bool, typer.Option("--distill/--no-distill", help="Promoted candidates learn from the task's teacher too.")
    ] = True,
    run: Annotated[str | None, typer.Option("--run", help="Name of the run, below runs/.")] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the run, instead of --run.")] = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on with an interrupted run.")
    ] = None,
    data: DataRoot = None,
    json: Json = False,
    quiet: Quiet = False,
) -> int:
    """Search for the most accurate networks within a budget; what does not fit is never trained.

    Exit code 1 where no trained network reaches the budget's least accuracy.
    """
    from estimators import Budget
    from nas.networks import RUNS, file_name, run_folder
    from nas.search import engine
    from nas.search.config import SearchConfig
    from nas.search.progress import progress_on

    output = Output(json, quiet)
    where: dict[str, Any] = {"jobs": jobs, "executor": executor or ("processes" if jobs > 1 else "inprocess")}
    if data is not None:
        where["data_root"] = data
    if resume is not None:
        _refuse_changes(context)
        result = engine.resume(run_folder(resume), progress_on(sys.stderr, quiet), **where)
    else:
        if run is not None and out is not None:
            raise NasError(f"--run {run} and --out {out} both name the run; one expected")
        config = SearchConfig.of(
            task=task,
            target=target,
            space=space,
            budget="" if budget is None else Budget.parse(budget),
            sampler=sampler,
            trials=trials,
            seed=seed,
            promote=promote,
            train={} if epochs is None else {"epochs": epochs},
            final=({} if final_epochs is None else {"epochs": final_epochs}) | ({} if distill else {"distill": None}),
            **where,
        )
        folder = out or (RUNS / run if run is not None else _unused(RUNS, file_name(task, target)))
        result = engine.search(config, folder, progress_on(sys.stderr, quiet))
    output.result(result.to_dict(), _lines(result))
    if result.status == "stopped":
        raise errors.Interrupted(result.message)
    return errors.NO if result.best is None else errors.OK


def front(
    run: RunName,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Folder of the pages; else the run's own.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print a run's front and what was rejected by which bound, and write front.html."""
    from nas.networks import find_run
    from nas.report import front_document, write_report

    found = find_run(run)
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
    files = [str(path) for path in write_report(found, out)]
    lines = [*tables(found), f"wrote {', '.join(files)}"]
    Output(json, quiet).result({**front_document(found), "files": files}, lines)


def tables(run: Run) -> list[str]:
    """The front and the rejected draws of a run, for people."""
    from nas.report import front_table, rejected_table

    return [*rendered(front_table(run)), "", *rendered(rejected_table(run))]


def _refuse_changes(context: typer.Context) -> None:
    """Raises NasError when a resumed run is asked to be another one: its configuration is frozen."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    given = {name for name, source in sources.items() if source is not None and source.name == "COMMANDLINE"}
    frozen = sorted(given - _WHERE)
    if frozen:
        option = frozen[0].replace("_", "-")
        raise NasError(f"--{option} does not go with --resume: the run goes on as it was configured")


def _unused(folder: Path, stem: str) -> Path:
    """The first of ``stem-1``, ``stem-2`` ... that ``folder`` does not hold yet."""
    return next(path for number in count(1) if not (path := folder / f"{stem}-{number}").exists())


def _lines(result: RunSummary) -> Iterator[str]:
    from nas.search.run import Run

    run = Run.open(result.path)
    yield from tables(run)
    yield ""
    failed = f", {result.failed} failed" if result.failed else ""
    yield f"{result.trained} candidates trained{failed}, in {result.seconds:.0f} s; all about them: {result.path}"
    if result.best is not None:
        yield f"best: candidate {result.best}; as C: nas export {run.path} -t {run.config.target} -o FOLDER"
    if result.message and result.status != "stopped":
        yield result.message


COMMANDS = {"search": search, "front": front}
