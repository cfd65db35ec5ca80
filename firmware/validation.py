"""What a validation has found: which bytes agree, and what the firmware costs, measured beside predicted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from estimators import Resources, Target, energy
from estimators.kinds import MEASURED
from firmware.virtual import Execution, FirmwareSizes

PREDICTED: Final = (
    "params",
    "macs",
    "sram_bytes",
    "stack_bytes",
    "flash_bytes",
    "weights_bytes",
    "cycles",
    "frontend_cycles",
    "seconds",
    "joules",
)
"""Estimates that a validation shows beside what it measured."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first output byte that differs from the numpy reference: in which build, of which input.

    A build called "... front end" means features, and clips as inputs.
    """

    build: str
    index: int
    byte: int
    expected: int
    got: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "build": self.build,
            "index": self.index,
            "byte": self.byte,
            "expected": self.expected,
            "got": self.got,
        }


@dataclass(frozen=True)
class Validation:
    """What was compared and measured.

    Attributes:
        bit_exact: every output byte of every vector on the core equals the reference, and every feature of every clip,
            heard as a whole and in pieces; None without a virtual target.
        host_bit_exact: the same for the host build, over vectors and clips and the whole split.
        vectors: test vectors run.
        clips: test clips run; 0 without a front end.
        execution: the run on the core; None when there is no virtual target.
        sizes: parts of the linked image; None likewise.
        predicted: the estimate made from the graph alone.
        test_accuracy: of the host build over the split (largest output, the first of equal ones); None without a split.
        test_images: images in the split.
        compiler: what built the firmware; None when nothing was built for the chip.
        note: what was not measured or proved, and why, or None.
    """

    target: Target
    predicted: Resources
    bit_exact: bool | None
    host_bit_exact: bool
    vectors: int
    clips: int
    execution: Execution | None
    sizes: FirmwareSizes | None
    test_accuracy: float | None
    test_images: int
    compiler: str | None
    host_compiler: str
    mismatch: Mismatch | None
    note: str | None

    @property
    def passed(self) -> bool:
        """No byte differed, as far as it was looked at."""
        return self.bit_exact is not False and self.host_bit_exact

    @property
    def frontend_instructions(self) -> int | None:
        """Instructions that turn one whole clip into features, the most over all clips; 0 without a front end."""
        if self.execution is None:
            return None
        return 0 if self.execution.clips is None else max(self.execution.clips.instructions)

    @property
    def frontend_cycles(self) -> int | None:
        """Cycles of the same."""
        if self.execution is None:
            return None
        return 0 if self.execution.clips is None else max(self.execution.clips.cycles)

    @property
    def instructions(self) -> int | None:
        """Instructions of one inference, the longest over all vectors, and of the front end before it."""
        if self.execution is None or self.frontend_instructions is None:
            return None
        return max(self.execution.instructions) + self.frontend_instructions

    @property
    def cycles(self) -> int | None:
        """Cycles of the same."""
        if self.execution is None or self.frontend_cycles is None:
            return None
        return max(self.execution.cycles) + self.frontend_cycles

    @property
    def cycles_kind(self) -> str:
        """How far cycles can be trusted, and what follows from them, time and energy: a word of `estimators.kinds`."""
        return MEASURED if self.execution is None else self.execution.cycles_kind

    @property
    def seconds(self) -> float | None:
        return None if self.cycles is None else energy.seconds(self.target, self.cycles)

    @property
    def joules(self) -> float | None:
        """Measured time times the target's power: no energy was measured."""
        return None if self.seconds is None else energy.joules(self.target, self.seconds)

    @property
    def stack_bytes(self) -> int | None:
        return None if self.execution is None else self.execution.stack_bytes

    @property
    def sram_bytes(self) -> int | None:
        """Arena, other static data of the model, and its stack."""
        if self.sizes is None or self.execution is None:
            return None
        return self.sizes.arena + self.sizes.data_bytes + self.execution.stack_bytes

    @property
    def flash_bytes(self) -> int | None:
        """Code and constants of the model: kernels, model.c, and the helpers that only they need."""
        return None if self.sizes is None else self.sizes.flash_bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; names do not change between versions."""
        predicted = self.predicted.to_dict()
        return {
            "target": self.target.name,
            "compiler": self.compiler,
            "host_compiler": self.host_compiler,
            "bit_exact": self.bit_exact,
            "host_bit_exact": self.host_bit_exact,
            "vectors": self.vectors,
            "clips": self.clips,
            "instructions": self.instructions,
            "frontend_instructions": self.frontend_instructions,
            "cycles": self.cycles,
            "frontend_cycles": self.frontend_cycles,
            "cycles_kind": self.cycles_kind,
            "seconds": self.seconds,
            "joules": self.joules,
            "sram_bytes": self.sram_bytes,
            "stack_bytes": self.stack_bytes,
            "flash_bytes": self.flash_bytes,
            "test_accuracy": self.test_accuracy,
            "test_images": self.test_images,
            "predicted": {name: predicted[name] for name in PREDICTED},
            "predicted_kinds": {name: predicted["kinds"][name] for name in PREDICTED},
            "parts": None if self.sizes is None else self.sizes.to_dict(),
            "functions": None if self.execution is None else _functions(self.execution),
            "first_mismatch": None if self.mismatch is None else self.mismatch.to_dict(),
            "note": self.note,
        }


def _functions(execution: Execution) -> dict[str, int]:
    """Instructions by function, those of a front end behind those of the network."""
    front = {} if execution.clips is None else execution.clips.functions
    return {**execution.functions, **front}
