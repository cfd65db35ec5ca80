"""Run a firmware image in the virtual target and collect what it computed and what it cost."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Final

import numpy as np

from firmware.virtual.elf import FirmwareImage, load_image
from firmware.virtual.execution import ClipExecution, Execution
from firmware.virtual.machine import Machine
from firmware.virtual.meter import Meter
from search_spaces.errors import NasError

INSTRUCTION_LIMIT: Final = 2_000_000_000

# board.h: struct board_report and enum board_state.
_REPORT: Final = struct.Struct("<5I")
_FINISHED, _FAULTED = 2, 3

_INVOKE, _CLIP, _PUSH = "invoke", "clip", "push"


def run_cortex_m4(path: Path, name: str = "model", instruction_limit: int = INSTRUCTION_LIMIT) -> Execution:
    """Run the image from reset until its harness has finished.

    Args:
        path: ELF linked by the board project of the STM32L4R9.
        name: prefix of the model's C functions, as it was exported.
        instruction_limit: upper bound for each `model_invoke`, and for what its front end does with a clip.

    Raises:
        NasError: no usable image, an access that the chip does not allow, an exception, a run past
            the limit, or an end before the harness has finished.
    """
    image = load_image(path)
    machine = Machine(image)
    try:
        meter = Meter(machine, _measured(image, name), instruction_limit)
        machine.run(image.function("board_halt").address, meter.hook)
        meter.finish()
        return _collect(machine, meter)
    finally:
        machine.close()


def _measured(image: FirmwareImage, name: str) -> dict[int, str]:
    """Names of the model's functions that are measured, by address: those of a front end where there is one."""
    sound = (_CLIP, _PUSH) if f"{name}_{_CLIP}" in image.functions else ()
    return {image.function(f"{name}_{function}").address: function for function in (_INVOKE, *sound)}


def _collect(machine: Machine, meter: Meter) -> Execution:
    """What the harness left in RAM, and what the meter counted."""
    report, results = machine.image.object("board_report"), machine.image.object("harness_results")
    state, vectors, mismatches, _, exception = _REPORT.unpack(machine.read(report.address, _REPORT.size))
    if state == _FAULTED:
        raise NasError(f"the firmware took exception {exception}")
    calls = meter.calls[_INVOKE]
    if state != _FINISHED or len(calls) != vectors or not vectors or results.size % vectors:
        raise NasError(f"the firmware ended in state {state} after {vectors} vectors: its harness has not finished")
    outputs = np.frombuffer(machine.read(results.address, results.size), np.int8)
    return Execution(
        outputs=outputs.reshape(vectors, -1),
        instructions=tuple(call.instructions for call in calls),
        cycles=tuple(call.cycles for call in calls),
        stack_bytes=max(meter.depth, meter.painted_depth),
        painted_stack_bytes=meter.painted_depth,
        total_stack_bytes=meter.total_depth,
        functions=calls[0].functions,
        function_cycles=calls[0].function_cycles,
        core_hz=meter.core_hz,
        mismatches=mismatches,
        clips=_clips(machine, meter) if _CLIP in meter.calls else None,
    )


def _clips(machine: Machine, meter: Meter) -> ClipExecution:
    """What the harness did with the test clips: each as a whole, then in a number of pieces that is always the same."""
    calls, pieces = meter.calls[_CLIP], np.array([(call.instructions, call.cycles) for call in meter.calls[_PUSH]])
    streamed = pieces.reshape(len(calls), -1, 2).sum(axis=1)
    results = machine.image.object("harness_features")
    features = np.frombuffer(machine.read(results.address, results.size), np.int8)
    return ClipExecution(
        features=features.reshape(len(calls), 2, -1),
        instructions=tuple(call.instructions for call in calls),
        cycles=tuple(call.cycles for call in calls),
        streamed_instructions=tuple(streamed[:, 0].tolist()),
        streamed_cycles=tuple(streamed[:, 1].tolist()),
        functions=calls[0].functions,
        function_cycles=calls[0].function_cycles,
    )
