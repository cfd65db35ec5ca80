"""Coefficients of a target from what was measured: prices of cycles, bytes of code and of stack."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from estimators import KERNELS, Kernel
from estimators.cycles import terms
from estimators.flash import flash
from estimators.kernels import Term, all_sources, sources_of, terms_of
from estimators.targets import Code, Cycles, Stack, Target
from fitting.measure import Measured


@dataclass(frozen=True, slots=True)
class Fit:
    """Numbers of a target's file by kernel or C file, and the bytes of model.c without its calls.

    ``errors`` are those of each kernel's own layers: estimated over measured cycles, less 1.
    """

    prices: Mapping[Kernel, Mapping[Term, float]]
    errors: Mapping[Kernel, NDArray[np.float64]]
    stack: Mapping[Kernel, int]
    base: int
    code: Mapping[str, int]
    calls: Mapping[Kernel, int]


def fit(layers: Sequence[Measured], several: Sequence[Measured]) -> Fit:
    """All numbers: prices and stack from single ``layers``, the bytes of code also from ``several`` in one network.

    Raises ValueError where a kernel has no layer.
    """
    by_kernel: dict[Kernel, list[Measured]] = {kernel: [] for kernel in KERNELS}
    for row in layers:
        (step,) = row.plan.steps
        by_kernel[step.kernel].append(row)
    for kernel, rows in by_kernel.items():
        if not rows:
            raise ValueError(f"{kernel} runs in none of the layers")
    found = {kernel: prices(rows) for kernel, rows in by_kernel.items()}
    base, code, calls = code_bytes([*layers, *several])
    return Fit(
        prices=found,
        errors={kernel: errors(rows, found[kernel]) for kernel, rows in by_kernel.items()},
        stack=stack_bytes(by_kernel, several),
        base=base,
        code=code,
        calls=calls,
    )


def prices(rows: Sequence[Measured]) -> dict[Term, float]:
    """Cycles per unit of each term of the kernel that all ``rows`` run; terms that cost nothing are left out.

    Least squares of the relative error, none negative.
    """
    plan = rows[0].plan
    names = terms_of(plan.steps[0].kernel, plan.target.dsp)
    matrix = _counts(rows, names) / np.array([[row.cycles] for row in rows], dtype=float)
    scale = np.maximum(matrix.max(axis=0), np.finfo(float).tiny)  # columns of one size, or small ones are neglected
    solution = nnls(matrix / scale, np.ones(len(rows)))[0] / scale
    rounded = zip(names, (float(f"{value:.4g}") for value in solution), strict=True)
    return {term: value for term, value in rounded if value > 0}


def errors(rows: Sequence[Measured], of_terms: Mapping[Term, float]) -> NDArray[np.float64]:
    """Estimated over measured cycles of single layers, less 1."""
    estimated = _counts(rows, tuple(of_terms)) @ np.array(list(of_terms.values()))
    return np.array(estimated / np.array([row.cycles for row in rows]) - 1)


def _counts(rows: Sequence[Measured], names: Sequence[Term]) -> NDArray[np.float64]:
    counted = [terms(row.plan, row.plan.steps[0]) for row in rows]
    return np.array([[count[name] for name in names] for count in counted], dtype=float)


def code_bytes(rows: Sequence[Measured]) -> tuple[int, dict[str, int], dict[Kernel, int]]:
    """Bytes of model.c without its calls, of each C file with all that it brings along, of a call of each kernel.

    Files that are always together in a program are told apart by the sizes of their objects.
    """
    dsp = rows[0].plan.target.dsp
    files = [{file for step in row.plan.steps for file in sources_of(step.kernel, dsp)} for row in rows]
    groups: dict[tuple[bool, ...], list[str]] = {}
    for file in all_sources(dsp):
        groups.setdefault(tuple(file in used for used in files), []).append(file)
    calls = [Counter(step.kernel for step in row.plan.steps) for row in rows]
    called = [[count[kernel] for kernel in KERNELS] for count in calls]
    matrix = np.hstack([np.ones((len(rows), 1)), np.array([*groups], dtype=float).T, np.array(called, dtype=float)])
    sizes = np.array([code_of(row) for row in rows], dtype=float)
    base, *numbers = nnls(matrix / sizes[:, None], np.ones(len(rows)))[0].tolist()
    objects = {file: size for row in rows for file, size in row.objects.items()}
    of_files: dict[str, int] = {}
    for group, size in zip(groups.values(), numbers, strict=False):
        of_files |= shared_out(size, {file: objects[file] for file in group})
    of_calls = {kernel: round(size) for kernel, size in zip(KERNELS, numbers[len(groups) :], strict=True)}
    return round(base), {file: of_files[file] for file in all_sources(dsp)}, of_calls


def shared_out(size: float, weights: Mapping[str, int]) -> dict[str, int]:
    """``size`` in whole parts by ``weights``, of which one at least is positive; together they are it, rounded."""
    ends = np.rint(round(size) * np.cumsum([0, *weights.values()]) / sum(weights.values())).astype(int)
    return dict(zip(weights, np.diff(ends).tolist(), strict=True))


def code_of(row: Measured) -> int:
    """Bytes of a network's code: all its flash but the tables, whose size the plan tells exactly."""
    exact = flash(row.plan)
    return row.flash - exact.weights - exact.bias - exact.tables


def stack_bytes(layers: Mapping[Kernel, Sequence[Measured]], several: Sequence[Measured]) -> dict[Kernel, int]:
    """The deepest stack of each kernel's layers, and what model_invoke of a longer network keeps beyond that."""
    deepest = {kernel: max(row.stack for row in rows) for kernel, rows in layers.items()}
    longer = max(row.stack - max(deepest[step.kernel] for step in row.plan.steps) for row in several)
    return {kernel: depth + longer for kernel, depth in deepest.items()}


def with_numbers(target: Target, measured: Fit) -> Target:
    """``target`` with fitted numbers."""
    numbers = {
        "stack": Stack(source="fitted", kernels=dict(measured.stack)),
        "cycles": Cycles(source="fitted", kernels={kernel: dict(row) for kernel, row in measured.prices.items()}),
        "code": Code(source="fitted", base=measured.base, files=dict(measured.code), calls=dict(measured.calls)),
    }
    return target.model_copy(update=numbers)
