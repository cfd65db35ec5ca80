"""Prove that an exported model does on the chip's core what Python predicted, byte for byte, and measure it there.

Two builds of the same C: one linked for the chip and run over the test vectors in the virtual target, one compiled for
this machine and run over a whole labelled split. Both are compared with the numpy reference, byte by byte. Of a network
that starts from sound, the front end's bytes are compared too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from estimators import Target, estimate, load_target, lower
from firmware import reference
from firmware.dead_channels import without_dead_channels
from firmware.emit import export
from firmware.folder import digests, read_manifest
from firmware.frontend import reference as sound
from firmware.host import HostModel
from firmware.int8_file import load_model
from firmware.int8_model import Int8Model
from firmware.toolchain import Compiler
from firmware.validation import PREDICTED, Mismatch, Validation
from firmware.vectors import checked_clips, checked_vectors, with_features, write_vectors
from firmware.virtual import FirmwareImage, build_firmware, find_compiler, load_image, run_elf
from firmware.virtual.run import CAVEATS, obstacle
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd

__all__ = ["PREDICTED", "Mismatch", "Validation", "validate"]

Int8 = NDArray[np.int8]
Int16 = NDArray[np.int16]
Split = tuple[NDArray[np.integer], NDArray[np.integer]]

# No kernel is near a hundred instructions per MAC, no front end above its estimate by much: what goes on has no end.
_INSTRUCTIONS_PER_MAC: Final = 200
_INSTRUCTIONS_AT_LEAST: Final = 100_000_000
_INSTRUCTIONS_PER_CYCLE: Final = 10

_STREAMED: Final = 16
_PIECE: Final = 149
"""Clips that this machine also hears in pieces of so many samples."""


def validate(
    source: Path | str,
    target_name: str,
    vectors: Int8 | None = None,
    labelled_split: Split | None = None,
    compiler: Compiler | None = None,
    clips: Int16 | None = None,
) -> Validation:
    """Build `source` for the target and for this machine, run both, compare every byte with the numpy reference.

    Args:
        source: an exported folder, which must be as it was written, or a model file (`.int8`), which is exported first.
        target_name: the chip. Without a virtual target for it on this machine, only the host build is checked, and
            `note` says so; it also says what its virtual target does not prove.
        vectors: inputs for the core (int8, N x H x W x C); None takes the clips' features, the folder's own vectors, or
            a few random ones.
        labelled_split: images (int8, N x H x W x C) or clips (int16, N x samples), and classes, for the host build.
        compiler: None takes the target's gcc when found, otherwise, for the Cortex-M4, the ziglang wheel.
        clips: sound for a front end on the core (int16, N x samples); None takes two made-up ones, or the folder's own
            where no vectors are given either.

    Raises:
        NasError: no usable source, vectors, clips or split; a build that fails or does not fit; firmware that breaks
            the chip's rules. Bytes that differ are no error: see `Validation.passed`.
    """
    target = load_target(target_name)
    exported = _exported(Path(source), target, vectors, clips)
    with TemporaryDirectory(prefix="nas-validate-") as scratch, exported as folder:
        model = load_model(folder / "model.int8")
        front = model.graph.frontend
        if clips is not None and vectors is None:
            heard = checked_clips(front, clips)
            vectors = None if front is None or heard is None else sound.features(front, heard)
        if labelled_split is not None:
            _check_split(model, *labelled_split)
        plan = lower(model.graph, target, read_manifest(folder)["mode"])
        common: dict[str, Any] = {"target": target, "predicted": estimate(plan)}
        why_not = obstacle(target.name)
        if why_not is not None:
            inputs = checked_vectors(model, vectors)
            note = f"{why_not}: only the host build was checked"
            host = _check_host(folder, model, inputs, checked_clips(front, clips), labelled_split)
            nothing: dict[str, Any] = {"execution": None, "sizes": None, "compiler": None}
            return Validation(**common, **host, **nothing, bit_exact=None, vectors=0, clips=0, note=note)
        compiler = compiler or find_compiler(target.name)
        name = str(read_manifest(folder)["name"])
        vectors_folder = None
        if vectors is not None:
            vectors_folder = Path(scratch) / "vectors"
            vectors_folder.mkdir()
            inputs, heard = checked_vectors(model, vectors), checked_clips(front, clips)
            write_vectors(vectors_folder, inputs, reference.run(model, inputs), name, with_features(front, heard))
        elf = build_firmware(folder, target.name, compiler, Path(scratch) / "build", vectors_folder)
        limit = _INSTRUCTIONS_AT_LEAST + _INSTRUCTIONS_PER_MAC * model.graph.macs
        limit += _INSTRUCTIONS_PER_CYCLE * common["predicted"].frontend_cycles
        execution = run_elf(elf, target.name, name, limit)
        if execution.core_hz not in (None, target.clock_hz):
            raise NasError(
                f"the firmware runs the core at {execution.core_hz} Hz; target {target.name} says {target.clock_hz}"
            )
        image = load_image(elf)
        inputs, heard = _linked_vectors(image, model, len(execution.outputs)), _linked_clips(image, front)
        mismatch = _first_mismatch(target.name, reference.run(model, inputs), execution.outputs)
        if front is not None and heard is not None and execution.clips is not None:
            expected = sound.features(front, heard)
            for way in (0, 1):
                got = execution.clips.features[:, way]
                mismatch = mismatch or _first_mismatch(f"{target.name} front end", expected, got)
        host = _check_host(folder, model, inputs, heard, labelled_split)
        host["mismatch"] = mismatch or host["mismatch"]
        return Validation(
            **common,
            **host,
            bit_exact=mismatch is None,
            vectors=len(inputs),
            clips=0 if heard is None else len(heard),
            execution=execution,
            sizes=image.sizes,
            compiler=compiler.version,
            note=CAVEATS.get(target.name),
        )


@contextmanager
def _exported(source: Path, target: Target, vectors: Int8 | None, clips: Int16 | None) -> Iterator[Path]:
    """The folder to check: `source` itself if it is one, else a temporary export of the model file."""
    if not source.is_dir():
        with TemporaryDirectory(prefix="nas-validate-") as scratch:
            yield export(
                without_dead_channels(load_model(source)), target, Path(scratch) / "model", vectors, clips=clips
            )
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
    folder: Path, model: Int8Model, inputs: Int8, clips: Int16 | None, split: Split | None
) -> dict[str, Any]:
    """Fields of `Validation` that the host build gives."""
    with HostModel(folder) as host:
        mismatch = _first_mismatch("host", reference.run(model, inputs), host.run(inputs))
        if clips is not None:
            mismatch = mismatch or _check_features(host, clips)
        accuracy, images = None, 0
        if split is not None:
            given, labels = split
            if given.dtype == np.int16:
                mismatch = mismatch or _check_features(host, given.astype(np.int16))
            x = host.features(given.astype(np.int16)) if given.dtype == np.int16 else given.astype(np.int8)
            outputs = host.run(x)
            mismatch = mismatch or _first_mismatch("host", reference.run(model, x), outputs)
            images = len(outputs)
            # argmax takes the first of equal values, as the documentation of the C does.
            accuracy = float(np.mean(outputs.reshape(images, -1).argmax(axis=1) == labels))
        return {
            "host_bit_exact": mismatch is None,
            "mismatch": mismatch,
            "test_accuracy": accuracy,
            "test_images": images,
            "host_compiler": host.compiler.version,
        }


def _check_features(host: HostModel, clips: Int16) -> Mismatch | None:
    """Every clip as a whole, and the first ones as sound that comes in pieces."""
    assert host.frontend is not None
    expected = sound.features(host.frontend, clips)
    mismatch = _first_mismatch("host front end", expected, host.features(clips))
    for index, clip in enumerate(clips[:_STREAMED]):
        pieces = np.diff([*range(0, len(clip), _PIECE), len(clip)]).tolist()
        heard = host.listen(clip, pieces)[-1:]
        mismatch = mismatch or _first_mismatch("host front end", expected[index : index + 1], heard)
    return mismatch


def _linked_vectors(image: FirmwareImage, model: Int8Model, count: int) -> Int8:
    """The inputs as they lie in the image's flash: what was really run."""
    shape = (count, *model.graph.input_shape)
    place = image.object("vector_inputs").address
    return np.frombuffer(image.read(place, int(np.prod(shape))), np.int8).reshape(shape)


def _linked_clips(image: FirmwareImage, frontend: FrontEnd | None) -> Int16 | None:
    """The clips likewise; None without a front end."""
    if frontend is None:
        return None
    place = image.object("vector_clips")
    return np.frombuffer(image.read(place.address, place.size), "<i2").astype(np.int16).reshape(-1, frontend.samples)


def _check_split(model: Int8Model, x: NDArray[np.integer], y: NDArray[np.integer]) -> None:
    shape, front = model.graph.input_shape, model.graph.frontend
    if front is not None and x.dtype == np.int16:
        checked_clips(front, x.astype(np.int16))
    elif x.dtype != np.int8 or x.shape[1:] != shape or not len(x):
        raise NasError(f"labelled images are {x.dtype} {x.shape}; int8 (N, {', '.join(map(str, shape))}) expected")
    if y.shape != (len(x),) or not np.issubdtype(y.dtype, np.integer):
        raise NasError(f"labels are {y.dtype} {y.shape}; {len(x)} integers, one per image, expected")


def _first_mismatch(build: str, expected: Int8, got: Int8) -> Mismatch | None:
    # Not -1: nobody can tell how wide the rows of nothing are.
    expected, got = (rows.reshape(len(rows), int(np.prod(rows.shape[1:]))) for rows in (expected, got))
    if expected.shape != got.shape:
        raise NasError(f"the {build} build gave outputs of {got.shape}; {expected.shape} were expected")
    differing = np.argwhere(expected != got)
    if not len(differing):
        return None
    index, byte = (int(position) for position in differing[0])
    return Mismatch(build, index, byte, int(expected[index, byte]), int(got[index, byte]))
