"""Find the C compilers and run them.

Cortex-M4 code is compiled by `arm-none-eabi-gcc` where there is one, otherwise by the clang in the ziglang wheel, which
is installed with this package. A `Compiler.cc` already chooses the processor, so that callers only add what they
want compiled: `run_tool([*compiler.cc, *ARM_CFLAGS[compiler.kind], "-c", "model.c", "-o", "model.o"])`.

Xtensa code is compiled by `xtensa-lx106-elf-gcc` alone: zig has no such back end.
"""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from search_spaces.errors import NasError

Kind = Literal["gcc", "zig"]

GCC: Final = "arm-none-eabi-gcc"
HINT: Final = "run `make toolchain`, or set NAS_TOOLCHAIN to a folder that holds bin/arm-none-eabi-gcc"

XTENSA_GCC: Final = "xtensa-lx106-elf-gcc"
XTENSA_EMULATOR: Final = "qemu-system-xtensa"
XTENSA_PART: Final = "xtensa"
"""Folder below `.toolchain` that is laid out like it: the tools for Xtensa, which may be missing."""

CORTEX_M4: Final[Mapping[Kind, tuple[str, ...]]] = {
    "gcc": ("-mcpu=cortex-m4", "-mthumb", "-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"),
    "zig": ("-target", "thumb-freestanding-eabihf", "-mcpu=cortex_m4"),
}
"""What makes each compiler emit code for the Cortex-M4F with the hard-float calling convention."""

C_FLAGS: Final = ("-std=c99", "-O2", "-ffunction-sections", "-fdata-sections")
"""For every build: one section per object, so that the linker can drop what is not used."""

ARM_CFLAGS: Final[Mapping[Kind, tuple[str, ...]]] = {
    # Scheduling before register allocation makes the unrolled multiply-accumulate loops spill on this core.
    "gcc": (*C_FLAGS, "-ffreestanding", "-fno-schedule-insns"),
    # zig cc would otherwise add traps for undefined behaviour, which call a run time that is not linked.
    "zig": (*C_FLAGS, "-ffreestanding", "-fno-sanitize=undefined"),
}
"""Flags for the core, without an operating system."""

XTENSA_CFLAGS: Final[Mapping[Kind, tuple[str, ...]]] = {
    # Literals beside the code that loads them, and calls that reach all of flash.
    "gcc": (*C_FLAGS, "-ffreestanding", "-mlongcalls", "-mtext-section-literals"),
}
"""Flags for the LX106, without an operating system."""

HOST_CFLAGS: Final[Mapping[Kind, tuple[str, ...]]] = {
    "gcc": (*C_FLAGS, "-fPIC"),
    "zig": (*C_FLAGS, "-fPIC", "-fno-sanitize=undefined"),
}
"""Flags for a shared library on this machine; link with `-shared`."""

WARNINGS: Final = ("-Wall", "-Wextra", "-Wconversion", "-Wshadow", "-Wundef")
"""Generated code gives none of these with either compiler."""

_HOST_COMPILERS: Final = ("cc", "gcc", "clang")
_ERROR: Final = re.compile(r"\berror: |undefined reference to|will not fit in region|overflowed by|cannot find -l")
_LINES_OF_A_FAILURE: Final = 3


@dataclass(frozen=True, slots=True)
class Compiler:
    """A C compiler that was found and answered.

    Attributes:
        kind: "gcc" for gcc's command line (a host's clang too), "zig" for the ziglang wheel.
        cc: the command with the flags that choose the processor.
        version: what it says of itself, on one line.
    """

    kind: Kind
    cc: tuple[str, ...]
    version: str


def find_arm_compiler(prefer: Kind | None = None) -> Compiler:
    """The compiler for the Cortex-M4: arm-none-eabi-gcc when found, otherwise the ziglang wheel.

    Args:
        prefer: take this one or fail; None takes the first that is there.

    Raises:
        NasError: nothing found, the preferred one is missing, or what was found does not run.
    """
    if prefer not in (None, "gcc", "zig"):
        raise NasError(f"compiler {prefer!r} is not known: choose 'gcc' or 'zig'")
    gcc = None if prefer == "zig" else find_tool(GCC)
    if gcc is not None:
        return Compiler("gcc", (gcc, *CORTEX_M4["gcc"]), _first_line([gcc, "--version"]))
    if prefer == "gcc":
        raise NasError(f"{GCC} was not found: {HINT}")
    return _zig(CORTEX_M4["zig"], f"neither {GCC} nor the ziglang package was found: {HINT}")


def find_xtensa_compiler(prefer: Kind | None = None) -> Compiler:
    """The compiler for the Xtensa LX106, the nearest core to the ESP32-S2's that an emulator has.

    Raises:
        NasError: `prefer` is not "gcc" or None, it was not found, or does not run.
    """
    if prefer not in (None, "gcc"):
        raise NasError(f"compiler {prefer!r} has no back end for Xtensa: only 'gcc' has")
    gcc = find_tool(XTENSA_GCC)
    if gcc is None:
        raise NasError(f"{XTENSA_GCC} was not found: run `make toolchain`")
    return Compiler("gcc", (gcc,), _first_line([gcc, "--version"]))


def find_xtensa_emulator() -> str:
    """Path of qemu-system-xtensa: the one on PATH, otherwise the one that `make toolchain` brings.

    Raises:
        NasError: not found.
    """
    path = shutil.which(XTENSA_EMULATOR) or find_tool(XTENSA_EMULATOR)
    if path is None:
        raise NasError(f"{XTENSA_EMULATOR} was not found: run `make toolchain`")
    return path


def find_host_compiler() -> Compiler:
    """The compiler for this machine: cc, gcc or clang on PATH, otherwise the ziglang wheel.

    Raises:
        NasError: nothing found, or what was found does not run.
    """
    for name in _HOST_COMPILERS:
        path = shutil.which(name)
        if path is not None:
            return Compiler("gcc", (path,), _first_line([path, "--version"]))
    return _zig((), f"no C compiler for this machine: {', '.join(_HOST_COMPILERS)} and ziglang are all missing")


def find_tool(name: str) -> str | None:
    """Path of the cross tool `name`: below NAS_TOOLCHAIN, in the nearest `.toolchain`, or on PATH; None when absent.

    The nearest `.toolchain` is looked for in the current folder, its parents, and the checkout this module lies in.

    Raises:
        NasError: NAS_TOOLCHAIN is set, but no such program is below it.
    """
    chosen = os.environ.get("NAS_TOOLCHAIN")
    if chosen:
        paths = list(_places(Path(chosen), name))
        found = next((str(path) for path in paths if _is_program(path)), None)
        if found is None:
            raise NasError(f"NAS_TOOLCHAIN is {chosen!r}, but there is no program {paths[0]}")
        return found
    candidates = (path for folder in _folders() for path in _places(folder / ".toolchain", name))
    return next((str(path) for path in candidates if _is_program(path)), None) or shutil.which(name)


def run_tool(command: Sequence[str | os.PathLike[str]], cwd: Path | None = None, stdin: str | None = None) -> str:
    """Run a compiler or another build tool and return its standard output.

    Args:
        command: program and arguments; no shell is involved.
        cwd: folder to run in; None is the current one.
        stdin: text for its standard input.

    Raises:
        NasError: it cannot be started or fails; the text holds its first error lines.
    """
    words = [os.fspath(word) for word in command]
    # Messages are searched for "error:", so they must not be translated.
    environment = {**os.environ, "LC_ALL": "C"}
    try:
        done = subprocess.run(
            words, cwd=cwd, input=stdin if stdin is not None else "", env=environment, capture_output=True, text=True
        )
    except OSError as error:
        raise NasError(f"{words[0]} does not start: {error.strerror or error}") from error
    if done.returncode:
        raise NasError(f"{_program(words)} failed with exit code {done.returncode}: {_complaint(done.stderr)}")
    return done.stdout


def _zig(flags: tuple[str, ...], when_missing: str) -> Compiler:
    try:
        version = importlib.metadata.version("ziglang")
    except importlib.metadata.PackageNotFoundError as error:
        raise NasError(when_missing) from error
    return Compiler("zig", (sys.executable, "-m", "ziglang", "cc", *flags), f"zig {version}")


def _folders() -> Iterator[Path]:
    here = Path.cwd()
    yield here
    yield from here.parents
    yield Path(__file__).resolve().parent.parent


def _places(root: Path, name: str) -> Iterator[Path]:
    """Where a tool chain in the folder `root` may hold the program `name`."""
    yield root / "bin" / name
    yield root / XTENSA_PART / "bin" / name


def _is_program(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)


def _first_line(command: list[str]) -> str:
    lines = run_tool(command).splitlines()
    if not lines:
        raise NasError(f"{' '.join(command)} printed nothing: this is no usable compiler")
    return lines[0].strip()


def _program(words: list[str]) -> str:
    """The name a person knows the program by: `python -m ziglang cc` rather than the interpreter's path."""
    name = Path(words[0]).name
    return " ".join([name, *words[1:4]]) if words[1:2] == ["-m"] else name


def _complaint(text: str) -> str:
    """The first lines that tell what is wrong: errors of compiler and linker, else the first of all."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    errors = [line for line in lines if _ERROR.search(line)]
    errors.sort(key=lambda line: "overflowed by" not in line)  # by how much, before the list of what does not fit
    return "; ".join((errors or lines)[:_LINES_OF_A_FAILURE]) or "it printed no reason"
