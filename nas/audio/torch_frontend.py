"""The audio front end on torch tensors, in batches: the same bytes as ``firmware.frontend.reference``.

Tensors have one row per point of a frame and one column per frame, so every step runs along whole columns; columns
come in groups that the processor's cache holds. The steps of a group are laid out once, with all their memory: a step
takes some ten microseconds, and slicing tensors would cost as much again.

Everything is of 32 bits but the powers, which take 64. A product of 32 and 16 bits that is shifted by 16 needs no more,
because ``x * w >> 16 == (x >> 16) * w + ((x & 0xffff) * w >> 16)``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from firmware.frontend.tables import (
    LOG_BITS,
    LOG_CENTRE,
    LOG_FLOOR,
    LOG_MEL_GAIN,
    LOG_SEGMENTS,
    LOG_TABLE_BITS,
    MEL_BITS,
    POWER_SHIFT,
    TRANSFORM_BITS,
    Tables,
    stages,
    tables,
)
from firmware.int8_model import INT8_MAX, INT8_MIN
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd

_COLUMNS: Final = {"cpu": 400}
"""Frames at a time on a CPU, some 4 KB each in the transform."""

_COLUMNS_ELSEWHERE: Final = 1 << 15
_ROWS: Final = {"cpu": 41}
"""Bins at a time on a CPU, at least, where powers are taken."""

_MANTISSA: Final = 16
_DOUBLE_MANTISSA, _DOUBLE_BIAS = 52, 1023


class TorchFrontEnd:
    """Computes the features of ``frontend`` on ``device``; keeps its memory between calls, so it serves one thread."""

    def __init__(self, frontend: FrontEnd, device: torch.device) -> None:
        self.frontend, self.device = frontend, device
        self._constants = _Constants(tables(frontend), device)
        self._groups: dict[tuple[int, int], _Group] = {}

    def __call__(self, clips: Tensor) -> Tensor:
        """Features int8 (n, frames, values) of ``clips``: integers of 16 bits, of any integer type, (n, samples).

        Raises NasError for clips of another length or type.
        """
        frontend = self.frontend
        if clips.ndim != 2 or clips.shape[1] != frontend.samples or clips.dtype.is_floating_point:
            raise NasError(
                f"clips are {clips.dtype} {tuple(clips.shape)}; whole numbers (n, {frontend.samples}) expected"
            )
        count, frames = len(clips), frontend.frames
        result = torch.empty((count, frames, frontend.values), dtype=torch.int8, device=self.device)
        if not count:
            return result
        reach = max((frames - 1) * frontend.hop + frontend.fft_size, frontend.samples)
        sound = torch.zeros((reach, count), dtype=torch.int16, device=self.device)
        sound[: frontend.samples].copy_(clips.T)
        together = max(_COLUMNS.get(self.device.type, _COLUMNS_ELSEWHERE) // count, 1)
        for first in range(0, frames, together):
            number = min(together, frames - first)
            features = self._group(number, count)(sound, first).view(frontend.values, number, count)
            result[:, first : first + number] = features.permute(2, 1, 0)
        return result

    def _group(self, number: int, count: int) -> _Group:
        """The steps for ``number`` frames of ``count`` clips; those of the two latest sizes are kept."""
        size = (number, count)
        if size not in self._groups:
            while len(self._groups) > 1:
                del self._groups[next(iter(self._groups))]
            self._groups[size] = _Group(self._constants, number, count)
        return self._groups[size]


class _Constants:
    """The tables of a front end on a device, in the order and shape that the steps want."""

    def __init__(self, constants: Tables, device: torch.device) -> None:
        frontend = constants.frontend
        self.device, self.hop, self.half = device, frontend.hop, len(constants.order)
        self.radices = _radices(self.half)
        padded = np.zeros(2 * self.half, np.int64)
        padded[: frontend.window] = constants.window
        self.window = self.int32(padded.reshape(-1, 2).T[:, constants.order].reshape(-1, 1))
        self.passes = [(length, *self._twiddles(constants, length)) for length in stages(self.half)]
        self.mel = _MelOrder(constants)
        bins = self.mel.bins
        k = constants.first_bin + bins
        self.rows = [k % self.half, self.half + k % self.half, -k % self.half, self.half + -k % self.half]
        self.split_cos = self.int32(constants.split_cos[bins][:, None])
        self.split_sin = self.int32(constants.split_sin[bins][:, None])
        self.rising = torch.from_numpy(constants.rising[bins].astype(np.int64)[:, None]).to(device)
        self.segment = torch.from_numpy(self.mel.row).to(device)
        self.fraction = self.int32(_log_fractions(constants))
        transform = constants.transform
        self.transform = None if transform is None else torch.from_numpy(transform.astype(np.float64)).to(device)
        self.by = {shift: self.int32(np.array(shift)) for shift in (1, 2, 16)}
        self.low_half = self.int32(np.array(0xFFFF))
        self.power_shift = torch.tensor(POWER_SHIFT, device=device)

    def int32(self, values: NDArray[np.integer]) -> Tensor:
        return torch.from_numpy(np.asarray(values, np.int32, order="C")).to(self.device)

    def _twiddles(self, constants: Tables, length: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines (4 parts, length / 4, 1) of a pass of radix 4; a pass of radix 2 does not look at them."""
        k = np.arange(4)[:, None] * (self.half // length) * np.arange(length // 4)
        return self.int32(constants.twiddle_cos[k][..., None]), self.int32(constants.twiddle_sin[k][..., None])


class _Group:
    """All steps from samples to features for ``number`` frames of each of ``count`` clips."""

    def __init__(self, constants: _Constants, number: int, count: int) -> None:
        self.constants, self.number, self.count = constants, number, count
        self.columns = number * count
        self.steps: list[Callable[[], Any]] = []
        self.scratch: dict[str, Tensor] = {}
        half = constants.half
        self.points = self._int32(2, half, self.columns)
        self._lay_out_transform()
        self.sums = torch.empty((2, constants.mel.segments, self.columns), dtype=torch.int64, device=constants.device)
        self._lay_out_powers()

    def __call__(self, sound: Tensor, first: int) -> Tensor:
        """Features int8 (values, columns) of the frames from ``first`` of ``sound`` (int16, samples x clips)."""
        self._window(sound, first)
        self.sums.zero_()
        for step in self.steps:
            step()
        return self._to_int8(self._logs(self._energies()))

    def _window(self, sound: Tensor, first: int) -> None:
        """Fills ``points`` with pairs of windowed samples, in the order that the transform begins with."""
        hop, count, radices = self.constants.hop, self.count, self.constants.radices
        strides, step = [], 2
        for radix in radices:
            strides.append(step * count)
            step *= radix
        shape = (2, *radices, self.number, count)
        pairs = sound.as_strided(shape, (count, *strides, hop * count, 1), first * hop * count)
        self.points.view(shape).copy_(pairs)
        self.points.view(-1, self.columns).mul_(self.constants.window)

    def _lay_out_transform(self) -> None:
        """The complex transform of each column of ``points``, in place, divided by M."""
        before = 1
        for length, cos, sin in self.constants.passes:
            if length == 2 * before:
                self._radix2()
            else:
                self._radix4(length, cos, sin)
            before = length

    def _radix2(self) -> None:
        """Neighbouring rows become their sum and difference, halved."""
        pairs = self.points.view(2, -1, 2, self.columns)
        a, b = pairs[:, :, 0], pairs[:, :, 1]
        difference = self._space("low", a.shape)
        self._then(torch.bitwise_right_shift, self.points, self.constants.by[1], out=self.points)
        self._then(torch.sub, a, b, out=difference)
        self._then(torch.add, a, b, out=a)
        self._then(b.copy_, difference)

    def _radix4(self, length: int, cos: Tensor, sin: Tensor) -> None:
        """Four transforms of ``length / 4`` that lie side by side become one of ``length``."""
        quarter, quartered = length // 4, self.constants.by[2]
        parts = self.points.view(2, -1, 4, quarter, self.columns)
        a, b, c, d = (parts[:, :, part] for part in range(4))
        if quarter == 1:  # all twiddles are one
            self._then(torch.bitwise_right_shift, self.points, quartered, out=self.points)
        else:
            turned = [self._space(name, a.shape) for name in ("b", "c", "d")]
            self._then(torch.bitwise_right_shift, a, quartered, out=a)
            for part, out in enumerate(turned, 1):
                self._turn(parts[:, :, part], cos[part], sin[part], out)
            b, c, d = turned
        even, odd = self._space("low", a.shape), self._space("by_cos", a.shape)
        total, difference = self._space("by_sin", a.shape), self._space("difference", a.shape)
        self._then(torch.add, a, c, out=even)
        self._then(torch.sub, a, c, out=odd)
        self._then(torch.add, b, d, out=total)
        self._then(torch.sub, b, d, out=difference)
        self._then(torch.add, even, total, out=parts[:, :, 0])
        self._then(torch.sub, even, total, out=parts[:, :, 2])
        self._then(torch.add, odd[0], difference[1], out=parts[0, :, 1])
        self._then(torch.sub, odd[1], difference[0], out=parts[1, :, 1])
        self._then(torch.sub, odd[0], difference[1], out=parts[0, :, 3])
        self._then(torch.add, odd[1], difference[0], out=parts[1, :, 3])

    def _turn(self, x: Tensor, cos: Tensor, sin: Tensor, out: Tensor) -> None:
        """``out`` = complex product of ``x`` (parts along axis 0) and (cos, sin), shifted by 16; ``x`` is lost."""
        low, by_cos, by_sin = (self._space(name, x.shape) for name in ("low", "by_cos", "by_sin"))
        by16 = self.constants.by[16]
        self._then(torch.bitwise_and, x, self.constants.low_half, out=low)
        self._then(torch.bitwise_right_shift, x, by16, out=x)
        for factor, product in ((cos, by_cos), (sin, by_sin)):
            self._then(torch.mul, low, factor, out=product)
            self._then(torch.bitwise_right_shift, product, by16, out=product)
            self._then(torch.addcmul, product, x, factor, out=product)
        self._then(torch.sub, by_cos[0], by_sin[1], out=out[0])
        self._then(torch.add, by_sin[0], by_cos[1], out=out[1])

    def _lay_out_powers(self) -> None:
        """Adds the powers of the bins, plain and times their rising weight, to the ``sums`` of their segments."""
        blocks = self.constants.mel.blocks
        least = _ROWS.get(self.constants.device.type, len(self.constants.mel.bins))
        together: list[tuple[int, int]] = []
        for block in blocks:
            together.append(block)
            if sum(count for _, count in together) >= least or block == blocks[-1]:
                self._powers(together)
                together = []

    def _powers(self, blocks: list[tuple[int, int]]) -> None:
        constants, first = self.constants, blocks[0][0]
        bins = slice(first, blocks[-1][0] + blocks[-1][1])
        rows = torch.from_numpy(np.concatenate([kind[bins] for kind in constants.rows])).to(constants.device)
        pairs = self._space("pairs", (4, len(rows) // 4, self.columns))
        quarters = self._space("quarters", pairs.shape)
        shape = (2, *pairs.shape[1:])
        odd, even, turned = (self._space(name, shape) for name in ("odd", "even", "b"))
        by = constants.by
        self._then(torch.index_select, self.points.view(-1, self.columns), 0, rows, out=pairs.view(-1, self.columns))
        self._then(torch.bitwise_right_shift, pairs, by[2], out=quarters)
        self._then(torch.bitwise_right_shift, pairs, by[1], out=pairs)
        self._then(torch.add, pairs[1], pairs[3], out=odd[0])
        self._then(torch.sub, pairs[2], pairs[0], out=odd[1])
        self._then(torch.add, quarters[0], quarters[2], out=even[0])
        self._then(torch.sub, quarters[1], quarters[3], out=even[1])
        self._turn(odd, constants.split_cos[bins], constants.split_sin[bins], turned)
        self._then(torch.add, even, turned, out=even)
        squares = self._space("squares", shape, torch.int64)
        power, raised = squares
        self._then(squares.copy_, even)
        self._then(torch.mul, squares, squares, out=squares)
        self._then(torch.add, power, raised, out=power)
        self._then(torch.bitwise_right_shift, power, constants.power_shift, out=power)
        self._then(torch.mul, power, constants.rising[bins], out=raised)
        for start, count in blocks:
            sums = self.sums[:, :count]
            self._then(torch.add, sums, squares[:, start - first : start - first + count], out=sums)

    def _energies(self) -> Tensor:
        """Energies int64 (mel_bands, columns): what rises into a band, and what does not rise out of it."""
        sums = self.sums.index_select(1, self.constants.segment)
        total, up = sums[0], sums[1]
        return (up[:-1] - up[1:]).add_(total[1:].bitwise_left_shift_(MEL_BITS))

    def _logs(self, energies: Tensor) -> Tensor:
        """log2 in Q9, int32, of integers below 2**63; not below LOG_FLOOR.

        The exponent and the first bits of the mantissa are read from the number as a float of 64 bits. Clearing a bit
        far behind those that are read keeps the conversion from rounding up into them.
        """
        x = energies.clamp_(min=1 << LOG_FLOOR)
        x -= x & (x >> 42)
        bits = (x.to(torch.float64).view(torch.int64) >> (_DOUBLE_MANTISSA - _MANTISSA)).to(torch.int32)
        fraction = self.constants.fraction[bits & ((1 << _MANTISSA) - 1)]
        return ((bits >> _MANTISSA) - _DOUBLE_BIAS << LOG_BITS) + fraction

    def _to_int8(self, logs: Tensor) -> Tensor:
        """Features (values, columns) of logarithms in Q9 (mel_bands, columns)."""
        centred = logs - (LOG_CENTRE << LOG_BITS)
        if self.constants.transform is None:
            scaled: Tensor = (centred * LOG_MEL_GAIN + (1 << (LOG_BITS - 1))) >> LOG_BITS
        else:  # exact: every sum is a whole number far below 2**53
            scaled = self.constants.transform @ centred.to(torch.float64)
            scaled = scaled.mul_(2.0 ** -(LOG_BITS + TRANSFORM_BITS)).add_(0.5).floor_()
        return scaled.clamp_(INT8_MIN, INT8_MAX).to(torch.int8)

    def _then(self, step: Callable[..., Any], *operands: Any, **out: Tensor) -> None:
        self.steps.append(partial(step, *operands, **out))

    def _int32(self, *shape: int) -> Tensor:
        return torch.empty(shape, dtype=torch.int32, device=self.constants.device)

    def _space(self, name: str, shape: tuple[int, ...], dtype: torch.dtype = torch.int32) -> Tensor:
        """Memory of that name; what an earlier step left in it is lost."""
        size = int(np.prod(shape))
        kept = self.scratch.get(name)
        if kept is None or len(kept) < size:
            kept = self.scratch[name] = torch.empty(size, dtype=dtype, device=self.constants.device)
        return kept[:size].view(shape)


class _MelOrder:
    """The order of bins in which sums over the segments between band edges are sums of whole blocks.

    Segments come by falling length; block ``i`` holds the ``i``-th bin of every segment that is long enough.

    Attributes:
        bins: (bins,) in that order, counted from the first.
        blocks: (first, count) of each block, to be added to the first ``count`` sums.
        row: (segments,) where each segment's sum lies.
    """

    def __init__(self, constants: Tables) -> None:
        edges = constants.edges.astype(np.int64)
        lengths = np.diff(edges)
        order = np.argsort(-lengths, kind="stable")
        self.segments = len(lengths)
        self.row = np.argsort(order)
        rows, self.blocks, first = [], [], 0
        for index in range(int(lengths.max())):
            members = order[lengths[order] > index]
            rows.append(edges[members] + index)
            self.blocks.append((first, len(members)))
            first += len(members)
        self.bins: NDArray[np.int64] = np.concatenate(rows)


def _radices(half: int) -> tuple[int, ...]:
    """Sizes of the axes whose reversal is the order in which the transform takes its values."""
    radices = []
    while half > 1:
        radices.append(4 if half % 4 == 0 else 2)
        half //= radices[-1]
    return tuple(radices)


def _log_fractions(constants: Tables) -> NDArray[np.int64]:
    """Q9 (65536,) log2(1 + m / 65536), interpolated in the table as the specification does."""
    table = constants.log.astype(np.int64)
    segment_bits = _MANTISSA - (LOG_SEGMENTS - 1).bit_length()
    mantissa = np.arange(1 << _MANTISSA)
    index, rest = mantissa >> segment_bits, mantissa & ((1 << segment_bits) - 1)
    fraction: NDArray[np.int64] = table[index] + ((table[index + 1] - table[index]) * rest >> segment_bits)
    return fraction >> (LOG_TABLE_BITS - LOG_BITS)
