"""The trainer of real searches, as far as a search itself does not show it."""

from __future__ import annotations

import pytest

from nas.search.config import SearchConfig
from nas.search.trainer import QatTrainer
from nas.tasks import load_task
from nas.training.teacher import RECIPES, Recipe


def test_a_teacher_being_trained_is_heard_of_and_one_in_the_cache_is_not(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path_factory.mktemp("cache")))
    recipe = RECIPES["digits"]
    short = Recipe(recipe.graph, recipe.settings.model_copy(update={"epochs": 2.0}))
    monkeypatch.setitem(RECIPES, "digits", short)
    task = load_task("digits")
    said: list[str] = []
    QatTrainer().prepare(SearchConfig.of(promote=1), task, said.append)
    assert [line.split(",")[0] for line in said] == ["teacher: epoch 1 of 2", "teacher: epoch 2 of 2"]
    QatTrainer().prepare(SearchConfig.of(promote=1), task, said.append)
    assert len(said) == 2
    QatTrainer().prepare(SearchConfig.of(promote=0), task, said.append)
    assert len(said) == 2
