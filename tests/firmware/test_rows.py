"""Networks computed row by row: C on this machine, with and without sanitisers, and on the emulated core."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings

from estimators import Plan, load_target, lower
from estimators.plan import Lowered
from estimators.streaming import BY_ROWS
from firmware import emit, reference
from firmware.host import HostModel
from firmware.toolchain import Compiler, Kind, find_arm_compiler
from firmware.validate import validate
from firmware.virtual import build_firmware, run_elf
from search_spaces.builder import GraphBuilder
from search_spaces.graph import Graph
from tests.estimators.test_segments import plan_with, segments_of, streamed
from tests.firmware.lively import lively_model
from tests.strategies import random_input, random_int8_model

TARGET = "stm32l4r9"


def equal_on_this_machine(plan: Plan, sanitize: bool) -> None:
    """Exports the plan's network as that plan has it, and compares every byte with the reference."""
    model = random_int8_model(plan.graph, np.random.default_rng(5))
    x = random_input(model, 3, np.random.default_rng(6))
    with TemporaryDirectory() as scratch, pytest.MonkeyPatch.context() as patch:
        patch.setattr(emit, "lower", lambda *given: plan)
        folder = emit.export(model, TARGET, Path(scratch) / "c", x, mode="ram")
        with HostModel(folder, sanitize=sanitize) as host:
            np.testing.assert_array_equal(host.run(x), reference.run(model, x))


@settings(max_examples=8, deadline=None)
@given(streamed())
def test_any_segment(plan: Plan) -> None:
    equal_on_this_machine(plan, sanitize=False)


@settings(max_examples=2, deadline=None)
@given(streamed())
def test_any_segment_under_the_sanitisers(plan: Plan) -> None:
    equal_on_this_machine(plan, sanitize=True)


def every_kernel() -> Graph:
    """Large maps in the middle, of which mode ram leaves a few rows; all that can come by rows does."""
    builder = GraphBuilder((20, 12, 3))
    x = builder.conv(builder.input, 8, 3)
    x = builder.add(builder.conv(builder.conv(x, 8, 3), 8, 3, dilation=2), x)
    x = builder.mul(x, builder.sigmoid(builder.depthwise(x, 3)))
    x = builder.depthwise(builder.conv(x, 24, 1), 3, 2)
    x = builder.conv(builder.depthwise(builder.max_pool(x, 1, 1), 1), 8, 1)
    x = builder.avg_pool(x, 2, 2)
    builder.dense(x, 10)
    return builder.build("by rows")


@pytest.mark.parametrize("kind", ["gcc", "zig"])
def test_on_the_core(arm_gcc: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: Kind) -> None:
    lowered = Lowered.of(every_kernel())
    plan = plan_with(lowered, max(segments_of(lowered), key=lambda segment: segment.end - segment.first))
    assert {step.kernel for step in plan.steps if step.by_rows} == BY_ROWS
    monkeypatch.setattr(emit, "lower", lambda *given: plan)
    model, (vector, *_), _ = lively_model(lowered.graph)
    vectors = vector[None]
    folder = emit.export(model, TARGET, tmp_path / "c", vectors, mode="ram")
    compiler = arm_gcc if kind == "gcc" else find_arm_compiler("zig")
    execution = run_elf(build_firmware(folder, TARGET, compiler, tmp_path / "build"), TARGET)
    assert execution.mismatches == 0
    np.testing.assert_array_equal(execution.outputs, reference.run(model, vectors).reshape(len(vectors), -1))
    assert execution.stack_bytes <= 512


def test_a_folder_is_validated_in_its_own_mode(arm_gcc: Compiler, tmp_path: Path) -> None:
    model, vectors, _ = lively_model(every_kernel())
    folder = emit.export(model, TARGET, tmp_path / "c", vectors[:1], mode="ram")
    assert json.loads((folder / "manifest.json").read_text())["mode"] == "ram"
    validation = validate(folder, TARGET, compiler=arm_gcc)
    assert validation.bit_exact
    assert validation.predicted.arena_bytes == lower(model.graph, load_target(TARGET), "ram").arena_bytes
    assert validation.predicted.arena_bytes < 0.6 * lower(model.graph, load_target(TARGET)).arena_bytes


def test_on_a_core_without_the_dsp_extension(tmp_path: Path) -> None:
    """Its kernels read other tables."""
    model, vectors, _ = lively_model(every_kernel())
    folder = emit.export(model, "esp32s2", tmp_path / "c", vectors, mode="ram")
    assert "for (int32_t tick" in (folder / "model.c").read_text()
    with HostModel(folder) as host:
        np.testing.assert_array_equal(host.run(vectors), reference.run(model, vectors))


def test_turns_as_c(tmp_path: Path) -> None:
    builder = GraphBuilder((8, 8, 4))
    builder.conv(builder.conv(builder.conv(builder.input, 32, 3), 32, 3, 2), 4, 1)
    model, vectors, _ = lively_model(builder.build())
    text = (emit.export(model, TARGET, tmp_path / "c", vectors, mode="ram") / "model.c").read_text()
    loop = text[text.index("for (int32_t tick") :]
    assert "tick < 9; tick++" in loop
    assert "if (tick < 8) {\n            const int32_t row = tick;" in loop
    assert "if (tick >= 2 && (tick - 2) % 2 == 0) {\n            const int32_t row = (tick - 2) / 2;" in loop
    assert ", 8, row, row + 1, TENSOR_1 + row % 3 * 256);" in loop  # of all of the input, into a ring of three rows
    assert "TENSOR_1, filters_1, arena" in loop
    assert ", 3, row, row + 1, TENSOR_2);" in loop  # of the ring, into one row
    assert ", 4, TENSOR_3 + row * 16);" in loop  # a row of 4 pixels
