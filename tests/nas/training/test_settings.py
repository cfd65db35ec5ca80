from __future__ import annotations

import subprocess
import sys

import pytest

from nas.training import TrainSettings
from search_spaces.errors import NasError


def test_changes_go_over_the_tasks_defaults() -> None:
    settings = TrainSettings.for_task("digits", epochs=3, distill={"alpha": 0.3})
    assert settings.epochs == 3
    assert settings.batch_size == TrainSettings.for_task("digits").batch_size
    assert settings.distill is not None
    assert (settings.distill.alpha, settings.distill.temperature) == (0.3, 4)


def test_a_tasks_options_leave_its_defaults() -> None:
    spoken = TrainSettings.for_task("speech_commands")
    assert spoken.optimizer == "adamw"
    assert TrainSettings.for_task("speech_commands:yes,no,unknown") == spoken
    assert TrainSettings.for_task("speech_commands_of_mine") == TrainSettings.for_task("another")


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"epochs": 1e308}, "training setting epochs=1e+308: Input should be less than or equal to 1000000"),
        ({"lr": float("inf")}, "training setting lr=inf: Input should be a finite number"),
        ({"epochs": 0}, "training setting epochs=0: Input should be greater than 0"),
        ({"optimizer": "sdg"}, "training setting optimizer='sdg': Input should be 'sgd' or 'adamw'"),
        ({"distill": {"alpha": 2}}, "training setting distill.alpha=2: Input should be less than or equal to 1"),
        ({"epoch": 3}, "training setting epoch=3: Extra inputs are not permitted"),
    ],
)
def test_bad_settings(changes: dict[str, object], sentence: str) -> None:
    with pytest.raises(NasError) as caught:
        TrainSettings.for_task("digits", **changes)
    assert str(caught.value).startswith(sentence)


def test_settings_load_no_torch() -> None:
    code = "import sys, nas.training, nas.tasks; nas.training.TrainSettings(); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
