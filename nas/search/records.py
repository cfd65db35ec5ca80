"""What is kept of every candidate: one JSON document each, complete enough to rebuild everything else."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from search_spaces.space import Value

FORMAT: Final = 1
SAMPLE = 50

MIN_ACCURACY: Final = "min_accuracy"
"""The one bound that is no resource's: it can only be held against a trained network."""
"""Number of rejected draws that a run keeps to show."""


class _Document(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


class Rejected(_Document):
    """One draw that violates the budget: never trained, its resources are estimates.

    ``violations`` has every bound of the budget, positive where it is violated. ``priority`` in [0, 1) decides which
    draws a sample keeps: the lowest, so that the sample of a whole run is what its parts' samples add up to.
    """

    priority: float
    choices: dict[str, Value]
    resources: dict[str, int | float]
    violations: dict[str, float]


class Drawn(_Document):
    """Counts of draws: how many, how many violated the budget, how many gave a network known already.

    ``bounds`` counts violations per bound; a draw that violates several is counted under each of them.
    """

    draws: int = 0
    rejected: int = 0
    duplicates: int = 0
    bounds: dict[str, int] = Field(default_factory=dict)
    sample: tuple[Rejected, ...] = ()

    @property
    def share(self) -> float:
        """Share of the draws that violated the budget; 0 before the first draw."""
        return self.rejected / self.draws if self.draws else 0.0

    @classmethod
    def total(cls, parts: Iterable[Drawn]) -> Drawn:
        """All parts together, in whatever order; the sample is an even one over all rejected draws."""
        draws = rejected = duplicates = 0
        bounds: Counter[str] = Counter()
        sample: list[Rejected] = []
        for part in parts:
            draws += part.draws
            rejected += part.rejected
            duplicates += part.duplicates
            bounds.update(part.bounds)
            sample += part.sample
        sample.sort(key=lambda draw: draw.priority)
        return cls(
            draws=draws,
            rejected=rejected,
            duplicates=duplicates,
            bounds=dict(sorted(bounds.items())),
            sample=tuple(sample[:SAMPLE]),
        )


class Training(_Document):
    """How one training ended: accuracies are shares in [0, 1] over the whole validation split.

    ``val_accuracy`` is the integer model's; beside it those of the network in floating point and fake-quantised.
    ``model`` is the path of the int8 file inside the run folder. ``train_seconds`` is wall time.
    """

    val_accuracy: float = Field(ge=0, le=1)
    float_val_accuracy: float
    fake_quant_val_accuracy: float
    curve: list[dict[str, Any]]
    train_seconds: float
    model: str


def fits(constraints: Mapping[str, float]) -> bool:
    """Whether no resource bound is violated, whatever the accuracy."""
    return all(value <= 0 for name, value in constraints.items() if name != MIN_ACCURACY)


class Record(_Document):
    """One feasible candidate, from the moment it is drawn.

    ``resources`` are estimates of our own firmware, ``kinds`` says for each how far it can be trusted. ``constraints``
    are the budget's violations, least accuracy that of the best training: feasible where at most 0. ``generation``:
    candidates of one generation were drawn knowing the results of all earlier generations and nothing else. ``drawn``
    counts the draws that this candidate took. ``final`` is the longer training of promoted candidates; ``why`` says why
    a training failed.
    """

    format: Literal[1] = FORMAT
    number: int = Field(ge=0)
    generation: int = Field(ge=0)
    choices: dict[str, Value]
    digest: str
    resources: dict[str, int | float]
    kinds: dict[str, str]
    constraints: dict[str, float]
    drawn: Drawn
    status: Literal["running", "complete", "failed"] = "running"
    why: str | None = None
    training: Training | None = None
    final: Training | None = None
    final_why: str | None = None
    test_accuracy: float | None = None

    @property
    def best(self) -> Training | None:
        """The training whose model stands for the candidate: the one with the better validation accuracy."""
        done = [training for training in (self.final, self.training) if training is not None]
        return max(done, key=lambda training: training.val_accuracy, default=None)

    @property
    def feasible(self) -> bool:
        """Whether no bound of the budget is violated, least accuracy included."""
        return all(value <= 0 for value in self.constraints.values())

    @property
    def fits(self) -> bool:
        """Whether no resource bound is violated; a longer training may still reach the least accuracy."""
        return fits(self.constraints)

    def changed(self, **fields: Any) -> Record:
        """A validated copy with other values in ``fields``."""
        return Record.model_validate({**dict(self), **fields})
