"""Neural architecture search for microcontrollers, from Python.

    import nas

    run = nas.search("digits", "stm32l4r9", budget="sram_bytes=8KiB,seconds=20ms", trials=20, out="runs/digits")
    folder = nas.export(run.best_model, "stm32l4r9", "firmware-of-digits")
    print(nas.validate(folder).to_dict())

Importing this package loads no machine-learning library; each function brings what it needs when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nas.api import classify, draw, estimate, export, load_task, search, train, validate

__all__ = ["classify", "draw", "estimate", "export", "load_task", "search", "train", "validate"]


def __getattr__(name: str) -> Any:
    """Loads a public function on first use (PEP 562)."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The search is a package of the same name, which can be called.
    value = import_module("nas.search") if name == "search" else getattr(import_module("nas.api"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
