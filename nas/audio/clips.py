"""Decoded clips on disk: thousands of small files are read and converted once, then mapped into memory.

A stored set is a file of samples (int16, clip after clip) and a description beside it, which is written last and holds
the checksums: SHA-256, by which the clips are known elsewhere, and CRC-32, which is ten times as fast and tells damage.
Processes that map the same file share its memory.
"""

from __future__ import annotations

import hashlib
import json
import logging
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from firmware.files import atomic_write
from search_spaces.errors import NasError

_log = logging.getLogger(__name__)

Int16 = NDArray[np.int16]


@dataclass(frozen=True)
class Clips:
    """``samples`` int16 (clips, samples per clip); ``broken`` says why clips that were asked for are not among them.

    ``broken`` has their numbers in the order in which they were asked for, and a sentence each. ``digest``: SHA-256 of
    the samples, worked out where it is not given.
    """

    samples: Int16
    broken: dict[int, str]
    digest: str = ""

    def __post_init__(self) -> None:
        if not self.digest:
            samples = np.ascontiguousarray(self.samples, "<i2")
            object.__setattr__(self, "digest", hashlib.sha256(samples.data).hexdigest())


def stored_clips(path: Path, samples: int, make: Callable[[], Clips]) -> Clips:
    """The clips kept in ``path``, else those of ``make``, which are then kept there.

    What is damaged is made again with a warning; where nothing can be written a warning says that, and the clips are
    used all the same. Files of other contents that were kept under the same name (up to its last ``-``) are removed.
    """
    about = path.with_suffix(".json")
    if about.exists():
        try:
            return _read(path, about, samples)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            _log.warning("%s is damaged (%s); the clips are decoded again", path, error)
    clips = make()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(path, about, clips)
    except (OSError, NasError) as error:
        _log.warning("decoded clips could not be kept, so they are decoded every time: %s", error)
    return clips


def _read(path: Path, about: Path, samples: int) -> Clips:
    document = json.loads(about.read_bytes())
    broken = {int(number): str(why) for number, why in document["broken"].items()}
    mapped = np.memmap(path, np.dtype("<i2"), "r").reshape(-1, samples)
    if zlib.crc32(mapped.data) != document["crc32"]:
        raise ValueError("its checksum differs")
    return Clips(mapped, broken, str(document["sha256"]))


def _write(path: Path, about: Path, clips: Clips) -> None:
    earlier = set(path.parent.glob(f"{path.name.rpartition('-')[0]}-*")) - {path, about}
    about.unlink(missing_ok=True)
    data = np.ascontiguousarray(clips.samples, "<i2").data.cast("B")
    atomic_write(path, data)
    document = {"sha256": clips.digest, "crc32": zlib.crc32(data), "broken": clips.broken}
    atomic_write(about, json.dumps(document))
    for old in earlier:
        old.unlink(missing_ok=True)
