"""Instructions by function on the emulated Xtensa core, counted by a plugin compiled for this machine's QEMU."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Final

from firmware.toolchain import find_host_compiler, run_tool
from firmware.virtual.elf import FirmwareImage
from search_spaces.errors import NasError

_SOURCE: Final = Path(__file__).parent / "xtensa_profile.c"
_LIBRARY: Final = "profile.so"
_COUNTS: Final = "profile.txt"
_MAJOR: Final = re.compile(r"version (\d+)")
_NEW_INTERFACE: Final = 9
"""First version of QEMU that refuses plugins for the first version of the interface."""


class Profiler:
    """Counts the blocks of the first `model_invoke` of one run of QEMU, whose current folder is `scratch`.

    Raises NasError where the plugin does not compile.
    """

    def __init__(self, emulator: str, image: FirmwareImage, name: str, scratch: Path) -> None:
        major = _MAJOR.search(run_tool([emulator, "--version"]))
        version = 1 if major is None or int(major[1]) < _NEW_INTERFACE else 2
        # QEMU itself defines the functions of its interface, which the linker must not ask for.
        flags = ["-O2", "-fPIC", "-shared", "-Wl,-z,undefs", f"-DPLUGIN_VERSION={version}"]
        run_tool([*find_host_compiler().cc, *flags, _SOURCE, "-o", _LIBRARY], cwd=scratch)
        self._image, self._counts = image, scratch / _COUNTS
        entry, back = image.function(f"{name}_invoke").address, image.label("board_measured")
        self.options = ("-plugin", f"./{_LIBRARY},entry={entry},exit={back},out={_COUNTS}")
        """What QEMU has to be told."""

    def functions(self) -> dict[str, int]:
        """Instructions by function, most first; their sum is what one call took.

        Raises NasError where the plugin has counted nothing.
        """
        if not self._counts.is_file():
            raise NasError("the emulator left no profile: it may not support plugins")
        counts: Counter[str] = Counter()
        for line in self._counts.read_text().splitlines():
            address, instructions, times = map(int, line.split())
            counts[self._image.function_at(address)] += instructions * times
        return {name: counts[name] for name in sorted(counts, key=lambda name: (-counts[name], name))}
