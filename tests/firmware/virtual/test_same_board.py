"""What is measured is what the board would run: one memory map and one set of flags, in every place that names them."""

from __future__ import annotations

import re

import pytest

from estimators import load_target
from firmware.toolchain import ARM_CFLAGS, CORTEX_M4, WARNINGS
from firmware.virtual.machine import FLASH, RAM
from tests.conftest import CHECKOUT

BOARD = CHECKOUT / "firmware" / "boards" / "stm32l4r9"
TARGET = load_target("stm32l4r9")


@pytest.mark.parametrize(("section", "name", "mapped"), [("FLASH", "flash", FLASH), ("RAM", "sram", RAM)])
def test_memory_is_the_same_for_estimate_linker_and_emulator(section: str, name: str, mapped: range) -> None:
    region = TARGET.region(name)
    assert range(region.address, region.end) == mapped
    script = (BOARD / "stm32l4r9.ld").read_text()
    found = re.search(rf"{section} \(r[wx]\) : ORIGIN = (0x[0-9a-fA-F]+), LENGTH = (\d+)K", script)
    assert found is not None
    assert (int(found[1], 16), int(found[2]) * 1024) == (region.address, region.bytes)


def test_the_stack_that_the_estimate_reserves_is_the_linkers() -> None:
    found = re.search(
        r"__stack_size = DEFINED\(__stack_size\) \? __stack_size : (\d+)K;", (BOARD / "stm32l4r9.ld").read_text()
    )
    assert found is not None
    assert [item.bytes for item in TARGET.region("sram").reserved] == [int(found[1]) * 1024]


def test_the_boards_project_compiles_as_the_validation_does() -> None:
    project = (BOARD / "CMakeLists.txt").read_text()
    (core,) = re.findall(r"^set\(core (.*)\)$", project, re.MULTILINE)
    (options,) = re.findall(r"target_compile_options\(firmware PRIVATE\s+\$\{core\}([^)]*)\)", project)
    assert "C_STANDARD 99" in project  # which CMake turns into -std=c99
    assert core.split() == list(CORTEX_M4["gcc"])
    assert {*options.split(), "-std=c99"} == {*ARM_CFLAGS["gcc"], *WARNINGS}
