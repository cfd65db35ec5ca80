"""What benchmarks/kernels.py computes from its measurements, and that it measures what it names."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import kernels
import numpy as np
import pytest

from firmware.fixed_point import quantize_multipliers
from firmware.reference import run_all
from firmware.toolchain import Compiler
from kernel_bench import measure as measuring
from kernel_bench import platforms
from kernel_bench.calibrated import calibrated_model, random_images
from kernel_bench.cases import CASES, NETWORKS, Case, find_cases
from kernel_bench.measure import Measured, measure
from kernel_bench.peers import PEERS, Goal, Record, load_record
from kernel_bench.platforms import PLATFORMS, Platform, usable
from kernel_bench.report import Results, in_unit, json_rows, ratio, table, verdict
from nas.cli.output import rendered
from search_spaces import Activation, AvgPool, FullyConnected, Graph, GraphBuilder, NasError, network

NAMES = [case.name for case in CASES]
M4 = PLATFORMS[0]


def measured(name: str, instructions: int = 1000, macs: int = 100, **other: Any) -> Measured:
    (case,) = (case for case in CASES if case.name == name)
    numbers = {"cycles": 1200, "activation_bytes": 64, "code_bytes": 500, "stack_bytes": 40, "functions": {}}
    return Measured(case, macs, macs or 50, instructions, **{**numbers, **other})


# --- cases -----------------------------------------------------------------------------------------------------------

MACS = {
    "mlperf-kws-dscnn": 2_656_768,
    "mlperf-ic-resnet8": 12_501_632,
    "conv 3x3 32x32x3 -> 16": 442_368,
    "depthwise 3x3 32x32x16": 147_456,
    "pointwise 32x32x16 -> 32": 524_288,
    "depthwise 3x3 stride 2 32x32x32": 73_728,
    "pointwise 16x16x32 -> 64": 524_288,
    "depthwise 3x3 16x16x64": 147_456,
    "pointwise 8x8x128 -> 128": 1_048_576,
    "depthwise 3x3 8x8x128": 73_728,
    "dense 128 -> 10": 1_280,
    "conv 3x3 16x16x16 -> 16": 589_824,
    "depthwise 5x5 16x16x64": 409_600,
    "average pool 8x8x64": 0,
    "add 32x32x16": 0,
    "pointwise 8x8x128 -> 128, 4-bit weights": 1_048_576,
    "dense 128 -> 10, 4-bit weights": 1_280,
}
"""As they are recorded with the peers' counts; weights of 4 bits have none."""


def test_cases_are_the_layers_that_the_peers_were_counted_on() -> None:
    assert {case.name: case.build().macs for case in CASES} == MACS
    # 81 instructions per element of the Add were recorded.
    (add,) = find_cases(["add"])
    assert 1_325_128 // add.units(add.build()) == 80
    assert add.build().output_shape == (32, 32, 16)


def test_cases_by_a_part_of_their_names() -> None:
    assert [case.name for case in find_cases(["average", "dense"])] == [
        "dense 128 -> 10",
        "average pool 8x8x64",
        "dense 128 -> 10, 4-bit weights",
    ]
    assert find_cases([]) == list(CASES)
    with pytest.raises(KeyError, match="lstm"):
        find_cases(["dense", "lstm"])


# --- random models ---------------------------------------------------------------------------------------------------


def test_every_tensor_is_spread_over_its_range() -> None:
    graph = network("mlperf-kws-dscnn")
    rng = np.random.default_rng(1)
    model = calibrated_model(graph, rng)
    tensors = run_all(model, random_images(graph, 2, rng))
    for op in graph.ops:
        values = tensors[op.output]
        if not isinstance(op, AvgPool | FullyConnected):  # the one has its input's range, the other few outputs
            assert len(np.unique(values)) > 150, op.output
            assert values.min() == -128  # ReLU
    shifts = set()
    for op in graph.ops:
        if op.output in model.layers:
            scales = model.layers[op.output].weight_scales.astype(np.float64)
            scales *= model.quant[op.inputs[0]].scale / model.quant[op.output].scale
            shifts |= {*quantize_multipliers(scales)[1].tolist()}
    assert len(shifts) > 2
    assert -14 < min(shifts) <= max(shifts) <= 0


def test_ranges_of_all_kinds_of_layers() -> None:
    builder = GraphBuilder((8, 8, 3))
    x = builder.conv(builder.input, 4, 3)
    x = builder.add(x, builder.scale(x))
    y = builder.sigmoid(builder.conv(x, 4, 1, activation=Activation.NONE))
    builder.softmax(builder.dense(builder.max_pool(builder.mul(x, y), 2, 2), 5))
    graph = builder.build()
    model = calibrated_model(graph, np.random.default_rng(3))
    tensors = run_all(model, random_images(graph, 8, np.random.default_rng(4)))
    assert min(len(np.unique(values)) for values in tensors.values()) >= 20


# --- peers and goals -------------------------------------------------------------------------------------------------


def test_the_recorded_counts() -> None:
    record = load_record(NAMES)
    assert record.counts("stm32l4r9", "mlperf-kws-dscnn", 2_656_768) == [
        ("CMSIS-NN", 7_845_010),
        ("X-CUBE-AI 9.0", 4_350_000),
    ]
    # 8.88 per MAC.
    assert record.counts("stm32l4r9", "depthwise 3x3 16x16x64", 147_456)[1] == ("TinyEngine", 1_309_409)
    assert record.counts("esp32s2", "mlperf-kws-dscnn", 2_656_768) == [("esp-nn", 44_300_000)]
    assert record.counts("esp32s2", "dense 128 -> 10", 1_280) == []
    goal = record.goal_of("stm32l4r9", "mlperf-ic-resnet8")
    assert goal is not None
    assert (goal.reach, goal.aim, goal.activation_bytes) == (17_000_000, 14_500_000, 40_960)
    assert record.goal_of("esp32s2", "dense 128 -> 10") is None
    assert all(peer.source for peer in record.peer)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"add 32x32x16" = 1_325_128', '"add 9x9x9" = 1', "'add 9x9x9', which is not measured"),
        ('"add 32x32x16" = 1_325_128', '"add 32x32x16" = -1', "greater than 0"),
        ("reach = 4.5", "reaches = 4.5", "goal.2"),
        ('unit = "element"', 'unit = "pixel"', "unit"),
        ("[[peer]]", "[[peer]", "cannot be read"),
    ],
)
def test_a_wrong_file(old: str, new: str, message: str, tmp_path: Path) -> None:
    text = PEERS.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "peers.toml"
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(NasError, match=message):
        load_record(NAMES, path)


def test_every_table_of_the_file_is_read() -> None:
    assert {*tomllib.loads(PEERS.read_text(encoding="utf-8"))} == {*Record.model_fields}


# --- verdicts, rows, tables ------------------------------------------------------------------------------------------


def test_ratio_and_verdict() -> None:
    assert ratio(50, 200) == 0.25
    assert [verdict(value, 1.35) for value in (1.2, 1.35, 1.36)] == ["yes", "yes", "no"]
    assert verdict(3, None) == ""
    row = measured("dense 128 -> 10", instructions=3000, macs=1500)
    assert [in_unit(row, unit) for unit in ("inference", "MAC", "element")] == [3000, 2, 2]


def test_rows_of_the_file() -> None:
    rows = [measured("mlperf-kws-dscnn", macs=2_656_768), measured("dense 128 -> 10"), measured("add 32x32x16", macs=0)]
    record = load_record(NAMES)
    found = json_rows([Results(M4, "gcc 12", rows), Results(PLATFORMS[-1], "gcc 5", rows[:2])], record)
    assert found[0] == {
        "target": "stm32l4r9",
        "compiler": "gcc",
        "name": "mlperf-kws-dscnn",
        "macs": 2_656_768,
        "instructions": 1000,
        "activation_bytes": 64,
        "code_bytes": 500,
        "peer": "CMSIS-NN",
        "peer_instructions": 7_845_010,
    }
    assert all(list(row) == list(found[0]) for row in found)
    assert [(row["target"], row["name"], row["peer"]) for row in found[1:]] == [
        ("stm32l4r9", "mlperf-kws-dscnn", "X-CUBE-AI 9.0"),
        ("stm32l4r9", "dense 128 -> 10", "CMSIS-NN"),
        ("stm32l4r9", "add 32x32x16", "CMSIS-NN"),
        ("esp32s2", "mlperf-kws-dscnn", "esp-nn"),
        ("esp32s2", "dense 128 -> 10", None),
    ]
    assert found[-1]["peer_instructions"] is None


def test_the_table() -> None:
    goal = Goal(target="stm32l4r9", case="add 32x32x16", unit="element", reach=16, aim=8, code_bytes=400)
    record = Record(goal=[goal], peer=load_record(NAMES).peer)
    rows = [measured("add 32x32x16", instructions=600, macs=0), measured("mlperf-kws-dscnn", instructions=3_922_505)]
    title, heads, add, network_row, further = rendered(table(Results(M4, "gcc 12", rows), record))
    assert title == "stm32l4r9, gcc 12"
    assert heads.split("  ")[0] == "kernel or network"
    for text in ("12.00 / element", "16 yes", "8 no", "500 no", "CMSIS-NN", "1,325,128"):
        assert text in add
    assert network_row.endswith("7,845,010         0.50")
    assert further.split() == ["X-CUBE-AI", "9.0", "4,350,000", "0.90"]


# --- measuring -------------------------------------------------------------------------------------------------------


def tiny() -> Graph:
    builder = GraphBuilder((4, 4, 4))
    builder.conv(builder.input, 4, 1)
    return builder.build()


TINY = Case("tiny", tiny)


def test_a_measurement_is_repeatable(arm_gcc: Compiler) -> None:
    first, second = (measure(TINY, M4, arm_gcc) for _ in range(2))
    assert first == second
    assert (first.macs, first.units) == (256, 256)
    assert sum(first.functions.values()) == first.instructions > 256
    assert 64 <= first.activation_bytes <= 4096
    assert 0 < first.code_bytes < 10_000


def test_bytes_that_differ_are_no_measurement(arm_gcc: Compiler, monkeypatch: pytest.MonkeyPatch) -> None:
    real = measuring.reference.run
    monkeypatch.setattr(measuring.reference, "run", lambda model, x: real(model, x) ^ 1)
    # The harness's vectors come from the same function, so that both agree: look at what the core computed.
    with pytest.raises(NasError, match="64 of 64 output bytes differ"):
        measure(TINY, M4, arm_gcc)


def test_what_is_missing_is_left_out_with_a_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platforms, "obstacle", lambda target: "no emulator" if target == "esp32s2" else None)
    found, lines = usable([*PLATFORMS[1:], Platform("esp32s2", "zig")])
    assert [platform for platform, _ in found] == [Platform("stm32l4r9", "zig", second=True)]
    assert [compiler.kind for _, compiler in found] == ["zig"]
    assert lines == ["esp32s2, gcc is left out: no emulator", "esp32s2, zig is left out: no emulator"]


def test_the_script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = []

    def fake(case: Case, platform: Platform, compiler: Compiler, second_opinion: bool) -> Measured:
        asked.append((case.name, platform.title, second_opinion))
        if "pool" in case.name:
            raise NasError("3 of 64 output bytes differ")
        return measured(case.name, functions={"kernel_s8": 900, "model_invoke": 100})

    monkeypatch.setattr(kernels, "measure", fake)
    out = tmp_path / "new" / "kernels.json"
    arguments = ["--target", "stm32l4r9", "--compiler", "zig"]
    kernels.main([*arguments, "--only", "dense", "--only", "mlperf", "--out", str(out), "--qemu"])
    assert [name for name, _, _ in asked] == [*NETWORKS, "dense 128 -> 10", "dense 128 -> 10, 4-bit weights"]
    assert asked[0][1:] == ("stm32l4r9, zig", True)
    rows = json.loads(out.read_text())
    assert [row["peer"] for row in rows] == ["CMSIS-NN", "X-CUBE-AI 9.0"] * 2 + ["CMSIS-NN", None]

    with pytest.raises(SystemExit, match="average pool 8x8x64 on stm32l4r9, zig: 3 of 64 output bytes differ"):
        kernels.main([*arguments, "--only", "pool", "--out", str(tmp_path / "other.json")])
    assert not (tmp_path / "other.json").exists()

    capsys.readouterr()
    kernels.main([*arguments, "--profile", "dense"])
    assert "kernel_s8              900  90.0 %    9.000" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        kernels.main(["--only", "lstm"])
    assert "no case has 'lstm' in its name" in capsys.readouterr().err
