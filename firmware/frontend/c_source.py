"""A front end as C: its tables, its memory, and the structure that points to them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from firmware.c_text import table
from firmware.frontend.device import device_tables
from search_spaces.frontend import FrontEnd

SOURCES: Final = ("frontend.c", "frontend_powers.c", "frontend_features.c")
"""Files of ``firmware/kernels`` that every front end is computed by."""

_WORDS_PER_LINE: Final = 8
_CTYPES: Final = {"uint8": "uint8_t", "uint16": "uint16_t", "int16": "int16_t", "uint32": "uint32_t"}


def constants(frontend: FrontEnd) -> list[str]:
    """Declarations of the front end's tables, named after the members of ``frontend_params``."""
    return [_table(name, values) for name, values in device_tables(frontend).arrays.items()]


def members(frontend: FrontEnd, scratch: str, samples: str, rows: str) -> dict[str, Any]:
    """Members of ``frontend_params`` and their values, given names of the memory that it works in."""
    numbers = device_tables(frontend)
    own = {name: name for name in numbers.arrays}
    return {
        "window": frontend.window,
        "hop": frontend.hop,
        "frames": frontend.frames,
        "values": frontend.values,
        "half": frontend.fft_size // 2,
        "bands": frontend.mel_bands,
        "first_bin": numbers.first_bin,
        "split_bin": numbers.split_bin,
        **own,
        **({} if "transform" in own else {"transform": 0}),
        "scratch": scratch,
        "samples": samples,
        "rows": rows,
    }


def _table(name: str, values: NDArray[np.integer]) -> str:
    ctype = _CTYPES[values.dtype.name]
    if ctype != "uint32_t":
        return table(ctype, name, values)
    words = [f"0x{value:08X}u" for value in values.tolist()]
    lines = [words[start : start + _WORDS_PER_LINE] for start in range(0, len(words), _WORDS_PER_LINE)]
    body = "\n".join(f"    {', '.join(line)}," for line in lines)
    return f"static const {ctype} {name}[{len(words)}] = {{\n{body}\n}};"
