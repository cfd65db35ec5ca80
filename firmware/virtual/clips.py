"""Run the front end of an exported network over many clips on the emulated core, and keep every byte it makes."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from firmware.folder import read_manifest
from firmware.toolchain import Compiler
from firmware.virtual.build import build_firmware
from firmware.virtual.elf import load_image
from firmware.virtual.machine import Machine
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd

_HARNESS: Final = Path(__file__).parent / "clips_harness.c"


class Heard(NamedTuple):
    """Features (int8, frames x values x 1) of a clip as a whole, and of the same clip that came in pieces."""

    whole: NDArray[np.int8]
    pieces: NDArray[np.int8]


def run_clips(
    folder: Path, compiler: Compiler, out: Path, clips: Iterable[tuple[NDArray[np.int16], int]]
) -> Iterator[Heard]:
    """What the front end of the exported `folder` makes of each of `clips`, one after the other.

    Args:
        out: folder to build in.
        clips: int16 samples of one clip, and of how many samples the pieces are that it comes in the second time.

    Raises:
        NasError: the network has no front end, a clip does not fit it, a build that fails, or firmware that breaks the
            chip's rules.
    """
    manifest = read_manifest(folder)
    if "frontend" not in manifest:
        raise NasError(f"the network of {folder} has no front end: it does not start from sound")
    frontend = FrontEnd.from_json(manifest["frontend"])
    image = load_image(build_firmware(folder, str(manifest["target"]), compiler, out, harness=_HARNESS))
    wanted, done = (image.function(name).address for name in ("clips_wanted", "clips_done"))
    samples, piece, features = (image.object(f"clips_{name}") for name in ("samples", "piece", "features"))
    machine = Machine(image)
    try:
        machine.run(wanted)
        for clip, length in clips:
            if clip.dtype != np.int16 or clip.shape != (frontend.samples,) or length < 1:
                raise NasError(
                    f"a clip is {clip.dtype} {clip.shape} in pieces of {length}; int16 ({frontend.samples},) in pieces "
                    "of at least 1 expected"
                )
            machine.write(samples.address, clip.astype("<i2").tobytes())
            machine.write(piece.address, struct.pack("<i", length))
            machine.go_on(done)
            made = np.frombuffer(machine.read(features.address, features.size), np.int8)
            whole, pieces = made.reshape(2, *frontend.shape)
            machine.stop_checking_alignment()
            machine.go_on(wanted)
            yield Heard(whole, pieces)
    finally:
        machine.close()
