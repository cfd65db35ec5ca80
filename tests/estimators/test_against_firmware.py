"""The estimates against what is linked and run: the target's file has to follow the kernels."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from estimators import Resources, estimate, load_target, lower
from firmware.emit import export
from firmware.toolchain import Compiler
from firmware.virtual import Execution, FirmwareSizes, build_firmware, load_image, run_elf
from fitting.integers import usual_model
from search_spaces import Graph, GraphBuilder, Shape, get_space
from tests.strategies import random_input

TARGET = load_target("stm32l4r9")

CYCLES_TOLERANCE = 0.02
"""More than the fit's own largest error: one network has what the spaces have not, and softmax follows its values."""

LOOSE = {"stack_bytes": 0.4, "code_bytes": 0.02, "sram_bytes": 0.1, "flash_bytes": 0.01}
"""For a network unlike those that the fit was checked on."""


class Run(NamedTuple):
    of_a_space: bool
    guess: Resources
    sizes: FirmwareSizes
    execution: Execution


def _every_operation() -> Graph:
    builder = GraphBuilder((9, 8, 3))
    x = builder.depthwise(builder.conv(builder.input, 6, (3, 2), 2), 3, multiplier=2)
    gate = builder.sigmoid(builder.upsample(builder.max_pool(x, 2, 2), (5, 4)))
    x = builder.add(gate, builder.scale(builder.conv(x, 12, 3, dilation=2)))
    x = builder.mul(x, builder.upsample(builder.avg_pool(x, 3, 3), (5, 4)))
    builder.softmax(builder.dense(x, 7))
    return builder.build("every operation")


def _drawn(name: str, shape: Shape, seed: int) -> Graph:
    space, rng = get_space(name, shape, 10), np.random.default_rng(seed)
    while True:
        graph = space.build(space.decode(space.draw(rng, 1)[0]))
        if graph.macs < 300_000:
            return graph


@pytest.fixture(
    scope="module",
    params=[
        _every_operation(),
        _drawn("ds_cnn", (16, 16, 3), 1),
        _drawn("ds_cnn", (49, 10, 1), 2),
        _drawn("attention_condenser", (49, 10, 1), 3),
        _drawn("attention_condenser", (13, 11, 1), 4),
    ],
    ids=["every operation", "ds_cnn 16x16x3", "ds_cnn 49x10x1", "condensers 49x10x1", "condensers 13x11x1"],
)
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, arm_gcc: Compiler) -> Run:
    graph, rng = request.param, np.random.default_rng(5)
    folder: Path = tmp_path_factory.mktemp("estimates")
    model = usual_model(graph, rng)
    exported = export(model, TARGET, folder / "model", random_input(model, 1, rng))
    elf = build_firmware(exported, TARGET.name, arm_gcc, folder / "build")
    return Run(
        graph.name != "every operation",
        estimate(lower(graph, TARGET)),
        load_image(elf).sizes,
        run_elf(elf, TARGET.name),
    )


def tolerance(run: Run, field: str) -> float:
    """What the estimate itself promises for networks of the spaces it was checked on: "fitted (± x %)"."""
    return float(run.guess.kinds[field].split()[2]) / 100 if run.of_a_space else LOOSE[field]


def test_arena_and_static_data_are_exact(run: Run) -> None:
    assert run.sizes.arena == run.guess.arena_bytes
    assert run.sizes.data_bytes == run.guess.data_bytes


def test_stack(run: Run) -> None:
    measured = run.execution.stack_bytes
    assert run.guess.stack_bytes == pytest.approx(measured, rel=tolerance(run, "stack_bytes"))
    total = run.sizes.arena + run.sizes.data_bytes + measured
    assert run.guess.sram_bytes == pytest.approx(total, rel=tolerance(run, "sram_bytes"))


def test_weights_biases_and_tables_are_exact(run: Run) -> None:
    exact = run.guess.weights_bytes + run.guess.bias_bytes + run.guess.table_bytes
    # softmax_s8 brings seven constants of its own, which count as code.
    assert run.sizes.model_rodata - exact in (0, 7 * 4)


def test_flash(run: Run) -> None:
    exact = run.guess.weights_bytes + run.guess.bias_bytes + run.guess.table_bytes
    assert run.guess.code_bytes == pytest.approx(run.sizes.flash_bytes - exact, rel=tolerance(run, "code_bytes"))
    assert run.guess.flash_bytes == pytest.approx(run.sizes.flash_bytes, rel=tolerance(run, "flash_bytes"))


def test_cycles(run: Run) -> None:
    assert run.guess.cycles == pytest.approx(run.execution.cycles[0], rel=CYCLES_TOLERANCE)
