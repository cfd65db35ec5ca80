"""The public functions: what the commands of ``nas`` do, from Python.

Everywhere a network is a published name, the path of a graph (.json) or of a trained model (.int8), RUN:NUMBER, a Graph
or an Int8Model; a model is the path of a file (.int8), RUN, RUN:NUMBER, RUN:best, or an Int8Model. Bad input raises
NasError.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from nas.networks import find_graph, find_model, model_file
from nas.tasks import TaskData, data_root, get_task, load_task, task_names, to_int8
from nas.units import extents
from search_spaces.errors import NasError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from estimators import Budget, Resources
    from firmware.int8_model import Int8Model
    from firmware.validate import Validation
    from nas.audio.classify import Heard
    from nas.search.progress import Progress
    from nas.search.summary import RunSummary
    from nas.training import EpochReport, TrainResult
    from search_spaces.graph import Graph

    Network = str | Path | Graph | Int8Model
    Model = str | Path | Int8Model
    Task = str | TaskData

__all__ = ["classify", "draw", "estimate", "export", "load_task", "search", "train", "validate"]

VECTORS = 8
"""Test vectors of an export, where the task's images are at hand."""

EXPORTED_CLIPS = 2
"""Test clips of an export: a second of sound takes 32 kB of flash."""

VALIDATED_CLIPS = 8
"""Test clips that the core is given at most."""

TARGET = "stm32l4r9"


def estimate(network: Network, target: str, *, fit_ram: bool = False) -> Resources:
    """What a network costs on a microcontroller, without training or building it; bytes, cycles, seconds, joules.

    ``fit_ram`` computes parts of it row by row where that takes less memory.
    """
    from estimators import estimate as estimate_plan
    from estimators import load_target, lower

    return estimate_plan(lower(find_graph(network), load_target(target), "ram" if fit_ram else "speed"))


def draw(network: Network, file: str | Path, target: str | None = None) -> Path:
    """Pictures a network in ``file``, .svg or .html, and returns its path.

    Shapes, MACs, parameters and bytes of every operation; with ``target`` also cycles and the arena's bytes.
    """
    from nas.report import drawing
    from nas.report.operations import take_apart

    path = drawing.check_suffix(file)
    return drawing.draw(take_apart(network, target), path)


def search(
    task: str = "digits",
    target: str = TARGET,
    *,
    budget: str | Budget = "",
    out: str | Path,
    data: str | Path | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> RunSummary:
    """Searches for the most accurate networks within a budget, in the run folder ``out``.

    A folder that holds the same search is gone on with. ``budget`` as on the command line, for instance
    ``"sram_bytes=64KiB,seconds=10ms"``. ``settings`` are the other fields of ``nas.search.SearchConfig``: ``space``,
    ``trials``, ``sampler``, ``seed``, ``jobs``, ``executor``, ``promote``, ``train``, ``final`` ...
    """
    from nas.search.config import SearchConfig
    from nas.search.engine import search as run

    config = SearchConfig.of(task=task, target=target, budget=budget, data_root=data, **settings)
    return run(config, out, progress)


def train(
    network: Network,
    task: Task = "digits",
    *,
    on_epoch: Callable[[EpochReport], None] | None = None,
    checkpoint: Path | None = None,
    data: str | Path | None = None,
    **settings: Any,
) -> TrainResult:
    """Trains a network for a task, quantisation-aware; the result holds the integer model and its accuracies.

    A published network gets as many outputs as the task has classes; on a task of sound one without a front end gets
    the task's first that makes features of its input's shape.

    ``settings`` change single fields of the task's ``nas.training.TrainSettings``. ``checkpoint``: a file that keeps
    the state after every epoch, and with which a later call goes on. ``on_epoch`` is told of every epoch.
    """
    from nas.training import TrainSettings
    from nas.training import train as run

    images = task if isinstance(task, TaskData) else load_task(task, data)
    graph, images = images.for_network(find_graph(network, images.classes))
    check_task(graph, images)
    return run(graph, images, TrainSettings.for_task(images.name, **settings), on_epoch=on_epoch, checkpoint=checkpoint)


def export(
    model: Model,
    target: str,
    folder: str | Path,
    *,
    task: Task | None = None,
    vectors: int | None = None,
    name: str = "model",
    overwrite: bool = False,
    data: str | Path | None = None,
    fit_ram: bool = False,
) -> Path:
    """Writes a model as a self-contained folder of C99 and returns its path.

    ``vectors`` of the task's test images become the folder's test vectors, and the first two clips of a task of sound
    what its front end is tested with. Channels that no input can change are left out: the network computes the same
    bytes with less. Without ``task`` it is the one the model was trained for, as far as its data is
    at hand; without any, both are made up. ``name`` is the prefix of the C functions. ``overwrite`` replaces an earlier
    export even if somebody changed it. ``data``: folder of the data sets. ``fit_ram``: as in ``estimate``.
    """
    from firmware.dead_channels import without_dead_channels
    from firmware.emit import export as write

    found = without_dead_channels(find_model(model))
    images = task_of(found, task, data)
    _check_vectors(vectors, images)
    inputs = None if images is None else to_int8(images.x_test[: vectors or VECTORS])
    clips = _test_clips(found, images)
    sound = None if clips is None else clips[:EXPORTED_CLIPS]
    return write(found, target, folder, inputs, name, overwrite, sound, "ram" if fit_ram else "speed")


def validate(
    source: Model,
    target: str | None = None,
    *,
    task: Task | None = None,
    vectors: int | None = None,
    compiler: Literal["gcc", "zig"] | None = None,
    data: str | Path | None = None,
) -> Validation:
    """Builds an exported folder or a model for its core and for this machine, runs both, compares every output byte.

    ``target`` is the folder's own where it is not given, for models ``stm32l4r9``. The core runs ``vectors`` of the
    task's test images (a folder's own test vectors where it is not given); this machine runs the whole test split, and
    that gives ``test_accuracy``. Of a task of sound both begin with samples, the core with up to 8 clips, because a
    clip takes many times the flash of its features. Without ``task`` it is the one the model was trained for, as far as
    its data is at hand. ``compiler`` for the core: the target's gcc where found, otherwise, for the Cortex-M4, the
    ziglang wheel.
    """
    from tempfile import TemporaryDirectory

    from firmware.folder import MANIFEST, read_manifest
    from firmware.int8_file import load_model, save_model
    from firmware.int8_model import Int8Model
    from firmware.validate import validate as check
    from firmware.virtual import find_compiler

    with TemporaryDirectory(prefix="nas-") as scratch:
        if isinstance(source, Int8Model):
            path, model = Path(scratch) / "model.int8", source
            save_model(model, path)
        elif (Path(source) / MANIFEST).is_file():
            path = Path(source)
            target = target or str(read_manifest(path)["target"])
            model = load_model(path / "model.int8")
        else:
            path = model_file(source)
            model = load_model(path)
        images = task_of(model, task, data)
        _check_vectors(vectors, images)
        count = vectors or (0 if path.is_dir() else VECTORS)
        heard = _test_clips(model, images)
        clips = heard[: min(count, VALIDATED_CLIPS)] if heard is not None and count else None
        inputs = to_int8(images.x_test[:count]) if images is not None and count else None
        split = None if images is None else (to_int8(images.x_test) if heard is None else heard, images.y_test)
        target = target or TARGET
        return check(path, target, inputs, split, compiler and find_compiler(target, compiler), clips)


def classify(model: Model, files: str | Path | Sequence[str | Path], *, every: float | None = None) -> list[Heard]:
    """What a model of sound hears at the beginning of each audio file, or in clips ``every`` so many seconds.

    ``files`` may be one file. Files are converted to the model's sample rate. Raises NasError for a file that holds no
    sound, and for a model without a front end.
    """
    from nas.audio.classify import classify_files

    return classify_files(find_model(model), [files] if isinstance(files, str | Path) else files, every)


def task_of(model: Int8Model, task: Task | None, data: str | Path | None = None) -> TaskData | None:
    """The task that is given, else the one a model was trained for; None where that is not said or has no data here.

    Raises NasError for an unknown task, missing data of a named one, and images or classes that do not fit the model.
    """
    name = task or model.metadata.get("task")
    if name is None:
        return None
    there = isinstance(name, TaskData) or (
        name.partition(":")[0] in task_names() and get_task(name).find(data_root(data)) is not None
    )
    if task is None and not there:
        return None
    _, images = (name if isinstance(name, TaskData) else load_task(name, data)).for_network(model.graph)
    check_task(model.graph, images)
    return images


def check_task(graph: Graph, task: TaskData) -> None:
    """Raises NasError unless a network takes the task's images and tells its classes apart."""
    height, width, units = graph.output_shape
    if graph.input_shape != task.input_shape:
        what = "images" if task.sound is None else "features"
        raise NasError(
            f"network {graph.name!r} takes inputs of {extents(graph.input_shape)}; "
            f"the {what} of task {task.name!r} are {extents(task.input_shape)}"
        )
    if (height, width, units) != (1, 1, task.classes):
        raise NasError(
            f"network {graph.name!r} gives outputs of {extents(graph.output_shape)}; "
            f"task {task.name!r} needs {extents((1, 1, task.classes))}"
        )


def _test_clips(model: Int8Model, images: TaskData | None) -> NDArray[np.int16] | None:
    """Clips (int16, N x samples) of a task of sound's test split, for a model with a front end to hear them."""
    if images is None or images.sound is None or model.graph.frontend is None:
        return None
    return images.sound.test


def _check_vectors(count: int | None, images: TaskData | None) -> None:
    """Raises NasError unless ``count`` test images can become vectors; None leaves their number to us."""
    if count is None:
        return
    if count < 1:
        raise NasError(f"vectors is {count}; at least 1 expected")
    if images is None:
        raise NasError(f"{count} test images are wanted as vectors, and no task with its data is at hand; name a task")
