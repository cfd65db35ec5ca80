"""Firmware images built for a chip, run on an emulator of its core, and measured.

Importing this package loads neither the emulator nor the disassembler: `run_elf` does, when it is called.
"""

from firmware.virtual.build import VIRTUAL_TARGETS, build_firmware, find_compiler
from firmware.virtual.elf import FirmwareImage, FirmwareSizes, load_image
from firmware.virtual.execution import Execution
from firmware.virtual.run import run_elf

__all__ = [
    "VIRTUAL_TARGETS",
    "Execution",
    "FirmwareImage",
    "FirmwareSizes",
    "build_firmware",
    "find_compiler",
    "load_image",
    "run_elf",
]
