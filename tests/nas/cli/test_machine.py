from __future__ import annotations

from collections.abc import Callable

import pytest

from nas import demo, doctor
from nas.search.config import SearchConfig
from tests.nas.cli.conftest import Ended

Nas = Callable[..., Ended]


def test_doctor_document(nas: Nas) -> None:
    ended = nas("doctor", "--json", "--data-root", "nowhere")
    findings = {row["name"]: row for row in ended.document["findings"]}
    assert findings["arm-none-eabi-gcc"]["ok"]
    assert findings["data set digits"]["ok"]
    assert findings["data set cifar10"] == {
        "name": "data set cifar10",
        "ok": False,
        "found": "not under nowhere",
        "required": False,
        "remedy": "make data",
    }
    assert ended.code == (0 if ended.document["ok"] else 1)


def test_doctor_is_not_content_while_something_needed_is_missing(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    missing = doctor.Finding("Cortex-M4 compiler", False, "neither is there", True, "make toolchain")
    monkeypatch.setattr(doctor, "examine", lambda data: iter([missing]))
    ended = nas("doctor")
    assert ended.code == 1
    assert ended.out.splitlines()[1].split() == "MISSING Cortex-M4 compiler neither is there make toolchain".split()
    assert ended.out.splitlines()[-1] == "missing and needed: Cortex-M4 compiler"


def test_demo_in_small(nas: Nas, monkeypatch: pytest.MonkeyPatch) -> None:
    config = SearchConfig.of(budget=demo.BUDGET, trials=2, train={"epochs": 2, "qat_epochs": 1})
    monkeypatch.setattr(demo, "configuration", lambda: config)
    monkeypatch.setattr(demo, "VECTORS", 3)
    ended = nas("demo")
    assert ended.code == 0
    *_, verdict, accuracy, heading, sram, flash, cycles = ended.out.splitlines()
    assert verdict == "bit-exact over all 3 vectors on the core and all 359 test images on this machine"
    assert accuracy.startswith("test accuracy of the integer model: ")
    assert heading.split()[:3] == ["quantity", "predicted", "measured"]
    assert [line.split()[0] for line in (sram, flash, cycles)] == ["sram_bytes", "flash_bytes", "cycles"]
    assert "violate the budget and were never trained" in ended.out
    again = nas("demo", "--json")
    assert again.document["validation"]["bit_exact"] is True
    assert again.document["search"]["trained"] == 2
    assert "trainings to go" not in again.err
    assert again.err.startswith("runs/demo holds a run already")
