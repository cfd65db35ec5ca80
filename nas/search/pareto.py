"""Pareto dominance and hypervolume, as pure functions of arrays."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray


def _costs(values: ArrayLike, maximise: Sequence[bool]) -> NDArray[np.float64]:
    """Values with the columns to maximise negated, so that smaller is better everywhere."""
    table = np.asarray(values, dtype=np.float64)
    table = table.reshape(-1, len(maximise)) if table.size == 0 else table
    if table.ndim != 2 or table.shape[1] != len(maximise):
        raise ValueError(f"values of shape {table.shape}: (n, {len(maximise)}) expected, a column per objective")
    return np.where(np.asarray(maximise), -table, table)


def non_dominated(values: ArrayLike, maximise: Sequence[bool]) -> NDArray[np.bool_]:
    """Which rows no other row dominates.

    ``values`` has shape (n, objectives); ``maximise`` says per objective whether more is better. A row dominates
    another when it is nowhere worse and somewhere better, so equal rows stay together. A row that holds NaN dominates
    nothing and is never part of the result.
    """
    costs = _costs(values, maximise)
    left = np.flatnonzero(~np.isnan(costs).any(axis=1))
    # Small sums first: such rows dominate many others, which are then out of the way.
    left = left[np.argsort(costs[left].sum(axis=1), kind="stable")]
    turn = 0
    while turn < left.size:
        one = costs[left[turn]]
        stays = (costs[left] < one).any(axis=1) | (costs[left] == one).all(axis=1)
        turn = int(stays[: turn + 1].sum())
        left = left[stays]
    mask = np.zeros(len(costs), dtype=np.bool_)
    mask[left] = True
    return mask


def ranks(values: ArrayLike, maximise: Sequence[bool], enough: int | None = None) -> NDArray[np.int64]:
    """Non-dominated rank of every row: 0 on the front, 1 on the front of what is left without it, and so on.

    Ranking ends when ``enough`` rows have one. The others, and a row that holds NaN, come behind all: their rank is the
    number of rows.
    """
    costs = _costs(values, maximise)
    result = np.full(len(costs), len(costs), dtype=np.int64)
    left = np.flatnonzero(~np.isnan(costs).any(axis=1))
    rank, wanted = 0, left.size if enough is None else min(enough, left.size)
    total = left.size
    while total - left.size < wanted:
        front = non_dominated(costs[left], [False] * costs.shape[1])
        result[left[front]] = rank
        left = left[~front]
        rank += 1
    return result


def hypervolume(values: ArrayLike, reference: Sequence[float], maximise: Sequence[bool]) -> float:
    """Area that the rows of ``values``, shape (n, 2), dominate up to the point ``reference``.

    Rows that are not better than the reference in both objectives add nothing, nor do rows that hold NaN. Raises
    ValueError unless there are two objectives and the reference is finite.
    """
    if len(maximise) != 2:
        raise ValueError(f"{len(maximise)} objectives; the hypervolume is defined for 2 here")
    corner = _costs([list(reference)], maximise)[0]
    if not np.isfinite(corner).all():
        raise ValueError(f"reference {tuple(reference)}: finite numbers expected")
    costs = _costs(values, maximise)
    costs = costs[non_dominated(costs, [False, False])]
    costs = costs[(costs < corner).all(axis=1)]
    area, height = 0.0, float(corner[1])
    for x, y in costs[np.argsort(costs[:, 0], kind="stable")]:
        # From left to right a front only descends: each point adds the strip between it and the one before.
        area += (corner[0] - x) * (height - y)
        height = y
    return float(area)
