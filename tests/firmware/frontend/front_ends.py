"""Random front ends, sounds that stress them, and the smallest network that starts from sound."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware.frontend.tables import FEATURE_QUANT
from firmware.int8_model import Int8Model, LayerWeights, Quant
from search_spaces.builder import GraphBuilder
from search_spaces.frontend import Features, FrontEnd

# Every size of the FFT, windows as long as it and shorter, odd hops and numbers of bands, bands from 0 to the top.
SOME = (
    FrontEnd(samples=4000),
    FrontEnd(samples=4000, window=640),
    FrontEnd(samples=4000, window=480, hop=160, features=Features.LOG_MEL, coefficients=0),
    FrontEnd(samples=3000, window=400, hop=133, mel_bands=23, coefficients=13, low_hz=0, high_hz=8000),
    FrontEnd(samples=1000, window=256, hop=101, mel_bands=59, coefficients=59),
    FrontEnd(samples=1000, window=130, hop=129, mel_bands=8, coefficients=8, low_hz=300, high_hz=3400),
    FrontEnd(samples=700, window=66, hop=33, mel_bands=17, features=Features.LOG_MEL, coefficients=0),
    FrontEnd(samples=6000, window=2048, hop=999, mel_bands=60, coefficients=20),
    FrontEnd(samples=6000, window=1200, hop=600, sample_rate=8000, high_hz=4000, mel_bands=4, coefficients=4),
)


def front_ends(largest_window: int = 2048) -> st.SearchStrategy[FrontEnd]:
    """Front ends of all kinds with clips of one to six frames."""

    @st.composite
    def drawn(draw: st.DrawFn) -> FrontEnd:
        rate = draw(st.sampled_from([8000, 11_025, 16_000, 44_100, 48_000]))
        window = 2 * draw(st.integers(32, largest_window // 2))
        hop = draw(st.integers(1, window))
        bands = draw(st.integers(4, 60))
        low = draw(st.integers(0, 1000))
        mfcc = draw(st.booleans())
        return FrontEnd(
            features=Features.MFCC if mfcc else Features.LOG_MEL,
            sample_rate=rate,
            samples=window + draw(st.integers(0, 5)) * hop + draw(st.integers(0, hop - 1)),
            window=window,
            hop=hop,
            mel_bands=bands,
            coefficients=draw(st.integers(1, bands)) if mfcc else 0,
            low_hz=low,
            high_hz=draw(st.integers(low + rate // 64, rate // 2)),
        )

    return drawn()


def stressful(samples: int) -> NDArray[np.int16]:
    """Sounds (int16, N x samples) at the limits: silence, constants, squares at full scale, single clicks, noise."""
    rng, time = np.random.default_rng(samples), np.arange(samples)
    square = np.where(time // 20 % 2, -32_768, 32_767)
    sounds = [
        np.zeros(samples),
        np.full(samples, 32_767),
        np.full(samples, -32_768),
        np.where(time % 2, -32_768, 32_767),
        square,
        np.where(time % 4 < 2, 32_767, -32_768),
        np.where(time == samples // 2, -32_768, 0),
        np.where(time % 97 == 0, 1, 0),
        rng.integers(-32_768, 32_768, samples),
        rng.integers(-1, 2, samples),
        np.clip(np.rint(rng.normal(0, 500, samples)), -32_768, 32_767),
        np.rint(32_767 * np.sin(time * time * np.pi / samples / 2)),
    ]
    return np.array(sounds).astype(np.int16)


def sound_model(frontend: FrontEnd, outputs: int = 3) -> Int8Model:
    """An average over all features and a dense layer: little to run, so that tests are about the front end."""
    builder = GraphBuilder(frontend.shape)
    pooled = builder.global_avg_pool(builder.input)
    dense = builder.dense(pooled, outputs)
    graph = replace(builder.build("sound"), frontend=frontend)
    weights = np.linspace(-127, 127, outputs).astype(np.int8)[:, None]
    layer = LayerWeights(weights, np.full(outputs, 0.01, np.float32), np.arange(outputs, dtype=np.int32))
    return Int8Model(graph, {graph.input: FEATURE_QUANT, pooled: FEATURE_QUANT, dense: Quant(0.05, 0)}, {dense: layer})


def silent_model(frontend: FrontEnd) -> Int8Model:
    """The same network without its front end: its input comes as it is."""
    model = sound_model(frontend)
    return replace(model, graph=replace(model.graph, frontend=None))
