"""``nas train``: a network and a task give an integer model."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas import units
from nas.cli import errors
from nas.cli.options import DataRoot, Network
from nas.cli.output import Json, Output, Quiet
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from nas.tasks import TaskData
    from nas.training import EpochReport, TrainResult


def train(
    network: Network,
    task: Annotated[str, typer.Option("--task", help="Task, see `nas tasks`.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The model's file; else NETWORK-TASK.int8 in the current folder.")
    ] = None,
    epochs: Annotated[float | None, typer.Option("--epochs", help="Epochs in floating point; else the task's.")] = None,
    qat_epochs: Annotated[
        float | None, typer.Option("--qat-epochs", help="Fake-quantised epochs after them; else the task's.")
    ] = None,
    distill: Annotated[bool, typer.Option("--distill", help="Learn from the task's teacher too.")] = False,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Equal seeds on one device give equal models.")] = 0,
    device: Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")] = "auto",
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Any other training setting, as lr=0.1.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted training.")] = False,
    test: Annotated[bool, typer.Option("--test", help="Evaluate the test split too, once, at the end.")] = False,
    data: DataRoot = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train a network for a task, quantisation-aware, into an integer model."""
    from firmware.int8_file import save_model
    from nas import api
    from nas.networks import MODEL_SUFFIX, file_name, find_graph

    output = Output(json, quiet)
    graph = find_graph(network)
    file = out or Path(file_name(graph.name or "network", task) + MODEL_SUFFIX)
    _check_place(file)
    checkpoint = _checkpoint(file, resume)
    changes: dict[str, Any] = {"seed": seed, "device": device, **_parsed(settings or [])}
    changes |= {} if epochs is None else {"epochs": epochs}
    changes |= {} if qat_epochs is None else {"qat_epochs": qat_epochs}
    changes |= {"distill": {}} if distill else {}
    images = api.load_task(task, data)
    try:
        with _progress(output) as on_epoch:
            result = api.train(network, images, on_epoch=on_epoch, checkpoint=checkpoint, **changes)
    except KeyboardInterrupt:
        if not checkpoint.exists():
            raise
        raise errors.Interrupted(
            f"{checkpoint} keeps the last epoch; go on with the same command and --resume"
        ) from None
    save_model(result.model, file)
    checkpoint.unlink(missing_ok=True)
    accuracy = _test_accuracy(result, images) if test else None
    document = {
        "network": graph.name or network,
        "task": task,
        "model": str(file),
        "val_accuracy": result.val_accuracy,
        "float_val_accuracy": result.float_val_accuracy,
        "fake_quant_val_accuracy": result.fake_quant_val_accuracy,
        "test_accuracy": accuracy,
        "epochs": result.epochs,
        "seconds": result.seconds,
        "curve": [asdict(report) for report in result.curve],
        "clips_sha256": result.model.metadata.get("clips_sha256"),
        "settings": result.model.metadata["settings"],
    }
    output.result(document, _lines(result, accuracy, file))


def _check_place(file: Path) -> None:
    """Raises NasError where the trained model could not be written or not be found again: before it is trained."""
    from nas.networks import MODEL_SUFFIX

    if file.suffix != MODEL_SUFFIX:
        raise NasError(f"--out {file} is no NAME{MODEL_SUFFIX}, by which other commands know a model")
    if file.is_dir():
        raise NasError(f"--out {file} is a folder; the name of a file expected")


def _checkpoint(model: Path, resume: bool) -> Path:
    """Where the training of a model's file keeps its state; NasError unless that fits the wish to resume."""
    path = model.with_name(f"{model.name}.checkpoint")
    if resume and not path.exists():
        raise NasError(f"there is nothing to resume: {path} does not exist")
    if path.exists() and not resume:
        raise NasError(f"{path} is of an interrupted training: go on with --resume, or remove it to begin anew")
    return path


def _parsed(settings: list[str]) -> dict[str, Any]:
    """Training settings from FIELD=VALUE; what is no JSON is taken as text."""
    from json import JSONDecodeError, loads

    values: dict[str, Any] = {}
    for item in settings:
        name, equals, text = item.partition("=")
        if not equals:
            raise NasError(f"--set {item!r} has no '='; FIELD=VALUE expected, for instance lr=0.1")
        try:
            values[name] = loads(text)
        except JSONDecodeError:
            values[name] = text
    return values


@contextmanager
def _progress(output: Output) -> Iterator[Callable[[EpochReport], None]]:
    """What tells of every epoch: a bar on a terminal, lines elsewhere, nothing with ``--quiet``."""
    if output.quiet or not sys.stderr.isatty():
        yield lambda report: output.note(_line(report))
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("first epoch", total=None)
        yield lambda report: bars.update(
            bar, completed=report.epoch, total=report.epochs, description=_line(report), refresh=True
        )


def _line(report: EpochReport) -> str:
    return (
        f"epoch {report.epoch}/{report.epochs} {report.phase}: loss {report.loss:.4f}, "
        f"{units.percent(report.val_accuracy)} val in torch, {report.seconds:.0f} s"
    )


def _test_accuracy(result: TrainResult, images: TaskData) -> float:
    from nas.training import integer_accuracy

    images = images.bound_to(result.model.graph.frontend)
    return integer_accuracy(result.model, images.x_test, images.y_test)


def _lines(result: TrainResult, accuracy: float | None, file: Path) -> Iterator[str]:
    yield f"{units.percent(result.val_accuracy)} of the validation split, by the integer model (measured)"
    before = f"{units.percent(result.float_val_accuracy)} in floating point"
    yield f"beside it, in torch: {before}, {units.percent(result.fake_quant_val_accuracy)} fake-quantised"
    if accuracy is not None:
        yield f"{units.percent(accuracy)} of the test split, by the integer model (measured)"
    yield f"wrote {file} after {result.epochs} epochs, {result.seconds:.0f} s"


COMMANDS = {"train": train}
