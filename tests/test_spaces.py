"""Members of every space go the whole way: build, lower, estimate, run in numpy, and give the same bytes in C."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest

from estimators import estimate, load_target, lower, target_names
from firmware import reference
from firmware.emit import export
from firmware.host import HostModel
from firmware.toolchain import Compiler
from firmware.validate import validate
from search_spaces import FrontEnd, Graph, Shape, get_space, space_names
from tests.strategies import random_input, random_int8_model

INPUTS: tuple[Shape, ...] = ((49, 10, 1), (47, 13, 1), (98, 40, 1), (32, 32, 3), (8, 8, 1))
FRONT_ENDS = (FrontEnd(), FrontEnd(window=640, mel_bands=20), FrontEnd(hop=480, coefficients=13))

FEW, MANY = 12, 400
"""Members per space and input: few run in numpy every time, thousands in all when asked for."""

RUNNABLE = 1_000_000
"""MACs that numpy does in the quick test."""


def members(name: str, count: int, seed: int = 0) -> Iterator[Graph]:
    """Seeded members of a space over images of several shapes and over sound."""
    spaces = [get_space(name, shape, 10) for shape in INPUTS]
    spaces.append(get_space(name, FRONT_ENDS[0].shape, 10, FRONT_ENDS))
    rng = np.random.default_rng(seed)
    for space in spaces:
        for row in space.draw(rng, count):
            yield space.build(space.decode(row))


def check(graph: Graph, macs: int) -> None:
    """Lowers, estimates and, up to so many ``macs``, runs one member."""
    for target in map(load_target, target_names()):
        plan = lower(graph, target)
        resources = estimate(plan)
        assert resources.macs == graph.macs
        assert resources.arena_bytes == plan.arena_bytes >= np.prod(graph.input_shape)
        assert resources.cycles > 0
    assert graph.output_shape == (1, 1, 10)
    if graph.macs <= macs:
        rng = np.random.default_rng(graph.macs)
        model = random_int8_model(graph, rng)
        assert reference.run(model, random_input(model, 1, rng)).shape == (1, 1, 1, 10)


@pytest.mark.parametrize("name", space_names())
def test_members_build_lower_estimate_and_run(name: str) -> None:
    for graph in members(name, FEW):
        check(graph, RUNNABLE)


@pytest.mark.slow
@pytest.mark.parametrize("name", space_names())
def test_thousands_of_members(name: str) -> None:
    for graph in members(name, MANY, seed=1):
        check(graph, 30_000_000)


@pytest.mark.parametrize("name", space_names())
def test_members_give_the_same_bytes_in_c(arm_gcc: Compiler, name: str) -> None:
    small = (graph for graph in members(name, 40, seed=2) if graph.macs < 600_000 and graph.frontend is None)
    by_input: dict[Shape, Graph] = {}
    for graph in small:
        by_input.setdefault(graph.input_shape, graph)
    assert len(by_input) >= 3
    for graph in list(by_input.values())[:3]:
        rng = np.random.default_rng(3)
        model = random_int8_model(graph, rng)
        with TemporaryDirectory() as scratch:
            folder = export(model, "stm32l4r9", Path(scratch) / "c", random_input(model, 2, rng))
            validation = validate(folder, "stm32l4r9", compiler=arm_gcc)
            assert validation.bit_exact
            assert validation.host_bit_exact


@pytest.mark.slow
@pytest.mark.parametrize("name", space_names())
def test_hundreds_of_members_give_the_same_bytes_on_this_machine(name: str) -> None:
    rng = np.random.default_rng(4)
    for graph in members(name, 20, seed=5):
        if graph.macs > 5_000_000 or graph.frontend is not None:
            continue
        model = random_int8_model(graph, rng)
        x = random_input(model, 3, rng)
        with TemporaryDirectory() as scratch, HostModel(export(model, "esp32s2", Path(scratch) / "c", x)) as host:
            np.testing.assert_array_equal(host.run(x), reference.run(model, x))
