"""The C on this machine gives the specification's bytes: whole clips, and sound in pieces of any size."""

from __future__ import annotations

import ctypes
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware.frontend import reference
from firmware.toolchain import find_host_compiler
from search_spaces.frontend import FrontEnd
from tests.firmware.frontend.c_library import Heard, build
from tests.firmware.frontend.front_ends import SOME, front_ends, stressful


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    return build(find_host_compiler(), tmp_path_factory.mktemp("frontend"))


def check_clips(library: ctypes.CDLL, frontend: FrontEnd) -> None:
    clips = stressful(frontend.samples)
    heard = Heard(library, frontend)
    got = np.array([heard.clip(clip) for clip in clips])
    np.testing.assert_array_equal(got, reference.features(frontend, clips))


@pytest.mark.parametrize("frontend", [*SOME, FrontEnd()], ids=lambda frontend: frontend.name)
def test_clips(library: ctypes.CDLL, frontend: FrontEnd) -> None:
    check_clips(library, frontend)


@settings(max_examples=100)
@given(front_ends())
def test_random_front_ends(library: ctypes.CDLL, frontend: FrontEnd) -> None:
    check_clips(library, frontend)


def test_samples_at_odd_addresses(library: ctypes.CDLL) -> None:
    """Of 16 bits, so on half of a word: where a clip starts is the caller's business."""
    frontend = SOME[3]
    clip = stressful(frontend.samples + 1)[8]
    np.testing.assert_array_equal(
        Heard(library, frontend).clip(clip[1:]), reference.features(frontend, clip[None, 1:])[0]
    )


def check_stream(library: ctypes.CDLL, frontend: FrontEnd, samples: np.ndarray, pieces: list[int]) -> None:
    """After every piece, the rows are those of the frames that are complete by then."""
    heard, position, rows = Heard(library, frontend), 0, 0
    whole = max(0, (len(samples) - frontend.window) // frontend.hop + 1)
    picks = np.arange(whole)[:, None] * frontend.hop + np.arange(frontend.window)
    expected = reference.frame_features(frontend, samples[picks])[..., None]
    for piece in pieces:
        new = heard.push(samples[position : position + piece])
        position += piece
        complete = 0 if position < frontend.window else (position - frontend.window) // frontend.hop + 1
        assert new == complete - rows
        if piece <= frontend.hop:
            assert new <= 1
        rows = complete
        loaded = heard.load()
        if rows < frontend.frames:
            assert loaded is None
        else:
            assert loaded is not None
            np.testing.assert_array_equal(loaded, expected[rows - frontend.frames : rows])


@settings(max_examples=60)
@given(front_ends(largest_window=600), st.data())
def test_sound_in_random_pieces(library: ctypes.CDLL, frontend: FrontEnd, data: st.DataObject) -> None:
    total = frontend.samples + 7 * frontend.hop + 5
    samples = np.random.default_rng(total).integers(-32_768, 32_768, total).astype(np.int16)
    pieces: list[int] = []
    while sum(pieces) < total:
        piece = data.draw(st.integers(0, 3 * frontend.hop) | st.integers(1, 5) | st.just(frontend.hop))
        pieces.append(min(piece, total - sum(pieces)))
        if len(pieces) > 60:
            pieces.append(total - sum(pieces))
    check_stream(library, frontend, samples, pieces)


def test_sound_sample_by_sample(library: ctypes.CDLL) -> None:
    frontend = FrontEnd(samples=300, window=130, hop=57, mel_bands=8, coefficients=8)
    samples = np.random.default_rng(1).integers(-32_768, 32_768, 700).astype(np.int16)
    check_stream(library, frontend, samples, [1] * 700)


def test_all_sound_at_once(library: ctypes.CDLL) -> None:
    frontend = FrontEnd(samples=1000, window=256, hop=100)
    samples = np.random.default_rng(2).integers(-32_768, 32_768, 5000).astype(np.int16)
    check_stream(library, frontend, samples, [5000])


def test_reset_forgets(library: ctypes.CDLL) -> None:
    frontend = FrontEnd(samples=1000, window=256, hop=100)
    clips = np.random.default_rng(3).integers(-32_768, 32_768, (2, 1000)).astype(np.int16)
    heard = Heard(library, frontend)
    heard.push(clips[0])
    assert heard.load() is not None
    heard.reset()
    assert heard.load() is None
    heard.push(clips[1])
    loaded = heard.load()
    assert loaded is not None
    np.testing.assert_array_equal(loaded, reference.features(frontend, clips[1:])[0])


def test_without_the_compilers_built_ins(tmp_path: Path) -> None:
    """The code for compilers that are not gcc's kind."""
    check_clips(build(find_host_compiler(), tmp_path, "-U__GNUC__"), SOME[1])


def test_built_by_clang(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")  # the clang of the ziglang wheel takes over
    compiler = find_host_compiler()
    assert compiler.kind == "zig"
    library = build(compiler, tmp_path)
    for frontend in SOME:
        check_clips(library, frontend)
