"""Prove that an exported model does on the chip's core what Python predicted, byte for byte, and measure it there.

Two builds of the same C: one linked for the chip and run over the test vectors in the virtual target, one compiled for
this machine and run over a whole labelled split. Both are compared with the numpy reference, byte by byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from estimators import Resources, Target, energy, estimate, load_target, lower
from firmware import reference
from firmware.emit import export
from firmware.folder import digests, read_manifest
from firmware.host import HostModel
from firmware.int8_file import load_model
from firmware.int8_model import Int8Model
from firmware.toolchain import Compiler, find_arm_compiler
from firmware.vectors import checked_vectors, write_vectors
from firmware.virtual import Execution, FirmwareSizes, build_firmware, load_image, run_elf
from firmware.virtual.cortex_m4 import VIRTUAL_TARGETS
from search_spaces.errors import NasError

Int8 = NDArray[np.int8]

PREDICTED: Final = (
    "params",
    "macs",
    "sram_bytes",
    "stack_bytes",
    "flash_bytes",
    "weights_bytes",
    "cycles",
    "seconds",
    "joules",
)
"""Estimates that a validation shows beside what it measured."""

# No kernel is near a hundred instructions per MAC: what goes on longer has no end.
_INSTRUCTIONS_PER_MAC: Final = 200
_INSTRUCTIONS_AT_LEAST: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first output byte that differs from the numpy reference: in which build, of which input."""

    build: str
    index: int
    byte: int
    expected: int
    got: int

    def to_dict(self) -> dict[str, Any]:
        return {
            "build": self.build,
            "index": self.index,
            "byte": self.byte,
            "expected": self.expected,
            "got": self.got,
        }


@dataclass(frozen=True)
class Validation:
    """What was compared and measured.

    Attributes:
        bit_exact: every output byte of every vector on the core equals the reference; None without a virtual target.
        host_bit_exact: the same for the host build, over the vectors and the whole split.
        vectors: test vectors run.
        execution: the run on the core; None when there is no virtual target.
        sizes: parts of the linked image; None likewise.
        predicted: the estimate made from the graph alone.
        test_accuracy: of the host build over the split (largest output, the first of equal ones); None without a split.
        test_images: images in the split.
        compiler: what built the firmware; None when nothing was built for the chip.
        note: why something was not measured, or None.
    """

    target: Target
    predicted: Resources
    bit_exact: bool | None
    host_bit_exact: bool
    vectors: int
    execution: Execution | None
    sizes: FirmwareSizes | None
    test_accuracy: float | None
    test_images: int
    compiler: str | None
    host_compiler: str
    mismatch: Mismatch | None
    note: str | None

    @property
    def passed(self) -> bool:
        """No byte differed, as far as it was looked at."""
        return self.bit_exact is not False and self.host_bit_exact

    @property
    def instructions(self) -> int | None:
        """Instructions of one inference, the longest over all vectors."""
        return None if self.execution is None else max(self.execution.instructions)

    @property
    def cycles(self) -> int | None:
        """Cycles of one inference, the longest over all vectors."""
        return None if self.execution is None else max(self.execution.cycles)

    @property
    def seconds(self) -> float | None:
        return None if self.cycles is None else energy.seconds(self.target, self.cycles)

    @property
    def joules(self) -> float | None:
        """Measured time times the target's power: no energy was measured."""
        return None if self.seconds is None else energy.joules(self.target, self.seconds)

    @property
    def stack_bytes(self) -> int | None:
        return None if self.execution is None else self.execution.stack_bytes

    @property
    def sram_bytes(self) -> int | None:
        """Arena, other static data of the model, and its stack."""
        if self.sizes is None or self.execution is None:
            return None
        return self.sizes.arena + self.sizes.data_bytes + self.execution.stack_bytes

    @property
    def flash_bytes(self) -> int | None:
        """Code and constants of the model: kernels, model.c, and the helpers that only they need."""
        return None if self.sizes is None else self.sizes.flash_bytes

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; names do not change between versions."""
        predicted = self.predicted.to_dict()
        return {
            "target": self.target.name,
            "compiler": self.compiler,
            "host_compiler": self.host_compiler,
            "bit_exact": self.bit_exact,
            "host_bit_exact": self.host_bit_exact,
            "vectors": self.vectors,
            "instructions": self.instructions,
            "cycles": self.cycles,
            "seconds": self.seconds,
            "joules": self.joules,
            "sram_bytes": self.sram_bytes,
            "stack_bytes": self.stack_bytes,
            "flash_bytes": self.flash_bytes,
            "test_accuracy": self.test_accuracy,
            "test_images": self.test_images,
            "predicted": {name: predicted[name] for name in PREDICTED},
            "predicted_kinds": {name: predicted["kinds"][name] for name in PREDICTED},
            "parts": None if self.sizes is None else self.sizes.to_dict(),
            "functions": None if self.execution is None else dict(self.execution.functions),
            "first_mismatch": None if self.mismatch is None else self.mismatch.to_dict(),
            "note": self.note,
        }


def validate(
    source: Path | str,
    target_name: str,
    vectors: Int8 | None = None,
    labelled_split: tuple[Int8, NDArray[np.integer]] | None = None,
    compiler: Compiler | None = None,
) -> Validation:
    """Build `source` for the target and for this machine, run both, compare every byte with the numpy reference.

    Args:
        source: an exported folder, which must be as it was written, or a model file (`.int8`), which is exported first.
        target_name: the chip. Without a virtual target for it, only the host build is checked, and `note` says so.
        vectors: inputs for the core (int8, N x H x W x C); None takes the folder's own, or a few random ones.
        labelled_split: images (int8, N x H x W x C) and classes for the host build.
        compiler: None takes arm-none-eabi-gcc when found, otherwise the ziglang wheel.

    Raises:
        NasError: no usable source, vectors or split; a build that fails or does not fit; firmware that breaks the
            chip's rules. Bytes that differ are no error: see `Validation.passed`.
    """
    target = load_target(target_name)
    with TemporaryDirectory(prefix="nas-validate-") as scratch, _exported(Path(source), target, vectors) as folder:
        model = load_model(folder / "model.int8")
        if labelled_split is not None:
            _check_split(model, *labelled_split)
        plan = lower(model.graph, target)
        common: dict[str, Any] = {"target": target, "predicted": estimate(plan)}
        if target.name not in VIRTUAL_TARGETS:
            inputs = checked_vectors(model, vectors)
            note = f"target {target.name!r} has no virtual target yet: only the host build was checked"
            host = _check_host(folder, model, inputs, labelled_split)
            return Validation(
                **common, **host, bit_exact=None, vectors=0, execution=None, sizes=None, compiler=None, note=note
            )
        compiler = compiler or find_arm_compiler()
        name = str(read_manifest(folder)["name"])
        vectors_folder = None
        if vectors is not None:
            vectors_folder = Path(scratch) / "vectors"
            vectors_folder.mkdir()
            write_vectors(vectors_folder, vectors, reference.run(model, checked_vectors(model, vectors)), name)
        elf = build_firmware(folder, target.name, compiler, Path(scratch) / "build", vectors_folder)
        limit = _INSTRUCTIONS_AT_LEAST + _INSTRUCTIONS_PER_MAC * model.graph.macs
        execution = run_elf(elf, target.name, name, limit)
        if execution.core_hz != target.clock_hz:
            raise NasError(
                f"the firmware runs the core at {execution.core_hz} Hz; target {target.name} says {target.clock_hz}"
            )
        image = load_image(elf)
        inputs = _linked_vectors(image.read, image.object("vector_inputs").address, len(execution.outputs), model)
        mismatch = _first_mismatch(target.name, reference.run(model, inputs), execution.outputs)
        host = _check_host(folder, model, inputs, labelled_split)
        host["mismatch"] = mismatch or host["mismatch"]
        return Validation(
            **common,
            **host,
            bit_exact=mismatch is None,
            vectors=len(inputs),
            execution=execution,
            sizes=image.sizes,
            compiler=compiler.version,
            note=None,
        )


@contextmanager
def _exported(source: Path, target: Target, vectors: Int8 | None) -> Iterator[Path]:
    """The folder to check: `source` itself if it is one, else a temporary export of the model file."""
    if not source.is_dir():
        with TemporaryDirectory(prefix="nas-validate-") as scratch:
            yield export(load_model(source), target, Path(scratch) / "model", vectors)
        return
    manifest = read_manifest(source)
    if manifest["target"] != target.name:
        raise NasError(f"{source} was exported for target {manifest['target']!r}, not for {target.name!r}")
    recorded, found = manifest["files"], digests(source)
    changed = sorted(path for path in recorded.keys() | found.keys() if recorded.get(path) != found.get(path))
    if changed:
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise NasError(f"{source} is not as it was exported: {changed[0]}{more} changed, export it again")
    yield source


def _check_host(
    folder: Path, model: Int8Model, inputs: Int8, split: tuple[Int8, NDArray[np.integer]] | None
) -> dict[str, Any]:
    """Fields of `Validation` that the host build gives."""
    with HostModel(folder) as host:
        mismatch = _first_mismatch("host", reference.run(model, inputs), host.run(inputs))
        accuracy, images = None, 0
        if split is not None:
            outputs = host.run(split[0])
            mismatch = mismatch or _first_mismatch("host", reference.run(model, split[0]), outputs)
            images = len(outputs)
            # argmax takes the first of equal values, as the documentation of the C does.
            accuracy = float(np.mean(outputs.reshape(images, -1).argmax(axis=1) == split[1]))
        return {
            "host_bit_exact": mismatch is None,
            "mismatch": mismatch,
            "test_accuracy": accuracy,
            "test_images": images,
            "host_compiler": host.compiler.version,
        }


def _linked_vectors(read: Any, address: int, count: int, model: Int8Model) -> Int8:
    """The inputs as they lie in the image's flash: what was really run."""
    shape = (count, *model.graph.input_shape)
    return np.frombuffer(read(address, int(np.prod(shape))), np.int8).reshape(shape)


def _check_split(model: Int8Model, x: Int8, y: NDArray[np.integer]) -> None:
    shape = model.graph.input_shape
    if x.dtype != np.int8 or x.shape[1:] != shape or not len(x):
        raise NasError(f"labelled images are {x.dtype} {x.shape}; int8 (N, {', '.join(map(str, shape))}) expected")
    if y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise NasError(f"labels are {y.dtype} {y.shape}; {len(x)} integers, one per image, expected")


def _first_mismatch(build: str, expected: Int8, got: Int8) -> Mismatch | None:
    expected, got = expected.reshape(len(expected), -1), got.reshape(len(got), -1)
    if expected.shape != got.shape:
        raise NasError(f"the {build} build gave outputs of {got.shape}; {expected.shape} were expected")
    differing = np.argwhere(expected != got)
    if not len(differing):
        return None
    index, byte = (int(position) for position in differing[0])
    return Mismatch(build, index, byte, int(expected[index, byte]), int(got[index, byte]))
