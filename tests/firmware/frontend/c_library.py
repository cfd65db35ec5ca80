"""The front end's C as a library of this machine: any front end is a structure that Python fills in."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import firmware
from firmware.frontend import c_source
from firmware.frontend.device import device_tables
from firmware.toolchain import HOST_CFLAGS, WARNINGS, Compiler, run_tool
from search_spaces.frontend import FrontEnd

KERNELS = Path(firmware.__file__).parent / "kernels"

_NUMBERS = ("window", "hop", "frames", "values", "half", "bands", "first_bin", "split_bin")
_POINTERS = ("taper", "places", "twiddles", "split", "segments", "weights", "transform", "scratch", "samples", "rows")


class _Params(ctypes.Structure):
    """``frontend_params``."""

    _fields_ = [*((name, ctypes.c_int32) for name in _NUMBERS), *((name, ctypes.c_void_p) for name in _POINTERS)]


class _Stream(ctypes.Structure):
    """``frontend_stream``."""

    _fields_ = [(name, ctypes.c_int32) for name in ("filled", "next", "heard")]


def build(compiler: Compiler, folder: Path, *flags: str) -> ctypes.CDLL:
    """The library, built without a warning."""
    sources = [KERNELS / name for name in c_source.SOURCES]
    common = [*compiler.cc, *HOST_CFLAGS[compiler.kind], *WARNINGS, "-Werror", "-Wpedantic", *flags, "-shared"]
    run_tool([*common, "-o", folder / "frontend.so", *sources])
    library = ctypes.CDLL(str(folder / "frontend.so"))
    library.frontend_push.restype = library.frontend_load.restype = ctypes.c_int32
    return library


class Heard:
    """One front end of the library, with memory of its own; what lies around the memory has to stay as it is."""

    def __init__(self, library: ctypes.CDLL, frontend: FrontEnd) -> None:
        self._library, self.frontend = library, frontend
        self._arrays = {name: np.ascontiguousarray(array) for name, array in device_tables(frontend).arrays.items()}
        self._scratch = _guarded(frontend.fft_size, np.int32)
        self._samples = _guarded(frontend.window, np.int16)
        self._rows = _guarded(frontend.frames * frontend.values, np.int8)
        numbers = c_source.members(frontend, "", "", "")
        self._params = _Params(**{name: numbers[name] for name in _NUMBERS})
        memory = {"scratch": self._scratch, "samples": self._samples, "rows": self._rows}
        for name, array in {**self._arrays, **memory}.items():
            inside = array[_GUARD:] if name in memory else array
            setattr(self._params, name, inside.ctypes.data)
        self.reset()

    def reset(self) -> None:
        self._stream = _Stream()

    def clip(self, samples: NDArray[np.int16]) -> NDArray[np.int8]:
        """Features (int8, frames x values x 1) of a clip."""
        rows = _guarded(self.frontend.frames * self.frontend.values, np.int8)
        self._library.frontend_clip(ctypes.byref(self._params), _pointer(samples), _pointer(rows[_GUARD:]))
        self._check(rows)
        return rows[_GUARD:-_GUARD].reshape(self.frontend.shape).copy()

    def push(self, samples: NDArray[np.int16]) -> int:
        """Rows that the samples completed."""
        pushed = self._library.frontend_push(
            ctypes.byref(self._params), ctypes.byref(self._stream), _pointer(samples), len(samples)
        )
        self._check(self._scratch, self._samples, self._rows)
        return int(pushed)

    def load(self) -> NDArray[np.int8] | None:
        """The newest rows; None while there are too few, and then nothing was written."""
        rows = _guarded(self.frontend.frames * self.frontend.values, np.int8)
        loaded = self._library.frontend_load(
            ctypes.byref(self._params), ctypes.byref(self._stream), _pointer(rows[_GUARD:])
        )
        self._check(rows)
        if not loaded:
            assert (rows == _MARK).all()
            return None
        return rows[_GUARD:-_GUARD].reshape(self.frontend.shape).copy()

    def _check(self, *arrays: NDArray[np.integer]) -> None:
        for array in arrays:
            assert (array[:_GUARD] == _MARK).all()
            assert (array[-_GUARD:] == _MARK).all()


_GUARD, _MARK = 16, 77


def _guarded(size: int, dtype: type[np.integer]) -> NDArray[np.integer]:
    return np.full(size + 2 * _GUARD, _MARK, dtype)


def _pointer(array: NDArray[np.integer]) -> ctypes.c_void_p:
    assert array.flags.c_contiguous
    return ctypes.c_void_p(array.ctypes.data)
