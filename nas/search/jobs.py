"""What passes between a search and whoever trains its candidates."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from nas.search.config import SearchConfig, Stage
from nas.tasks import TaskData
from search_spaces.graph import Graph


@dataclass(frozen=True, slots=True)
class Job:
    """One training: of candidate ``number``, in stage ``search`` or ``final``.

    ``seed`` is all the randomness there is. ``checkpoint`` is a file that the training may keep its state in, and from
    which it continues when it is there.
    """

    number: int
    stage: Stage
    graph: Graph
    seed: int
    checkpoint: Path | None = None


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training brought; ``model`` is the content of an int8 file, accuracies are over the validation split."""

    model: bytes
    val_accuracy: float
    float_val_accuracy: float
    fake_quant_val_accuracy: float
    curve: list[dict[str, Any]] = field(default_factory=list)
    train_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a job ended: ``trained``, or in a failure for the reason ``why``, one sentence."""

    job: Job
    trained: Trained | None = None
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Tick:
    """A training's progress: ``done`` of ``total`` epochs, and a word on how it goes."""

    number: int
    stage: Stage
    done: float
    total: float
    note: str = ""


OnTick = Callable[[Tick], None]
Say = Callable[[str], None]
Work = Callable[[Job, OnTick], Trained]


class Trainer(Hashable, Protocol):
    """Whoever trains. Sent to worker processes, so it must be importable there, hold no data, and be hashable."""

    def prepare(self, config: SearchConfig, task: TaskData, say: Say) -> None:
        """What is done once before any worker starts, such as training the teacher; ``say`` takes lines for people."""

    def load(self, config: SearchConfig) -> Work:
        """What is done once in each process that trains, such as reading the data; returns what trains a job."""


def attempt(work: Work, job: Job, on_tick: OnTick) -> Outcome:
    """Does the job; an error in it becomes the reason of its failure, because one candidate must not end a search.

    Raises OSError, or what one has caused.
    """
    try:
        return Outcome(job, trained=work(job, on_tick))
    except MemoryError:
        return Outcome(job, why="the training ran out of memory")
    except Exception as error:
        if isinstance(error, OSError) or isinstance(error.__cause__, OSError):
            raise  # a full disk or a missing file concerns every job
        text = str(error).splitlines()[0] if str(error) else ""
        return Outcome(job, why=f"{type(error).__name__}: {text}".removesuffix(": "))
