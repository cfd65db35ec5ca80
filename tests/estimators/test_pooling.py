"""Terms of pooling steps, counted by hand."""

from __future__ import annotations

from collections.abc import Mapping

from estimators import load_target, lower
from estimators.cycles import terms
from estimators.kernels import Term
from search_spaces.builder import GraphBuilder

TARGET = load_target("stm32l4r9")


def _terms(builder: GraphBuilder) -> Mapping[Term, int]:
    plan = lower(builder.build(), TARGET)
    (step,) = plan.steps
    return terms(plan, step)


def test_windows_at_borders() -> None:
    builder = GraphBuilder((4, 4, 11))
    builder.max_pool(builder.input, 3, 2)
    # Windows begin at 0 and 2 along both axes; the second has two taps inside: 3x3, 3x2, 2x3, 2x2, longer inside.
    assert _terms(builder) == {
        "pairs": 2 * (3 + 2 + 2 + 2),
        "singles": 2 * (3 + 2 + 2),
        "turns": 2 * (3 + 2 + 2 + 2),
        "short_turns": 0,
        "groups": 4 * 2,
        "word_runs": 4,
        "lone_taps": 25 * 3,
        "lone_turns": 9 * 3,
        "lone_runs": 4,
        "lone_outputs": 4 * 3,
        "outputs": 4 * 11,
        "columns": 1,
        "pixels": 4,
        "rows": 2,
        "calls": 1,
    }


def test_columns_are_gone_down() -> None:
    builder = GraphBuilder((9, 5, 8))
    builder.avg_pool(builder.input, (9, 1), (9, 1))
    counts = _terms(builder)
    assert (counts["turns"], counts["pairs"], counts["singles"]) == (5 * 2, 5 * 2 * 4, 5 * 2)
    assert (counts["lone_taps"], counts["lone_runs"], counts["groups"]) == (0, 0, 5 * 2)


def test_a_whole_image_is_one_row() -> None:
    builder = GraphBuilder((9, 5, 4))
    builder.global_avg_pool(builder.input)
    counts = _terms(builder)
    assert (counts["turns"], counts["pairs"], counts["singles"], counts["groups"]) == (1, 22, 1, 1)


def test_long_averages_come_in_parts() -> None:
    builder = GraphBuilder((49, 10, 4))
    builder.global_avg_pool(builder.input)
    assert _terms(builder)["groups"] == 2  # 256 + 234 taps
    builder = GraphBuilder((40, 41, 4))
    builder.avg_pool(builder.input, (40, 40), (40, 40))
    # 21 columns inside, then 20: six columns of 40 taps at a time.
    assert _terms(builder)["groups"] == 4 + 4


def test_turns_of_one_tap() -> None:
    builder = GraphBuilder((3, 3, 4))
    builder.max_pool(builder.input, 2, 2)
    # Of 2x2, 2x1, 1x2 and 1x1 taps the last one only; the second is longer down.
    counts = _terms(builder)
    assert (counts["turns"], counts["short_turns"], counts["columns"]) == (2 + 1 + 1 + 1, 1, 1)


def test_one_channel_has_no_groups() -> None:
    builder = GraphBuilder((6, 6, 3))
    builder.max_pool(builder.input, 2, 2)
    counts = _terms(builder)
    assert (counts["groups"], counts["word_runs"], counts["lone_taps"], counts["lone_turns"]) == (0, 0, 108, 54)
