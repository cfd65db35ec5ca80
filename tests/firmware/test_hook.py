"""The function that a network calls after each step."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest

from firmware.emit import export
from firmware.int8_model import Int8Model
from firmware.toolchain import ARM_CFLAGS, HOST_CFLAGS, WARNINGS, Compiler, find_host_compiler, run_tool
from search_spaces.builder import GraphBuilder
from tests.strategies import random_int8_model

PROGRAM = """
#include "model.h"

static int32_t order[MODEL_STEPS + 1];
static int32_t calls;

void MODEL_LAYER_DONE(int32_t step);
void MODEL_LAYER_DONE(int32_t step) { order[calls++] = step; }

int32_t run(const int32_t **steps);
int32_t run(const int32_t **steps)
{
    calls = 0;
    model_init();
    model_invoke();
    *steps = order;
    return calls;
}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    builder = GraphBuilder((4, 4, 2))
    x = builder.add(builder.conv("input", 2, 3), "input")
    builder.dense(builder.sigmoid(x), 3)
    model: Int8Model = random_int8_model(builder.build(), np.random.default_rng(3))
    return export(model, "stm32l4r9", tmp_path_factory.mktemp("hook") / "c")


def run(folder: Path, out: Path, *options: str) -> list[int]:
    """The steps that a program was told of."""
    compiler = find_host_compiler()
    (out / "program.c").write_text(PROGRAM)
    flags = [*HOST_CFLAGS[compiler.kind], *WARNINGS, "-Werror", "-Wpedantic", "-shared", "-I", folder, *options]
    sources = [out / "program.c", folder / "model.c", *(folder / "kernels").glob("*.c")]
    run_tool([*compiler.cc, *flags, "-o", out / "program.so", *sources])
    library = ctypes.CDLL(str(out / "program.so"))
    steps = ctypes.POINTER(ctypes.c_int32)()
    return steps[: library.run(ctypes.byref(steps))]


def test_a_program_hears_of_every_step_in_order(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path, "-DMODEL_LAYER_DONE=model_layer_done") == [0, 1, 2, 3]


def test_nothing_happens_without_a_function_of_its_own(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path, "-DMODEL_LAYER_DONE=another_function") == []


def test_calls_can_be_left_out(folder: Path, tmp_path: Path) -> None:
    assert run(folder, tmp_path, "-DMODEL_LAYER_DONE=my_layer_done", "-DMODEL_HOOK=0") == []


def test_left_out_calls_cost_nothing(folder: Path, arm_gcc: Compiler, tmp_path: Path) -> None:
    called: list[bool] = []
    for options in ((), ("-DMODEL_HOOK=0",)):
        out = tmp_path / f"model{len(called)}.o"
        flags = [*ARM_CFLAGS[arm_gcc.kind], *WARNINGS, "-Werror", "-Wpedantic", "-I", folder, *options]
        run_tool([*arm_gcc.cc, *flags, "-c", folder / "model.c", "-o", out])
        called.append(b"model_layer_done" in out.read_bytes())
    assert called == [True, False]
