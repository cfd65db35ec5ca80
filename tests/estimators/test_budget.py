from __future__ import annotations

import re
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from estimators import QUANTITIES, Budget, Resources, default_budget, estimate, load_target, lower, violations
from search_spaces import NasError, network

USED: Resources = estimate(lower(network("mlperf-kws-dscnn"), load_target("stm32l4r9")))


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("macs=1M", {"macs": 1e6}),
        ("macs=1.5M", {"macs": 1.5e6}),
        ("macs=800k", {"macs": 800e3}),
        ("macs=800K", {"macs": 800e3}),
        ("cycles=1G", {"cycles": 1e9}),
        ("params=20000", {"params": 20_000.0}),
        ("params=20_000", {"params": 20_000.0}),
        ("params=2e4", {"params": 20_000.0}),
        ("sram_bytes=64KiB", {"sram_bytes": 65_536.0}),
        ("sram_bytes=64KB", {"sram_bytes": 64_000.0}),
        ("sram_bytes=64kB", {"sram_bytes": 64_000.0}),
        ("sram_bytes=64 kB", {"sram_bytes": 64_000.0}),
        ("sram_bytes=64000B", {"sram_bytes": 64_000.0}),
        ("sram_bytes=64000", {"sram_bytes": 64_000.0}),
        ("flash_bytes=1MB", {"flash_bytes": 1e6}),
        ("flash_bytes=1MiB", {"flash_bytes": 1_048_576.0}),
        ("seconds=0.01", {"seconds": 0.01}),
        ("seconds=2s", {"seconds": 2.0}),
        ("seconds=10ms", {"seconds": 0.01}),
        ("seconds=10us", {"seconds": 1e-5}),
        ("seconds=10µs", {"seconds": 1e-5}),
        ("joules=0.5mJ", {"joules": 0.0005}),
        ("joules=500uJ", {"joules": 0.0005}),
        ("joules=1J", {"joules": 1.0}),
        ("joules=1nJ", {"joules": 1e-9}),
        ("min_accuracy=0.9", {"min_accuracy": 0.9}),
        ("min_accuracy=90%", {"min_accuracy": 0.9}),
        (" sram_bytes = 64KiB , macs = 1M ", {"macs": 1e6, "sram_bytes": 65_536.0}),
        ("macs=1M,", {"macs": 1e6}),
    ],
)
def test_parse(text: str, bounds: dict[str, float]) -> None:
    assert Budget.parse(text).bounds() == pytest.approx(bounds)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "budget '' bounds nothing; name=value expected, for instance sram_bytes=64KiB"),
        ("sram_bytes", "budget 'sram_bytes' has no '='"),
        ("sram=64KiB", "budget 'sram' is unknown; did you mean 'params'?"),
        ("SRAM_BYTES=64KiB", "budget 'SRAM_BYTES' is unknown"),
        ("kinds=1", "budget 'kinds' is unknown"),
        ("macs=1M,macs=2M", "budget macs is given twice; one bound expected"),
        (
            "sram_bytes=64K",
            "budget sram_bytes is '64K'; a positive number expected, plain or in B, kB, KB, MB, KiB",
        ),
        ("sram_bytes=64kb", "budget sram_bytes is '64kb'"),
        ("sram_bytes=64kib", "budget sram_bytes is '64kib'"),
        ("macs=1m", "budget macs is '1m'; a positive number expected, plain or in k, K, M, G"),
        ("macs=1MB", "budget macs is '1MB'"),
        ("seconds=10Ms", "budget seconds is '10Ms'; a positive number expected, plain or in s, ms, us, µs"),
        ("joules=1MJ", "budget joules is '1MJ'"),
        ("macs=", "budget macs is ''"),
        ("macs=-1", "budget macs is '-1'"),
        ("macs=nan", "budget macs is 'nan'"),
        ("macs=inf", "budget macs is 'inf'"),
        ("macs=0", "budget macs is 0.0; a positive finite number expected"),
        ("macs=1e999", "budget macs is inf; a positive finite number expected"),
        ("macs=1M;seconds=1", "budget macs is '1M;seconds=1'"),
        ("min_accuracy=90", "budget min_accuracy is 90.0; at most 1 expected (per cent as in 90%)"),
    ],
)
def test_bad_budgets_are_refused_in_one_sentence(text: str, complaint: str) -> None:
    with pytest.raises(NasError) as caught:
        Budget.parse(text)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("bound", [0, -1, float("nan"), float("inf")])
def test_bounds_are_positive_and_finite(bound: float) -> None:
    with pytest.raises(NasError, match=r"budget macs is .*; a positive finite number expected"):
        Budget(macs=bound)


def test_every_quantity_can_be_bounded() -> None:
    assert [item.name for item in fields(Budget)] == [*QUANTITIES, "min_accuracy"]


@given(
    st.dictionaries(st.sampled_from(QUANTITIES), st.integers(1, 10**9).map(float), min_size=1),
    st.none() | st.sampled_from([0.5, 0.875, 0.97, 1.0]),
)
def test_text_is_read_back(bounds: dict[str, float], accuracy: float | None) -> None:
    budget = Budget(**bounds, min_accuracy=accuracy)
    assert Budget.parse(str(budget)) == budget


def test_violations_by_hand() -> None:
    budget = Budget(macs=2_656_768 / 2, arena_bytes=2 * USED.arena_bytes, params=22_604)
    assert violations(USED, budget) == {"macs": 1.0, "arena_bytes": -0.5, "params": 0.0}


def test_accuracy_counts_only_when_it_is_known() -> None:
    budget = Budget(arena_bytes=2 * USED.arena_bytes, min_accuracy=0.8)
    assert violations(USED, budget) == {"arena_bytes": -0.5}
    assert violations(USED, budget, accuracy=0.6)["min_accuracy"] == pytest.approx(0.25)
    assert violations(USED, budget, accuracy=0.8)["min_accuracy"] == 0.0
    assert violations(USED, budget, accuracy=0.9)["min_accuracy"] < 0
    assert violations(USED, Budget(arena_bytes=2 * USED.arena_bytes), accuracy=0.1) == {"arena_bytes": -0.5}


def test_no_bounds_no_violations() -> None:
    assert violations(USED, Budget()) == {}


@given(st.sampled_from([name for name in QUANTITIES if getattr(USED, name) > 0]), st.floats(0.01, 100))
def test_feasible_exactly_when_within_the_bound(name: str, factor: float) -> None:
    value = getattr(USED, name)
    (excess,) = violations(USED, Budget(**{name: value * factor})).values()
    assert (excess <= 0) == (value <= value * factor)


def test_default_budget_is_the_chip() -> None:
    assert default_budget(load_target("stm32l4r9")) == Budget(
        sram_bytes=640 * 1024 - 8192, flash_bytes=2 * 1024**2 - 2048
    )
    assert default_budget(load_target("esp32s2")).sram_bytes == 100_000


def test_text_of_a_budget() -> None:
    assert str(Budget.parse("sram_bytes=64KiB,macs=1M,seconds=10ms")) == "macs=1000000,sram_bytes=65536,seconds=0.01"
    assert re.fullmatch(r"sram_bytes=\d+,flash_bytes=\d+", str(default_budget(load_target("stm32l4r9"))))
