"""What a search accepts, and what it says otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

from estimators.budget import Budget
from nas.search.config import SearchConfig
from search_spaces.errors import NasError


def test_text_and_plain_values_are_the_same() -> None:
    text = SearchConfig.of(budget="sram_bytes=8KiB,seconds=5ms,min_accuracy=90%")
    plain = SearchConfig.of(budget={"sram_bytes": 8192, "seconds": 0.005, "min_accuracy": 0.9})
    made = SearchConfig.of(budget=Budget(sram_bytes=8192, seconds=0.005, min_accuracy=0.9))
    assert text == plain == made
    assert SearchConfig.of(budget="").budget == Budget()


def test_frozen_form_is_json_without_the_place() -> None:
    config = SearchConfig.of(
        budget="macs=1M", jobs=4, executor="processes", data_root="/somewhere", train={"epochs": 3}
    )
    frozen = json.loads(json.dumps(config.frozen()))
    assert not {"jobs", "executor", "data_root"} & set(frozen)
    assert frozen["budget"] == {"macs": 1e6}
    again = SearchConfig.of(**frozen, jobs=4, executor="processes", data_root="/somewhere")
    assert again == config


def test_settings_of_both_stages() -> None:
    config = SearchConfig.of(task="digits", train={"epochs": 3, "lr": 0.05}, final={"qat_epochs": 7})
    first, last = config.settings("search"), config.settings("final")
    assert (first.epochs, first.lr, first.distill, first.threads) == (3, 0.05, None, 1)
    assert last.distill is not None
    assert (last.qat_epochs, last.epochs > first.epochs, last.threads) == (7, True, 1)
    assert SearchConfig.of(final={"distill": None, "threads": 2}).settings("final").distill is None


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"trials": 0}, r"search setting trials=0: .*greater than or equal to 1"),
        ({"executor": "cloud"}, r"search setting executor='cloud': .*'inprocess', 'processes' or 'ray'"),
        ({"epochs": 3}, r"search setting epochs=3: Extra inputs are not permitted"),
        ({"budget": "sram=8KiB"}, r"budget 'sram' is unknown.*sram_bytes"),
        ({"budget": {"macs": -1}}, r"budget macs is -1"),
        ({"train": {"epoch": 3}}, r"training setting epoch=3"),
        ({"final": {"distill": {"alpha": 2}}}, r"training setting distill.alpha=2"),
    ],
)
def test_bad_values_end_in_a_sentence(fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NasError, match=sentence) as caught:
        SearchConfig.of(**fields)
    assert "\n" not in str(caught.value)
