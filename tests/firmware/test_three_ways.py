"""One network, three machines: numpy, C on this machine and C on the emulated Cortex-M4 agree on every byte."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings

from estimators import load_target, lower
from firmware import reference
from firmware.emit import export
from firmware.host import HostModel
from firmware.int8_model import Int8Model
from firmware.toolchain import Compiler, find_arm_compiler
from firmware.validate import validate
from firmware.virtual import build_firmware, load_image, run_elf
from search_spaces.builder import GraphBuilder
from search_spaces.ops import Activation
from tests.firmware.lively import lively_model
from tests.strategies import models, random_input

TARGET = "stm32l4r9"


@settings(max_examples=20)
@given(models())
def test_random_networks(arm_gcc: Compiler, model: Int8Model) -> None:
    x = random_input(model, 4, np.random.default_rng(0))
    expected = reference.run(model, x)
    with TemporaryDirectory() as scratch:
        folder = export(model, TARGET, Path(scratch) / "c", x)
        with HostModel(folder) as host:
            np.testing.assert_array_equal(host.run(x), expected)
        elf = build_firmware(folder, TARGET, arm_gcc, Path(scratch) / "build")
        execution = run_elf(elf, TARGET)
        np.testing.assert_array_equal(execution.outputs, expected.reshape(len(x), -1))
        # The harness on the chip compares too: a board without an emulator around it has only that.
        assert execution.mismatches == 0
        assert load_image(elf).sizes.arena == lower(model.graph, load_target(TARGET)).arena_bytes


def test_attention_condensers_at_odd_sizes(arm_gcc: Compiler, tmp_path: Path) -> None:
    builder = GraphBuilder((49, 10, 1))
    v = builder.scale(builder.conv(builder.input, 6, 3))
    for kind, factor in (("additive", 2), ("gated", 3), ("additive", 4)):
        q = builder.max_pool(v, factor, factor)
        k = builder.conv(
            builder.depthwise(q, 3, multiplier=2, activation=Activation.NONE), 6, activation=Activation.NONE
        )
        if kind == "additive":
            out = builder.add(builder.scale(v), builder.upsample(k, (49, 10)))
        else:
            out = builder.mul(v, builder.upsample(builder.sigmoid(k), (49, 10)))
            out = builder.add(builder.scale(out), v)
        v = builder.add(v, out)
    builder.scale(builder.dense(builder.global_avg_pool(v), 12))
    model, vectors, _ = lively_model(builder.build("condensers"))
    folder = export(model, TARGET, tmp_path / "c", vectors)
    assert "upsample_nearest_s8" not in (folder / "model.c").read_text()
    validation = validate(folder, TARGET, compiler=arm_gcc)
    assert validation.passed
    assert validation.bit_exact


@pytest.mark.parametrize("kind", ["gcc", "zig"])
def test_every_kernel_with_either_compiler(arm_gcc: Compiler, tmp_path: Path, kind: str) -> None:
    builder = GraphBuilder((9, 11, 3))
    x = builder.conv("input", 8, 3, 2)
    x = builder.add(x, builder.conv(builder.depthwise(x, multiplier=2, dilation=2), 8))
    gate = builder.sigmoid(builder.upsample(builder.max_pool(x, 2, 2), builder.shape(x)[:2]))
    x = builder.mul(builder.scale(builder.mul(x, gate)), builder.global_avg_pool(x))
    x = builder.add(x, builder.upsample(builder.avg_pool(x, 2, 2), builder.shape(x)[:2]))
    builder.softmax(builder.dense(x, 10))
    model, vectors, _ = lively_model(builder.build("every kernel"))
    compiler = arm_gcc if kind == "gcc" else find_arm_compiler("zig")
    folder = export(model, TARGET, tmp_path / "c", vectors, name="net")
    validation = validate(folder, TARGET, compiler=compiler)
    assert validation.passed
    assert validation.bit_exact
    assert validation.vectors == 6
