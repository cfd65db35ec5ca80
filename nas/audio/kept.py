"""Features on disk: made once by whoever needs them first, then read by all; the least recently used ones go.

Each file holds arrays and the key that says all that decides them. A process that makes a file locks it meanwhile, so
that others wait for it instead of doing the same.
"""

from __future__ import annotations

import fcntl
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from nas.cache import cache_folder
from nas.training.checkpoint import CheckpointError, load_arrays, save_arrays
from search_spaces.errors import NasError

_log = logging.getLogger(__name__)

Features = dict[str, NDArray[np.int8]]

MOST_BYTES = 4 << 30
"""Bytes that all files of features may take together. A clip's take 0.5 to 4 kB for each front end, nine times that
with eight variations: 50 to 400 MB for 13,000 clips, up to 3 GB for all of Speech Commands."""


def features_file(name: str, key: str) -> Path:
    """Where features are kept: ``name`` is for people, ``key`` a digest of all that decides them."""
    return cache_folder() / "features" / f"{name}-{key[:24]}.npz"


def kept_features(
    path: Path, key: str, shapes: Mapping[str, tuple[int, ...]], make: Callable[[], Features]
) -> Features:
    """Features int8 of these ``shapes``, by name: those in ``path``, else what ``make`` makes, which is kept there.

    A damaged file is made again with a warning; where nothing can be written a warning says so.
    """
    found = _found(path, key, shapes)
    if found is not None:
        return found
    with _alone(path) as locked:
        found = _found(path, key, shapes) if locked else None  # by somebody who had the lock before
        if found is not None:
            return found
        features = make()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_arrays(path, features, {"key": key})
            remove_least_used(path.parent, MOST_BYTES, path)
        except (OSError, NasError) as error:
            _log.warning("features could not be kept, so they are computed every time: %s", error)
        return features


def remove_least_used(folder: Path, most_bytes: int, needed: Path) -> None:
    """Removes files of features until those in ``folder`` take ``most_bytes`` at most; ``needed`` stays in any case."""
    files = []
    for path in folder.glob("*.npz"):
        try:
            about = path.stat()
        except FileNotFoundError:  # another process was faster
            continue
        files.append((about.st_mtime_ns, about.st_size, path))
    excess = sum(size for _, size, _ in files) - most_bytes
    for _, size, path in sorted(files):
        if excess <= 0:
            return
        if path != needed:
            path.unlink(missing_ok=True)
            excess -= size


def _found(path: Path, key: str, shapes: Mapping[str, tuple[int, ...]]) -> Features | None:
    """The features in ``path``; None where it is not there, or damaged, and then removed."""
    if not path.exists():
        return None
    try:
        arrays, document = load_arrays(path)
        for name, shape in shapes.items():
            if name not in arrays or arrays[name].shape != shape or arrays[name].dtype != np.int8:
                raise CheckpointError(f"{path} does not hold the features that its name says")
        if document.get("key") != key:
            raise CheckpointError(f"{path} belongs to other clips or another front end")
        _touch(path)
    except CheckpointError as error:
        if path.exists():  # else another process has removed it just now
            _log.warning("%s; the features are computed again", error)
            _remove(path)
        return None
    return arrays


def _touch(path: Path) -> None:
    """Notes that a file was used: by its time of modification, because few systems keep that of reading."""
    try:
        os.utime(path)
    except OSError as error:  # read-only, or removed by now: it was read all the same
        _log.debug("%s keeps its time: %s", path, error)


def _remove(path: Path) -> None:
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        _log.debug("%s stays: %s", path, error)


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Waits until no other process makes ``path``, and lets none begin; false where there is nowhere to lock.

    The kernel frees the lock however its holder ends. Its file is removed at once, so a third process may find none and
    not wait: at worst the same file is then made twice.
    """
    file = _lock_file(path.with_suffix(".lock"))
    if file is None:
        yield False
        return
    with file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield True
        finally:
            _remove(Path(file.name))


def _lock_file(path: Path) -> IO[bytes] | None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return path.open("ab")
    except OSError as error:
        _log.debug("%s cannot be a lock: %s", path, error)
        return None
