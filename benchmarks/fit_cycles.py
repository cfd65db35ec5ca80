"""Fits a target's coefficients on the firmware itself: cycles, bytes of code and of stack, as tables of its TOML file.

Emits single layers over a grid of shapes, builds them with gcc, runs them on the target's virtual core, and fits each
kernel's cycles (relative least squares, no negative price), code bytes and stack. Then it predicts networks that the
fit has not seen and prints how far off it is.

    python benchmarks/fit_cycles.py                                   the tables of the STM32L4R9
    python benchmarks/fit_cycles.py --target esp32s2 --networks 16    of another target, fewer networks to check with
    python benchmarks/fit_cycles.py --write                           the target's file brought up to date as well

The ESP32-S2's virtual core is an Xtensa LX106: its instructions are converted, and the tables say so.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from estimators.targets import FOLDER, Target, load_target, read_target
from firmware.files import atomic_write
from firmware.toolchain import Compiler
from firmware.virtual.build import VIRTUAL_TARGETS, find_compiler
from fitting.grid import grid
from fitting.measure import Measured, measure_all
from fitting.networks import chains, named_networks, random_networks
from fitting.report import Errors, largest_percent, relative_errors, spread, summary, tables, with_tables
from fitting.solve import fit, with_numbers
from search_spaces import Graph

__all__ = ["largest_percent", "main", "spread"]

TARGET: Final = "stm32l4r9"

SEVERAL: Final = 16
"""Random networks that the fit does see, for what a call costs in model.c."""

MOST_STACK: Final = 512
"""Bytes that ``model_invoke`` may take."""


def run(target: Target, compiler: Compiler, count: int, seed: int, jobs: int, kept: Path) -> dict[str, list[str]]:
    """Measures, fits, checks on ``count`` networks that the fit has not seen, prints; the tables of the target's file.

    ``kept`` is a folder for objects that many builds share.
    """

    def measured(what: str, graphs: Sequence[Graph], number: int) -> list[Measured]:
        return measure_all(what, graphs, seed * 10 + number, target, compiler, kept, jobs)

    known, fresh = np.random.default_rng([seed, 0]), np.random.default_rng([seed, 1])
    layers = measured("layers", list(grid()), 0)
    several = measured("networks", [*chains(), *random_networks(target, SEVERAL, known)], 1)
    unseen = measured("other networks", list(random_networks(target, count, fresh)), 2)
    named = measured("published networks", named_networks(target), 3)

    numbers = fit(layers, several)
    trial = with_numbers(target, numbers)
    errors = relative_errors(unseen, trial)
    found = tables(numbers, errors, target.name, compiler.version, len(unseen))
    print("\n".join(summary(numbers)))
    for name, lines in found.items():
        print("\n".join(["", f"[{name}]", *lines]))
    _print_networks(named, relative_errors(named, trial))
    deepest = max([*layers, *several, *unseen, *named], key=lambda row: row.stack)
    too_much = "" if deepest.stack <= MOST_STACK else f", more than the {MOST_STACK} B allowed"
    print(f"# deepest stack of all: {deepest.stack} B{too_much}")
    return found


def _print_networks(rows: Sequence[Measured], errors: Errors) -> None:
    print("\n# network: measured cycles, instructions, SRAM, flash; estimated / measured cycles, stack, code")
    for index, row in enumerate(rows):
        off = ", ".join(f"{1 + errors[name][index]:.4f}" for name in ("cycles", "stack", "code"))
        print(f"# {row.graph.name}: {row.cycles}, {row.instructions}, {row.sram}, {row.flash}; {off}")


def write(found: dict[str, list[str]], path: Path) -> None:
    """Brings tables of the target's file up to date; where it would not load, raises NasError and leaves it alone."""
    text = with_tables(path.read_text(encoding="utf-8"), found)
    with TemporaryDirectory() as scratch:
        trial = Path(scratch) / path.name
        trial.write_text(text, encoding="utf-8")
        read_target(trial)
    atomic_write(path, text)


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", choices=VIRTUAL_TARGETS, default=TARGET)
    parser.add_argument("--networks", type=int, default=32, help="random networks to predict")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="processes that build and run")
    parser.add_argument("--write", action="store_true", help="replace the tables in the target's file")
    options = parser.parse_args()
    target, compiler = load_target(options.target), find_compiler(options.target, "gcc")
    with TemporaryDirectory(prefix="fit-objects-") as kept:
        found = run(target, compiler, options.networks, options.seed, options.jobs, Path(kept))
    if options.write:
        path = FOLDER / f"{target.name}.toml"
        write(found, path)
        print(f"\n{path.name} is up to date")


if __name__ == "__main__":
    main()
