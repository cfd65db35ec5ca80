"""Builds networks for a target, runs them on its virtual core, and reads off what they cost."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from estimators import Plan, lower
from estimators.targets import Target, load_target
from firmware.emit import export
from firmware.toolchain import Compiler
from firmware.virtual import build_firmware, load_image, run_elf
from firmware.virtual.xtensa import run_xtensa
from fitting.integers import usual_model
from search_spaces import Graph, NasError

SECONDS_BETWEEN_LINES: Final = 20.0


@dataclass(frozen=True)
class Measured:
    """One network as built and run: cycles and executed instructions of one ``model_invoke``, bytes of the rest."""

    graph: Graph
    target: str
    cycles: int
    instructions: int
    stack: int
    sram: int
    flash: int
    objects: Mapping[str, int]
    """Bytes of code and constants in the object of each kernel's C file, functions that nothing calls included."""

    @cached_property
    def plan(self) -> Plan:
        return lower(self.graph, load_target(self.target))


def measure(graph: Graph, seed: Sequence[int], target: Target, compiler: Compiler, kept: Path) -> Measured:
    """Builds ``graph`` with integers such as training gives, runs it over one random input.

    ``kept`` is a folder that keeps what was compiled for other networks. Raises NasError where an output byte
    differs from the reference.
    """
    rng = np.random.default_rng(seed)
    model = usual_model(graph, rng)
    vector = rng.integers(-128, 128, (1, *graph.input_shape)).astype(np.int8)
    with TemporaryDirectory(prefix="fit-") as scratch:
        folder = export(model, target, Path(scratch) / "model", vector)
        elf = build_firmware(folder, target.name, compiler, Path(scratch) / "build", objects=kept)
        # Attributing instructions to functions slows QEMU down, and nothing here asks for it.
        execution = run_xtensa(elf, profile=False) if target.name == "esp32s2" else run_elf(elf, target.name)
        sizes = load_image(elf).sizes
        objects = {path.with_suffix(".c").name: _loaded_bytes(path) for path in (elf.parent / "kernels").glob("*.o")}
    if execution.mismatches:
        raise NasError(f"{graph.name or graph.ops}: {execution.mismatches} output bytes differ from the reference")
    return Measured(
        graph,
        target.name,
        cycles=max(execution.cycles),
        instructions=max(execution.instructions),
        stack=execution.stack_bytes,
        sram=sizes.arena + sizes.data_bytes + execution.stack_bytes,
        flash=sizes.flash_bytes,
        objects=objects,
    )


def _loaded_bytes(path: Path) -> int:
    """Bytes of an object's sections that go into a program."""
    from elftools.elf.constants import SH_FLAGS
    from elftools.elf.elffile import ELFFile

    with path.open("rb") as stream:
        sections = ELFFile(stream).iter_sections("SHT_PROGBITS")
        return sum(section["sh_size"] for section in sections if section["sh_flags"] & SH_FLAGS.SHF_ALLOC)


def measure_all(
    what: str, graphs: Sequence[Graph], seed: int, target: Target, compiler: Compiler, kept: Path, jobs: int
) -> list[Measured]:
    """Measures ``graphs`` in order, on ``jobs`` processes, saying on standard error how far it is.

    Every graph has a generator of random numbers to itself, so that the result does not depend on ``jobs``.
    """
    one = partial(_measure_task, target=target.name, compiler=compiler, kept=kept)
    tasks = [(graph, (seed, index)) for index, graph in enumerate(graphs)]
    if jobs == 1:
        return list(_told(what, len(graphs), map(one, tasks)))
    with get_context("spawn").Pool(jobs) as pool:
        return list(_told(what, len(graphs), pool.imap(one, tasks)))


def _measure_task(task: tuple[Graph, tuple[int, int]], target: str, compiler: Compiler, kept: Path) -> Measured:
    return measure(*task, load_target(target), compiler, kept)


def _told(what: str, count: int, rows: Iterator[Measured]) -> Iterator[Measured]:
    """``rows`` as they come, a line now and then and at the end."""
    begin = told = time.monotonic()
    for index, row in enumerate(rows, 1):
        now = time.monotonic()
        if index == count or now - told >= SECONDS_BETWEEN_LINES:
            print(f"{what}: {index} of {count}, {now - begin:.0f} s", file=sys.stderr, flush=True)
            told = now
        yield row
