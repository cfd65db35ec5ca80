from __future__ import annotations

import numpy as np
import pytest

from estimators import estimate, load_target, lower, violations
from nas import demo
from nas.search import Run, RunSummary
from nas.search.progress import Progress
from search_spaces import get_space


def test_most_draws_violate_the_budget_and_some_do_not() -> None:
    space, target = get_space("ds_cnn", (8, 8, 1), 10), load_target(demo.TARGET)
    budget = demo.configuration().budget
    rows = space.draw(np.random.default_rng(0), 400)
    excesses = [violations(estimate(lower(space.build(space.decode(row)), target)), budget) for row in rows]
    share = np.mean([max(excess.values()) > 0 for excess in excesses])
    assert 0.5 < share < 0.95
    for bound in budget.bounds():
        assert any(excess[bound] > 0 for excess in excesses)


@pytest.mark.slow
def test_the_whole_demonstration(tmp_path_factory: pytest.TempPathFactory) -> None:
    runs: list[Run] = []
    result = demo.demonstrate(tmp_path_factory.mktemp("demo") / "run", Progress(), runs.append)
    assert not isinstance(result, RunSummary)
    assert result.summary.trained >= demo.TRIALS - 2
    assert 0.30 <= result.summary.drawn.share <= 0.95
    assert result.validation.bit_exact is True
    assert result.validation.host_bit_exact
    assert result.validation.test_accuracy is not None
    assert result.validation.test_accuracy >= 0.97
    assert result.seconds < 300
    assert [run.path for run in runs] == [result.run.path]
