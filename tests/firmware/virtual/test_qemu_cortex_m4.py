"""QEMU's board and the virtual target agree on every byte and on every instruction."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from firmware import reference
from firmware.emit import export
from firmware.toolchain import Compiler
from firmware.virtual import build_firmware, run_elf
from firmware.virtual.qemu_cortex_m4 import QemuExecution, find_qemu, parse_output, run_qemu
from kernel_bench.calibrated import calibrated_model, random_images
from search_spaces import NasError, network
from tests.firmware.virtual.project import NEGATE, naked, write_project


@pytest.fixture(scope="module")
def qemu() -> str:
    """Path of the emulator; a test that runs it is skipped where it is not."""
    try:
        return find_qemu()
    except NasError as error:
        pytest.skip(str(error))


def run(tmp_path: Path, compiler: Compiler, invoke: str, timeout: float = 60) -> QemuExecution:
    folder = write_project(tmp_path / "project", invoke)
    build = build_firmware(folder, "stm32l4r9", compiler, tmp_path / "build").parent
    return run_qemu(folder, build, compiler, timeout)


@pytest.mark.usefixtures("qemu")
@pytest.mark.parametrize("name", ["mlperf-kws-dscnn", "mlperf-ic-resnet8"])
def test_whole_networks(name: str, arm_gcc: Compiler, tmp_path: Path) -> None:
    graph, rng = network(name), np.random.default_rng(1)
    model = calibrated_model(graph, rng)
    images = random_images(graph, 1, rng)
    folder = export(model, "stm32l4r9", tmp_path / "c", images)
    elf = build_firmware(folder, "stm32l4r9", arm_gcc, tmp_path / "build")
    here, there = run_elf(elf), run_qemu(folder, elf.parent, arm_gcc)
    np.testing.assert_array_equal(there.outputs, reference.run(model, images).reshape(1, -1))
    np.testing.assert_array_equal(there.outputs, here.outputs)
    assert there.instructions == here.instructions


@pytest.mark.usefixtures("qemu")
def test_bytes_and_counts_of_every_vector(arm_compiler: Compiler, tmp_path: Path) -> None:
    execution = run(tmp_path, arm_compiler, NEGATE)
    assert execution.outputs.tolist() == [[-1, -2, -3, -4], [5, 0, -127, 127]]
    assert execution.instructions == run_elf(tmp_path / "build" / "firmware.elf").instructions


LOOP = """
    movw r0, #1000
1:  subs r0, #1
    ite eq
    moveq r1, #3
    movne r1, #4
    bne 1b
    bx lr
"""


@pytest.mark.usefixtures("qemu")
@pytest.mark.parametrize(("body", "count"), [("bx lr", 1), ("nop\nnop\nbx lr", 3), (LOOP, 5002)])
def test_counts_by_hand(body: str, count: int, arm_gcc: Compiler, tmp_path: Path) -> None:
    assert run(tmp_path, arm_gcc, naked(body)).instructions == (count, count)


@pytest.mark.usefixtures("qemu")
def test_a_fault(arm_gcc: Compiler, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="took an exception"):
        run(tmp_path, arm_gcc, naked("udf #1"))


@pytest.mark.usefixtures("qemu")
def test_no_end(arm_gcc: Compiler, tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"not come to an end on qemu-system-arm after 0\.2 seconds"):
        run(tmp_path, arm_gcc, naked("1: b 1b"), timeout=0.2)


def test_the_harness_output() -> None:
    # 3.2 ticks an instruction, after those of a function of one instruction.
    execution = parse_output("00000010\n00000150 01ff\n00000151 807f\n")
    assert execution.outputs.tolist() == [[1, -1], [-128, 127]]
    assert execution.instructions == (101, 101)
    for text in (
        "",
        "00000010\n",
        "00000010\nxyz 01\n",
        "00000010\n00000150\n",
        "00000010\n00000150 01ff\n00000151 80\n",
    ):
        with pytest.raises(NasError, match="ticks and bytes expected"):
            parse_output(text)


def test_without_the_emulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("firmware.virtual.qemu_cortex_m4.find_tool", lambda name: None)
    with pytest.raises(NasError, match="qemu-system-arm was not found"):
        find_qemu()
