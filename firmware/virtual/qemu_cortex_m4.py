"""A second opinion on the virtual Cortex-M4: the same objects on QEMU's board mps2-an386, its instructions counted.

QEMU's virtual clock advances by a fixed time per executed instruction (``-icount``), so a timer of the board counts
instructions. What it does not do: enforce the chip's memory sizes, refuse unaligned LDRD and LDM, know wait states.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np
from numpy.typing import NDArray

from firmware.toolchain import ARM_CFLAGS, WARNINGS, Compiler, find_tool, run_tool
from search_spaces.errors import NasError

QEMU: Final = "qemu-system-arm"

# A tick of the timer is 40 ns, an instruction 2**7 ns: 3.2 ticks. The difference of two readings is off by less than a
# tick, so the number of instructions is certain; with 2**6 it would be so to one instruction only.
_SHIFT: Final = 7
_TICKS_PER_INSTRUCTION: Final = 2**_SHIFT / 40

_MACHINE: Final = (
    *("-M", "mps2-an386", "-icount", f"shift={_SHIFT}", "-nodefaults", "-display", "none", "-serial", "none"),
    *("-monitor", "none", "-chardev", "stdio,id=out", "-semihosting-config", "enable=on,target=native,chardev=out"),
)

# zig cc would take _start for the entry, whatever the linker script says.
_LINK_FLAGS: Final = ("-nostdlib", "-Wl,--gc-sections", "-Wl,-e,Reset_Handler")
_LIBRARIES: Final = {"gcc": ("-lgcc",), "zig": ()}

# qemu_cortex_m4.c: exit codes.
_TIMER, _FAULT = 2, 3


@dataclass(frozen=True)
class QemuExecution:
    """One run over the test vectors.

    Attributes:
        outputs: int8 [N, output bytes], what `model_output` held after each `model_invoke`.
        instructions: executed from entry to return of each `model_invoke`, counted as `Execution.instructions` is.
    """

    outputs: NDArray[np.int8]
    instructions: tuple[int, ...]


def find_qemu() -> str:
    """Path of qemu-system-arm. Raises NasError when there is none."""
    path = find_tool(QEMU)
    if path is None:
        raise NasError(f"{QEMU} was not found: run `make toolchain`")
    return path


def run_qemu(folder: Path, build: Path, compiler: Compiler, timeout: float = 120) -> QemuExecution:
    """Run the network that `build_firmware` compiled for a Cortex-M4 on QEMU's board.

    Model, kernels, test vectors and memory routines are the object files that lie in `build`; start-up code, harness
    and memory map are the board's. A front end is not run.

    Args:
        folder: the export that `build` was made of, for its headers.
        build: the folder that `build_firmware` filled.
        compiler: the one it used.
        timeout: seconds for the run.

    Raises:
        NasError: no QEMU, objects that are missing or do not link, a fault, a run past the timeout or past the timer's
            1.3 billion instructions per vector.
    """
    qemu = find_qemu()
    with TemporaryDirectory(prefix="qemu-") as scratch:
        elf = _link(folder.resolve(), build.resolve(), compiler, Path(scratch))
        try:
            done = subprocess.run(
                [qemu, *_MACHINE, "-kernel", str(elf)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise NasError(f"the firmware has not come to an end on {QEMU} after {timeout:g} seconds") from error
        except OSError as error:
            raise NasError(f"{qemu} does not start: {error.strerror or error}") from error
    if done.returncode:
        why = {_TIMER: "counted more instructions than its timer can", _FAULT: "took an exception"}
        said = done.stderr.strip().splitlines() or [f"ended with exit code {done.returncode}"]
        raise NasError(f"the firmware on {QEMU} {why.get(done.returncode, said[-1])}")
    return parse_output(done.stdout)


def parse_output(text: str) -> QemuExecution:
    """What the harness printed. Raises NasError for anything else."""
    try:
        first, *lines = text.splitlines()
        empty = int(first, 16)
        rows = [line.split(" ") for line in lines]
        ticks = [int(count, 16) for count, _ in rows]
        outputs = [np.frombuffer(bytes.fromhex(output), np.int8) for _, output in rows]
        # The empty function executes one instruction.
        instructions = tuple(round((count - empty) / _TICKS_PER_INSTRUCTION) + 1 for count in ticks)
        return QemuExecution(np.stack(outputs), instructions)
    except ValueError as error:
        raise NasError(f"the firmware on {QEMU} printed {text[:80]!r}: ticks and bytes expected") from error


def _link(folder: Path, build: Path, compiler: Compiler, scratch: Path) -> Path:
    objects = [build / "model.o", build / "vectors.o", *sorted((build / "kernels").glob("*.o"))]
    objects.append(build / "board" / "runtime.o")
    here = Path(__file__).parent
    start, elf = scratch / "qemu_cortex_m4.o", scratch / "qemu_cortex_m4.elf"
    flags = [*ARM_CFLAGS[compiler.kind], *WARNINGS, "-Werror", f"-I{folder}"]
    run_tool([*compiler.cc, *flags, "-c", here / "qemu_cortex_m4.c", "-o", start])
    script = here / "qemu_cortex_m4.ld"
    run_tool([*compiler.cc, start, *objects, "-T", script, *_LINK_FLAGS, *_LIBRARIES[compiler.kind], "-o", elf])
    return elf
