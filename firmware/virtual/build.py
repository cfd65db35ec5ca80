"""Compile an exported folder and its board project, and link them for the chip."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from firmware.toolchain import ARM_CFLAGS, WARNINGS, Compiler, run_tool
from search_spaces.errors import NasError

IMAGE: Final = "firmware.elf"

_LINK_FLAGS: Final = {
    # libgcc is there for what the core cannot do in one instruction, such as a 64-bit division.
    "gcc": ("-nostdlib", "-Wl,--gc-sections", "-lgcc"),
    # zig cc would take _start for the entry, whatever the linker script says.
    "zig": ("-nostdlib", "-Wl,--gc-sections", "-Wl,-e,Reset_Handler"),
}


def build_firmware(
    folder: Path,
    target: str,
    compiler: Compiler,
    out: Path,
    vectors_folder: Path | None = None,
    harness: Path | None = None,
) -> Path:
    """Build the exported `folder` with its board project for `target` into the folder `out`; returns the ELF's path.

    Every warning is an error. The linker script holds the chip's real memory regions, so that a model which does not
    fit does not link. Objects are named after their sources (`model.o`, `kernels/conv2d_s8.o`), as the script expects.

    Args:
        vectors_folder: take `vectors.h` and `vectors.c` from there instead of from `folder`.
        harness: a C file that takes the place of the board project's `harness.c`.

    Raises:
        NasError: a part of the project is missing, does not compile, or does not fit into the chip.
    """
    folder, vectors_folder, out = folder.resolve(), (vectors_folder or folder).resolve(), out.resolve()
    board = folder / target
    script = board / f"{target}.ld"
    if not script.is_file():
        raise NasError(f"{folder} holds no board project for target {target!r}: {target}/{script.name} is missing")
    sources = {Path("model.o"): folder / "model.c", Path("vectors.o"): vectors_folder / "vectors.c"}
    sources |= {Path("kernels") / f"{source.stem}.o": source for source in sorted((folder / "kernels").glob("*.c"))}
    sources |= {Path("board") / f"{source.stem}.o": source for source in sorted(board.glob("*.c"))}
    if harness is not None:
        sources[Path("board") / "harness.o"] = harness.resolve()
    include = [f"-I{path}" for path in dict.fromkeys((vectors_folder, folder, board))]
    compile_flags = [*ARM_CFLAGS[compiler.kind], *WARNINGS, "-Werror", *include]
    for name, source in sources.items():
        if not source.is_file():
            raise NasError(f"{source} is missing: the folder is no complete export")
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        run_tool([*compiler.cc, *compile_flags, "-c", source, "-o", str(name)], cwd=out)
    # Relative names: the script tells the model's objects by them, and so must not see the path that leads here.
    run_tool([*compiler.cc, *map(str, sources), "-T", script, *_LINK_FLAGS[compiler.kind], "-o", IMAGE], cwd=out)
    return out / IMAGE
