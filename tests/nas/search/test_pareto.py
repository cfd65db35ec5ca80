"""Dominance and hypervolume against values worked out by hand, and against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas.search.pareto import hypervolume, non_dominated, ranks

NAN = float("nan")
INF = float("inf")
UP_DOWN = (True, False)


@pytest.mark.parametrize(
    ("values", "maximise", "expected"),
    [
        ([], UP_DOWN, []),
        ([(0.9, 1.0)], UP_DOWN, [True]),
        ([(0.9, 1.0), (0.8, 2.0)], UP_DOWN, [True, False]),
        ([(0.9, 2.0), (0.8, 1.0)], UP_DOWN, [True, True]),
        # Equal in one objective, worse in the other.
        ([(0.9, 2.0), (0.9, 1.0), (0.8, 1.0)], UP_DOWN, [False, True, False]),
        # Equal rows stay together.
        ([(0.9, 1.0), (0.9, 1.0), (0.5, 1.5)], UP_DOWN, [True, True, False]),
        # NaN neither dominates nor counts, in whichever objective.
        ([(NAN, 0.1), (0.9, NAN), (0.2, 5.0)], UP_DOWN, [False, False, True]),
        ([(NAN, NAN)], UP_DOWN, [False]),
        # Infinity is an ordinary, very bad or very good value.
        ([(0.9, INF), (0.8, 1.0), (0.7, INF)], UP_DOWN, [True, True, False]),
        ([(1, 1, 3), (1, 2, 2), (1, 2, 3), (0, 9, 9)], (False, False, False), [True, True, False, True]),
        ([(3,), (1,), (1,)], (False,), [False, True, True]),
    ],
)
def test_non_dominated(values: list[tuple[float, ...]], maximise: tuple[bool, ...], expected: list[bool]) -> None:
    assert non_dominated(values, maximise).tolist() == expected


def test_ranks() -> None:
    values = [(0.9, 3.0), (0.5, 1.0), (0.8, 4.0), (0.4, 2.0), (0.3, 9.0), (NAN, 0.0), (0.9, 3.0)]
    assert ranks(values, UP_DOWN).tolist() == [0, 0, 1, 1, 2, 7, 0]
    assert ranks([], UP_DOWN).tolist() == []
    assert ranks(values, UP_DOWN, enough=3).tolist() == [0, 0, 7, 7, 7, 7, 0]
    assert ranks(values, UP_DOWN, enough=4).tolist() == [0, 0, 1, 1, 7, 7, 0]
    assert ranks(values, UP_DOWN, enough=99).tolist() == ranks(values, UP_DOWN).tolist()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0.0),
        # One rectangle: (0.5 - 0) * (10 - 4).
        ([(0.5, 4.0)], 3.0),
        # Two steps: 0.5 * (10 - 4) + (0.8 - 0.5) * (10 - 8).
        ([(0.5, 4.0), (0.8, 8.0)], 3.6),
        # A dominated point, an equal one, one beyond the reference, one on it and NaN add nothing.
        ([(0.5, 4.0), (0.8, 8.0), (0.4, 5.0), (0.5, 4.0), (0.9, 11.0), (0.9, 10.0), (NAN, 1.0)], 3.6),
        ([(0.0, 1.0)], 0.0),
    ],
)
def test_hypervolume(values: list[tuple[float, float]], expected: float) -> None:
    assert hypervolume(values, (0.0, 10.0), UP_DOWN) == pytest.approx(expected, abs=1e-12)


def test_hypervolume_says_what_it_cannot_measure() -> None:
    with pytest.raises(ValueError, match="3 objectives"):
        hypervolume([], (0, 0, 0), (True, True, True))
    with pytest.raises(ValueError, match="finite"):
        hypervolume([], (0, INF), UP_DOWN)
    with pytest.raises(ValueError, match=r"shape \(1, 3\)"):
        non_dominated([(1, 2, 3)], UP_DOWN)


POINTS = st.lists(st.tuples(st.integers(0, 8), st.integers(0, 8)), max_size=12)


@given(POINTS)
def test_front_and_hypervolume_by_definition(points: list[tuple[int, int]]) -> None:
    """On a grid of whole numbers the hypervolume is a number of unit cells, and dominance can be asked pair by pair."""

    def dominates(a: tuple[int, int], b: tuple[int, int]) -> bool:
        return a[0] >= b[0] and a[1] <= b[1] and a != b

    expected = [not any(dominates(other, point) for other in points) for point in points]
    assert non_dominated(points, UP_DOWN).tolist() == expected
    cells = sum(any(a > x and b <= y for a, b in points) for x in range(8) for y in range(8))
    assert hypervolume(points, (0, 8), UP_DOWN) == pytest.approx(cells)


@given(POINTS)
def test_ranks_peel_fronts(points: list[tuple[int, int]]) -> None:
    rank = ranks(points, UP_DOWN)
    assert ((rank == 0) == non_dominated(points, UP_DOWN)).all()
    left = np.array(points, dtype=float).reshape(-1, 2)[rank > 0]
    assert (rank[rank > 0] - 1 == ranks(left, UP_DOWN)).all()
