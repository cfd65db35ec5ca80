"""State of a training as one npz file: arrays by name and a JSON document, no pickles."""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.files import atomic_write
from search_spaces.errors import NasError

_DOCUMENT = "document"

Arrays = dict[str, NDArray[Any]]


class CheckpointError(NasError):
    """A file of state is damaged or belongs to something else."""


def save_arrays(path: Path, arrays: Mapping[str, NDArray[Any]], document: Mapping[str, Any]) -> None:
    """Writes ``arrays`` and ``document`` (plain JSON) to ``path``, whole or not at all."""
    buffer = io.BytesIO()
    text = np.frombuffer(json.dumps(dict(document)).encode(), np.uint8)
    np.savez(buffer, **{**arrays, _DOCUMENT: text})  # type: ignore[arg-type]
    atomic_write(path, buffer.getvalue())


def load_arrays(path: Path) -> tuple[Arrays, dict[str, Any]]:
    """What ``save_arrays`` wrote; raises CheckpointError where the file is damaged or something else.

    Damage shows in the checksum (CRC-32) that the format keeps of every array.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
        document = json.loads(arrays.pop(_DOCUMENT).tobytes())
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise CheckpointError(
            f"{path} is damaged or no file of this kind ({error}); remove it to begin anew"
        ) from error
    return arrays, document
