"""Runs an export folder's C on this machine: the same sources as on the device, over many images or clips at once."""

from __future__ import annotations

import _ctypes
import ctypes
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from firmware.folder import read_manifest
from firmware.toolchain import HOST_CFLAGS, WARNINGS, Compiler, find_host_compiler, run_tool
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd

_WRAPPER = Path(__file__).parent / "host_wrapper.c"
_SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-DHOST_PROGRAM")


class HostModel:
    """An export folder, compiled for this machine and ready to run; a context manager that removes what it built.

    Args:
        folder: what ``firmware.emit.export`` wrote.
        compiler: None takes ``find_host_compiler()``.
        sanitize: run as a program of its own under AddressSanitizer and UndefinedBehaviorSanitizer, which end it at the
            first fault; slower to start, for tests. Needs gcc or clang with their run-time libraries.

    Attributes:
        frontend: what makes the input from sound; None where it comes as it is.
        loaded: the shared library; None when it is closed, or under the sanitisers.

    Raises NasError for another kind of folder, and where the compiler is missing or refuses; any warning is an error.
    """

    def __init__(self, folder: Path | str, compiler: Compiler | None = None, sanitize: bool = False) -> None:
        self.folder = Path(folder)
        manifest = read_manifest(self.folder)
        self.input_shape: tuple[int, ...] = tuple(manifest["input"]["shape"])
        self.output_shape: tuple[int, ...] = tuple(manifest["output"]["shape"])
        self.frontend = FrontEnd.from_json(manifest["frontend"]) if "frontend" in manifest else None
        self.compiler = compiler or find_host_compiler()
        self._build = tempfile.TemporaryDirectory(prefix="nas-host-")
        self.loaded: ctypes.CDLL | None = None
        self._program: Path | None = None
        try:
            sources = [self.folder.resolve() / source for source in manifest["sources"]]
            if sanitize:
                self._program = self._compile(sources, "model", _SANITIZERS)
            else:
                flags = ("-shared", "-fvisibility=hidden")
                self.loaded = ctypes.CDLL(str(self._compile(sources, "model.so", flags)))
                self.loaded.host_run.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
                self.loaded.host_run.restype = None
                if self.frontend is not None:
                    self._declare_sound(self.loaded)
        except BaseException:
            self._build.cleanup()
            raise

    def run(self, x: NDArray[np.int8]) -> NDArray[np.int8]:
        """Outputs (int8, N x h x w x c) for images ``x`` (int8, N x H x W x C); not for several threads at a time.

        Raises NasError for an array of another type or shape, and where the sanitisers find a fault.
        """
        if x.dtype != np.int8 or x.ndim != 4 or x.shape[1:] != self.input_shape:
            wanted = ", ".join(map(str, self.input_shape))
            raise NasError(f"images are {x.dtype} {x.shape}; int8 (N, {wanted}) expected")
        x = np.ascontiguousarray(x)
        if self._program is not None:
            return self._run_program(self._program, x, (len(x), *self.output_shape))
        outputs = np.empty((len(x), *self.output_shape), np.int8)
        self._library().host_run(x.ctypes.data, outputs.ctypes.data, len(x))
        return outputs

    def features(self, clips: NDArray[np.int16]) -> NDArray[np.int8]:
        """Features (int8, N x h x w x 1) that the front end makes of ``clips`` (int16, N x samples).

        Under the sanitisers each clip is also heard in pieces, and both results have to be equal.

        Raises NasError for a network without a front end, and for an array of another type or length.
        """
        front = self._front_end()
        if clips.dtype != np.int16 or clips.ndim != 2 or clips.shape[1] != front.samples:
            raise NasError(f"clips are {clips.dtype} {clips.shape}; int16 (N, {front.samples}) expected")
        clips = np.ascontiguousarray(clips)
        if self._program is not None:
            twice = self._run_program(self._program, clips, (2 * len(clips), *self.input_shape), "features")
            if not np.array_equal(twice[0::2], twice[1::2]):
                raise NasError(f"{self.folder}: its front end makes other features of clips that come in pieces")
            return twice[0::2].copy()
        features = np.empty((len(clips), *self.input_shape), np.int8)
        self._library().host_features(clips.ctypes.data, features.ctypes.data, len(clips))
        return features

    def listen(self, samples: NDArray[np.int16], pieces: Sequence[int]) -> NDArray[np.int8]:
        """The network's inputs (int8, N x h x w x 1) while ``samples`` come in ``pieces`` of so many samples.

        There is one for each piece that completes rows of features, from the first whole clip on. Raises NasError for a
        network without a front end, samples of another type, and pieces that do not add up to them.
        """
        self._front_end()
        counts = np.asarray(pieces, np.int32)
        if samples.dtype != np.int16 or samples.ndim != 1:
            raise NasError(f"samples are {samples.dtype} {samples.shape}; int16 (N,) expected")
        if counts.min(initial=0) < 0 or int(counts.sum()) != len(samples):
            raise NasError(f"pieces add up to {int(counts.sum())} samples; {len(samples)} are given")
        samples = np.ascontiguousarray(samples)
        features = np.empty((len(counts), *self.input_shape), np.int8)
        loaded = self._library().host_listen(samples.ctypes.data, counts.ctypes.data, len(counts), features.ctypes.data)
        return features[:loaded]

    def close(self) -> None:
        """Unloads the library and removes the build; a second call does nothing."""
        library, self.loaded, self._program = self.loaded, None, None
        if library is not None:
            # ctypes never unloads what it loaded, and a search opens hundreds of models.
            _ctypes.dlclose(library._handle)
        self._build.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _compile(self, sources: list[Path], name: str, flags: tuple[str, ...]) -> Path:
        output = Path(self._build.name) / name
        include = ("-I", self.folder.resolve())
        common: list[Any] = [
            *self.compiler.cc,
            *HOST_CFLAGS[self.compiler.kind],
            *WARNINGS,
            "-Werror",
            *flags,
            *include,
        ]
        run_tool([*common, "-o", output, _WRAPPER, *sources])
        return output

    def _library(self) -> ctypes.CDLL:
        if self.loaded is None:
            raise NasError(f"the host build of {self.folder} is closed; open a new HostModel")
        return self.loaded

    def _front_end(self) -> FrontEnd:
        if self.frontend is None:
            raise NasError(f"the network of {self.folder} has no front end: it does not start from sound")
        return self.frontend

    @staticmethod
    def _declare_sound(library: ctypes.CDLL) -> None:
        library.host_features.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
        library.host_features.restype = None
        library.host_listen.argtypes = (ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p)
        library.host_listen.restype = ctypes.c_size_t

    def _run_program(
        self, program: Path, x: NDArray[np.integer], shape: tuple[int, ...], *arguments: str
    ) -> NDArray[np.int8]:
        done = subprocess.run([program, *arguments], input=x.tobytes(), capture_output=True)
        if done.returncode or len(done.stdout) != int(np.prod(shape)):
            faults = [line for line in done.stderr.decode(errors="replace").splitlines() if "error" in line.lower()]
            raise NasError(f"{self.folder} failed under the sanitisers: {'; '.join(faults[:2]) or done.returncode}")
        return np.frombuffer(done.stdout, np.int8).reshape(shape).copy()
