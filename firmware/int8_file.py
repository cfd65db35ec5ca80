"""An Int8Model in one file, checked on the way in.

Layout, all numbers little-endian: 8 bytes magic, format version (uint32), SHA-256 of the rest, length of a JSON header
(uint32), the header, then the arrays of each layer named there: weights int8, weight scales float32, bias int32. Equal
models give equal bytes. Nothing is unpickled, and nothing is believed before the checksum is right.
"""

from __future__ import annotations

import hashlib
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.files import atomic_write
from firmware.int8_model import Int8Model, LayerWeights, Quant
from search_spaces.errors import NasError
from search_spaces.graph import Graph

MAGIC = b"\x89NASint8"
VERSION = 1

_VERSION = struct.Struct("<I")
_LENGTH = struct.Struct("<I")
_DIGEST_BYTES = hashlib.sha256().digest_size
_PAYLOAD = len(MAGIC) + _VERSION.size + _DIGEST_BYTES


def save_model(model: Int8Model, path: Path | str) -> Path:
    """Write the model to ``path``, whole or not at all, and return the path.

    Raises NasError where the file cannot be written, or where the metadata are no plain JSON values.
    """
    return atomic_write(path, model_bytes(model))


def model_bytes(model: Int8Model) -> bytes:
    """The content of the model's file; raises NasError where the metadata are no plain JSON values."""
    header = {
        "graph": model.graph.to_json(),
        "quant": {name: [model.quant[name].scale, model.quant[name].zero_point] for name in model.graph.shapes},
        "layers": [[name, list(model.layers[name].weights.shape), len(layer.bias)] for name, layer in _layers(model)],
        "metadata": dict(model.metadata),
    }
    try:
        text = json.dumps(header, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
    except (TypeError, ValueError) as error:
        raise NasError(f"metadata of the model hold something that is no plain JSON value: {error}") from error
    arrays = b"".join(
        array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()
        for _, layer in _layers(model)
        for array in (layer.weights, layer.weight_scales, layer.bias)
    )
    payload = _LENGTH.pack(len(text)) + text + arrays
    return MAGIC + _VERSION.pack(VERSION) + hashlib.sha256(payload).digest() + payload


def load_model(path: Path | str) -> Int8Model:
    """The model in the file ``path``; raises NasError where there is none, or one that is damaged or too new."""
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise NasError(f"model file {path} does not exist; `nas train` and `nas search` write such files") from None
    except OSError as error:
        raise NasError(f"model file {path} could not be read: {error.strerror or error}") from error
    if not data.startswith(MAGIC):
        raise NasError(f"{path} is no int8 model file; `nas train` and `nas search` write such files")
    if len(data) < _PAYLOAD:
        raise _damaged(path)
    (version,) = _VERSION.unpack_from(data, len(MAGIC))
    if version != VERSION:
        raise NasError(f"{path} has format {version} and this program reads {VERSION}; use the program that wrote it")
    payload = data[_PAYLOAD:]
    if hashlib.sha256(payload).digest() != data[_PAYLOAD - _DIGEST_BYTES : _PAYLOAD]:
        raise _damaged(path)
    try:
        return _parse(payload)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, struct.error) as error:
        raise NasError(f"{path} holds no valid int8 model ({error}); write it again") from error


def _parse(payload: bytes) -> Int8Model:
    (length,) = _LENGTH.unpack_from(payload)
    end = _LENGTH.size + length
    header: dict[str, Any] = json.loads(payload[_LENGTH.size : end])
    layers: dict[str, LayerWeights] = {}

    def read(dtype: str, *shape: int) -> NDArray[Any]:
        nonlocal end
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(payload, dtype, count, end).reshape(shape)
        end += array.nbytes
        return array.astype(array.dtype.newbyteorder("="))  # own memory, in the machine's byte order

    for name, shape, outputs in header["layers"]:
        weights = read("<i1", *shape)
        layers[name] = LayerWeights(weights, weight_scales=read("<f4", outputs), bias=read("<i4", outputs))
    if end != len(payload):
        raise NasError(f"{len(payload) - end} bytes too many")
    quant = {name: Quant(scale, zero_point) for name, (scale, zero_point) in header["quant"].items()}
    return Int8Model(Graph.from_json(header["graph"]), quant, layers, header["metadata"])


def _layers(model: Int8Model) -> list[tuple[str, LayerWeights]]:
    """Layers in the order of the graph."""
    return [(op.output, model.layers[op.output]) for op in model.graph.ops if op.output in model.layers]


def _damaged(path: Path | str) -> NasError:
    return NasError(f"{path} is damaged or cut short: its checksum is wrong; copy or write it again")
