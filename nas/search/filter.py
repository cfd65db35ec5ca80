"""The resource filter: what does not fit is found out before anything is trained."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from estimators.budget import Budget, default_budget, violations
from estimators.plan import lower
from estimators.resources import QUANTITIES, Resources, estimate
from estimators.targets import Target
from nas.search.records import SAMPLE, Drawn, Rejected
from nas.units import proportion, quantity
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.space import SearchSpace, Value

Rows = NDArray[np.int64]


class BudgetError(NasError):
    """No network of the space was found within the budget."""


class SpaceExhausted(NasError):
    """Every network found within the budget is known already."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A vector of choices with the network it builds and what that costs; feasible where no violation is positive."""

    choices: dict[str, Value]
    graph: Graph
    resources: Resources
    violations: dict[str, float]

    @property
    def feasible(self) -> bool:
        return all(value <= 0 for value in self.violations.values())


@dataclass(slots=True)
class Tally:
    """Running counts of draws.

    ``nearest`` is the rejected draw that misses the budget by the least. Rejected draws enter the sample when their
    priority is below ``ceiling``.
    """

    ceiling: float = 1.0
    draws: int = 0
    rejected: int = 0
    duplicates: int = 0
    bounds: Counter[str] = field(default_factory=Counter)
    sample: list[Rejected] = field(default_factory=list)
    nearest: Candidate | None = None
    distance: float = float("inf")

    def done(self) -> Drawn:
        """The counts as they are kept in a record."""
        return Drawn.total(
            [
                Drawn(
                    draws=self.draws,
                    rejected=self.rejected,
                    duplicates=self.duplicates,
                    bounds=dict(self.bounds),
                    sample=tuple(self.sample),
                )
            ]
        )


class ResourceFilter:
    """Builds, lowers and estimates draws from ``space`` and holds them against ``budget`` on ``target``."""

    def __init__(self, space: SearchSpace, target: Target, budget: Budget) -> None:
        self.space = space
        self.target = target
        self.budget = budget

    def examine(self, row: Rows) -> Candidate:
        """The network that a row of value indices stands for, estimated."""
        choices = self.space.decode(row)
        graph = self.space.build(choices)
        resources = estimate(lower(graph, self.target))
        return Candidate(choices, graph, resources, violations(resources, self.budget))

    def sift(
        self, rows: Rows, priorities: NDArray[np.float64], known: Container[str], tally: Tally
    ) -> Candidate | None:
        """Examines all rows, counts them in ``tally``, and returns the first feasible one whose network is not known.

        ``known`` holds digests. ``priorities``, one number in [0, 1) per row, decide which rejected draws are kept.
        """
        found: Candidate | None = None
        for row, priority in zip(rows, priorities, strict=True):
            candidate = self.examine(row)
            tally.draws += 1
            if not candidate.feasible:
                self._reject(candidate, float(priority), tally)
            elif candidate.graph.digest in known or (found and candidate.graph.digest == found.graph.digest):
                tally.duplicates += 1
            elif found is None:
                found = candidate
        return found

    def _reject(self, candidate: Candidate, priority: float, tally: Tally) -> None:
        tally.rejected += 1
        tally.bounds.update(name for name, value in candidate.violations.items() if value > 0)
        sample = tally.sample
        if priority < (sample[-1].priority if len(sample) == SAMPLE else tally.ceiling):
            sample.append(
                Rejected(
                    priority=priority,
                    choices=candidate.choices,
                    resources=numbers(candidate.resources),
                    violations=candidate.violations,
                )
            )
            sample.sort(key=lambda draw: draw.priority)
            del sample[SAMPLE:]
        distance = max(candidate.violations.values())
        if distance < tally.distance:
            tally.nearest, tally.distance = candidate, distance

    def why_not(self, tally: Tally) -> str:
        """One sentence for a budget that nothing met: the bounds in the way, the nearest candidate, what it costs."""
        nearest = tally.nearest
        if nearest is None:
            return f"nothing was drawn from space {self.space.name!r}"
        missed = sorted((excess, name) for name, excess in nearest.violations.items() if excess > 0)
        values, bounds = numbers(nearest.resources), self.budget.bounds()
        ways = " and ".join(
            f"{name} ({quantity(name, values[name])} where {quantity(name, bounds[name])} is allowed, "
            f"{proportion(1 + excess)} that)"
            for excess, name in missed
        )
        choices = ", ".join(f"{name}={value}" for name, value in nearest.choices.items())
        return (
            f"the budget cannot be met: none of {tally.draws:,} draws from space {self.space.name!r} fits "
            f"{self.target.name}; the nearest is kept out by {ways}; its choices are {choices}"
        )


def numbers(resources: Resources) -> dict[str, float]:
    """The figures of ``resources`` by name, without their kinds."""
    return {name: getattr(resources, name) for name in QUANTITIES}


def full_budget(budget: Budget, target: Target) -> Budget:
    """``budget`` with the chip's own limits on SRAM and flash wherever it says nothing of them."""
    return Budget(**{**default_budget(target).bounds(), **budget.bounds()})
