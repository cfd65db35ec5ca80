"""Training: quantisation-aware, distilled, deterministic; the settings alone are importable without torch."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nas.training.settings import Distillation, TrainSettings

if TYPE_CHECKING:
    from nas.training.checkpoint import CheckpointError
    from nas.training.evaluate import integer_accuracy
    from nas.training.session import EpochReport, TrainingDiverged
    from nas.training.teacher import Teacher, load_teacher
    from nas.training.trainer import TrainResult, train

__all__ = [
    "CheckpointError",
    "Distillation",
    "EpochReport",
    "Teacher",
    "TrainResult",
    "TrainSettings",
    "TrainingDiverged",
    "integer_accuracy",
    "load_teacher",
    "train",
]

_HOME = {
    "CheckpointError": "checkpoint",
    "EpochReport": "session",
    "Teacher": "teacher",
    "TrainResult": "trainer",
    "TrainingDiverged": "session",
    "integer_accuracy": "evaluate",
    "load_teacher": "teacher",
    "train": "trainer",
}


def __getattr__(name: str) -> Any:
    """Loads what needs torch on first use (PEP 562)."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    globals()[name] = value
    return value
