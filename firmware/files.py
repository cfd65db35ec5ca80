"""Files that are there whole or not at all."""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from search_spaces.errors import NasError


def atomic_write(path: Path | str, content: bytes | memoryview | str) -> Path:
    """Write ``content`` (text as UTF-8) to ``path`` through a temporary file beside it, and return the path.

    A file that was there before stays as it was until the new one is on disk. Devices and pipes are written to as they
    are, links are followed. Raises NasError, leaving nothing behind, where the folder is missing, forbidden or full, or
    where a limit on the size of files is in the way.
    """
    target = Path(path)
    data = content.encode() if isinstance(content, str) else content
    try:
        final = target.resolve()
        if final.exists() and not final.is_file():
            final.write_bytes(data)
        else:
            _replace(final, data)
    except OSError as error:
        raise NasError(f"{target} could not be written: {error.strerror or error}") from error
    return target


def _replace(target: Path, data: bytes | memoryview) -> None:
    temporary = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.tmp")
    try:
        with temporary.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        _flush_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """Brings a new name in ``folder`` to the disk: a file that was flushed can still lose its name in a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
