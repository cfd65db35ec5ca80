"""What running a firmware image on an emulated core has shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from estimators.kinds import MEASURED


@dataclass(frozen=True)
class ClipExecution:
    """What a front end made of the test clips, and what it cost.

    Attributes:
        features: int8 [N, 2, input bytes], of every clip as a whole, and as sound that comes in pieces.
        instructions: of each clip as a whole.
        cycles: of the same, by the core's timing rules.
        streamed_instructions: of each clip as it comes in pieces, copying included.
        streamed_cycles: of the same.
        functions: instructions of the first clip by the function that executed them.
        function_cycles: its cycles, likewise.
    """

    features: NDArray[np.int8]
    instructions: tuple[int, ...]
    cycles: tuple[int, ...]
    streamed_instructions: tuple[int, ...]
    streamed_cycles: tuple[int, ...]
    functions: Mapping[str, int]
    function_cycles: Mapping[str, int]


@dataclass(frozen=True)
class Execution:
    """One run of a firmware image over its test vectors.

    Attributes:
        outputs: int8 [N, output bytes], what `model_output` held after each `model_invoke`.
        instructions: executed from entry to return of each `model_invoke`, what it calls included. One whose condition
            fails (after IT) counts: it takes its place in the pipeline all the same.
        cycles: of the same instructions, by the core's timing rules, or converted to another core's: see `cycles_kind`.
        stack_bytes: deepest stack of any `model_invoke` below its caller's, by the stack pointer where it was followed
            (the first call) and by painting (every call); of a front end's functions as well. By painting alone on
            Xtensa.
        painted_stack_bytes: the same by painting alone: bytes down to the deepest one that was written.
        total_stack_bytes: deepest painted stack since reset, start-up code and harness included.
        functions: instructions of the first `model_invoke` by the function that executed them; empty where nobody
            looked.
        function_cycles: its cycles, likewise.
        core_hz: clock that the firmware had set up when it first called `model_invoke`; None where it sets up none.
        mismatches: output bytes, and bytes of features, that the harness itself found different from the expected ones.
        clips: what the front end did; None without one.
        cycles_kind: how far `cycles` can be trusted, a word of `estimators.kinds`.
    """

    outputs: NDArray[np.int8]
    instructions: tuple[int, ...]
    cycles: tuple[int, ...]
    stack_bytes: int
    painted_stack_bytes: int
    total_stack_bytes: int
    functions: Mapping[str, int]
    function_cycles: Mapping[str, int]
    core_hz: int | None
    mismatches: int
    clips: ClipExecution | None = None
    cycles_kind: str = MEASURED
