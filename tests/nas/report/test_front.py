"""Tables and the front's document, from records written by hand."""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

from nas.report import front_document, front_rows, front_table, rejected_rows, rejected_table
from nas.report.front import budget_line, cell, title
from nas.search.config import SearchConfig
from nas.search.records import Drawn
from nas.search.run import Run
from tests.nas.report.runs import make_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return make_run(tmp_path_factory.mktemp("report") / "run")


def shown(table: Table, width: int = 80) -> str:
    stream = StringIO()
    Console(file=stream, width=width).print(table)
    return stream.getvalue()


def test_rows_are_the_front(run: Run) -> None:
    rows = front_rows(run)
    assert [row["number"] for row in rows] == [2, 0, 3]
    # Candidate 3 was promoted, and its better model stands for it.
    assert [row["val_accuracy"] for row in rows] == [0.8, 0.9, 0.97]
    assert [row["promoted"] for row in rows] == [False, False, True]
    assert rows[2]["model"] == "models/00003-final.int8"
    assert rows[0]["seconds"] == 0.001
    assert rows[0]["test_accuracy"] == 0.79


def test_document(run: Run) -> None:
    document = front_document(run)
    assert json.loads(json.dumps(document)) == document
    assert document["budget"]["seconds"] == 0.01
    assert {"sram_bytes", "flash_bytes"} <= set(document["budget"]), "the chip's limits count too"
    assert (document["trained"], document["failed"]) == (5, 1)
    assert (document["draws"], document["rejected"], document["rejected_share"]) == (60, 36, 0.6)
    assert document["rejected_by_bound"] == {"macs": 30, "seconds": 24}
    # By hand: (10 ms - 1 ms) * 0.8 + (10 - 2) * (0.9 - 0.8) + (10 - 4) * (0.97 - 0.9)
    assert document["hypervolume"] == pytest.approx(0.0072 + 0.0008 + 0.00042)
    assert document["reference"] == {"val_accuracy": 0.0, "seconds": 0.01}
    assert document["kinds"]["seconds"] == "estimate (unverified)"
    assert document["kinds"]["test_accuracy"].startswith("measured")


def test_front_table_fits_a_terminal(run: Run) -> None:
    table = front_table(run)
    assert table.title == "digits on stm32l4r9, budget MACs ≤ 200 k, latency ≤ 10 ms, accuracy ≥ 70.00 %"
    text = shown(table)
    line = next(line for line in text.splitlines() if line.split()[:1] == ["3"])
    assert line.split() == "3 97.00 % 95.00 % 4 ms 4.0 KiB 20.0 KiB 168 uJ 80 k".split()
    assert "…" not in text
    assert "latency: estimate (unverified)" in text
    assert "val: measured (integer model, whole validation split)" in text
    assert "test: measured" in text


def test_rejected_table(run: Run) -> None:
    table = rejected_table(run)
    assert table.title == "36 of 60 draws (60.00 %) violate the budget and were never trained"
    text = shown(table)
    rows = [line.split() for line in text.splitlines() if line.split()[:1] in (["macs"], ["seconds"])]
    assert rows == ["macs 200,000 30 50.00 %".split(), "seconds 10 ms 24 40.00 %".split()]


def test_rejected_rows_are_ordered() -> None:
    drawn = Drawn(draws=10, rejected=6, bounds={"macs": 2, "seconds": 5, "sram_bytes": 5})
    assert rejected_rows(drawn) == [("seconds", 5, 0.5), ("sram_bytes", 5, 0.5), ("macs", 2, 0.2)]
    assert rejected_rows(Drawn()) == []


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("val_accuracy", 0.12345, "12.35 %"),
        ("test_accuracy", None, "-"),
        ("seconds", 0.0012345, "1.234 ms"),
        ("sram_bytes", 1536, "1.5 KiB"),
        ("macs", 1_234_567, "1.235 M"),
        ("macs", 12_345, "12.35 k"),
        ("params", 999, "999"),
        ("joules", 0.00025, "250 uJ"),
    ],
)
def test_cells(name: str, value: float | None, text: str) -> None:
    assert cell(name, value) == text


def test_an_empty_run(tmp_path: Path) -> None:
    with Run.claim(tmp_path / "run", SearchConfig.of(task="digits")) as empty:
        assert title(empty) == "digits on stm32l4r9, budget: what the chip holds"
        assert budget_line(empty) == "budget: what the chip holds"
        assert front_rows(empty) == []
        assert front_document(empty)["hypervolume"] == 0
        assert "0 of 0 draws" in shown(rejected_table(empty))
        shown(front_table(empty))
