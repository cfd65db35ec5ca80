"""Run a firmware image on the emulated core of its target."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

from firmware.toolchain import find_xtensa_compiler, find_xtensa_emulator
from firmware.virtual.build import VIRTUAL_TARGETS
from firmware.virtual.cortex_m4 import INSTRUCTION_LIMIT, run_cortex_m4
from firmware.virtual.execution import Execution
from firmware.virtual.xtensa import CAVEAT, run_xtensa
from search_spaces.errors import NasError

_RUN: Final[dict[str, Callable[[Path, str, int], Execution]]] = {"stm32l4r9": run_cortex_m4, "esp32s2": run_xtensa}
_NEEDS: Final[dict[str, tuple[Callable[[], object], ...]]] = {"esp32s2": (find_xtensa_compiler, find_xtensa_emulator)}

CAVEATS: Final = {"esp32s2": CAVEAT}
"""What running on the emulated core does not prove, by target; nothing worth a word for the others."""


def run_elf(
    path: Path, target: str = "stm32l4r9", name: str = "model", instruction_limit: int = INSTRUCTION_LIMIT
) -> Execution:
    """Run the image from reset until its harness has finished.

    Args:
        path: ELF linked for `target` by `build_firmware`.
        target: the chip.
        name: prefix of the model's C functions, as it was exported.
        instruction_limit: upper bound for each `model_invoke`, and for what its front end does with a clip.

    Raises:
        NasError: no virtual target, no usable image, an access that the chip does not allow, an exception, a run past
            the limit, or an end before the harness has finished.
    """
    if target not in _RUN:
        raise NasError(f"target {target!r} has no virtual target yet: {' and '.join(_RUN)} have one")
    return _RUN[target](path, name, instruction_limit)


def obstacle(target: str) -> str | None:
    """Why no firmware for `target` can be built and run on this machine; None where nothing is known to hinder it.

    Compilers for the Cortex-M4 are not looked for: this package brings one.
    """
    if target not in VIRTUAL_TARGETS:
        return f"target {target!r} has no virtual target yet"
    try:
        for find in _NEEDS.get(target, ()):
            find()
    except NasError as error:
        return f"the virtual target {target!r} cannot be run here ({error})"
    return None
