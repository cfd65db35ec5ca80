"""The search: its configuration, its run folder, and what its records say. ``nas.search.engine`` runs it.

The package can be called: ``nas.search(...)`` is ``nas.api.search(...)``.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from nas.search.config import SearchConfig
from nas.search.records import Drawn, Record, Training
from nas.search.run import Run
from nas.search.selection import front, most_accurate
from nas.search.summary import RunSummary

__all__ = ["Drawn", "Record", "Run", "RunSummary", "SearchConfig", "Training", "front", "most_accurate"]


class _Callable(ModuleType):
    """The public function ``nas.search`` bears this package's name, so the package has to do what it does."""

    def __call__(self, *args: Any, **settings: Any) -> RunSummary:
        from nas.api import search

        return search(*args, **settings)


sys.modules[__name__].__class__ = _Callable
