"""Export folders: written beside their place, then moved there whole; never over anything that is not an export."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from search_spaces.errors import NasError

MANIFEST = "manifest.json"
FORMAT = "mcu-nas export"
FORMAT_VERSION = 1
KEYS: dict[str, type] = {
    "name": str,
    "target": str,
    "network": str,
    "input": dict,
    "output": dict,
    "sources": list,
    "vectors": int,
    "predicted": dict,
    "files": dict,
}
"""What every manifest of this version has, and more."""


@contextmanager
def new_folder(folder: Path, overwrite: bool = False) -> Iterator[Path]:
    """Yields an empty folder that takes the place of ``folder`` when the block ends well, and vanishes when it fails.

    An earlier export in that place is replaced if it still is exactly what was exported, or if ``overwrite`` is given.
    Anything else but an empty folder is refused, ``overwrite`` or not.

    Raises NasError for a place that is taken, and where the system refuses to write (no space left, no permission).
    """
    place = folder.resolve()
    _check_place(place, overwrite)
    draft = place.with_name(f".{place.name}-{secrets.token_hex(4)}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        draft.mkdir()
        yield draft
        _move(draft, place)
    except OSError as error:
        raise NasError(f"folder {folder} cannot be written: {error.strerror or error}") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an export folder; raises NasError for any other folder and for a manifest of another version."""
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise NasError(f"{folder} is no export folder: it has no readable {MANIFEST}") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise NasError(f"{folder} is no export folder: its {MANIFEST} was not written by an export")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise NasError(
            f"{folder} is an export of format {manifest.get('format_version')}; this version reads {FORMAT_VERSION}"
        )
    for key, kind in KEYS.items():
        if key not in manifest:
            raise NasError(f"{folder} is a damaged export folder: its {MANIFEST} lacks {key!r}")
        if not isinstance(manifest[key], kind):
            raise NasError(_wrong(folder, repr(key), manifest[key], kind.__name__))
    for key in ("input", "output"):
        shape = manifest[key].get("shape")
        if not isinstance(shape, list) or [type(extent) for extent in shape] != [int, int, int]:
            raise NasError(_wrong(folder, f"the shape of {key!r}", shape, "list of three integers"))
    return manifest


def _wrong(folder: Path, what: str, value: Any, expected: str) -> str:
    return f"{folder} is a damaged export folder: in its {MANIFEST}, {what} is {value!r}, no {expected}"


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below ``folder`` but the manifest, by path relative to it, in order of paths."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir())
    return {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files if name != MANIFEST}


def _check_place(place: Path, overwrite: bool) -> None:
    if not place.exists():
        return
    if not place.is_dir():
        raise NasError(f"{place} is a file; the name of a new folder expected")
    if not any(place.iterdir()):
        return
    manifest = read_manifest(place)
    if not overwrite and digests(place) != manifest.get("files"):
        raise NasError(
            f"export folder {place} was changed since it was written; give another name, or ask to overwrite it"
        )


def _move(draft: Path, place: Path) -> None:
    """Puts ``draft`` in place of what is there; what is there comes back if that fails."""
    if not place.exists():
        os.rename(draft, place)
        return
    old = place.with_name(f".{place.name}-{secrets.token_hex(4)}.old")
    os.rename(place, old)
    try:
        os.rename(draft, place)
    except OSError:
        os.rename(old, place)
        raise
    shutil.rmtree(old)
