from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from search_spaces.published import network
from tests.nas.cli.conftest import Ended, assert_one_sentence

Nas = Callable[..., Ended]
FIELDS = ("params", "macs", "sram_bytes", "flash_bytes", "weights_bytes", "cycles", "seconds", "joules")


def test_document(nas: Nas) -> None:
    ended = nas("estimate", "mlperf-kws-dscnn", "--target", "stm32l4r9", "--json")
    assert ended.code == 0
    document = ended.document
    assert document["macs"] == 2_656_768
    assert document["params"] == 22_604
    assert document["weights_bytes"] == 22_604 - (
        9 * 64 + 12
    )  # a byte per weight; nine biases of 64 channels, 12 classes
    # A tensor of 25x5x64, which the steps run into one after the other, and what the depthwise ones need beside it.
    assert 8_000 < document["arena_bytes"] < 10_000
    assert document["seconds"] == pytest.approx(document["cycles"] / 120e6)
    assert set(FIELDS) <= set(document["kinds"])
    assert document["fits"] is True


def test_fit_ram_takes_less_memory(nas: Nas) -> None:
    words = ("estimate", "mlperf-ic-resnet8", "-t", "stm32l4r9", "--json")
    document, fitted = nas(*words).document, nas(*words, "--fit-ram").document
    assert (document["fit_ram"], fitted["fit_ram"]) == (False, True)
    assert fitted["arena_bytes"] <= 24_000 < document["arena_bytes"]


def test_budget_decides_whether_it_fits(nas: Nas) -> None:
    words = ("estimate", "mlperf-kws-dscnn", "-t", "stm32l4r9", "--budget", "macs=1M,sram_bytes=64KiB")
    document = nas(*words, "--json").document
    assert document["fits"] is False
    assert document["violations"]["budget"]["macs"] == pytest.approx(1.656768)
    assert document["violations"]["budget"]["sram_bytes"] < 0
    out = nas(*words).out
    assert "TOO MUCH: macs uses 265.7 % of the budget's 1,000,000" in out
    assert "fits: sram_bytes" in out
    tight = nas(*words[:4], "--budget", "macs=100,params=22603").out
    assert "TOO MUCH: macs uses 26,568 times the budget's 100" in tight
    assert "TOO MUCH: params uses a little more than the budget's 22,603" in tight


def test_every_number_stands_beside_its_kind(nas: Nas) -> None:
    lines = nas("estimate", "cifar-lite", "-t", "stm32l4r9").out.splitlines()
    kinds = ("exact", "measured", "fitted (±", "estimate (unverified)", "recalled")
    for field in FIELDS:
        (line,) = (line for line in lines if line.startswith(field))
        assert any(kind in line for kind in kinds)


def test_a_graph_file_and_a_model_file_are_networks_too(nas: Nas, tmp_path: Path, model_file: Path) -> None:
    (tmp_path / "kws.json").write_text(json.dumps(network("mlperf-kws-dscnn").to_json()))
    assert nas("estimate", "kws.json", "-t", "stm32l4r9", "--json").document["macs"] == 2_656_768
    assert nas("estimate", model_file, "-t", "stm32l4r9", "--json").document["macs"] == 16 * 36 + 16 * 36 + 40


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["mlperf-kws", "-t", "stm32l4r9"], ["'mlperf-kws' is unknown", "did you mean 'mlperf-kws-dscnn'?", ".json"]),
        (["cifar-lite", "-t", "stm32l4"], ["target 'stm32l4' is unknown", "did you mean 'stm32l4r9'?"]),
        (["cifar-lite", "-t", "stm32l4r9", "-b", "ram=1"], ["budget 'ram' is unknown", "sram_bytes"]),
        (["cifar-lite", "-t", "stm32l4r9", "-b", "macs=1MB"], ["budget macs", "1MB"]),
        (["nothing.json", "-t", "stm32l4r9"], ["nothing.json", "No such file"]),
        (["nothing.int8", "-t", "stm32l4r9"], ["nothing.int8", "does not exist"]),
        (["broken.json", "-t", "stm32l4r9"], ["broken.json is no JSON"]),
        (["", "-t", "stm32l4r9"], ["network '' is unknown"]),
        (["nested.json", "-t", "stm32l4r9"], ["nested.json is no JSON"]),
        (["endless.json", "-t", "stm32l4r9"], ["endless.json", "1000000000000"]),
        (
            ["other.json", "-t", "stm32l4r9"],
            ["graph file other.json: no network is described: input_shape and ops missing; a graph as this version"],
        ),
        (
            ["list.json", "-t", "stm32l4r9"],
            ["graph file list.json: no network is described", "an object with name, input_shape and ops"],
        ),
        (["bc-resnet-1", "-t", "stm32l4r9"], ["accepted is 'bc-resnet-1-bn', the variant with plain BatchNorm"]),
        (["broken.int8", "-t", "stm32l4r9"], ["broken.int8", "damaged"]),
        (["run:7", "-t", "stm32l4r9"], ["run is no run folder"]),
    ],
)
def test_bad_input(nas: Nas, tmp_path: Path, model_file: Path, words: list[str], parts: list[str]) -> None:
    (tmp_path / "broken.json").write_bytes(b'{"name": "\xff')
    (tmp_path / "other.json").write_text('{"name": "a parcel"}')
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "nested.json").write_text("[" * 100_000)
    endless = network("mlperf-ic-resnet8").to_json() | {"input_shape": [10**12, 32, 3]}
    (tmp_path / "endless.json").write_text(json.dumps(endless))
    (tmp_path / "broken.int8").write_bytes(model_file.read_bytes()[:-1])
    (tmp_path / "run").mkdir()
    ended = nas("estimate", *words)
    assert (ended.code, ended.out) == (2, "")
    assert_one_sentence(ended.err, *parts)
