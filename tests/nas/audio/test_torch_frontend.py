from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware.frontend.reference import features
from nas.audio import torch_frontend
from nas.audio.torch_frontend import TorchFrontEnd
from search_spaces.errors import NasError
from search_spaces.frontend import Features, FrontEnd
from tests.strategies import seeds

CPU = torch.device("cpu")
LOG_MEL = {"features": Features.LOG_MEL, "coefficients": 0}
FRONTENDS = [
    FrontEnd(),
    FrontEnd(window=480, hop=160),
    FrontEnd(window=640, hop=320, coefficients=40),
    FrontEnd(window=400, hop=160, mel_bands=23, **LOG_MEL),  # type: ignore[arg-type]
    FrontEnd(sample_rate=8_000, samples=4_000, window=200, hop=80, high_hz=4_000, mel_bands=20),
    FrontEnd(sample_rate=48_000, samples=8_000, window=2_048, hop=2_048, low_hz=0, high_hz=24_000, mel_bands=60),
    FrontEnd(samples=64, window=64, hop=64, mel_bands=4, coefficients=4),
]


def hard(samples: int, rng: np.random.Generator) -> NDArray[np.int16]:
    """Noise from full scale to hardly any, all extremes, silence, impulses, and full-scale squares and tones."""
    time = np.arange(samples)
    rows: list[NDArray[Any]] = [rng.integers(-(1 << bits), 1 << bits, samples) for bits in (15, 12, 5, 1)]
    rows += [np.zeros(samples), np.full(samples, -32768), np.full(samples, 32767)]
    rows += [rng.choice([-32768, 32767], samples), np.where(time % 2, -32768, 32767)]
    rows += [np.where(time // 16 % 2, -32768, 32767), np.where(time % 160, 0, 32767), np.where(time == 30, -32768, 0)]
    rows += [32767 * np.sin(2 * np.pi * frequency * time) for frequency in (0.0625, 0.01, 0.3)]
    return np.stack(rows).astype(np.int16)


def torch_features(frontend: FrontEnd, clips: NDArray[np.int16], device: torch.device = CPU) -> NDArray[np.int8]:
    return TorchFrontEnd(frontend, device)(torch.from_numpy(clips).to(device)).cpu().numpy()[..., None]


@pytest.mark.parametrize("frontend", FRONTENDS, ids=lambda frontend: str(frontend.name))
def test_the_bytes_of_numpy(frontend: FrontEnd) -> None:
    clips = hard(frontend.samples, np.random.default_rng(0))
    np.testing.assert_array_equal(torch_features(frontend, clips), features(frontend, clips))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("frontend", FRONTENDS, ids=lambda frontend: str(frontend.name))
def test_the_bytes_of_numpy_on_a_gpu(frontend: FrontEnd) -> None:
    clips = hard(frontend.samples, np.random.default_rng(0))
    np.testing.assert_array_equal(torch_features(frontend, clips, torch.device("cuda")), features(frontend, clips))


@st.composite
def frontends(draw: st.DrawFn) -> FrontEnd:
    """Front ends of any kind, for clips of at most 3,000 samples."""
    window = 2 * draw(st.integers(32, 700))
    bands = draw(st.integers(4, 60))
    mfcc = draw(st.booleans())
    low = draw(st.integers(0, 3_000))
    return FrontEnd(
        features=Features.MFCC if mfcc else Features.LOG_MEL,
        samples=draw(st.integers(window, 3_000)),
        window=window,
        hop=draw(st.integers(max(window // 8, 1), window)),
        mel_bands=bands,
        coefficients=draw(st.integers(1, bands)) if mfcc else 0,
        low_hz=low,
        high_hz=draw(st.integers(low + 500, 8_000)),
    )


@settings(max_examples=25, deadline=None)
@given(frontends(), seeds(), st.integers(1, 5))
def test_any_front_end_and_any_group(frontend: FrontEnd, seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    clips = rng.permutation(hard(frontend.samples, rng))[:count]
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(torch_frontend._COLUMNS, "cpu", int(rng.integers(1, 40)))
        patch.setitem(torch_frontend._ROWS, "cpu", int(rng.integers(1, 100)))
        np.testing.assert_array_equal(torch_features(frontend, clips), features(frontend, clips))


def test_one_front_end_serves_batches_of_any_size() -> None:
    frontend = FrontEnd()
    clips = hard(frontend.samples, np.random.default_rng(1))
    expected = features(frontend, clips)[..., 0]
    twin = TorchFrontEnd(frontend, CPU)
    for size in (3, 1, 10, 3, 10):
        np.testing.assert_array_equal(twin(torch.from_numpy(clips[:size])), expected[:size])
    np.testing.assert_array_equal(twin(torch.from_numpy(clips[:2].astype(np.int64))), expected[:2])
    assert twin(torch.empty((0, 16_000), dtype=torch.int16)).shape == (0, 49, 10)


@pytest.mark.parametrize(
    ("clips", "what"),
    [
        (torch.zeros((2, 100), dtype=torch.int16), r"clips are torch.int16 \(2, 100\)"),
        (torch.zeros(16_000, dtype=torch.int16), r"clips are torch.int16 \(16000,\)"),
        (torch.zeros((2, 16_000)), r"clips are torch.float32 \(2, 16000\)"),
    ],
)
def test_other_tensors_are_refused(clips: torch.Tensor, what: str) -> None:
    with pytest.raises(NasError, match=rf"{what}; whole numbers \(n, 16000\) expected"):
        TorchFrontEnd(FrontEnd(), CPU)(clips)
