"""Measures audio front ends on the virtual Cortex-M4: instructions and cycles for a second of audio, and their error.

Beside ours, in the same run and built with the same flags, a fixed-point front end as textbooks have it
(``front_end_peer.c``: a complex FFT of radix 2). The error is that of the mel bands against torchaudio's in float, over
clips of Speech Commands where they are at hand, otherwise over made-up ones.

Counted in the same way, with the same compiler and flags: arm_mfcc_q31 of CMSIS-DSP 1.10.3 (40 bands, 10 coefficients)
takes 92,489 instructions for a frame of 512 points and 181,968 for one of 1,024, where ours takes 26,655 and 53,420.

    python benchmarks/front_end.py            the table
    python benchmarks/front_end.py --fit      [frontend] for the target's TOML file
"""

from __future__ import annotations

import argparse
import datetime
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

import firmware.boards
from estimators import load_target, lower
from estimators.flash import flash
from estimators.frontend import FRONT_END_TERMS, FrontEndTerm, cycles, terms
from estimators.kinds import fitted
from firmware.c_text import rows, table
from firmware.emit import export
from firmware.frontend import reference
from firmware.frontend.tables import FEATURE_QUANT, LOG_BITS, LOG_FLOOR, tables
from firmware.int8_model import Int8Model, LayerWeights, Quant
from firmware.toolchain import Compiler, find_arm_compiler
from firmware.vectors import checked_clips
from firmware.virtual import Execution, build_firmware, load_image, run_elf
from fit_cycles import largest_percent, spread
from search_spaces import Graph, GraphBuilder
from search_spaces.frontend import Features, FrontEnd

TARGET: Final = "stm32l4r9"

CONFIGURATIONS: Final = (
    FrontEnd(),
    FrontEnd(window=640),
    FrontEnd(window=480, hop=160),
    FrontEnd(window=400, hop=160, coefficients=13),
    FrontEnd(features=Features.LOG_MEL, coefficients=0),
)
PEERS: Final = 2
"""Configurations, from the first on, that the peer is measured with too."""

STAGES: Final[dict[str, tuple[str, tuple[FrontEndTerm, ...]]]] = {
    "first_butterflies": ("window, first pass", ("pairs", "first_by_2", "first_by_4")),
    "combine": ("other passes", ("butterflies", "blocks")),
    "split": ("split, power", ("splits",)),
    "logarithms": ("mel, log2", ("bins", "bands")),
    "frontend_features": ("DCT, int8", ("products", "coefficients", "levels")),
}
"""C functions, what they do, and what their cycles are counted from."""

CLIPS: Final = 64
FOLDER: Final = Path("SpeechCommands") / "speech_commands_v0.02"

Int16 = NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Measured:
    """One front end as built and run.

    Cycles of one clip, in all and by C function; bytes of stack, and of code beyond the network's.
    """

    frontend: FrontEnd
    cycles: float
    functions: Mapping[str, int]
    stack: int
    code: int


def model(frontend: FrontEnd | None, shape: tuple[int, int, int]) -> Int8Model:
    """The least network for an input of ``shape``: what is measured is what stands before it."""
    builder = GraphBuilder(shape)
    pooled = builder.global_avg_pool(builder.input)
    dense = builder.dense(pooled, 2)
    graph: Graph = replace(builder.build("front end"), frontend=frontend)
    ones = LayerWeights(np.ones((2, 1), np.int8), np.full(2, 0.01, np.float32), np.zeros(2, np.int32))
    quant = {graph.input: FEATURE_QUANT, pooled: FEATURE_QUANT, dense: Quant(0.05, 0)}
    return Int8Model(graph, quant, {dense: ones})


def run(frontend: FrontEnd, compiler: Compiler, scratch: Path, clips: Int16 | None = None) -> tuple[Execution, int]:
    """The execution of a network with ``frontend``, and the bytes of flash that it takes."""
    folder = export(model(frontend, frontend.shape), TARGET, scratch / "with", clips=clips)
    elf = build_firmware(folder, TARGET, compiler, scratch / "build")
    execution = run_elf(elf, TARGET)
    if execution.mismatches:
        raise RuntimeError(f"{frontend.name}: {execution.mismatches} bytes differ from the reference")
    return execution, load_image(elf).sizes.flash_bytes


# --- the table -------------------------------------------------------------------------------------------------------


def per_second(frontend: FrontEnd, of_a_clip: float) -> float:
    """What a second of audio costs where the frames of a clip cost so much, in millions."""
    return of_a_clip / frontend.frames * frontend.sample_rate / frontend.hop / 1e6


def show(frontend: FrontEnd, compiler: Compiler, clips: Int16, source: str) -> None:
    """One configuration's rows."""
    with TemporaryDirectory() as scratch:
        heard = run(frontend, compiler, Path(scratch))[0].clips
    if heard is None:
        raise RuntimeError("the front end was not measured")
    whole, streamed = heard.instructions[0], heard.streamed_instructions[0]
    print(
        f"{frontend.name}: {per_second(frontend, whole):.3f} M instructions, "
        f"{per_second(frontend, heard.cycles[0]):.3f} M cycles per second of audio; "
        f"as a stream {per_second(frontend, streamed):.3f} M instructions"
    )
    shares = (f"{what} {per_second(frontend, heard.functions.get(name, 0)):.3f}" for name, (what, _) in STAGES.items())
    print(f"    {', '.join(shares)} M instructions")
    typical, largest = error(frontend, clips)
    print(f"    mel bands against torchaudio's: {typical:.4f} dB root mean square, {largest:.2f} dB at most; {source}")


def error(frontend: FrontEnd, clips: Int16) -> tuple[float, float]:
    """Root mean square and largest difference in dB of the mel bands from torchaudio's.

    Bands at the floor, quieter than noise of one unit of the samples, are left out.
    """
    import torch
    import torchaudio

    size = frontend.fft_size
    spectrogram = torchaudio.transforms.MelSpectrogram(
        frontend.sample_rate, size, frontend.window, frontend.hop, frontend.low_hz, frontend.high_hz,
        n_mels=frontend.mel_bands, center=False,
    ).double()  # fmt: skip
    # torchaudio puts a window that is shorter than the FFT into its middle.
    margin = (size - frontend.window) // 2
    padded = np.pad(clips / 32768, ((0, 0), (margin, size)))
    energies = spectrogram(torch.from_numpy(padded)).numpy()[:, :, : frontend.frames]
    # The samples have 15 bits here, the window 15; the FFT is divided by its size; squares lose 8 and gain 12 bits.
    expected = np.log2(np.maximum(energies, 1e-30)) + 64 - 2 * np.log2(size)

    picks = np.arange(frontend.frames)[:, None] * frontend.hop + np.arange(frontend.window)
    logs = reference.log_mel(tables(frontend), clips[:, picks].reshape(-1, frontend.window))
    got = logs.reshape(frontend.mel_bands, len(clips), frontend.frames).transpose(1, 0, 2) / (1 << LOG_BITS)
    off = 10 * np.log10(2) * (got - expected)[expected > LOG_FLOOR]
    return float(np.sqrt(np.mean(off**2))), float(np.abs(off).max())


def clips_at_hand(frontend: FrontEnd) -> tuple[Int16, str]:
    """Some clips of the test split, or made-up ones, and where they are from."""
    root = Path(os.environ.get("NAS_DATA") or ".data") / FOLDER
    if not (root / "testing_list.txt").is_file():
        made_up = checked_clips(frontend, None)
        assert made_up is not None
        return made_up, f"{len(made_up)} made-up clips"
    import soundfile

    names = (root / "testing_list.txt").read_text().split()
    chosen = [names[i] for i in np.linspace(0, len(names) - 1, CLIPS).astype(int)]
    clips = np.zeros((len(chosen), frontend.samples), np.int16)
    for clip, name in zip(clips, chosen, strict=True):
        samples = soundfile.read(root / name, dtype="int16")[0][: frontend.samples]
        clip[: len(samples)] = samples
    return clips, f"{len(clips)} clips of the test split of Speech Commands"


# --- the peer --------------------------------------------------------------------------------------------------------


def show_peer(frontend: FrontEnd, compiler: Compiler) -> None:
    """The peer's cost for the same features, and how far its features are from ours."""
    clips = checked_clips(frontend, None)
    assert clips is not None
    with TemporaryDirectory() as scratch:
        folder = _peer_project(frontend, clips[:1], Path(scratch) / "peer")
        execution = run_elf(build_firmware(folder, TARGET, compiler, Path(scratch) / "build"), TARGET)
    ours = reference.features(frontend, clips[:1]).ravel().astype(int)
    off = np.abs(execution.outputs.ravel() - ours)
    print(
        f"    peer, a textbook's: {per_second(frontend, execution.instructions[0]):.3f} M instructions, "
        f"{per_second(frontend, execution.cycles[0]):.3f} M cycles; "
        f"its features differ by {off.mean():.3f} steps of int8"
    )


def _peer_project(frontend: FrontEnd, clips: Int16, folder: Path) -> Path:
    """A board project whose ``model_invoke`` runs the peer over one clip."""
    board = Path(firmware.boards.__path__[0]) / TARGET
    shutil.copytree(board, folder / TARGET, ignore=shutil.ignore_patterns("*.py", "__pycache__"))
    (folder / "kernels").mkdir()
    shutil.copy(Path(__file__).parent / "front_end_peer.c", folder / "kernels" / "peer.c")
    (folder / "kernels" / "peer.h").write_text(_peer_header(frontend))
    for name, text in _PEER_FILES.items():
        values = {"bytes": 2 * frontend.samples, "outputs": frontend.frames * frontend.values}
        clip = rows(clips.astype("<i2").view(np.int8)[0])
        (folder / name).write_text(
            text.format(**values, clip=clip, frames=frontend.frames, hop=frontend.hop, row=frontend.values)
        )
    return folder


_PEER_FILES: Final = {
    "model.h": """#ifndef MODEL_H
#define MODEL_H
#include <stdint.h>
#define MODEL_INPUT_BYTES {bytes}
#define MODEL_OUTPUT_BYTES {outputs}
void model_init(void);
int8_t *model_input(void);
const int8_t *model_output(void);
void model_invoke(void);
#endif
""",
    "model.c": """#include "model.h"
void peer_frame(const int16_t *samples, int8_t *row);
static int16_t clip[MODEL_INPUT_BYTES / 2];
static int8_t features[MODEL_OUTPUT_BYTES];
void model_init(void) {{}}
int8_t *model_input(void) {{ return (int8_t *)clip; }}
const int8_t *model_output(void) {{ return features; }}
void model_invoke(void)
{{
    for (int32_t frame = 0; frame < {frames}; frame++) {{
        peer_frame(clip + frame * {hop}, features + frame * {row});
    }}
}}
""",
    "vectors.h": """#ifndef VECTORS_H
#define VECTORS_H
#include "model.h"
#define VECTOR_COUNT 1
extern const int8_t vector_inputs[VECTOR_COUNT][MODEL_INPUT_BYTES];
extern const int8_t vector_outputs[VECTOR_COUNT][MODEL_OUTPUT_BYTES];
#endif
""",
    "vectors.c": """#include "vectors.h"
const int8_t vector_inputs[VECTOR_COUNT][MODEL_INPUT_BYTES] = {{{{
{clip}
}}}};
const int8_t vector_outputs[VECTOR_COUNT][MODEL_OUTPUT_BYTES] = {{{{0}}}};
""",
}


def _peer_header(frontend: FrontEnd) -> str:
    constants, size = tables(frontend), frontend.fft_size
    assert constants.transform is not None
    angle = 2 * np.pi * np.arange(size // 2) / size
    cos, sin = (np.rint(part * 32767).astype(np.int16) for part in (np.cos(angle), -np.sin(angle)))
    first, count, weights = [], [], []
    for band in range(frontend.mel_bands):
        begin, middle, end = constants.edges[band : band + 3].astype(int)
        first.append(constants.first_bin + begin)
        count.append(end - begin)
        weights += [constants.rising[begin:middle], 4096 - constants.rising[middle:end]]
    numbers: dict[str, NDArray[Any]] = {
        "window": constants.window,
        "cos": cos,
        "sin": sin,
        "first": np.array(first, np.int16),
        "count": np.array(count, np.int16),
        "weights": np.concatenate(weights),
        "transform": constants.transform,
    }
    macros = {
        "POINTS": size,
        "WINDOW": frontend.window,
        "BANDS": frontend.mel_bands,
        "VALUES": frontend.values,
    }
    lines = ["#include <stdint.h>", "void peer_frame(const int16_t *samples, int8_t *row);"]
    lines += [f"#define PEER_{name} {value}" for name, value in macros.items()]
    return "\n".join([*lines, *(table("int16_t", f"peer_{name}", values) for name, values in numbers.items())]) + "\n"


# --- the fit ---------------------------------------------------------------------------------------------------------


def random_front_ends(count: int, rng: np.random.Generator) -> Iterator[FrontEnd]:
    """Front ends of all FFT sizes, with clips of few frames."""
    for index in range(count):
        largest = (256, 512, 1024, 2048)[index % 4]
        window = int(rng.integers(largest // 2 + 1, largest + 1)) // 2 * 2
        bands = int(rng.integers(8, 61))
        mfcc = index % 3 != 0
        yield FrontEnd(
            features=Features.MFCC if mfcc else Features.LOG_MEL,
            samples=window + 3 * (window // 2),
            window=window,
            hop=window // 2,
            mel_bands=bands,
            coefficients=int(rng.integers(1, bands + 1)) if mfcc else 0,
            low_hz=int(rng.integers(0, 300)),
            high_hz=int(rng.integers(3000, 8001)),
        )


def measure(frontend: FrontEnd, compiler: Compiler) -> Measured:
    """Builds and runs one front end."""
    target = load_target(TARGET)
    with TemporaryDirectory() as scratch:
        execution, size = run(frontend, compiler, Path(scratch))
        without = export(model(None, frontend.shape), TARGET, Path(scratch) / "without")
        alone = load_image(build_firmware(without, TARGET, compiler, Path(scratch) / "alone")).sizes.flash_bytes
    assert execution.clips is not None
    with_tables, no_tables = (
        flash(lower(model(front, frontend.shape).graph, target)).tables for front in (frontend, None)
    )
    code = size - alone - (with_tables - no_tables)
    clips = execution.clips
    return Measured(frontend, float(np.mean(clips.cycles)), clips.function_cycles, execution.stack_bytes, code)


def prices(measured: Sequence[Measured]) -> dict[FrontEndTerm, float]:
    """Cycles per unit of each term: those of each C function by its own terms; what is left over, by frames."""
    found: dict[FrontEndTerm, float] = dict.fromkeys(FRONT_END_TERMS, 0.0)
    rest = np.array([sum(row.functions.values()) - sum(map(row.functions.__getitem__, STAGES)) for row in measured])
    found["frames"] = float(np.median(rest / [row.frontend.frames for row in measured]))
    for name, (_, own) in STAGES.items():
        for term, price in fitted_prices(measured, name, (*own, "frames")).items():
            found[term] += price
    return {term: float(f"{price:.4g}") for term, price in found.items()}


def fitted_prices(
    measured: Sequence[Measured], function: str, own: tuple[FrontEndTerm, ...]
) -> dict[FrontEndTerm, float]:
    """Cycles of one function per unit of its terms: least squares of the relative error, none negative."""
    counts = np.array([[terms(row.frontend)[term] for term in own] for row in measured], float)
    relative = counts / np.array([[row.functions[function]] for row in measured])
    scale = relative.max(axis=0)
    solution = nnls(relative / scale, np.ones(len(measured)))[0] / scale
    print(f"# {function}: {spread(relative @ solution - 1)}")
    return dict(zip(own, solution.tolist(), strict=True))


def fit(compiler: Compiler, seed: int) -> None:
    """Prints [frontend] of the target's file, and how far off it is for front ends that the fit has not seen."""
    rng = np.random.default_rng(seed)
    seen = [measure(front, compiler) for front in (*random_front_ends(40, rng), *CONFIGURATIONS)]
    unseen = [measure(front, compiler) for front in random_front_ends(20, rng)]
    found = prices(seen)
    off = np.array([cycles(row.frontend, found) / row.cycles - 1 for row in unseen])
    stack, code = max(row.stack for row in seen), round(np.mean([row.code for row in seen]))
    how = f"fitted on the Cortex-M4 virtual target, {compiler.version}, -O2, {datetime.date.today()}"
    print(f"""
[frontend]
source = "{how}; no wait states; cycles of {len(unseen)} random front ends the fit had not seen: {spread(off)}"
kind = "{fitted(largest_percent(off))}"
stack = {stack}
code = {code}

[frontend.cycles]""")
    for term, value in found.items():
        print(f"{term} = {value}")
    print(f"\n# stack {min(row.stack for row in seen)} to {stack}", end=", ")
    print(f"code {min(row.code for row in seen)} to {max(row.code for row in seen)}")


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fit", action="store_true", help="print [frontend] of the target's file instead")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    compiler = find_arm_compiler()
    if options.fit:
        fit(compiler, options.seed)
        return
    print(f"on {load_target(TARGET).title}, built by {compiler.version}")
    for index, frontend in enumerate(CONFIGURATIONS):
        show(frontend, compiler, *clips_at_hand(frontend))
        if index < PEERS:
            show_peer(frontend, compiler)


if __name__ == "__main__":
    main()
