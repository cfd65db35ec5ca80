"""Integers of sums and products, shapes of operands, and a program that runs operations without weights here."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

import firmware
from estimators.kernels import Kernel, sources_of
from firmware.c_text import Value
from firmware.fixed_point import quantize_multiplier
from firmware.integers import ADD_LEFT_SHIFT, AddIntegers, MulIntegers
from firmware.toolchain import HOST_CFLAGS, WARNINGS, find_host_compiler, run_tool
from search_spaces.ops import Shape

HERE = Path(__file__).parent
KERNELS = Path(firmware.__file__).parent / "kernels"
SANITIZERS = ("-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

JOBS: Final = ("add_s8", "add_run_s8", "mul_s8", "max_pool_s8", "avg_pool_s8", "upsample_nearest_s8", "lookup_s8")
"""In the order of the driver's enumeration."""

WITHOUT_WEIGHTS: Final[tuple[Kernel, ...]] = (
    "add_s8",
    "mul_s8",
    "max_pool_s8",
    "avg_pool_s8",
    "upsample_nearest_s8",
    "lookup_s8",
)

Int8 = NDArray[np.int8]


class ElementwiseDriver:
    """``elementwise_driver.c`` with its kernels, under the sanitisers; a context manager."""

    def __init__(self, folder: Path) -> None:
        compiler = find_host_compiler()
        sources = [KERNELS / file for kernel in WITHOUT_WEIGHTS for file in sources_of(kernel)]
        flags: list[str | Path] = [*HOST_CFLAGS[compiler.kind], *WARNINGS, "-Werror", *SANITIZERS, "-I", KERNELS]
        program = folder / "elementwise_driver"
        run_tool([*compiler.cc, *flags, "-o", program, HERE / "elementwise_driver.c", *sources])
        self._process = subprocess.Popen(
            [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(
        self, job: str, params: bytes, first: Int8, out: tuple[int, ...], second: Int8 | None = None, lag: int = -1
    ) -> Int8:
        """Output of shape ``out``. Raises AssertionError with what the sanitisers say.

        With ``lag`` the output begins that many bytes before the first input, in the same memory.
        """
        other = b"" if second is None else second.tobytes()
        size = int(np.prod(out))
        request = struct.pack("<6i", JOBS.index(job), len(params), first.size, len(other), size, lag)
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        try:
            self._process.stdin.write(request + params + first.tobytes() + other)
            self._process.stdin.flush()
            answer = self._process.stdout.read(size)
        except BrokenPipeError:
            answer = b""
        assert len(answer) == size, self._process.stderr.read().decode(errors="replace")
        return np.frombuffer(answer, np.int8).reshape(out)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.communicate()


def packed(values: Mapping[str, Value]) -> bytes:
    """A structure's members in their order, as the kernels read them."""
    return b"".join(struct.pack("<i", value) if isinstance(value, int) else packed(value) for value in values.values())


def shape_members(shape: Shape) -> dict[str, Value]:
    """Members of ``tensor_shape``."""
    return dict(zip(("height", "width", "channels"), shape, strict=True))


def add_numbers(
    ratio1: float, ratio2: float, zero_points: tuple[int, int, int], limits: tuple[int, int] = (-128, 127)
) -> AddIntegers:
    """Integers of a sum whose inputs count ``ratio1`` and ``ratio2`` times as much as its output."""
    twice = 2 * max(ratio1, ratio2)
    first, second = quantize_multiplier(ratio1 / twice), quantize_multiplier(ratio2 / twice)
    result = quantize_multiplier(twice / (1 << ADD_LEFT_SHIFT))
    zero1, zero2, zero = zero_points
    return AddIntegers(ADD_LEFT_SHIFT, -zero1, *first, -zero2, *second, zero, *result, *limits)


def mul_numbers(ratio: float, zero_points: tuple[int, int, int], limits: tuple[int, int] = (-128, 127)) -> MulIntegers:
    """Integers of a product of which one step is ``ratio`` steps of the output."""
    zero1, zero2, zero = zero_points
    return MulIntegers(-zero1, -zero2, zero, *quantize_multiplier(ratio), *limits)


def limits() -> st.SearchStrategy[tuple[int, int]]:
    """Activation ranges: mostly all of int8."""
    return st.sampled_from([(-128, 127)] * 4 + [(-128, 60), (-20, 127), (5, 90)])


def zero_points() -> st.SearchStrategy[tuple[int, int, int]]:
    """Zero points of two inputs and an output."""
    one = st.sampled_from([-128, 127, 0, -3, 40])
    return st.tuples(one, one, one)


@st.composite
def operands(draw: st.DrawFn) -> tuple[Shape, Shape, Shape]:
    """Shapes of an output and two operands: each operand whole, upsampled, or repeated along some axes."""
    extent = st.integers(1, 9)
    out = (draw(extent), draw(extent), draw(st.integers(1, 23)))
    shapes = [out, out]
    for which in draw(st.sampled_from([(), (0,), (1,), (0, 1)])):
        rows, columns = draw(st.integers(1, out[0])), draw(st.integers(1, out[1]))
        shapes[which] = (rows, columns, out[2])
    if draw(st.booleans()):
        which = draw(st.integers(0, 1))
        shapes[which] = (*shapes[which][:2], 1)
    return out, shapes[0], shapes[1]


def resized(x: Int8, out: Shape) -> Int8:
    """``x`` (height, width, channels) by nearest neighbours to the output's rows and columns, one channel repeated."""
    rows, columns = (np.arange(out[axis]) * x.shape[axis] // out[axis] for axis in (0, 1))
    result: Int8 = np.broadcast_to(x[rows[:, None], columns], out)
    return result
