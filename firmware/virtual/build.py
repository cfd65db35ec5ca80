"""Compile an exported folder and its board project, and link them for the chip."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from firmware.toolchain import (
    ARM_CFLAGS,
    WARNINGS,
    XTENSA_CFLAGS,
    Compiler,
    Kind,
    find_arm_compiler,
    find_xtensa_compiler,
    run_tool,
)
from firmware.virtual.objects import compile_object
from search_spaces.errors import NasError

IMAGE: Final = "firmware.elf"

_LINK_FLAGS: Final = {
    # libgcc is there for what the core cannot do in one instruction, such as a 64-bit division.
    "gcc": ("-nostdlib", "-Wl,--gc-sections", "-lgcc"),
    # zig cc would take _start for the entry, whatever the linker script says.
    "zig": ("-nostdlib", "-Wl,--gc-sections", "-Wl,-e,Reset_Handler"),
}
# In the words of GNU ld and of lld.
_OVERFLOW: Final = re.compile(r"region [`'](\w+)'(?::| is)? overflowed by (\d+) bytes")


@dataclass(frozen=True, slots=True)
class _Board:
    """How firmware for a target is built.

    Attributes:
        find_compiler: finds the compiler for the core, a preferred one or the first that is there.
        compile_flags: by kind of compiler.
        folder: board that exists in the emulator alone; None where the exported folder holds the real board's project.
    """

    find_compiler: Callable[[Kind | None], Compiler]
    compile_flags: Mapping[Kind, tuple[str, ...]]
    folder: Path | None = None


_BOARDS: Final = {
    "stm32l4r9": _Board(find_arm_compiler, ARM_CFLAGS),
    "esp32s2": _Board(find_xtensa_compiler, XTENSA_CFLAGS, Path(__file__).parent / "esp32s2"),
}

VIRTUAL_TARGETS: Final = tuple(_BOARDS)
"""Targets whose firmware can be built and run here."""


def find_compiler(target: str, prefer: Kind | None = None) -> Compiler:
    """The compiler for the core of `target`.

    Args:
        prefer: take this one or fail; None takes the first that is there.

    Raises:
        NasError: no virtual target, or no compiler for it, or it does not run.
    """
    return _board(target).find_compiler(prefer)


def build_firmware(
    folder: Path,
    target: str,
    compiler: Compiler,
    out: Path,
    vectors_folder: Path | None = None,
    harness: Path | None = None,
    objects: Path | None = None,
) -> Path:
    """Build the exported `folder` for `target` into the folder `out`; returns the ELF's path.

    The board is the exported project's, or one that exists in the emulator alone (firmware/virtual/esp32s2).
    Every warning is an error. The linker script holds the chip's real memory regions, so that a model which does not
    fit does not link. Objects are named after their sources (`model.o`, `kernels/conv2d_s8.o`), as the script expects.

    Args:
        vectors_folder: take `vectors.h` and `vectors.c` from there instead of from `folder`.
        harness: a C file that takes the place of the board project's `harness.c`.
        objects: a folder that keeps objects for other builds: kernels and most of the board project are the same in
            every export.

    Raises:
        NasError: a part of the project is missing, does not compile, or does not fit into the chip.
    """
    folder, vectors_folder, out = folder.resolve(), (vectors_folder or folder).resolve(), out.resolve()
    made_up = _board(target).folder
    board = made_up or folder / target
    script = board / f"{target}.ld"
    if not script.is_file():
        raise NasError(f"{folder} holds no board project for target {target!r}: {target}/{script.name} is missing")
    sources = {Path("model.o"): folder / "model.c", Path("vectors.o"): vectors_folder / "vectors.c"}
    sources |= {Path("kernels") / f"{source.stem}.o": source for source in sorted((folder / "kernels").glob("*.c"))}
    sources |= {Path("board") / f"{source.stem}.o": source for source in sorted(board.glob("*.[cS]"))}
    if harness is not None:
        sources[Path("board") / "harness.o"] = harness.resolve()
    include = list(dict.fromkeys((vectors_folder, folder, board)))
    if compiler.kind not in _board(target).compile_flags:
        raise NasError(f"{compiler.version} has no back end for the core of target {target!r}")
    compile_flags = [*_board(target).compile_flags[compiler.kind], *WARNINGS, "-Werror"]
    for name, source in sources.items():
        if not source.is_file():
            raise NasError(f"{source} is missing: the folder is no complete export")
        compile_object(compiler, compile_flags, include, source, out / name, objects)
    # Relative names: the script tells the model's objects by them, and so must not see the path that leads here.
    link = [*compiler.cc, *map(str, sources), "-T", str(script), *_LINK_FLAGS[compiler.kind], "-o", IMAGE]
    try:
        run_tool(link, cwd=out)
    except NasError as error:
        overflow = _OVERFLOW.search(str(error))
        if overflow is None:
            raise
        region, excess = overflow.groups()
        raise NasError(
            f"the firmware does not fit on {target}: its memory region {region} is overflowed by {excess} bytes"
        ) from error
    return out / IMAGE


def _board(target: str) -> _Board:
    if target not in _BOARDS:
        raise NasError(f"target {target!r} has no virtual target yet: {' and '.join(_BOARDS)} have one")
    return _BOARDS[target]
