"""Who comes next, who is promoted, who is on the front: against answers worked out by hand."""

from __future__ import annotations

from typing import Literal

import pytest

from nas.search.records import Drawn, Record, Training
from nas.search.selection import front, most_accurate, next_generation, promotion


def training(accuracy: float) -> Training:
    return Training(
        val_accuracy=accuracy,
        float_val_accuracy=accuracy,
        fake_quant_val_accuracy=accuracy,
        curve=[],
        train_seconds=1.0,
        model="models/x.int8",
    )


def record(
    number: int,
    status: Literal["running", "complete", "failed"] = "complete",
    *,
    generation: int = 0,
    accuracy: float = 0.5,
    final: float | None = None,
    seconds: float = 1.0,
    violation: float = -1.0,
) -> Record:
    return Record(
        number=number,
        generation=generation,
        choices={},
        digest=str(number),
        resources={"seconds": seconds},
        kinds={},
        constraints={"macs": -1.0, "min_accuracy": violation},
        drawn=Drawn(),
        status=status,
        training=training(accuracy) if status == "complete" else None,
        final=None if final is None else training(final),
    )


def records(text: str) -> list[Record]:
    """``c``omplete, ``r``unning, ``f``ailed; a blank begins the next generation."""
    kinds: dict[str, Literal["running", "complete", "failed"]] = {"c": "complete", "r": "running", "f": "failed"}
    made: list[Record] = []
    for generation, members in enumerate(text.split()):
        made += [record(len(made) + i, kinds[kind], generation=generation) for i, kind in enumerate(members)]
    return made


@pytest.mark.parametrize(
    ("text", "trials", "size", "expected"),
    [
        ("", 5, 3, 0),
        ("rc", 5, 3, 0),
        # The generation is full: the next one waits for its end.
        ("rcc", 5, 3, None),
        ("ccc", 5, 3, 1),
        ("cfc", 5, 3, 1),
        # Two of five are missing after the first generation, so the second has two; three when one had failed.
        ("ccc r", 5, 3, 1),
        ("ccc rc", 5, 3, None),
        ("ccc cc", 5, 3, None),
        ("ccf cc", 5, 3, 1),
        ("ccf ccc", 5, 3, None),
        # What failed in the last generation is made up for in another one.
        ("ccc cf", 5, 3, 2),
        ("ccc cf r", 5, 3, None),
        ("ccc cf c", 5, 3, None),
        # Without generations: as many as are missing at any moment.
        ("", 2, 0, 0),
        ("r", 2, 0, 0),
        ("rr", 2, 0, None),
        ("rc", 2, 0, None),
        ("rf", 2, 0, 0),
        ("cc", 2, 0, None),
    ],
)
def test_next_generation(text: str, trials: int, size: int, expected: int | None) -> None:
    assert next_generation(records(text), trials, size) == expected


def test_front() -> None:
    members = [
        record(0, accuracy=0.9, seconds=5),
        record(1, accuracy=0.8, seconds=2),
        record(2, accuracy=0.7, seconds=3),  # dominated by 1
        record(3, accuracy=0.95, seconds=9, violation=0.1),  # beyond the budget
        record(4, "failed", seconds=0.1),
        record(5, "running", seconds=0.1),
        record(6, accuracy=0.5, final=0.85, seconds=3),  # promotion brought it onto the front
        record(7, accuracy=0.6, final=0.4, seconds=1),  # promotion did it no good: the first model stays
    ]
    assert [one.number for one in front(members)] == [7, 1, 6, 0]
    best = most_accurate(members)
    assert best is not None
    assert best.number == 0
    assert members[7].best == members[7].training
    assert members[6].best == members[6].final
    assert front([]) == []
    assert most_accurate(members[3:6]) is None


def test_promotion_goes_rank_by_rank() -> None:
    members = [
        record(0, accuracy=0.7, seconds=3),  # rank 1
        record(1, accuracy=0.8, seconds=2),  # front
        record(2, accuracy=0.9, seconds=5),  # front
        record(3, accuracy=0.85, seconds=6),  # rank 1
        record(4, accuracy=0.99, seconds=1).changed(constraints={"macs": 0.5}),
        record(5, "failed"),
    ]
    assert [one.number for one in promotion(members, 3)] == [2, 1, 3]
    assert [one.number for one in promotion(members, 9)] == [2, 1, 3, 0]
    assert promotion(members, 0) == []
    # What promotion brought does not change who is promoted: an interrupted stage goes on with the same ones.
    changed = [one.changed(final=training(0.1)) if one.number == 2 else one for one in members]
    assert [one.number for one in promotion(changed, 3)] == [2, 1, 3]


def test_promotion_takes_those_below_the_least_accuracy_too() -> None:
    members = [record(0, accuracy=0.7), record(1, accuracy=0.8, violation=0.1)]
    assert [one.number for one in promotion(members, 1)] == [1]
