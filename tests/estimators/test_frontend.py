"""What a front end costs: by hand, against its tables, and against what is linked and run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given

from estimators import QUANTITIES, Resources, estimate, load_target, lower, target_names
from estimators.frontend import (
    FRONT_END_TERMS,
    PARAMS_BYTES,
    counted_bins,
    cycles,
    data_bytes,
    scratch_bytes,
    table_bytes,
    terms,
)
from firmware.emit import export
from firmware.frontend.device import device_tables
from firmware.toolchain import Compiler
from firmware.virtual import build_firmware, load_image, run_elf
from fitting.integers import usual_model
from search_spaces import Graph, GraphBuilder
from search_spaces.errors import NasError
from search_spaces.frontend import Features, FrontEnd
from tests.firmware.frontend.front_ends import front_ends

TARGET = load_target("stm32l4r9")


def heard(frontend: FrontEnd | None, width: int = 8) -> Graph:
    builder = GraphBuilder(FrontEnd().shape if frontend is None else frontend.shape)
    x = builder.conv(builder.input, width, 3, 2)
    builder.dense(builder.global_avg_pool(x), 4)
    return replace(builder.build("heard"), frontend=frontend)


def test_memory_by_hand() -> None:
    frontend = FrontEnd()  # 512 points, 49 frames of 10 values
    assert scratch_bytes(frontend) == 512 * 4
    assert data_bytes(frontend) == 512 * 2 + 492 + 12
    # Bins 1 to 243: the split computes 1 to 128 with 255 to 128.
    assert counted_bins(frontend) == (1, 243)
    tables = 1024 + 64 + 768 + 4 * 128 + 84 + 488 + 10 * 20 * 4  # 41 segments and 243 weights of 2 bytes
    assert table_bytes(frontend) == tables + PARAMS_BYTES


def test_terms_by_hand() -> None:
    one_frame = FrontEnd(samples=512, window=512, hop=512)
    # 256 complex values: passes of 64 butterflies; those after the first combine 16, 4 and 1 blocks.
    assert terms(one_frame) == {
        "pairs": 256,
        "first_by_2": 0,
        "first_by_4": 64,
        "butterflies": 3 * 64 - 21,
        "blocks": 21,
        "splits": 128,
        "bins": 243,
        "bands": 40,
        "products": 200,
        "coefficients": 10,
        "levels": 0,
        "frames": 1,
    }
    longer = terms(FrontEnd(samples=960, window=640, hop=320, features=Features.LOG_MEL, coefficients=0))
    # 512 values: a pass of radix 2, then 64, 16, 4 and 1 blocks of 128 butterflies in all; two frames.
    assert longer["first_by_2"] == 2 * 256
    assert longer["first_by_4"] == 0
    assert longer["blocks"] == 2 * 85
    assert longer["butterflies"] == 2 * (4 * 128 - 85)
    assert (longer["products"], longer["coefficients"], longer["levels"]) == (0, 0, 2 * 40)


@given(front_ends())
def test_constants_are_counted_exactly(frontend: FrontEnd) -> None:
    try:
        found = device_tables(frontend)
    except NasError:
        assume(False)
    assert counted_bins(frontend) == (found.first_bin, len(found.weights))
    assert table_bytes(frontend) == sum(-(-array.nbytes // 4) * 4 for array in found.arrays.values()) + PARAMS_BYTES
    assert terms(frontend)["splits"] == frontend.frames * len(found.split)


@pytest.mark.parametrize("name", target_names())
def test_estimates_include_it(name: str) -> None:
    target, frontend = load_target(name), FrontEnd()
    plain = estimate(lower(heard(None), target))
    sound = estimate(lower(heard(frontend), target))
    assert plain.frontend_cycles == 0
    assert sound.frontend_cycles == round(cycles(frontend, target.frontend.cycles))
    assert sound.cycles == plain.cycles + sound.frontend_cycles
    assert sound.seconds == pytest.approx(sound.cycles / target.clock_hz)
    assert sound.data_bytes == plain.data_bytes + data_bytes(frontend)
    assert sound.stack_bytes == max(plain.stack_bytes, target.frontend.stack)
    assert sound.table_bytes == plain.table_bytes + table_bytes(frontend)
    assert sound.code_bytes == plain.code_bytes + target.frontend.code
    assert (sound.params, sound.macs) == (plain.params, plain.macs)
    assert set(sound.kinds) == set(QUANTITIES)
    assert plain.kinds["frontend_cycles"] == "exact"
    assert sound.kinds["frontend_cycles"] == target.frontend.kind


def test_records_from_before_it_still_load() -> None:
    values = estimate(lower(heard(None), TARGET)).to_dict()
    kinds = values.pop("kinds")
    del values["frontend_cycles"]
    assert Resources(**values, kinds=kinds).frontend_cycles == 0


def test_every_term_has_a_price() -> None:
    for name in target_names():
        assert set(load_target(name).frontend.cycles) == set(FRONT_END_TERMS)


def test_scratch_costs_nothing_beside_a_network_that_is_larger() -> None:
    frontend = FrontEnd(samples=4000)
    small, large = (heard(frontend, width) for width in (1, 64))
    # Input of 110 bytes and 2048 of scratch before the first step; later at most the input, 6 x 5 x 64 bytes, scratch.
    assert frontend.shape == (11, 10, 1)
    assert lower(small, TARGET).arena_bytes == 112 + 2048
    wide = lower(replace(large, frontend=None), TARGET).arena_bytes
    assert 6 * 5 * 64 < wide <= 112 + 6 * 5 * 64 + 256
    assert lower(large, TARGET).arena_bytes == max(wide, 112 + 2048)


@pytest.mark.parametrize(
    "frontend",
    [
        FrontEnd(samples=3000),
        FrontEnd(samples=3000, window=640, mel_bands=33, coefficients=12),
        FrontEnd(samples=3000, window=400, hop=160, features=Features.LOG_MEL, coefficients=0, low_hz=0, high_hz=8000),
        FrontEnd(samples=2000, window=250, hop=100, mel_bands=20, coefficients=20),
    ],
    ids=lambda frontend: frontend.name,
)
def test_against_the_linked_image_and_its_run(frontend: FrontEnd, arm_gcc: Compiler, tmp_path: Path) -> None:
    graph = heard(frontend)
    guess = estimate(lower(graph, TARGET))
    folder = export(usual_model(graph, np.random.default_rng(0)), TARGET, tmp_path / "c")
    elf = build_firmware(folder, TARGET.name, arm_gcc, tmp_path / "build")
    sizes, run = load_image(elf).sizes, run_elf(elf, TARGET.name)
    assert run.mismatches == 0
    assert run.clips is not None
    assert sizes.arena == guess.arena_bytes
    assert sizes.data_bytes == guess.data_bytes
    exact = guess.weights_bytes + guess.bias_bytes + guess.table_bytes
    # The logarithm's table of 65 fractions, in whole words, counts as code.
    assert sizes.model_rodata - exact == 132
    assert guess.code_bytes == pytest.approx(sizes.flash_bytes - exact, rel=0.02)
    assert guess.stack_bytes == pytest.approx(run.stack_bytes, rel=0.1)
    assert guess.frontend_cycles == pytest.approx(np.mean(run.clips.cycles), rel=0.02)
    assert guess.cycles == pytest.approx(max(run.cycles) + np.mean(run.clips.cycles), rel=0.03)
