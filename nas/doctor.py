"""What this machine has of what the framework uses, and the command that brings what is missing."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from firmware.toolchain import Kind, find_arm_compiler, find_host_compiler, find_xtensa_compiler, find_xtensa_emulator
from nas.cache import cache_folder
from search_spaces.errors import NasError

_LOW_SPACE = 1024**3
_INSTALL = "make install"

_ARM_COMPILERS: dict[Kind, tuple[str, str]] = {
    "gcc": ("arm-none-eabi-gcc", "make toolchain"),
    "zig": ("zig cc", _INSTALL),
}

_PACKAGES = {
    "torch": "training",
    "optuna": "the search",
    "plotly": "front.html",
    "jinja2": "exporting",
    "unicorn": "the virtual Cortex-M4",
    "pyelftools": "sizes of the linked program",
    "scikit-learn": "the digits task",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked for.

    ``found`` says what is there, or why nothing is. ``required``: nothing works end to end without it. ``remedy`` is
    what brings it, where something is missing.
    """

    name: str
    ok: bool
    found: str
    required: bool = False
    remedy: str | None = None

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def examine(data: str | os.PathLike[str] | None = None) -> Iterator[Finding]:
    """Looks at one thing after the other; ``data`` is the folder of the data sets, None the usual one."""
    yield from _compilers()
    yield from _packages()
    yield from _data_sets(data)
    yield from _devices()
    yield _folder("current folder", Path.cwd(), "work in a folder with room")


def _compilers() -> Iterator[Finding]:
    found: list[str] = []
    for kind, (name, remedy) in _ARM_COMPILERS.items():
        try:
            found.append(find_arm_compiler(kind).version)
        except NasError as error:
            yield Finding(name, False, str(error), remedy=remedy)
        else:
            yield Finding(name, True, found[-1])
    if not found:
        yield Finding("Cortex-M4 compiler", False, "neither is there, one is enough", True, "make toolchain")
    for name, find in (("Xtensa compiler", _xtensa_compiler), ("Xtensa emulator", find_xtensa_emulator)):
        try:
            yield Finding(name, True, find())
        except NasError as error:
            yield Finding(name, False, str(error), remedy="make toolchain")
    try:
        yield Finding("host C compiler", True, find_host_compiler().version, True)
    except NasError as error:
        yield Finding("host C compiler", False, str(error), True, _INSTALL)


def _xtensa_compiler() -> str:
    return find_xtensa_compiler().version


def _packages() -> Iterator[Finding]:
    for name, use in _PACKAGES.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, f"missing: {use} needs it", True, _INSTALL)
        else:
            yield Finding(name, True, f"{version}, for {use}", True)
    try:
        import unicorn  # noqa: F401
    except ImportError as error:
        yield Finding("unicorn's library", False, f"does not load: {error}", True, _INSTALL)


def _data_sets(data: str | os.PathLike[str] | None) -> Iterator[Finding]:
    from nas.tasks import data_root, get_task, task_names

    root = data_root(data)
    for task in map(get_task, task_names()):
        found = task.find(root)
        if found is None:
            yield Finding(f"data set {task.name}", False, f"not under {root}", remedy="make data")
        else:
            yield Finding(f"data set {task.name}", True, found)


def _devices() -> Iterator[Finding]:
    yield Finding("processors", True, f"{len(os.sched_getaffinity(0))} of {os.cpu_count()} for this process")
    try:
        import torch
    except ImportError as error:
        yield Finding("CUDA", False, f"torch does not load ({error})", remedy=_INSTALL)
        return
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
        yield Finding("CUDA", True, ", ".join(names))
    else:
        yield Finding("CUDA", False, "no usable device: training runs on the processor")
    yield _folder("cache folder", cache_folder(), "set NAS_CACHE to a folder with room")


def _folder(name: str, path: Path, remedy: str) -> Finding:
    """Whether a folder, or the nearest one above it that exists, can be written and has a gibibyte left."""
    there = next(folder for folder in (path, *path.parents) if folder.is_dir())
    free = shutil.disk_usage(there).free
    text = f"{path}, {free / 1024**3:,.1f} GiB free"
    if not os.access(there, os.W_OK):
        return Finding(name, False, f"{text}, not writable", True, remedy)
    return Finding(name, free >= _LOW_SPACE, text, True, None if free >= _LOW_SPACE else remedy)
