"""Firmware images built for a chip, run on an emulator of its core, and measured.

Importing this package loads neither the emulator nor the disassembler: `run_elf` does, when it is called.
"""

from firmware.virtual.build import build_firmware
from firmware.virtual.cortex_m4 import run_elf
from firmware.virtual.elf import FirmwareImage, FirmwareSizes, load_image
from firmware.virtual.execution import Execution

__all__ = ["Execution", "FirmwareImage", "FirmwareSizes", "build_firmware", "load_image", "run_elf"]
