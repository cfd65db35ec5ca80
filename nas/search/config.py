"""What a search is asked for; frozen into its run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, Self

import pydantic
from pydantic import Field

from estimators.budget import Budget
from nas.training.settings import TrainSettings, of_task
from search_spaces.errors import NasError

Stage = Literal["search", "final"]

FAST: dict[str, dict[str, Any]] = {
    "digits": {"epochs": 12.0, "qat_epochs": 2.0},
    "cifar10": {"epochs": 6.0, "qat_epochs": 1.0},
    "speech_commands": {"epochs": 5.0, "qat_epochs": 1.0},
}
"""Trainings of the search per task, enough to tell candidates apart; the final stage takes the task's defaults."""

ONE_THREAD = {"threads": 1}
"""Sums depend on how they are divided, so all executors train on one thread; more work at once takes more ``jobs``."""


class SearchConfig(pydantic.BaseModel):
    """Everything that decides what a search finds.

    ``trials`` candidates are trained to the end. ``generation`` candidates at a time are drawn from the same knowledge,
    so that a search ends in the same front however many jobs share the work and however often it was interrupted; 0
    draws each candidate from all that has finished, which keeps every job busy but depends on timing. ``promote`` of
    the best are trained again, longer and with distillation. ``train`` and ``final`` change single settings of the two
    trainings.
    """

    model_config = pydantic.ConfigDict(frozen=True, extra="forbid")

    task: str = "digits"
    target: str = "stm32l4r9"
    space: str = "ds_cnn"
    budget: Budget = Field(default_factory=Budget)
    sampler: str = "evolution"
    trials: int = Field(20, ge=1)
    seed: int = Field(0, ge=0)
    generation: int = Field(8, ge=0)
    train: dict[str, Any] = Field(default_factory=dict)
    promote: int = Field(0, ge=0)
    final: dict[str, Any] = Field(default_factory=dict)
    executor: Literal["inprocess", "processes", "ray"] = "inprocess"
    jobs: int = Field(1, ge=1)
    data_root: Path | None = None

    @pydantic.field_validator("budget", mode="before")
    @classmethod
    def _read_budget(cls, value: Any) -> Any:
        if isinstance(value, str):
            return Budget.parse(value) if value.strip() else Budget()
        return value

    @pydantic.field_serializer("budget")
    def _write_budget(self, budget: Budget) -> dict[str, float]:
        return budget.bounds()

    @classmethod
    def of(cls, **fields: Any) -> Self:
        """A configuration from plain values; raises NasError naming the first that is not accepted."""
        try:
            config = cls(**fields)
        except pydantic.ValidationError as error:
            first = error.errors()[0]
            reason = first.get("ctx", {}).get("error")
            if isinstance(reason, NasError):
                raise reason from error
            field = ".".join(str(part) for part in first["loc"])
            raise NasError(f"search setting {field}={first['input']!r}: {first['msg']}") from error
        config.settings("search")
        config.settings("final")
        return config

    def frozen(self) -> dict[str, Any]:
        """What identifies the search, as plain JSON: everything but where the work is done."""
        return self.model_dump(mode="json", exclude={"executor", "jobs", "data_root"})

    def settings(self, stage: Stage) -> TrainSettings:
        """How candidates are trained while searching, or promoted ones in the end; the seed is each candidate's own."""
        if stage == "search":
            return TrainSettings.for_task(self.task, **{**ONE_THREAD, **of_task(FAST, self.task), **self.train})
        return TrainSettings.for_task(self.task, **{**ONE_THREAD, "distill": {}, **self.final})
