"""How a network is trained, with what suits each task."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, Self

import pydantic
from pydantic import Field

from search_spaces.errors import NasError

MOST_EPOCHS = 1e6
"""More than anybody waits for; what lies far beyond has no number of steps."""


class Distillation(pydantic.BaseModel):
    """Loss (1 - alpha) * cross entropy + alpha * temperature^2 * KL(teacher || student), both softened."""

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    alpha: float = Field(0.5, ge=0, le=1)
    temperature: float = Field(4.0, gt=0)


class TrainSettings(pydantic.BaseModel):
    """Everything that decides how a training goes; equal settings on one device give equal networks.

    ``epochs`` in floating point with BatchNorm at learning rates up to ``lr``, then ``qat_epochs`` folded and
    fake-quantised, from ``qat_lr`` down to nothing. Of every sound ``versions`` variations take turns, epoch by epoch,
    shared by all trainings; 0 varies it anew each time. ``threads`` of the CPU, None leaves torch's own number.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    epochs: float = Field(30.0, gt=0, le=MOST_EPOCHS)
    qat_epochs: float = Field(4.0, ge=0, le=MOST_EPOCHS)
    batch_size: int = Field(128, ge=2)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    lr: float = Field(0.2, gt=0)
    qat_lr: float = Field(0.01, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    weight_decay: float = Field(5e-4, ge=0)
    schedule: Literal["one-cycle", "cosine"] = "one-cycle"
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    augment: bool = True
    versions: int = Field(8, ge=0)
    distill: Distillation | None = None
    seed: int = Field(0, ge=0)
    device: str = "auto"
    threads: int | None = Field(None, ge=1)

    @classmethod
    def for_task(cls, task: str, **changes: Any) -> Self:
        """The defaults of a task with ``changes``; raises NasError naming the first field that is not accepted."""
        try:
            return cls(**{**of_task(DEFAULTS, task), **changes})
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise NasError(f"training setting {field}={first['input']!r}: {first['msg']}") from error


DEFAULTS: dict[str, dict[str, Any]] = {
    "digits": {
        "epochs": 40.0,
        "qat_epochs": 6.0,
        "batch_size": 64,
        "lr": 0.4,
        "weight_decay": 2e-3,
        "label_smoothing": 0.1,
    },
    "cifar10": {"epochs": 20.0, "qat_epochs": 3.0, "batch_size": 128, "lr": 0.4},
    "speech_commands": {
        "epochs": 20.0,
        "qat_epochs": 3.0,
        "batch_size": 100,
        "optimizer": "adamw",
        "lr": 0.01,
        "qat_lr": 0.001,
        "weight_decay": 0.02,
        "label_smoothing": 0.05,
    },
}


def of_task(table: Mapping[str, dict[str, Any]], task: str) -> dict[str, Any]:
    """What ``table`` holds of a task; options behind its name ("speech_commands:yes,no") change nothing."""
    return table.get(task.partition(":")[0], {})
