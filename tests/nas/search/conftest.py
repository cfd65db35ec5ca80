"""What several tests of searches share."""

from __future__ import annotations

from pathlib import Path

import pytest

import nas.report
import nas.training
from nas.search.engine import search
from tests.nas.search.fakes import FakeTrainer, config


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leaves out what is not under test: pages for people, and the test split."""
    monkeypatch.setattr(nas.report, "write_report", lambda run: [])
    monkeypatch.setattr(nas.training, "integer_accuracy", lambda model, x, y: 0.5)


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted search, with its real report and test accuracies."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    search(config(), folder, trainer=FakeTrainer())
    return folder
