"""Compile C files, and keep the objects for builds of the same text by the same command."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from firmware.files import atomic_write
from firmware.toolchain import Compiler, run_tool

_INCLUDED: Final = re.compile(rb'^[ \t]*#[ \t]*include[ \t]*"([^"\n]+)"', re.MULTILINE)


def compile_object(
    compiler: Compiler, flags: Sequence[str], include: Sequence[Path], source: Path, out: Path, kept: Path | None
) -> None:
    """Compile `source` to the object `out`, or copy it from the folder `kept` where one of the same is there.

    Args:
        flags: all but those for the folders `include` of headers.
        kept: where new objects are left for other builds; None compiles always.

    Raises:
        NasError: it does not compile.
    """
    out.parent.mkdir(parents=True, exist_ok=True)
    same = None if kept is None else kept / f"{_digest(compiler, flags, include, source)}.o"
    if same is not None and same.exists():
        shutil.copyfile(same, out)
        return
    run_tool([*compiler.cc, *flags, *(f"-I{folder}" for folder in include), "-c", source, "-o", out])
    if same is not None:
        atomic_write(same, out.read_bytes())


def _digest(compiler: Compiler, flags: Sequence[str], include: Sequence[Path], source: Path) -> str:
    """Of all that an object is made of: the command, the source, and the headers that it includes, in turn as well."""
    digest = hashlib.sha256("\0".join([compiler.version, *compiler.cc, *flags, source.name]).encode())
    seen, unread = set[Path](), [source]
    while unread:
        file = unread.pop()
        if file in seen or not file.is_file():
            continue
        seen.add(file)
        text = file.read_bytes()
        digest.update(hashlib.sha256(text).digest())
        names = [name.decode() for name in _INCLUDED.findall(text)]
        unread += [folder / name for name in names for folder in (file.parent, *include)]
    return digest.hexdigest()
