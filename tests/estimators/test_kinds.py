from __future__ import annotations

import itertools

import pytest

from estimators.kinds import CONVERTED, EXACT, MEASURED, RECALLED, UNVERIFIED, check_kind, fitted, weakest

FROM_BEST = [EXACT, MEASURED, fitted(2), fitted(10.5), RECALLED, CONVERTED, UNVERIFIED]


def test_a_fit_names_its_error() -> None:
    assert fitted(3.0) == "fitted (± 3 %)"
    assert fitted(2.75) == "fitted (± 2.75 %)"


@pytest.mark.parametrize(("better", "worse"), list(itertools.combinations(FROM_BEST, 2)))
def test_the_weakest_part_decides(better: str, worse: str) -> None:
    assert weakest(better, worse) == weakest(worse, better) == worse


@pytest.mark.parametrize("kind", FROM_BEST)
def test_known_kinds(kind: str) -> None:
    assert check_kind(kind) == kind
    assert weakest(kind) == kind


@pytest.mark.parametrize("kind", ["", "Exact", "fitted", "fitted (± %)", "fitted (± 2%)", "estimate"])
def test_unknown_kinds_are_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="is unknown; known are exact, measured, recalled"):
        check_kind(kind)
