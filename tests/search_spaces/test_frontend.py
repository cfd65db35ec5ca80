"""Front ends: their shape and name, the values that none has, and their place in a network's digest and JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from search_spaces import Features, FrontEnd, Graph, GraphBuilder, NasError

LOG_MEL = FrontEnd(features=Features.LOG_MEL, hop=480, coefficients=0)


@pytest.mark.parametrize(
    ("frontend", "shape", "fft_size", "name"),
    [
        (FrontEnd(), (49, 10, 1), 512, "mfcc10-40mel-w512-h320"),
        (FrontEnd(window=640), (49, 10, 1), 1024, "mfcc10-40mel-w640-h320"),
        (LOG_MEL, (33, 40, 1), 512, "logmel-40mel-w512-h480"),
        (FrontEnd(samples=64, window=64, hop=64), (1, 10, 1), 256, "mfcc10-40mel-w64-h64"),
    ],
)
def test_shape_and_name(frontend: FrontEnd, shape: tuple[int, int, int], fft_size: int, name: str) -> None:
    assert (frontend.shape, frontend.fft_size, frontend.name) == (shape, fft_size, name)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"hop": 100.5}, "hop is 100.5; a whole number expected"),
        ({"window": "512"}, "window is '512'; a whole number expected"),
        ({"sample_rate": 16_000.0}, "sample_rate is 16000.0; a whole number expected"),
        ({"low_hz": False}, "low_hz is False; a whole number expected"),
        ({"sample_rate": 7_999}, "sample_rate is 7999; 8000 to 48000 Hz"),
        ({"window": 511}, "window is 511; an even number of 64 to 2048"),
        ({"samples": 511}, "samples is 511; 512, a window, to 160000, 10 s, expected"),
        ({"samples": 160_001}, "samples is 160001; 512, a window, to 160000, 10 s, expected"),
        ({"hop": 513}, "hop is 513; 1 to 512, the window"),
        ({"mel_bands": 61}, "mel_bands is 61; 4 to 60"),
        ({"coefficients": 41}, "coefficients is 41; 1 to 40, the bands"),
        ({"features": Features.LOG_MEL}, "coefficients is 10; log-mel features have none: 0 expected"),
        ({"high_hz": 8_001}, "band is 20 to 8001 Hz; 0 to 8000 Hz"),
        ({"low_hz": 7_600}, "band is 7600 to 7600 Hz; 0 to 8000 Hz"),
        # 62.5 Hz from one frequency of the FFT to the next.
        ({"window": 256, "hop": 256, "low_hz": 70, "high_hz": 100}, "no frequency of its FFT lies between 70 and 100"),
        (
            {"window": 256, "hop": 256, "low_hz": 125, "high_hz": 187},
            "no frequency of its FFT lies between 125 and 187",
        ),
    ],
)
def test_values_that_no_front_end_has(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NasError, match=sentence):
        FrontEnd(**changes)


def test_the_narrowest_band_holds_one_frequency() -> None:
    assert FrontEnd(window=256, hop=256, low_hz=125, high_hz=188).fft_size == 256  # 187.5 Hz


@pytest.mark.parametrize("frontend", [FrontEnd(), LOG_MEL])
def test_there_and_back_as_json(frontend: FrontEnd) -> None:
    assert FrontEnd.from_json(frontend.to_json()) == frontend


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"features": "plp"}, "features is 'plp'; known are mfcc, log-mel"),
        ({"hop": 320.0}, "hop is 320.0; a whole number expected"),
        ({"hop": True}, "hop is True; a whole number expected"),
        ({"gain": 1}, "description is not one that this version writes"),
    ],
)
def test_other_json_is_refused(changes: dict[str, Any], sentence: str) -> None:
    with pytest.raises(NasError, match=sentence):
        FrontEnd.from_json(FrontEnd().to_json() | changes)


def listener(frontend: FrontEnd | None) -> Graph:
    builder = GraphBuilder(FrontEnd().shape, frontend)
    builder.dense(builder.input, 2)
    return builder.build("listener")


def test_a_network_keeps_its_front_end() -> None:
    for frontend in (None, FrontEnd()):
        graph = listener(frontend)
        again = Graph.from_json(graph.to_json())
        assert (again, again.frontend, again.digest) == (graph, frontend, graph.digest)
    similar = replace(FrontEnd(), low_hz=40)
    assert len({listener(frontend).digest for frontend in (None, FrontEnd(), similar)}) == 3


def test_a_front_end_gives_the_networks_input() -> None:
    with pytest.raises(
        NasError, match=r"input_shape \(49, 10, 1\): front end 'logmel-40mel-w512-h480' gives \(33, 40, 1\)"
    ):
        listener(LOG_MEL)


def test_features_by_their_name() -> None:
    assert FrontEnd(features="mfcc") == FrontEnd()  # type: ignore[arg-type]
    assert FrontEnd(features="mfcc").name == FrontEnd().name  # type: ignore[arg-type]
    with pytest.raises(NasError, match="front end features is 'mel'; known are mfcc, log-mel"):
        FrontEnd(features="mel")  # type: ignore[arg-type]
