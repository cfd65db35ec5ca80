"""Samplers as Optuna uses them, without the rest of a search."""

from __future__ import annotations

import warnings

import numpy as np
import optuna
import pytest
from optuna.trial import FrozenTrial, TrialState, create_trial

from estimators.budget import Budget
from estimators.targets import load_target
from nas.search.filter import BudgetError, ResourceFilter, SpaceExhausted
from nas.search.journal import DIRECTIONS
from nas.search.records import Drawn
from nas.search.samplers import EvolutionSampler, FeasibleSampler, RandomSampler, sampler_class, sampler_names
from search_spaces.errors import NasError
from tests.nas.search.fakes import space

TARGET = load_target("stm32l4r9")
MEDIUM = "macs=200k,sram_bytes=8KiB"


def make(kind: type[FeasibleSampler], budget: str = MEDIUM, seed: int = 0, limit: int = 20_000) -> FeasibleSampler:
    return kind(ResourceFilter(space(), TARGET, Budget.parse(budget)), seed, limit)


def study_of(sampler: FeasibleSampler) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(sampler=sampler, directions=DIRECTIONS)


def run(sampler: FeasibleSampler, count: int) -> list[FrozenTrial]:
    """Ask and tell with invented results."""
    study = study_of(sampler)
    for _ in range(count):
        trial = study.ask(sampler.distributions)
        candidate = sampler.filter.examine(space().encode(trial.params))
        study.tell(trial, [1 - 1 / candidate.graph.macs, candidate.resources.seconds])
    return study.trials


@pytest.mark.parametrize("name", sampler_names())
def test_all_that_is_asked_fits_and_is_new(name: str) -> None:
    sampler = make(sampler_class(name))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trials = run(sampler, 30)
    candidates = [sampler.filter.examine(space().encode(trial.params)) for trial in trials]
    assert all(one.feasible for one in candidates)
    assert len({one.graph.digest for one in candidates}) == 30
    # Types survive Optuna: choices are looked up by value and type.
    assert all(space().build(trial.params) for trial in trials)


@pytest.mark.parametrize("name", sampler_names())
def test_seed_and_number_decide(name: str) -> None:
    again = [[trial.params for trial in run(make(sampler_class(name), seed=seed), 12)] for seed in (3, 3, 4)]
    assert again[0] == again[1]
    assert again[0] != again[2]


def test_a_sampler_that_remembers_goes_on_where_another_was() -> None:
    one = make(RandomSampler)
    study = study_of(one)
    found = [one.find(study, number) for number in range(8)]
    other = make(RandomSampler)
    for number, (candidate, drawn) in enumerate(found[:5]):
        other.remember(number, candidate.choices, candidate.graph.digest, drawn)
    for number, (candidate, drawn) in enumerate(found[5:], start=5):
        assert other.find(study, number) == (candidate, drawn)


def test_earlier_numbers_do_not_know_later_ones() -> None:
    sampler = make(RandomSampler)
    study = study_of(sampler)
    found = [sampler.find(study, number) for number in range(4)]
    assert sampler.find(study, 1)[0] == found[1][0]


def test_random_draws_are_uniform_over_what_fits() -> None:
    """Acceptance agrees with rejection by hand: no choice is favoured beyond what feasibility does."""
    sampler = make(RandomSampler)
    rows = space().draw(np.random.default_rng(9), 1200)
    fits = [sampler.filter.examine(row) for row in rows]
    expected = np.mean([one.choices["stem_stride"] == 2 for one in fits if one.feasible])
    study = study_of(sampler)
    drawn = np.mean([sampler.find(study, number)[0].choices["stem_stride"] == 2 for number in range(120)])
    assert abs(drawn - expected) < 4 * np.sqrt(expected * (1 - expected) / 120)


def finished(number_of_macs: int, value: float, violated: float = -1.0, bound: str = "macs") -> FrozenTrial:
    row = space().draw(np.random.default_rng(number_of_macs), 1)[0]
    sampler = make(EvolutionSampler)
    return create_trial(
        params=space().decode(row),
        distributions=sampler.distributions,
        values=[value, number_of_macs],
        constraints={bound: violated},
    )


def test_evolution_breeds_from_the_best_within_the_horizon(monkeypatch: pytest.MonkeyPatch) -> None:
    """The parents are the best; their children hold few values that none of them has."""
    sampler = make(EvolutionSampler, "macs=1G")
    assert isinstance(sampler, EvolutionSampler)
    study = study_of(sampler)
    # Front: 3, 5, 9. The others are slower and worse.
    for macs, value in ((3, 0.5), (5, 0.6), (9, 0.9), (10, 0.4), (11, 0.3)):
        study.add_trial(finished(macs, value))
    assert [int(t.values[1]) for t in sampler._finished(study)] == [3, 5, 9, 10, 11]
    sampler.horizon = 3
    assert [int(t.values[1]) for t in sampler._finished(study)] == [3, 5, 9]
    sampler.horizon = None
    monkeypatch.setattr(EvolutionSampler, "PARENTS", 3)
    parents = sampler._parents(sampler._finished(study), study.directions)
    assert {tuple(row) for row in parents} == {
        tuple(space().draw(np.random.default_rng(macs), 1)[0]) for macs in (3, 5, 9)
    }
    rng = np.random.default_rng(0)
    children = sampler.propose(rng, sampler._finished(study), study.directions, 500)
    whole = {tuple(space().encode(trial.params)) for trial in study.trials}
    assert sum(tuple(row) in whole for row in children) < 100, "most children differ from their parents"
    # A child differs in few places from the nearest mixture of two parents.
    genes = np.array(sorted(whole))
    novel = np.array([[value not in genes[:, i] for i, value in enumerate(row)] for row in children]).sum(axis=1)
    assert np.median(novel) <= 2
    assert 0.03 < np.mean(novel > 6) < 0.25, "about a tenth of the proposals are fresh"


def test_evolution_leaves_out_infeasible_and_failed_trials() -> None:
    sampler = make(EvolutionSampler)
    study = study_of(sampler)
    study.add_trial(finished(3, 0.9))
    study.add_trial(finished(4, 0.99, violated=0.1))
    study.add_trial(finished(5, 0.4, violated=0.1, bound="min_accuracy"))  # shows the way, though below the bar
    study.tell(study.ask(), state=TrialState.FAIL)
    study.ask()
    assert [trial.number for trial in sampler._finished(study)] == [0, 2]


def test_mutation_changes_something_and_stays_inside() -> None:
    sampler = make(EvolutionSampler)
    rows = space().draw(np.random.default_rng(0), 400)
    children = sampler.mutate(np.random.default_rng(1), rows)
    last = np.array([len(choice.values) for choice in space().distributions().values()])
    assert ((children >= 0) & (children < last)).all()
    changed = (children != rows).sum(axis=1)
    assert 0.5 < changed.mean() < 3
    assert (sampler.mutate(np.random.default_rng(1), rows) == children).all()


def test_a_tight_budget_is_met_by_repair() -> None:
    """Hardly any uniform draw would fit: the kernels alone take most of the flash."""
    sampler = make(RandomSampler, "macs=5k,flash_bytes=10200")
    candidate, drawn = sampler.find(study_of(sampler), 0)
    assert candidate.feasible
    assert drawn.draws > 4000
    assert drawn.draws - drawn.rejected >= 1


def test_a_budget_that_nothing_meets() -> None:
    sampler = make(EvolutionSampler, "macs=10", limit=600)
    with pytest.raises(BudgetError, match=r"none of 600 draws .* kept out by macs \([\d,]+ where 10 is allowed"):
        sampler.find(study_of(sampler), 0)


def test_a_space_without_further_networks() -> None:
    sampler = make(RandomSampler, "macs=10", limit=600)
    sampler.remember(0, {}, "digest", Drawn())
    with pytest.raises(SpaceExhausted, match="600 violate it, 0 are known"):
        sampler.find(study_of(sampler), 1)


def test_unknown_names_say_what_is_known() -> None:
    with pytest.raises(NasError, match="sampler 'evolutoin' is unknown; did you mean 'evolution'"):
        sampler_class("evolutoin")
    sampler = make(RandomSampler)
    with pytest.raises(NasError, match=r"parameter 'depth' .* is no choice of space 'ds_cnn'"):
        study_of(sampler).ask().suggest_int("depth", 1, 3)
