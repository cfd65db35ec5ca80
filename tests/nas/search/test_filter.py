"""The resource filter against the estimators asked one by one."""

from __future__ import annotations

import numpy as np
import pytest

from estimators.budget import Budget
from estimators.plan import lower
from estimators.resources import estimate
from estimators.targets import load_target
from nas.search.filter import ResourceFilter, Tally, full_budget, numbers
from nas.search.records import SAMPLE, Drawn
from tests.nas.search.fakes import space

TARGET = load_target("stm32l4r9")


def resource_filter(budget: str) -> ResourceFilter:
    return ResourceFilter(space(), TARGET, Budget.parse(budget))


def test_counts_per_bound() -> None:
    """Every draw is held against the estimators here once more, by hand."""
    limits = {"macs": 300_000, "sram_bytes": 8192}
    rows = space().draw(np.random.default_rng(1), 200)
    tally = Tally()
    found = resource_filter("macs=300k,sram_bytes=8KiB").sift(rows, np.linspace(0, 0.99, 200), set(), tally)
    drawn = tally.done()

    costs = [numbers(estimate(lower(space().build(space().decode(row)), TARGET))) for row in rows]
    over = [{name for name, limit in limits.items() if cost[name] > limit} for cost in costs]
    assert drawn.draws == 200
    assert drawn.rejected == sum(bool(names) for names in over)
    assert drawn.bounds == {name: sum(name in names for names in over) for name in sorted(limits)}
    assert sum(drawn.bounds.values()) > drawn.rejected, "no draw violates both bounds: the test shows too little"
    assert drawn.share == drawn.rejected / 200
    first = next(i for i, names in enumerate(over) if not names)
    assert found is not None
    assert found.choices == space().decode(rows[first])
    # The lowest priorities are kept, which here are the first draws.
    rejected = [i for i, names in enumerate(over) if names]
    assert [draw.choices for draw in drawn.sample] == [space().decode(rows[i]) for i in rejected[:SAMPLE]]
    for draw, i in zip(drawn.sample, rejected, strict=False):
        assert {name for name, value in draw.violations.items() if value > 0} == over[i]
        assert draw.resources == costs[i]


def test_known_networks_are_duplicates() -> None:
    rows = np.repeat(space().draw(np.random.default_rng(0), 2), 3, axis=0)
    first, second = (space().build(space().decode(rows[i])).digest for i in (0, 3))
    assert first != second
    roomy = resource_filter("macs=1G")
    tally = Tally()
    found = roomy.sift(rows, np.zeros(6), {first}, tally)
    assert found is not None
    assert found.graph.digest == second
    # Three of the known one, and two repetitions of the one found.
    assert (tally.draws, tally.rejected, tally.duplicates) == (6, 0, 5)
    tally = Tally()
    assert roomy.sift(rows, np.zeros(6), {first, second}, tally) is None
    assert tally.duplicates == 6


def test_vectors_that_build_one_network_are_duplicates() -> None:
    """A stage of depth 0 has no width: both vectors are the same network."""
    choices = {**space().decode(space().draw(np.random.default_rng(0), 1)[0]), "stage3_depth": 0}
    widths = [{**choices, "stage3_width": width} for width in (4, 64)]
    rows = np.array([space().encode(one) for one in widths])
    tally = Tally()
    resource_filter("macs=1G").sift(rows, np.zeros(2), set(), tally)
    assert tally.duplicates == 1


def test_sample_is_even_and_adds_up() -> None:
    """A run's sample is that of its draws together, however they are divided."""
    rng = np.random.default_rng(5)
    rows, priorities = space().draw(rng, 400), rng.random(400)
    tight = resource_filter("macs=20k")
    whole = Tally()
    tight.sift(rows, priorities, set(), whole)
    parts: list[Drawn] = []
    for part in np.array_split(np.arange(400), 7):
        kept = Drawn.total(parts).sample
        tally = Tally(ceiling=kept[-1].priority if len(kept) == SAMPLE else 1.0)
        tight.sift(rows[part], priorities[part], set(), tally)
        parts.append(tally.done())
    total = Drawn.total(parts)
    assert total.rejected > SAMPLE
    assert len(total.sample) == SAMPLE
    assert total == whole.done()
    assert total == Drawn.total(reversed(parts))


def test_why_not_names_the_nearest_and_its_bounds() -> None:
    small = resource_filter("macs=100,flash_bytes=1kB")
    tally = Tally()
    rows = space().draw(np.random.default_rng(0), 50)
    assert small.sift(rows, np.zeros(50), set(), tally) is None
    candidates = [small.examine(row) for row in rows]
    nearest = min(candidates, key=lambda one: max(one.violations.values()))
    text = small.why_not(tally)
    assert "none of 50 draws from space 'ds_cnn' fits stm32l4r9" in text
    macs, flash = nearest.resources.macs, nearest.resources.flash_bytes
    assert f"macs ({macs:,} where 100 is allowed, {macs / 100:,.0f} times that)" in text
    assert (
        f"flash_bytes ({flash:,} B ({flash / 1024:.1f} KiB) where 1,000 B is allowed, {flash / 1000:.0f} times" in text
    )
    assert all(f"{name}={value}" in text for name, value in nearest.choices.items())
    assert "\n" not in text


def test_the_chip_bounds_what_the_budget_does_not() -> None:
    full = full_budget(Budget.parse("sram_bytes=10kB,seconds=1ms"), TARGET)
    assert full.bounds() == {
        "sram_bytes": 10_000,
        "seconds": 0.001,
        "flash_bytes": pytest.approx(TARGET.usable_flash_bytes),
    }
