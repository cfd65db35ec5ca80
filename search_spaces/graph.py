"""The network as data: topologically ordered operations over named tensors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, replace
from functools import cached_property
from typing import Any

from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd
from search_spaces.geometry import Padding
from search_spaces.ops import OPS, Activation, Conv2D, FullyConnected, Op, Pair, Shape

INPUT = "input"

_KEYS = ("name", "input_shape", "ops")
_EXPECTED = "a graph as this version writes it expected, an object with name, input_shape and ops"

_LARGEST = 1 << 20
"""Largest extent that is read from JSON: far beyond any microcontroller, and still quick to count along."""


@dataclass(frozen=True)
class Graph:
    """A network: the shape of its input and its operations in the order in which they run.

    Every tensor is named by the operation that writes it; the input is the tensor ``"input"``, the output is what the
    last operation writes. Equality and hash compare operations by tensor names; ``digest`` does not depend on names.
    ``frontend`` makes the input from sound; None where the input comes as it is.

    Raises NasError when a tensor is read before it is written, written twice, never read, or when shapes do not fit.
    """

    input_shape: Shape
    ops: tuple[Op, ...]
    name: str = field(default="", compare=False)
    frontend: FrontEnd | None = None

    def __post_init__(self) -> None:
        if self.frontend is not None and self.frontend.shape != self.input_shape:
            raise NasError(
                f"input_shape {self.input_shape}: front end {self.frontend.name!r} gives {self.frontend.shape}"
            )
        if not self.ops:
            raise NasError(f"graph {self.name!r} has no operations; it needs at least one")
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise NasError(f"input_shape {self.input_shape}: three positive extents (height, width, channels) expected")
        unread = set(self.shapes) - {name for op in self.ops for name in op.inputs} - {self.output}
        if unread:
            raise NasError(f"tensor {min(unread)!r} is never read; every tensor but the output needs a reader")

    @property
    def input(self) -> str:
        """Name of the input tensor."""
        return INPUT

    @property
    def output(self) -> str:
        """Name of the output tensor."""
        return self.ops[-1].output

    @property
    def output_shape(self) -> Shape:
        return self.shapes[self.output]

    @cached_property
    def shapes(self) -> Mapping[str, Shape]:
        """Shape of every tensor, in the order in which they come into being."""
        shapes: dict[str, Shape] = {INPUT: self.input_shape}
        for op in self.ops:
            if len(op.inputs) != op.arity:
                raise NasError(f"{op.kind} {op.output!r} has {len(op.inputs)} inputs; {op.arity} expected")
            if op.output in shapes:
                raise NasError(f"tensor {op.output!r} is written twice")
            try:
                shape = op.output_shape([shapes[name] for name in op.inputs])
            except KeyError as missing:
                raise NasError(f"{op.kind} {op.output!r} reads tensor {missing} before it is written") from None
            if min(shape) < 1:
                raise NasError(f"{op.kind} {op.output!r} has shape {shape}; every extent must be at least 1")
            shapes[op.output] = shape
        return shapes

    @cached_property
    def macs(self) -> int:
        """Multiply-accumulates of one inference."""
        shapes = self.shapes
        return sum(op.macs([shapes[name] for name in op.inputs], shapes[op.output]) for op in self.ops)

    @cached_property
    def params(self) -> int:
        """Trained numbers after folding: weights plus biases."""
        shapes = self.shapes
        return sum(op.params([shapes[name] for name in op.inputs], shapes[op.output]) for op in self.ops)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of the structure, equal for networks that differ in tensor names alone."""
        number = {INPUT: 0} | {op.output: i + 1 for i, op in enumerate(self.ops)}
        rows = [
            _op_json(op) | {"inputs": [number[n] for n in op.inputs], "output": number[op.output]} for op in self.ops
        ]
        about: list[Any] = [list(self.input_shape), rows]
        if self.frontend is not None:
            about.append(self.frontend.to_json())
        text = json.dumps(about, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def with_weight_bits(self, bits: int) -> Graph:
        """The same network with so many bits (8 or 4) for the weights of all layers that may have 4.

        Those are dense layers and convolutions with kernel and stride 1. Raises NasError for another number.
        """
        return replace(self, ops=tuple([_with_weight_bits(op, bits) for op in self.ops]))

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values; ``Graph.from_json`` reads them back."""
        front = {} if self.frontend is None else {"frontend": self.frontend.to_json()}
        return {
            "name": self.name,
            "input_shape": list(self.input_shape),
            **front,
            "ops": [_op_json(op) for op in self.ops],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Graph:
        """The graph that ``to_json`` wrote; raises NasError on anything else."""
        missing = [key for key in _KEYS if key not in data] if isinstance(data, Mapping) else _KEYS
        if missing:
            raise NasError(f"no network is described: {' and '.join(missing)} missing; {_EXPECTED}")
        try:
            if not isinstance(data["ops"], list | tuple):
                raise TypeError(f"{data['ops']!r} where a list of operations is expected")
            ops = tuple(map(_op_from_json, data["ops"]))
            height, width, channels = _integers(data["input_shape"], 3)
            front = FrontEnd.from_json(data["frontend"]) if "frontend" in data else None
            return cls((height, width, channels), ops, str(data["name"]), front)
        except NasError:
            raise
        except (TypeError, ValueError) as error:
            raise NasError(f"no network is described: {error}; {_EXPECTED}") from error


def _with_weight_bits(op: Op, bits: int) -> Op:
    if isinstance(op, FullyConnected) or (isinstance(op, Conv2D) and op.kernel == op.stride == (1, 1)):
        return replace(op, weight_bits=bits)
    return op


def _op_json(op: Op) -> dict[str, Any]:
    row: dict[str, Any] = {"op": op.kind}
    for item in fields(op):
        value = getattr(op, item.name)
        if item.name == "weight_bits" and value == item.default:
            continue  # as networks were written before weights could have other bits: files and digests stay
        row[item.name] = list(value) if isinstance(value, tuple) else value
    return row


def _op_from_json(row: Mapping[str, Any]) -> Op:
    if not isinstance(row, Mapping):
        raise TypeError(f"{row!r} where an operation is expected")
    values = dict(row)
    kind = values.pop("op", None)
    if not isinstance(kind, str) or kind not in OPS:
        raise NasError(f"operation {kind!r} is unknown; known are {', '.join(OPS)}")
    needed = {item.name for item in fields(OPS[kind]) if item.default is MISSING}
    unknown = set(values) - {item.name for item in fields(OPS[kind])}
    if unknown or not needed <= set(values):
        wrong = f"has a field {min(unknown)!r}" if unknown else f"lacks {min(needed - set(values))!r}"
        raise NasError(f"an operation {kind} {wrong}; its fields are {', '.join(f.name for f in fields(OPS[kind]))}")
    return OPS[kind](**{key: _FIELDS[key](value) for key, value in values.items()})


def _integer(value: Any) -> int:
    if type(value) is not int:  # JSON's true is an int to Python, and 4.0 compares like one
        raise TypeError(f"{value!r} where an integer is expected")
    if abs(value) > _LARGEST:
        raise ValueError(f"{value} where at most {_LARGEST} is expected")
    return value


def _integers(values: Any, count: int) -> tuple[int, ...]:
    if not isinstance(values, list | tuple) or len(values) != count:
        raise ValueError(f"{values!r} where {count} integers are expected")
    return tuple(map(_integer, values))


def _pair(value: Any) -> Pair:
    height, width = _integers(value, 2)
    return height, width


def _name(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} where a tensor's name is expected")
    return value


def _names(values: Any) -> tuple[str, ...]:
    if not isinstance(values, list | tuple):
        raise TypeError(f"{values!r} where a list of tensors' names is expected")
    return tuple(map(_name, values))


_FIELDS: dict[str, Callable[[Any], Any]] = {
    "inputs": _names,
    "output": _name,
    "padding": Padding,
    "activation": Activation,
    **dict.fromkeys(("filters", "multiplier", "units", "weight_bits"), _integer),
    **dict.fromkeys(("kernel", "stride", "dilation", "size"), _pair),
}
"""What reads each field of an operation from plain JSON."""
