"""scripts/speech_networks.py never mixes figures of other trainings into its table."""

from __future__ import annotations

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nas.training import TrainSettings
from search_spaces import NasError
from tests.nas.speech_folder import SPEAKERS, write_data_set

TASK = "speech_commands:yes,no"


@pytest.fixture
def script(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location("speech_networks", checkout / "scripts" / "speech_networks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "TASK", TASK)
    return module


def test_kept_figures_are_taken_where_nothing_else_was_trained(script: ModuleType, tmp_path: Path) -> None:
    write_data_set(tmp_path)
    settings = TrainSettings.for_task(TASK, seed=1, threads=1, device="cpu")
    kept = {
        "network": "ds-cnn-s",
        "seed": 1,
        "task": TASK,
        "classes": ["yes", "no"],
        "clips": {split: 2 * people for split, people in SPEAKERS.items()},
        "settings": settings.model_dump(mode="json"),
        "test_accuracy": 0.5,
    }
    record = tmp_path / "ds-cnn-s-seed1.json"
    record.write_text(json.dumps(kept))
    assert script.train_one("ds-cnn-s", 1, tmp_path, str(tmp_path)) == kept
    other = settings.model_copy(update={"lr": 0.5}).model_dump(mode="json")
    differing = (
        ({"settings": other}, "settings"),
        ({"clips": {"train": 9}}, "clips"),
        ({"clips_sha256": "0"}, "clips_sha"),
    )
    for changes, field in differing:
        record.write_text(json.dumps(kept | changes))
        with pytest.raises(NasError, match=rf"ds-cnn-s-seed1\.json has {field}.* expected: remove it to train anew"):
            script.train_one("ds-cnn-s", 1, tmp_path, str(tmp_path))


def test_spread(script: ModuleType) -> None:
    assert script.spread([0.5]) == "50.00 %"
    assert script.spread([0.50, 0.52, 0.54]) == "52.00 ± 2.00 %"


def test_the_published_table_is_what_its_records_give(script: ModuleType, checkout: Path) -> None:
    folder = checkout / "results" / "speech-networks"
    assert script.document(folder) == (folder / script.TABLE).read_text(encoding="utf-8")
