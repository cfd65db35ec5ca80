"""Run a firmware image on an emulated Xtensa LX106 and collect what it computed and what it cost.

The LX106 is the core nearest to the ESP32-S2's LX7 that has a packaged compiler and an emulator (QEMU). Equal bytes
prove that the C is right on a 32-bit little-endian Xtensa, compiled by gcc, in the ESP32-S2's sizes of memory.
Instructions are the LX106's: it lacks the LX7's windowed calls, high words of products, division, minimum, maximum,
sign extension and clamping. The cycles told for the ESP32-S2 are those instructions times a factor, no measurement.
Its caches, flash, interrupts and ESP-IDF do not occur here at all. An unaligned access, which the LX7 carries out,
drops the low bits of its address here: it shows as different bytes.
"""

from __future__ import annotations

import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import numpy as np

from estimators.kinds import CONVERTED
from firmware.toolchain import find_xtensa_emulator
from firmware.virtual.elf import FirmwareImage, load_image
from firmware.virtual.execution import ClipExecution, Execution
from firmware.virtual.xtensa_profile import Profiler
from search_spaces.errors import NasError

CYCLES_PER_INSTRUCTION: Final = 0.82
"""Cycles of the ESP32-S2 per instruction of the LX106: whole int8 networks compiled for the LX7 need about 0.82 of its
instructions, at one cycle each, with every fetch a hit in the cache. Not checked on a chip."""

CAVEAT: Final = (
    "bytes, instructions, stack and sizes are those of an Xtensa LX106, the nearest emulated core; cycles of the "
    f"ESP32-S2 are {CYCLES_PER_INSTRUCTION:g} times as many, an {CONVERTED}; its caches, its flash and ESP-IDF "
    "were not run"
)

# QEMU gives an instruction 2^6 ns, and the core's cycle counter a clock of 40 MHz: 64 ticks for 25 instructions.
_MACHINE: Final = ("-M", "sim", "-cpu", "lx106", "-semihosting", "-icount", "shift=6")
_SILENT: Final = ("-display", "none", "-serial", "none", "-monitor", "none")
_TICKS, _INSTRUCTIONS = 64, 25

# board.h: struct board_report, enum board_state and struct board_call.
_REPORT: Final = struct.Struct("<7I")
_FINISHED, _FAULTED = 2, 3
_CALL: Final = np.dtype([("ticks", "<u4"), ("stack", "<u4")])

# Xtensa Instruction Set Architecture Reference Manual, table "Exception Causes".
_LIMIT_REACHED: Final = 4  # the interrupt of level 1: board_measure() has its timer alone call for one
_CAUSES: Final = {
    0: "an instruction that the core does not have",
    2: "an instruction fetched from where there is none",
    3: "a load or store where there is no memory",
    6: "a division by zero",
    14: "an instruction fetched from where there is no memory",
    15: "a load or store where there is no memory",
    20: "an instruction fetched from where there is no memory",
    28: "a load where there is no memory",
    29: "a store where there is no memory",
}
_LIMIT: Final = 1_500_000_000

# Emulation runs ten times as fast on a machine that has nothing else to do.
_INSTRUCTIONS_PER_SECOND: Final = 20_000_000
_SECONDS_AT_LEAST: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Memory:
    """RAM as the firmware left it."""

    start: int
    data: bytes

    def array(self, image: FirmwareImage, name: str, dtype: np.dtype | type = np.int8) -> np.ndarray:
        """The object `name`, flat."""
        place = image.object(name)
        start = place.address - self.start
        return np.frombuffer(self.data[start : start + place.size], dtype)


def run_xtensa(
    path: Path,
    name: str = "model",
    instruction_limit: int = _LIMIT,
    timeout: float | None = None,
    profile: bool = True,
) -> Execution:
    """Run the image from reset until its harness has finished.

    Args:
        path: ELF linked for `esp32s2` by `build_firmware`.
        name: prefix of the model's C functions, as it was exported.
        instruction_limit: upper bound for each call that is measured; above 1.5 billion it is that.
        timeout: seconds for the whole run on this machine; None follows from the limit.
        profile: attribute the instructions of the first `model_invoke` to functions.

    Raises:
        NasError: no emulator, no usable image, an exception, a run past the limit or the timeout, or an end before the
            harness has finished.
    """
    image = load_image(path)
    limit = min(instruction_limit, _LIMIT)
    calls = image.object("harness_invokes").size // _CALL.itemsize
    if timeout is None:
        timeout = _SECONDS_AT_LEAST + limit * calls / _INSTRUCTIONS_PER_SECOND
    emulator = find_xtensa_emulator()
    with TemporaryDirectory(prefix="nas-xtensa-") as scratch:
        profiler = Profiler(emulator, image, name, Path(scratch)) if profile else None
        options = () if profiler is None else profiler.options
        memory = _emulate([emulator, *options], image, timeout, Path(scratch))
        functions = {} if profiler is None else profiler.functions()
    return _collect(image, memory, limit, functions)


def _emulate(emulator: list[str], image: FirmwareImage, timeout: float, scratch: Path) -> _Memory:
    """Run QEMU in the folder `scratch`; the firmware writes all its RAM to standard output when it ends."""
    start = image.label("__ram_start")
    size = image.label("__ram_end") - start
    command = [*emulator, *_MACHINE, *_SILENT, "-kernel", str(image.path.resolve())]
    try:
        done = subprocess.run(command, cwd=scratch, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise NasError(f"the firmware had not finished after {timeout:g} seconds in the emulator") from error
    except OSError as error:
        raise NasError(f"{command[0]} does not start: {error.strerror or error}") from error
    if done.returncode or len(done.stdout) != size:
        said = " ".join(done.stderr.decode(errors="replace").split()) or "it said nothing"
        raise NasError(
            f"{Path(command[0]).name} ended with exit code {done.returncode} and {len(done.stdout)} of {size} bytes of "
            f"RAM: {said}"
        )
    return _Memory(start, done.stdout)


def _collect(image: FirmwareImage, memory: _Memory, limit: int, functions: dict[str, int]) -> Execution:
    report = memory.array(image, "board_report").tobytes()
    state, vectors, mismatches, base, cause, pc, address = _REPORT.unpack(report)
    if state == _FAULTED and cause == _LIMIT_REACHED:
        raise NasError(f"the firmware was still in {image.function_at(pc)} after {_LIMIT} instructions")
    if state == _FAULTED:
        what = _CAUSES.get(cause, "see the core's manual")
        raise NasError(
            f"the firmware took exception {cause} ({what}) in {image.function_at(pc)} (pc {pc:#010x}, "
            f"address {address:#010x})"
        )
    invokes = memory.array(image, "harness_invokes", _CALL)
    if state != _FINISHED or vectors != len(invokes) or not vectors:
        raise NasError(f"the firmware ended in state {state} after {vectors} vectors: its harness has not finished")
    overhead = _instructions(memory.array(image, "harness_nothing", _CALL)["ticks"]) - 1
    instructions = _instructions(invokes["ticks"]) - overhead
    stack = int(invokes["stack"].max())
    clips = None
    if "harness_clips" in image.objects:
        whole = memory.array(image, "harness_clips", _CALL)
        pieces = memory.array(image, "harness_pushes", _CALL).reshape(len(whole), -1)
        stack = max(stack, int(whole["stack"].max()), int(pieces["stack"].max()))
        streamed = (_instructions(pieces["ticks"]) - overhead).sum(axis=1)
        features = memory.array(image, "harness_features")
        clips = _clips(features.reshape(len(whole), 2, -1), _instructions(whole["ticks"]) - overhead, streamed)
    most = max(int(instructions.max()), 0 if clips is None else max(clips.instructions))
    if most > limit:
        raise NasError(f"the firmware needed {most} instructions for one call; at most {limit} were allowed")
    return Execution(
        outputs=memory.array(image, "harness_results").reshape(vectors, -1),
        instructions=tuple(instructions.tolist()),
        cycles=_cycles(instructions),
        stack_bytes=stack,
        painted_stack_bytes=stack,
        total_stack_bytes=base + stack,
        functions=functions,
        function_cycles={function: _cycles(np.array([count]))[0] for function, count in functions.items()},
        core_hz=None,
        mismatches=mismatches,
        clips=clips,
        cycles_kind=CONVERTED,
    )


def _clips(features: np.ndarray, whole: np.ndarray, streamed: np.ndarray) -> ClipExecution:
    return ClipExecution(
        features=features,
        instructions=tuple(whole.tolist()),
        cycles=_cycles(whole),
        streamed_instructions=tuple(streamed.tolist()),
        streamed_cycles=_cycles(streamed),
        functions={},
        function_cycles={},
    )


def _instructions(ticks: np.ndarray) -> np.ndarray:
    """Instructions between two readings of the cycle counter: exact, since an instruction takes over two ticks."""
    return (ticks.astype(np.int64) * _INSTRUCTIONS + _TICKS // 2) // _TICKS


def _cycles(instructions: np.ndarray) -> tuple[int, ...]:
    return tuple(np.rint(instructions * CYCLES_PER_INSTRUCTION).astype(np.int64).tolist())
