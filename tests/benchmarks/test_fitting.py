"""What benchmarks/fit_cycles.py computes from its measurements, and that it measures what it should."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest

import fit_cycles
from estimators import KERNELS, Kernel, estimate, load_target, lower
from estimators.cycles import terms
from estimators.flash import flash
from estimators.kernels import all_sources, sources_of, terms_of
from estimators.kinds import CONVERTED
from estimators.targets import FOLDER, Target
from firmware.int8_model import Int8Model, Quant
from firmware.toolchain import Compiler
from fitting import measure as measuring
from fitting import networks, report, solve
from fitting.grid import grid, repeated
from fitting.integers import is_fast, usual_model
from fitting.measure import Measured, measure_all
from fitting.networks import chains, fits, random_networks
from search_spaces import Activation, Graph, GraphBuilder, NasError

TARGETS = [load_target(name) for name in ("stm32l4r9", "esp32s2")]
STM32, ESP32 = TARGETS


# --- what is measured ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_the_grid_tells_every_price(target: Target) -> None:
    """Single steps; of each kernel more layers than prices, and none of its terms always 0 or a multiple of another."""
    counts: dict[Kernel, list[list[int]]] = {kernel: [] for kernel in KERNELS}
    for graph in grid():
        plan = lower(graph, target)
        (step,) = plan.steps
        counted = terms(plan, step)
        counts[step.kernel].append([counted[term] for term in terms_of(step.kernel, target.dsp)])
    for kernel, rows in counts.items():
        matrix = np.array(rows, dtype=float)
        names = terms_of(kernel, target.dsp)
        assert len(rows) >= len(names) + 4, kernel
        assert dict(zip(names, matrix.any(axis=0), strict=True)) == dict.fromkeys(names, True), kernel
        assert np.linalg.matrix_rank(matrix / matrix.max(axis=0)) == len(names), kernel


def test_the_grid_has_what_networks_have() -> None:
    ops = [graph.ops[-1] for graph in grid()]
    activations = [getattr(op, "activation", None) for op in ops]
    assert activations.count(Activation.RELU) > 100 < activations.count(Activation.NONE)
    channels = {graph.input_shape[2] % 4 for graph in grid()}
    assert channels == {0, 1, 2, 3}


def test_chains_call_every_kernel_often() -> None:
    for target in TARGETS:
        called = [step.kernel for graph in chains() for step in lower(graph, target).steps]
        assert min(called.count(kernel) for kernel in KERNELS) >= 5


def test_random_networks_fit_and_come_of_every_space() -> None:
    for target in TARGETS:
        found = list(random_networks(target, len(networks.SPACES), np.random.default_rng(1)))
        assert [graph.input_shape for graph in found] == [shape for _, shape in networks.SPACES]
        assert all(fits(graph, target) and graph.macs <= networks.MOST_MACS for graph in found)
        assert found != list(random_networks(target, len(found), np.random.default_rng(2)))


def test_usual_integers_take_the_fast_forms() -> None:
    builder = GraphBuilder((6, 6, 4))
    x = builder.conv(builder.input, 6, 3)
    x = builder.add(x, builder.depthwise(x, activation=Activation.NONE))
    builder.mul(x, builder.sigmoid(x))
    graph = builder.build()
    model = usual_model(graph, np.random.default_rng(1))
    assert all(is_fast(model, op) for op in graph.ops)
    # Zero points and scales that no range gives: rectified outputs that begin in the middle.
    odd = Int8Model(graph, {**model.quant, "conv0": Quant(model.quant["conv0"].scale, 0)}, model.layers)
    assert not is_fast(odd, graph.ops[0])


def test_integers_that_are_never_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fitting.integers.is_fast", lambda model, op: False)
    monkeypatch.setattr("fitting.integers.TRIES", 2)
    with pytest.raises(ValueError, match="no random integers"):
        usual_model(repeated((2, 2, 2), lambda builder, x: builder.conv(x, 2)), np.random.default_rng(1))


def test_one_network_measured(arm_gcc: Compiler, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    graph = repeated((4, 4, 4), lambda builder, x: builder.conv(x, 4))
    first, again = (measure_all("layers", [graph], 1, STM32, arm_gcc, tmp_path, 1)[0] for _ in range(2))
    assert first == again
    assert capsys.readouterr().err.startswith("layers: 1 of 1, ")
    assert first.plan.steps[0].kernel == "pointwise_s8"
    assert first.cycles > first.instructions > graph.macs // 2
    assert {*first.objects} == {*sources_of("pointwise_s8")}
    assert first.objects["matmul_s8.c"] > first.objects["pointwise_s8.c"] > 0
    assert first.sram == lower(graph, STM32).arena_bytes + first.stack


def test_different_bytes_are_an_error(arm_gcc: Compiler, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    graph = repeated((2, 2, 4), lambda builder, x: builder.sigmoid(x))
    monkeypatch.setattr("firmware.reference.run", lambda model, x: np.zeros_like(x))
    with pytest.raises(NasError, match="output bytes differ"):
        measuring.measure(graph, (1,), STM32, arm_gcc, tmp_path)


# --- the fit ---------------------------------------------------------------------------------------------------------

BASE, CALL = 40, 20
DEPTHS: Mapping[Kernel, int] = {kernel: 100 + 10 * index for index, kernel in enumerate(KERNELS)}


def made_up(graph: Graph, target: Target, frame: int = 0) -> Measured:
    """A network that costs exactly what the target's prices say, and by name of its files and calls."""
    plan = lower(graph, target)
    sizes = {file: 100 + 10 * index for index, file in enumerate(all_sources(target.dsp))}
    files = {file for step in plan.steps for file in sources_of(step.kernel, target.dsp)}
    exact = flash(plan)
    return Measured(
        graph,
        target.name,
        cycles=estimate(plan).cycles,
        instructions=1,
        stack=frame + max(DEPTHS[step.kernel] for step in plan.steps),
        sram=0,
        flash=exact.weights + exact.bias + exact.tables + BASE + CALL * len(plan.steps) + sum(map(sizes.get, files)),
        objects={file: sizes[file] for file in files},
    )


@pytest.fixture(scope="module", params=TARGETS, ids=lambda target: target.name)
def fitted_numbers(request: pytest.FixtureRequest) -> Iterator[tuple[Target, solve.Fit]]:
    target = request.param
    layers = [made_up(graph, target) for graph in grid()]
    graphs = [*chains(), *random_networks(target, fit_cycles.SEVERAL, np.random.default_rng(1))]
    several = [made_up(graph, target, frame=8) for graph in graphs]
    return target, solve.fit(layers, several)


def test_prices_that_were_put_in_come_out(fitted_numbers: tuple[Target, solve.Fit]) -> None:
    target, numbers = fitted_numbers
    for kernel in KERNELS:
        assert abs(numbers.errors[kernel]).max() < 0.01, kernel  # an estimate is rounded to a cycle
        assert all(price > 0 for price in numbers.prices[kernel].values())
        assert {*numbers.prices[kernel]} <= {*terms_of(kernel, target.dsp)}


def test_bytes_that_were_put_in_come_out(fitted_numbers: tuple[Target, solve.Fit]) -> None:
    target, numbers = fitted_numbers
    sizes = {file: 100 + 10 * index for index, file in enumerate(all_sources(target.dsp))}
    assert numbers.code == pytest.approx(sizes, abs=1)
    assert numbers.calls == dict.fromkeys(KERNELS, CALL)
    assert numbers.base == BASE
    assert numbers.stack == {kernel: depth + 8 for kernel, depth in DEPTHS.items()}


def test_a_kernel_without_a_layer() -> None:
    with pytest.raises(ValueError, match="runs in none of the layers"):
        solve.fit([made_up(repeated((2, 2, 2), lambda builder, x: builder.conv(x, 2)), STM32)], [])


@pytest.mark.parametrize(
    ("size", "weights", "expected"),
    [
        (10.0, {"a": 1}, {"a": 10}),
        (10.4, {"a": 3, "b": 1}, {"a": 8, "b": 2}),
        (7.0, {"a": 1, "b": 1}, {"a": 4, "b": 3}),
        (5.0, {"a": 0, "b": 2}, {"a": 0, "b": 5}),
    ],
)
def test_shared_out(size: float, weights: dict[str, int], expected: dict[str, int]) -> None:
    assert solve.shared_out(size, weights) == expected


# --- the report ------------------------------------------------------------------------------------------------------


def test_errors_as_words() -> None:
    errors = np.array([0.001, -0.0204, 0.0])
    assert report.spread(errors) == "median error 0.1 %, max 2 %"
    assert report.largest_percent(errors) == 2.1
    assert report.largest_percent(np.array([0.02])) == 2.0
    assert (fit_cycles.spread, fit_cycles.largest_percent) == (report.spread, report.largest_percent)


def test_errors_of_a_target_that_knows_all(fitted_numbers: tuple[Target, solve.Fit]) -> None:
    target, numbers = fitted_numbers
    rows = [made_up(graph, target, frame=8) for graph in chains()]
    errors = report.relative_errors(rows, solve.with_numbers(target, numbers))
    assert abs(errors["stack"]).max() == 0
    assert abs(errors["code"]).max() < 0.01
    assert abs(errors["cycles"]).max() < 0.01


def tables_of(target: Target, numbers: solve.Fit) -> dict[str, list[str]]:
    errors = {name: np.array([0.01, -0.003]) for name in ("stack", "cycles", "code")}
    return report.tables(numbers, errors, target.name, "gcc 12", 2)


def test_tables_say_how_far_to_trust_them(fitted_numbers: tuple[Target, solve.Fit]) -> None:
    target, numbers = fitted_numbers
    found = tables_of(target, numbers)
    for name in ("stack", "cycles", "code"):
        (source, kind, *_) = found[name]
        assert "gcc 12" in source
        assert "2 random networks of attention_condenser, bc_resnet" in source
        assert "median error 0.65 %, max 1 %" in source
        assert kind == f'kind = "{"fitted (± 1 %)" if target is STM32 else CONVERTED}"'
        assert ("LX106" in source) == (target is ESP32)
    assert ("0.82" in found["cycles"][0]) == (target is ESP32)


def test_a_file_brought_up_to_date(fitted_numbers: tuple[Target, solve.Fit], tmp_path: Path) -> None:
    target, numbers = fitted_numbers
    path = tmp_path / f"{target.name}.toml"
    before = (FOLDER / path.name).read_text(encoding="utf-8")
    path.write_text(before, encoding="utf-8")
    found = tables_of(target, numbers)
    fit_cycles.write(found, path)
    after = path.read_text(encoding="utf-8")
    old, new = tomllib.loads(before), tomllib.loads(after)
    assert new["stack"]["kernels"] == numbers.stack
    assert new["cycles"]["kernels"] == numbers.prices
    assert new["code"]["files"] == numbers.code
    assert new["code"]["calls"] == numbers.calls
    assert new["code"]["base"] == numbers.base
    for table in ("stack", "cycles", "code"):
        del old[table], new[table]
    assert new == old
    written = {line for lines in found.values() for line in lines}
    assert [line for line in after.splitlines() if line.startswith("#")] == [
        line for line in before.splitlines() if line.startswith("#")
    ]
    assert written <= {*after.splitlines()}
    fit_cycles.write(found, path)
    assert path.read_text(encoding="utf-8") == after


def test_only_lines_of_the_tables_change() -> None:
    text = "# top\n[a]\nx = 1  # one\n\n# of b\n[b]\ny = [\n  2,\n]\n\n[b.c]\nz = 3\n\n# end\n"
    assert report.with_tables(text, {"b": ["y = 4"]}) == text.replace("[\n  2,\n]", "4")
    assert report.with_tables(text, {"b.c": ["z = 5", "u = 6"]}) == text.replace("z = 3", "z = 5\nu = 6")
    assert report.with_tables(text, {}) == text
    with pytest.raises(NasError, match=r"no table \[d\]"):
        report.with_tables(text, {"d": []})


def test_a_file_that_would_not_load_stays(tmp_path: Path) -> None:
    path = tmp_path / "stm32l4r9.toml"
    before = (FOLDER / path.name).read_bytes()
    path.write_bytes(before)
    with pytest.raises(NasError, match="source"):
        fit_cycles.write({"stack": ['kind = "exact"']}, path)
    assert path.read_bytes() == before
