"""What a fit says: errors on networks that it has not seen, and the tables of the target's file."""

from __future__ import annotations

import datetime
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from estimators import estimate, lower
from estimators.kinds import CONVERTED, fitted
from estimators.targets import Target
from firmware.virtual.xtensa import CYCLES_PER_INSTRUCTION
from fitting.measure import Measured
from fitting.networks import SPACES
from fitting.solve import Fit, code_of
from search_spaces import NasError

Errors = Mapping[str, NDArray[np.float64]]
"""Estimated over measured, less 1, by table of the target's file: stack, cycles, code."""

_HOW: Final = {
    "stm32l4r9": "fitted on the Cortex-M4 virtual target",
    "esp32s2": "measured on an Xtensa LX106, the nearest emulated core",
}
_CONVERSIONS: Final[dict[str, dict[str, str]]] = {
    "stm32l4r9": {"stack": "", "cycles": "no wait states; ", "code": ""},
    "esp32s2": {
        "stack": "frames of the LX7's windowed calls differ; ",
        "cycles": f"its instructions times {CYCLES_PER_INSTRUCTION:g}, what whole int8 networks need on the LX7, one "
        "cycle each, cache misses left out; ",
        "code": "the LX7's instructions differ; ",
    },
}
"""What stands between the numbers measured and the target's own, by target and table."""


def relative_errors(networks: Sequence[Measured], target: Target) -> Errors:
    """Errors of the estimates for ``networks``.

    Of stack and code themselves: what else SRAM and flash hold is exact, so their totals are off by less, and by how
    much less depends on the network.
    """
    pairs = [(estimate(lower(row.graph, target)), row) for row in networks]
    return {
        "stack": np.array([guess.stack_bytes / row.stack - 1 for guess, row in pairs]),
        "cycles": np.array([guess.cycles / row.cycles - 1 for guess, row in pairs]),
        "code": np.array([guess.code_bytes / code_of(row) - 1 for guess, row in pairs]),
    }


def spread(errors: NDArray[np.float64]) -> str:
    """Median and largest error as a phrase."""
    return f"median error {100 * np.median(abs(errors)):.2g} %, max {100 * abs(errors).max():.2g} %"


def largest_percent(errors: NDArray[np.float64]) -> float:
    """The largest error in per cent, rounded up to a tenth."""
    return float(np.ceil(1000 * abs(errors).max() - 1e-9) / 10)


def tables(numbers: Fit, errors: Errors, target: str, compiler: str, count: int) -> dict[str, list[str]]:
    """Lines of each table of the target's file by its name, headers left out.

    ``errors`` are those of ``count`` networks. Numbers of the very core are fitted, and their kind carries the largest
    error; those of another core are converted, which nothing here can verify.
    """
    found: dict[str, list[str]] = {}
    names = ", ".join(sorted({name for name, _ in SPACES}))
    for name, rows in errors.items():
        source = (
            f"{_HOW[target]}, {compiler}, -O2, {datetime.date.today()}; {_CONVERSIONS[target][name]}{name} of {count} "
            f"random networks of {names} the fit had not seen: {spread(rows)}"
        )
        kind = fitted(largest_percent(rows)) if target == "stm32l4r9" else CONVERTED
        found[name] = [f'source = "{source}"', f'kind = "{kind}"']
    found["code"].append(f"base = {numbers.base}")
    found["stack.kernels"] = _rows(numbers.stack.items())
    found["cycles.kernels"] = _rows((kernel, _inline(row.items())) for kernel, row in numbers.prices.items())
    found["code.files"] = _rows(numbers.code.items())
    found["code.calls"] = _rows(numbers.calls.items())
    return found


def _rows(values: Iterable[tuple[str, object]]) -> list[str]:
    return [f'"{key}" = {value}' if "." in key else f"{key} = {value}" for key, value in values]


def _inline(values: Iterable[tuple[str, float]]) -> str:
    return "{ " + ", ".join(f"{key} = {value}" for key, value in values) + " }"


def with_tables(text: str, new: Mapping[str, Sequence[str]]) -> str:
    """The TOML ``text`` with the lines of some tables replaced; comments and all other tables stay as they are.

    A table's comments are those in front of its header; what stands between its own lines goes. Raises NasError where
    the text has no such table.
    """
    lines = text.splitlines(keepends=True)
    for name, rows in new.items():
        try:
            begin = [line.rstrip() for line in lines].index(f"[{name}]") + 1
        except ValueError:
            raise NasError(f"the target's file has no table [{name}]") from None
        headers = (index for index in range(begin, len(lines)) if re.match(r"\s*\[", lines[index]))
        end = next(headers, len(lines))
        while end > begin and (not lines[end - 1].strip() or lines[end - 1].lstrip().startswith("#")):
            end -= 1
        lines[begin:end] = [f"{row}\n" for row in rows]
    return "".join(lines)


def summary(numbers: Fit) -> list[str]:
    """A line for each kernel: its layers, how well its prices fit them, its stack."""
    return [
        f"# {kernel}: {len(errors)} layers, {spread(errors)}; stack {numbers.stack[kernel]} B"
        for kernel, errors in numbers.errors.items()
    ]
