"""How far a number can be trusted: the word that goes with every figure of a report."""

from __future__ import annotations

import re
from typing import Final

EXACT: Final = "exact"
MEASURED: Final = "measured"
RECALLED: Final = "recalled"
CONVERTED: Final = "estimate (unverified conversion)"
"""Measured on another core, and converted by a factor that was not checked on the real one."""
UNVERIFIED: Final = "estimate (unverified)"

_FITTED: Final = re.compile(r"fitted \(± (\d+(?:\.\d+)?) %\)")
_RANKS: Final = {EXACT: 0, MEASURED: 1, RECALLED: 3, CONVERTED: 4, UNVERIFIED: 5}


def fitted(percent: float) -> str:
    """The kind of a number from a fit whose error on networks it had not seen stayed within ``percent``."""
    return f"fitted (± {percent:g} %)"


def check_kind(kind: str) -> str:
    """``kind`` as it is; raises ValueError unless it is one of the six."""
    if kind not in _RANKS and not _FITTED.fullmatch(kind):
        raise ValueError(f"kind {kind!r} is unknown; known are {', '.join([*_RANKS, 'fitted (± x %)'])}")
    return kind


def weakest(*kinds: str) -> str:
    """The kind of a number computed from numbers of these kinds: that of the least trustworthy."""
    return max(kinds, key=_rank)


def _rank(kind: str) -> tuple[int, float]:
    match = _FITTED.fullmatch(kind)
    return (2, float(match[1])) if match else (_RANKS[kind], 0.0)
