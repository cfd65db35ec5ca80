"""Builds a case for a platform, runs it, and reads off what it cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from estimators import load_target, lower
from firmware import reference
from firmware.emit import export
from firmware.toolchain import Compiler
from firmware.virtual import build_firmware, load_image, run_elf
from firmware.virtual.qemu_cortex_m4 import run_qemu
from kernel_bench.calibrated import calibrated_model, random_images
from kernel_bench.cases import Case
from kernel_bench.platforms import Platform
from search_spaces import NasError

SEED: Final = 1


@dataclass(frozen=True, slots=True)
class Measured:
    """One case on one platform.

    ``units`` are the case's MACs or elements, ``code_bytes`` the code of kernels, model.c and of the routines that the
    compiler calls for them, ``functions`` instructions by the function that executed them.
    """

    case: Case
    macs: int
    units: int
    instructions: int
    cycles: int
    activation_bytes: int
    code_bytes: int
    stack_bytes: int
    functions: Mapping[str, int]


def measure(case: Case, platform: Platform, compiler: Compiler, second_opinion: bool = False) -> Measured:
    """What one inference of ``case`` costs, with random weights and one random input that are the same every time.

    Raises NasError where a byte of the output differs from the reference, where the arena is not the plan's, or where
    QEMU, asked for a ``second_opinion``, has other bytes or counts.
    """
    graph, target = case.build(), load_target(platform.target)
    rng = np.random.default_rng(SEED)
    model, vectors = calibrated_model(graph, rng), random_images(graph, 1, rng)
    with TemporaryDirectory(prefix="kernels-") as scratch:
        folder = export(model, target, Path(scratch) / "model", vectors)
        elf = build_firmware(folder, target.name, compiler, Path(scratch) / "build")
        image, execution = load_image(elf), run_elf(elf, target.name)
        expected = reference.run(model, vectors).reshape(1, -1)
        if not np.array_equal(execution.outputs, expected):
            raise NasError(_difference(execution.outputs, expected))
        if second_opinion:
            other = run_qemu(folder, elf.parent, compiler)
            if not np.array_equal(other.outputs, expected) or other.instructions != execution.instructions:
                counts = f"{execution.instructions[0]} instructions, {other.instructions[0]} on QEMU"
                raise NasError(f"{counts}; {_difference(other.outputs, expected)}")
    plan = lower(graph, target)
    if image.sizes.arena != plan.arena_bytes:
        raise NasError(f"the arena has {image.sizes.arena} bytes, the plan says {plan.arena_bytes}")
    return Measured(
        case,
        macs=graph.macs,
        units=case.units(graph),
        instructions=max(execution.instructions),
        cycles=max(execution.cycles),
        activation_bytes=plan.arena_bytes,
        code_bytes=image.sizes.model_text + image.sizes.helpers,
        stack_bytes=execution.stack_bytes,
        functions=execution.functions,
    )


def _difference(got: reference.Int8, expected: reference.Int8) -> str:
    return f"{int((got != expected).sum())} of {expected.size} output bytes differ from the reference"
