"""Where kernels are measured: a target, and a compiler for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from firmware.toolchain import Compiler, Kind
from firmware.virtual import find_compiler
from firmware.virtual.run import obstacle
from search_spaces import NasError


@dataclass(frozen=True, slots=True)
class Platform:
    """One target with one compiler; ``second`` says whether QEMU's board with its core can give a second opinion."""

    target: str
    compiler: Kind
    second: bool = False

    @property
    def title(self) -> str:
        return f"{self.target}, {self.compiler}"

    def find(self) -> Compiler:
        """The compiler. Raises NasError where it, or what runs the firmware, is not there."""
        why_not = obstacle(self.target)
        if why_not is not None:
            raise NasError(why_not)
        return find_compiler(self.target, self.compiler)


PLATFORMS: Final = (
    Platform("stm32l4r9", "gcc", second=True),
    Platform("stm32l4r9", "zig", second=True),
    Platform("esp32s2", "gcc"),
)


def usable(platforms: Sequence[Platform] = PLATFORMS) -> tuple[list[tuple[Platform, Compiler]], list[str]]:
    """Platforms whose compiler is there, with it, and a line for each that is left out."""
    found, lines = [], []
    for platform in platforms:
        try:
            found.append((platform, platform.find()))
        except NasError as error:
            lines.append(f"{platform.title} is left out: {error}")
    return found, lines
