from __future__ import annotations

import hashlib
import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from firmware.int8_file import MAGIC, VERSION, load_model, model_bytes, save_model
from firmware.int8_model import Int8Model
from firmware.reference import run
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from tests.strategies import models, random_input, random_int8_model


@pytest.fixture(scope="module")
def model() -> Int8Model:
    builder = GraphBuilder((3, 4, 2))
    x = builder.depthwise(builder.conv(builder.input, 3, 3), 3, 2)
    builder.dense(builder.global_avg_pool(x), 2)
    drawn = random_int8_model(builder.build("small"), np.random.default_rng(0))
    return Int8Model(
        drawn.graph, drawn.quant, drawn.layers, {"task": "digits", "accuracy": 0.98, "classes": ["a", "ö"]}
    )


def _assert_equal(a: Int8Model, b: Int8Model) -> None:
    assert (a.graph, a.graph.name, dict(a.quant), dict(a.metadata)) == (
        b.graph,
        b.graph.name,
        dict(b.quant),
        dict(b.metadata),
    )
    assert a.layers.keys() == b.layers.keys()
    for name, layer in a.layers.items():
        for field in ("weights", "weight_scales", "bias"):
            mine, other = getattr(layer, field), getattr(b.layers[name], field)
            assert mine.dtype == other.dtype
            np.testing.assert_array_equal(mine, other)


def test_round_trip(model: Int8Model, tmp_path: Path) -> None:
    path = save_model(model, tmp_path / "m.int8")
    loaded = load_model(str(path))
    _assert_equal(model, loaded)
    assert model_bytes(loaded) == path.read_bytes()
    assert loaded.layers["conv0"].weights.flags.writeable
    assert os.listdir(tmp_path) == ["m.int8"]


@given(models())
def test_every_model_comes_back(tmp_path_factory: pytest.TempPathFactory, model: Int8Model) -> None:
    path = save_model(model, tmp_path_factory.getbasetemp() / "any.int8")
    loaded = load_model(path)
    _assert_equal(model, loaded)
    x = random_input(model, 2, np.random.default_rng(0))
    np.testing.assert_array_equal(run(loaded, x), run(model, x))


def test_cut_at_every_byte(model: Int8Model, tmp_path: Path) -> None:
    data = model_bytes(model)
    path = tmp_path / "cut.int8"
    for length in range(len(data)):
        path.write_bytes(data[:length])
        with pytest.raises(NasError, match=r"cut\.int8 is (no int8 model file|damaged or cut short)"):
            load_model(path)


def test_every_flipped_byte(model: Int8Model, tmp_path: Path) -> None:
    data = bytearray(model_bytes(model))
    path = tmp_path / "flipped.int8"
    for position in range(len(data)):
        data[position] ^= 0x40
        path.write_bytes(data)
        with pytest.raises(NasError, match=r"flipped\.int8 (is no int8 model|is damaged or cut short|has format)"):
            load_model(path)
        data[position] ^= 0x40
    path.write_bytes(bytes(data) + b"\0")
    with pytest.raises(NasError, match="damaged"):
        load_model(path)


@pytest.mark.parametrize("content", [b"", b"\0", b"PK\x03\x04" + bytes(100), b"\x80\x04N.", b"{}"])
def test_other_files(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.int8"
    path.write_bytes(content)
    with pytest.raises(NasError, match=r"other\.int8 is no int8 model file; `nas train`"):
        load_model(path)


def test_future_version(model: Int8Model, tmp_path: Path) -> None:
    data = bytearray(model_bytes(model))
    data[len(MAGIC) : len(MAGIC) + 4] = struct.pack("<I", VERSION + 1)
    path = tmp_path / "new.int8"
    path.write_bytes(data)
    with pytest.raises(NasError, match=r"new\.int8 has format 2 and this program reads 1; use the program"):
        load_model(path)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(NasError, match=r"nothing\.int8 does not exist; `nas train`"):
        load_model(tmp_path / "nothing.int8")
    with pytest.raises(NasError, match="could not be read: Is a directory"):
        load_model(tmp_path)


def _forged(header: object, arrays: bytes = b"") -> bytes:
    """A file with a right checksum and other content."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    payload = struct.pack("<I", len(text)) + text + arrays
    return MAGIC + struct.pack("<I", VERSION) + hashlib.sha256(payload).digest() + payload


@pytest.mark.parametrize(
    "header",
    [
        b"\xff",
        [],
        {},
        {"graph": {}, "quant": {}, "layers": [], "metadata": {}},
        {"graph": None, "quant": {"input": [0.0, 0]}, "layers": [], "metadata": {}},
        {"graph": {}, "quant": {"input": 3}, "layers": [], "metadata": {}},
        {"graph": {}, "quant": {}, "layers": [["a", [1000], 3]], "metadata": {}},
        {"graph": {}, "quant": {}, "layers": [["a", ["b"], 3]], "metadata": {}},
    ],
)
def test_right_checksum_wrong_content(header: object, tmp_path: Path) -> None:
    path = tmp_path / "forged.int8"
    path.write_bytes(_forged(header))
    with pytest.raises(NasError, match=r"forged\.int8 holds no valid int8 model"):
        load_model(path)


def test_too_many_arrays(model: Int8Model, tmp_path: Path) -> None:
    payload = model_bytes(model)[len(MAGIC) + 4 + 32 :]
    path = tmp_path / "long.int8"
    (length,) = struct.unpack_from("<I", payload)
    path.write_bytes(_forged(payload[4 : 4 + length], payload[4 + length :] + b"\0\0"))
    with pytest.raises(NasError, match="2 bytes too many"):
        load_model(path)


def test_metadata_must_be_plain(model: Int8Model, tmp_path: Path) -> None:
    for bad in ({"a": object()}, {"a": float("nan")}, {"a": np.float32(1)}):
        with pytest.raises(NasError, match="metadata"):
            save_model(Int8Model(model.graph, model.quant, model.layers, bad), tmp_path / "m.int8")
    assert os.listdir(tmp_path) == []


def test_full_disk(model: Int8Model, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="No space left on device"):
        save_model(model, "/dev/full")
