"""Runs an export folder's C on this machine: the same sources as on the device, over many images at once."""

from __future__ import annotations

import _ctypes
import ctypes
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from firmware.folder import read_manifest
from firmware.toolchain import HOST_CFLAGS, WARNINGS, Compiler, find_host_compiler, run_tool
from search_spaces.errors import NasError

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
        library: the shared library; None when it is closed, or under the sanitisers.

    Raises NasError for another kind of folder, and where the compiler is missing or refuses; any warning is an error.
    """

    def __init__(self, folder: Path | str, compiler: Compiler | None = None, sanitize: bool = False) -> None:
        self.folder = Path(folder)
        manifest = read_manifest(self.folder)
        self.input_shape: tuple[int, ...] = tuple(manifest["input"]["shape"])
        self.output_shape: tuple[int, ...] = tuple(manifest["output"]["shape"])
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
            return self._run_program(self._program, x)
        if self.loaded is None:
            raise NasError(f"the host build of {self.folder} is closed; open a new HostModel")
        outputs = np.empty((len(x), *self.output_shape), np.int8)
        self.loaded.host_run(x.ctypes.data, outputs.ctypes.data, len(x))
        return outputs

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

    def _run_program(self, program: Path, x: NDArray[np.int8]) -> NDArray[np.int8]:
        done = subprocess.run([program], input=x.tobytes(), capture_output=True)
        shape = (len(x), *self.output_shape)
        if done.returncode or len(done.stdout) != int(np.prod(shape)):
            faults = [line for line in done.stderr.decode(errors="replace").splitlines() if "error" in line.lower()]
            raise NasError(f"{self.folder} failed under the sanitisers: {'; '.join(faults[:2]) or done.returncode}")
        return np.frombuffer(done.stdout, np.int8).reshape(shape).copy()
