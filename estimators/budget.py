"""Upper bounds on what a network may cost, and by how much a network breaks them."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Final

from estimators.resources import QUANTITIES, Resources
from estimators.targets import Target
from search_spaces.errors import NasError
from search_spaces.space import did_you_mean

_BYTES: Final = {"": 1.0, "B": 1.0, "kB": 1e3, "KB": 1e3, "MB": 1e6, "KiB": 1024.0, "MiB": 1024.0**2}
_COUNTS: Final = {"": 1.0, "k": 1e3, "K": 1e3, "M": 1e6, "G": 1e9}
_SECONDS: Final = {"": 1.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}
_JOULES: Final = {"": 1.0, "J": 1.0, "mJ": 1e-3, "uJ": 1e-6, "µJ": 1e-6, "nJ": 1e-9}
_FRACTIONS: Final = {"": 1.0, "%": 1e-2}

_NUMBER: Final = re.compile(r"(\d+(?:_\d+)*(?:\.\d+)?(?:e-?\d+)?)\s*([A-Za-zµ%]*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """Upper bounds on the fields of Resources of the same names, and a least accuracy; None bounds nothing.

    Bytes, cycles, seconds and joules; ``min_accuracy`` is a fraction. Raises NasError for a bound that is no positive
    finite number and for an accuracy above 1.
    """

    params: float | None = None
    macs: float | None = None
    sram_bytes: float | None = None
    arena_bytes: float | None = None
    stack_bytes: float | None = None
    data_bytes: float | None = None
    flash_bytes: float | None = None
    weights_bytes: float | None = None
    bias_bytes: float | None = None
    table_bytes: float | None = None
    code_bytes: float | None = None
    cycles: float | None = None
    frontend_cycles: float | None = None
    seconds: float | None = None
    joules: float | None = None
    min_accuracy: float | None = None

    def __post_init__(self) -> None:
        for name, bound in self.bounds().items():
            if not (math.isfinite(bound) and bound > 0):
                raise NasError(f"budget {name} is {bound}; a positive finite number expected")
        if self.min_accuracy is not None and self.min_accuracy > 1:
            raise NasError(f"budget min_accuracy is {self.min_accuracy}; at most 1 expected (per cent as in 90%)")

    @classmethod
    def parse(cls, text: str) -> Budget:
        """The budget written as ``sram_bytes=64KiB,flash_bytes=200kB,macs=1M,seconds=10ms,min_accuracy=90%``.

        Bytes take B, kB or KB (1,000), MB, KiB (1,024), MiB; counts k or K, M, G; times s, ms, us; energies J, mJ, uJ,
        nJ; the accuracy %. Case matters: a mega is no milli. Raises NasError on anything else.
        """
        bounds: dict[str, float] = {}
        for item in filter(None, (part.strip() for part in text.split(","))):
            name, equals, value = (part.strip() for part in item.partition("="))
            if not equals:
                raise NasError(f"budget {item!r} has no '='; name=value expected, for instance sram_bytes=64KiB")
            if name not in _UNITS:
                raise NasError(f"budget {name!r} is unknown{did_you_mean(name, list(_UNITS))}")
            if name in bounds:
                raise NasError(f"budget {name} is given twice; one bound expected")
            bounds[name] = _parse(name, value)
        if not bounds:
            raise NasError(f"budget {text!r} bounds nothing; name=value expected, for instance sram_bytes=64KiB")
        return cls(**bounds)

    def bounds(self) -> dict[str, float]:
        """The bounds that are set, by name."""
        values = {item.name: getattr(self, item.name) for item in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def __str__(self) -> str:
        """The text that ``parse`` reads back, in plain numbers."""
        return ",".join(f"{name}={value:.12g}" for name, value in self.bounds().items())


def violations(resources: Resources, budget: Budget, accuracy: float | None = None) -> dict[str, float]:
    """By how much each bound is broken, as a fraction of the bound: (value - bound) / bound; feasible iff all are <= 0.

    The bound on accuracy takes part only when ``accuracy`` (a fraction) is given, because it is known only after
    training; there it is (bound - accuracy) / bound.
    """
    excess = {
        name: (getattr(resources, name) - bound) / bound
        for name, bound in budget.bounds().items()
        if name != "min_accuracy"
    }
    if accuracy is not None and budget.min_accuracy is not None:
        excess["min_accuracy"] = (budget.min_accuracy - accuracy) / budget.min_accuracy
    return excess


def default_budget(target: Target) -> Budget:
    """What the chip itself bounds: its usable SRAM and flash."""
    return Budget(sram_bytes=target.usable_sram_bytes, flash_bytes=target.usable_flash_bytes)


def _units(name: str) -> dict[str, float]:
    if name.endswith("_bytes"):
        return _BYTES
    return {"seconds": _SECONDS, "joules": _JOULES, "min_accuracy": _FRACTIONS}.get(name, _COUNTS)


_UNITS: Final = {name: _units(name) for name in (*QUANTITIES, "min_accuracy")}


def _parse(name: str, text: str) -> float:
    units = _UNITS[name]
    match = _NUMBER.fullmatch(text)
    if match is None or match[2] not in units:
        accepted = ", ".join(unit for unit in units if unit)
        raise NasError(f"budget {name} is {text!r}; a positive number expected, plain or in {accepted}")
    return float(match[1]) * units[match[2]]
