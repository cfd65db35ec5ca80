"""Samplers: Optuna samplers that propose whole feasible vectors of choices, and the registry that lists them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from bisect import insort
from collections.abc import Mapping
from functools import cached_property
from typing import Any, ClassVar, TypeVar

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial, TrialState

from nas.search.filter import BudgetError, Candidate, ResourceFilter, Rows, SpaceExhausted, Tally
from nas.search.pareto import ranks
from nas.search.records import SAMPLE, Drawn, fits
from search_spaces.errors import NasError
from search_spaces.space import SearchSpace, Value, did_you_mean

LIMIT = 20_000
"""Draws for one candidate after which the search for it is given up."""

_FIRST, _NEXT = 32, 512
"""Draws examined at once: first a few, many when those brought nothing."""

_MUTATIONS = 1.5

_REPAIR = 4_000
"""Fruitless draws after which the nearest of them is changed step by step, towards the budget."""


Directions = list[StudyDirection]


class FeasibleSampler(BaseSampler, ABC):
    """Proposes vectors of choices in arrays, and answers with the first that fits the budget and is not known.

    All random numbers of a trial come from (seed, trial number). A trial knows the networks of all trials before it
    and, where the sampler ``learns``, the results of the trials numbered below ``horizon`` (None: of all finished).

    Raises BudgetError when ``limit`` draws brought nothing feasible, SpaceExhausted when what they brought is known.
    """

    name: ClassVar[str]
    description: ClassVar[str]
    learns: ClassVar[bool]

    def __init__(self, resource_filter: ResourceFilter, seed: int, limit: int = LIMIT) -> None:
        self.filter = resource_filter
        self.space: SearchSpace = resource_filter.space
        self.seed = seed
        self.limit = limit
        self.horizon: int | None = None
        self._distributions: dict[str, BaseDistribution] = {
            name: CategoricalDistribution(choice.values) for name, choice in self.space.distributions().items()
        }
        self._decided: dict[int, dict[str, Value]] = {}
        self._known: dict[str, int] = {}
        self._priorities: list[float] = []

    @abstractmethod
    def propose(self, rng: np.random.Generator, trials: list[FrozenTrial], directions: Directions, count: int) -> Rows:
        """``count`` rows of value indices, feasible or not, given the finished feasible trials in order of number."""

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """What Optuna is told of the space."""
        return dict(self._distributions)

    def remember(self, number: int, choices: Mapping[str, Value], digest: str, drawn: Drawn) -> None:
        """Takes over a candidate found before: its trial gets the same choices again, and no later one its network."""
        self._decided[number] = dict(choices)
        self._known.setdefault(digest, number)
        for draw in drawn.sample:
            insort(self._priorities, draw.priority)
        del self._priorities[SAMPLE:]

    def find(self, study: Study, number: int) -> tuple[Candidate, Drawn]:
        """The candidate for trial ``number``, and what it took to find it; the study may not have the trial yet."""
        rng, chances = (np.random.default_rng([stream, self.seed, number]) for stream in (0, 1))
        known = {digest for digest, first in self._known.items() if first < number}
        trials = self._finished(study)
        # No rejected draw above the run's sample so far can enter it: there is no need to keep those.
        tally = Tally(ceiling=self._priorities[-1] if len(self._priorities) == SAMPLE else 1.0)
        while tally.draws < self.limit:
            count = min(_NEXT if tally.draws else _FIRST, self.limit - tally.draws)
            if tally.draws < _REPAIR:
                rows = self.propose(rng, trials, study.directions, count)
            elif tally.draws == tally.rejected:
                rows = self._repair(rng, tally, count)
            else:
                rows = self.space.draw(rng, count)
            candidate = self.filter.sift(rows, chances.random(count), known, tally)
            if candidate is not None:
                drawn = tally.done()
                self.remember(number, candidate.choices, candidate.graph.digest, drawn)
                return candidate, drawn
        if tally.duplicates or self._known:
            raise SpaceExhausted(
                f"{tally.draws} draws from space {self.space.name!r} brought no new network within the budget "
                f"({tally.rejected} violate it, {tally.duplicates} are known)"
            )
        raise BudgetError(self.filter.why_not(tally))

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        return self.distributions

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        if trial.number not in self._decided:
            self.find(study, trial.number)
        return dict(self._decided[trial.number])

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        raise NasError(
            f"parameter {param_name!r} as {param_distribution} is no choice of space {self.space.name!r}; "
            f"it has {', '.join(self._distributions)}"
        )

    def mutate(self, rng: np.random.Generator, rows: Rows) -> Rows:
        """Copies of ``rows`` with about ``_MUTATIONS`` choices each, at least one, redrawn nearby or anywhere."""
        count, choices = rows.shape
        mutated = rng.random(rows.shape) < _MUTATIONS / choices
        mutated[np.arange(count), rng.integers(choices, size=count)] = True
        step = np.clip(rows + rng.choice([-1, 1], size=rows.shape), 0, self._last_values)
        moved = np.where(rng.random(rows.shape) < 0.5, step, self.space.draw(rng, count))
        return np.where(mutated, moved, rows)

    @cached_property
    def _last_values(self) -> Rows:
        return np.array([len(choice.values) - 1 for choice in self.space.distributions().values()], dtype=np.int64)

    def _repair(self, rng: np.random.Generator, tally: Tally, count: int) -> Rows:
        if tally.nearest is None:
            return self.space.draw(rng, count)
        return self.mutate(rng, np.tile(self.space.encode(tally.nearest.choices), (count, 1)))

    def _finished(self, study: Study) -> list[FrozenTrial]:
        if not self.learns:
            return []
        trials = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
        return [
            trial
            for trial in trials
            if (self.horizon is None or trial.number < self.horizon)
            and fits(trial.constraints)  # below the least accuracy the better ones still show the way
        ]


_SAMPLERS: dict[str, type[FeasibleSampler]] = {}

_S = TypeVar("_S", bound=type[FeasibleSampler])


def register_sampler(sampler: _S) -> _S:
    """Class decorator that lists a sampler under its ``name``."""
    if sampler.name in _SAMPLERS:
        raise ValueError(f"sampler {sampler.name!r} is registered twice")
    _SAMPLERS[sampler.name] = sampler
    return sampler


def sampler_names() -> list[str]:
    """Names of all samplers, sorted."""
    return sorted(_SAMPLERS)


def sampler_class(name: str) -> type[FeasibleSampler]:
    """The sampler called ``name``; NasError where there is none."""
    if name not in _SAMPLERS:
        raise NasError(f"sampler {name!r} is unknown{did_you_mean(name, sampler_names())}")
    return _SAMPLERS[name]


@register_sampler
class RandomSampler(FeasibleSampler):
    """Draws uniformly from the space; what fits is therefore a uniform draw from the feasible vectors."""

    name = "random"
    description = "uniform draws from the feasible part of the space"
    learns = False

    def propose(self, rng: np.random.Generator, trials: list[FrozenTrial], directions: Directions, count: int) -> Rows:
        return self.space.draw(rng, count)


@register_sampler
class EvolutionSampler(FeasibleSampler):
    """Crosses and mutates the best candidates so far: those of the lowest non-dominated ranks.

    A child takes every choice from one of two parents, or all from one, and is mutated. A share of ``FRESH`` proposals
    are uniform draws, and all are until ``LEAST`` candidates have finished.
    """

    name = "evolution"
    description = "children of the Pareto-best candidates so far, crossed and mutated"
    learns = True

    LEAST = 4
    PARENTS = 12
    CROSSED = 0.5
    FRESH = 0.1

    def propose(self, rng: np.random.Generator, trials: list[FrozenTrial], directions: Directions, count: int) -> Rows:
        fresh = self.space.draw(rng, count)
        if len(trials) < self.LEAST:
            return fresh
        parents = self._parents(trials, directions)
        mother, father = (parents[rng.integers(len(parents), size=count)] for _ in range(2))
        crossed = (rng.random((count, 1)) < self.CROSSED) & (rng.random(mother.shape) < 0.5)
        child = self.mutate(rng, np.where(crossed, father, mother))
        return np.where(rng.random((count, 1)) < self.FRESH, fresh, child)

    def _parents(self, trials: list[FrozenTrial], directions: Directions) -> Rows:
        """Rows of whole ranks, the best first, until there are ``PARENTS`` of them."""
        maximise = [direction is StudyDirection.MAXIMIZE for direction in directions]
        rank = ranks([trial.values for trial in trials], maximise, self.PARENTS)
        return np.array([self.space.encode(trials[i].params) for i in np.flatnonzero(rank < len(trials))])
