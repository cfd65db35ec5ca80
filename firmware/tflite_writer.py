"""Writes an Int8Model as a .tflite file: a second, independent implementation of the same integers can then run it.

TensorFlow Lite's reference kernels (``OpResolverType.BUILTIN_REF``) give the bytes of ``firmware.reference`` on it.
Some operations take some care to make that so:

* A dense layer is written as CONV_2D with a kernel as large as its input, which is the same sum. The reference kernel
  of FULLY_CONNECTED requantises per-channel weights in floating point, with a single rounding, and so differs by one
  now and then from the specification and from the integer kernel for microcontrollers.
* Nearest-neighbour upsampling takes row ``floor(y * (in / out))`` in float32, which for some sizes (32 to 94 rows, 2 to
  82) falls one row short of ``(y * in) // out``. Where the half-pixel form of the operator reads the right rows, as for
  every integer factor, that is written instead; where neither does, the rows and columns are named one by one (GATHER).
* Weights of 4 bits are written as the int8 values that they are: same sums, but no smaller file.
* A Scale, which changes the scale and no byte, is written as a RESHAPE to the shape that its input has already: of the
  operators that copy bytes it is the one that lets its output have another scale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from firmware.files import atomic_write
from firmware.int8_model import Int8Model, LayerWeights, Quant
from firmware.integers import add_integers, layer_integers, mul_integers, softmax_integers
from search_spaces.errors import NasError
from search_spaces.geometry import Padding
from search_spaces.ops import (
    Activation,
    Add,
    AvgPool,
    Conv2D,
    DepthwiseConv2D,
    FullyConnected,
    MaxPool,
    Mul,
    Op,
    Scale,
    Sigmoid,
    Softmax,
    UpsampleNearest,
)

SCHEMA_VERSION = 3
_ALIGNMENT = 16  # of constant data, which kernels read in place


def write_tflite(model: Int8Model, path: Path | str) -> None:
    """Write ``to_tflite(model)`` to ``path``, whole or not at all; NasError where that is impossible."""
    atomic_write(path, to_tflite(model))


def to_tflite(model: Int8Model) -> bytes:
    """The model as a TensorFlow Lite flatbuffer: one image in, int8 in and out."""
    return _Writer(model).to_bytes()


class _Writer:
    """Collects tensors, buffers and operators in the schema's own classes."""

    def __init__(self, model: Int8Model) -> None:
        from tensorflow.lite.python import schema_py_generated as schema  # seconds: only where it is needed

        self.schema: Any = schema
        self.model = model
        self.buffers: list[Any] = [schema.BufferT()]  # number 0 is the empty one
        self.tensors: list[Any] = []
        self.operators: list[Any] = []
        self.codes: list[Any] = []
        self.code_numbers: dict[tuple[int, int], int] = {}
        self.numbers: dict[str, int] = {}  # of activations, by name
        self._activation(model.graph.input)
        for op in model.graph.ops:
            self._write(op)

    def to_bytes(self) -> bytes:
        graph, schema = self.model.graph, self.schema
        subgraph = schema.SubGraphT()
        subgraph.name = "main"
        subgraph.tensors, subgraph.operators = self.tensors, self.operators
        subgraph.inputs, subgraph.outputs = [self.numbers[graph.input]], [self.numbers[graph.output]]
        content = schema.ModelT()
        content.version = SCHEMA_VERSION
        content.description = f"mcu-nas {graph.name}".strip()
        content.operatorCodes, content.subgraphs, content.buffers = self.codes, [subgraph], self.buffers
        builder = _aligned_builder()
        builder.Finish(content.Pack(builder), b"TFL3")
        return bytes(builder.Output())

    # --- tensors ---

    def _tensor(self, name: str, shape: tuple[int, ...], kind: int, quantisation: Any = None) -> int:
        tensor = self.schema.TensorT()
        tensor.name, tensor.shape, tensor.type, tensor.buffer = name, list(shape), kind, 0
        tensor.quantization = quantisation
        self.tensors.append(tensor)
        return len(self.tensors) - 1

    def _constant(self, name: str, data: NDArray[Any], quantisation: Any = None) -> int:
        types = self.schema.TensorType
        number = self._tensor(name, data.shape, types.INT8 if data.dtype == np.int8 else types.INT32, quantisation)
        buffer = self.schema.BufferT()
        little = np.ascontiguousarray(data, dtype=data.dtype.newbyteorder("<"))
        buffer.data = np.frombuffer(little.tobytes(), dtype=np.uint8)
        self.tensors[number].buffer = len(self.buffers)
        self.buffers.append(buffer)
        return number

    def _quantisation(self, scales: list[float], zero_points: list[int], axis: int = 0) -> Any:
        quantisation = self.schema.QuantizationParametersT()
        quantisation.scale, quantisation.zeroPoint, quantisation.quantizedDimension = scales, zero_points, axis
        return quantisation

    def _activation(self, name: str) -> int:
        quant: Quant = self.model.quant[name]
        shape = (1, *self.model.graph.shapes[name])
        quantisation = self._quantisation([quant.scale], [quant.zero_point])
        self.numbers[name] = self._tensor(name, shape, self.schema.TensorType.INT8, quantisation)
        return self.numbers[name]

    # --- operators ---

    def _operator(self, code: str, version: int, inputs: list[int], output: int, options: Any, union: str) -> None:
        number = getattr(self.schema.BuiltinOperator, code)
        key = (number, version)
        if key not in self.code_numbers:
            entry = self.schema.OperatorCodeT()
            entry.builtinCode, entry.version = number, version
            entry.deprecatedBuiltinCode = number  # all codes used here fit into the old, narrow field
            self.code_numbers[key] = len(self.codes)
            self.codes.append(entry)
        operator = self.schema.OperatorT()
        operator.opcodeIndex, operator.inputs, operator.outputs = self.code_numbers[key], inputs, [output]
        operator.builtinOptions = options
        operator.builtinOptionsType = getattr(self.schema.BuiltinOptions, union)
        self.operators.append(operator)

    def _write(self, op: Op) -> None:
        """Versions are those that TensorFlow's ``op_version.cc`` gives for int8."""
        match op:
            case Conv2D():
                options = self._window_options(self.schema.Conv2DOptionsT(), op)
                options.fusedActivationFunction = self._fused(op.activation)
                self._weighted(op, "CONV_2D", 3, options, "Conv2DOptions")
            case DepthwiseConv2D():
                options = self._window_options(self.schema.DepthwiseConv2DOptionsT(), op)
                options.fusedActivationFunction = self._fused(op.activation)
                options.depthMultiplier = op.multiplier
                self._weighted(op, "DEPTHWISE_CONV_2D", 3, options, "DepthwiseConv2DOptions")
            case FullyConnected():
                options = self.schema.Conv2DOptionsT()
                options.padding = self.schema.Padding.VALID
                options.strideH = options.strideW = 1
                options.fusedActivationFunction = self._fused(op.activation)
                self._weighted(op, "CONV_2D", 3, options, "Conv2DOptions")
            case MaxPool() | AvgPool():
                code = "MAX_POOL_2D" if isinstance(op, MaxPool) else "AVERAGE_POOL_2D"
                options = self._window_options(self.schema.Pool2DOptionsT(), op)
                options.filterHeight, options.filterWidth = op.kernel
                self._plain(op, code, 2, options, "Pool2DOptions")
            case UpsampleNearest():
                self._upsample(op)
            case Scale():
                self._scale(op)
            case Add():
                add_integers(self.model, op)
                options = self.schema.AddOptionsT()
                options.fusedActivationFunction = self._fused(op.activation)
                self._plain(op, "ADD", 2, options, "AddOptions")
            case Mul():
                options = self.schema.MulOptionsT()
                options.fusedActivationFunction = self._fused(op.activation)
                greater_than_one = mul_integers(self.model, op).shift > 0
                self._plain(op, "MUL", 3 if greater_than_one else 2, options, "MulOptions")
            case Sigmoid():
                self._plain(op, "LOGISTIC", 2, None, "NONE")
            case Softmax():
                softmax_integers(self.model, op)
                options = self.schema.SoftmaxOptionsT()
                options.beta = 1.0
                self._plain(op, "SOFTMAX", 2, options, "SoftmaxOptions")
            case _:
                raise NasError(f"operation {op.kind} cannot be written to a .tflite file")

    def _fused(self, activation: Activation) -> int:
        kinds = self.schema.ActivationFunctionType
        return int(
            {Activation.NONE: kinds.NONE, Activation.RELU: kinds.RELU, Activation.RELU6: kinds.RELU6}[activation]
        )

    def _window_options(self, options: Any, op: Conv2D | DepthwiseConv2D | MaxPool | AvgPool) -> Any:
        options.padding = getattr(self.schema.Padding, "SAME" if op.padding is Padding.SAME else "VALID")
        options.strideH, options.strideW = op.stride
        if isinstance(op, Conv2D | DepthwiseConv2D):
            options.dilationHFactor, options.dilationWFactor = op.dilation
        return options

    def _plain(self, op: Op, code: str, version: int, options: Any, union: str) -> None:
        inputs = [self.numbers[name] for name in op.inputs]
        self._operator(code, version, inputs, self._activation(op.output), options, union)

    def _weighted(
        self, op: Conv2D | DepthwiseConv2D | FullyConnected, code: str, version: int, options: Any, union: str
    ) -> None:
        layer_integers(self.model, op)  # refuses scales that no multiplier can bridge
        layer: LayerWeights = self.model.layers[op.output]
        weights, axis = layer.weights, 0
        if isinstance(op, DepthwiseConv2D):
            weights, axis = weights[None], 3
        elif isinstance(op, FullyConnected):
            weights = weights.reshape(op.units, *self.model.graph.shapes[op.inputs[0]])
        nil = [0] * len(layer.bias)
        scales = layer.weight_scales
        bias_scales = scales * np.float32(self.model.quant[op.inputs[0]].scale)
        inputs = [
            self.numbers[op.inputs[0]],
            self._constant(f"{op.output}/weights", weights, self._quantisation(scales.tolist(), nil, axis)),
            self._constant(f"{op.output}/bias", layer.bias, self._quantisation(bias_scales.tolist(), nil)),
        ]
        self._operator(code, version, inputs, self._activation(op.output), options, union)

    def _upsample(self, op: UpsampleNearest) -> None:
        half_pixel = half_pixel_centers(self.model.graph.shapes[op.inputs[0]][:2], op)
        if half_pixel is None:
            self._gather(op)
            return
        options = self.schema.ResizeNearestNeighborOptionsT()
        options.halfPixelCenters = half_pixel
        inputs = [self.numbers[op.inputs[0]], self._constant(f"{op.output}/size", np.array(op.size, np.int32))]
        output = self._activation(op.output)
        version = 3 if half_pixel else 2
        self._operator("RESIZE_NEAREST_NEIGHBOR", version, inputs, output, options, "ResizeNearestNeighborOptions")

    def _gather(self, op: UpsampleNearest) -> None:
        """Rows, then columns, each by a table of where to read."""
        height, width, channels = self.model.graph.shapes[op.inputs[0]]
        source, quant = self.numbers[op.inputs[0]], self.model.quant[op.output]
        rows = self._tensor(
            f"{op.output}/rows",
            (1, op.size[0], width, channels),
            self.schema.TensorType.INT8,
            self._quantisation([quant.scale], [quant.zero_point]),
        )
        for axis, size, before, after in ((1, height, source, rows), (2, width, rows, self._activation(op.output))):
            options = self.schema.GatherOptionsT()
            options.axis = axis
            where = _exact_rows(size, op.size[axis - 1]).astype(np.int32)
            inputs = [before, self._constant(f"{op.output}/axis{axis}", where)]
            self._operator("GATHER", 2, inputs, after, options, "GatherOptions")

    def _scale(self, op: Scale) -> None:
        shape = np.array([-1, *self.model.graph.shapes[op.output]], np.int32)  # any number of images
        options = self.schema.ReshapeOptionsT()
        options.newShape = shape
        inputs = [self.numbers[op.inputs[0]], self._constant(f"{op.output}/shape", shape)]
        self._operator("RESHAPE", 1, inputs, self._activation(op.output), options, "ReshapeOptions")


def half_pixel_centers(size: tuple[int, int], op: UpsampleNearest) -> bool | None:
    """Whether TensorFlow Lite reads the right rows and columns in its half-pixel form only; None where in neither.

    ``size`` is (height, width) of the input. The plain form is preferred: older runtimes know no other.
    """
    axes = list(zip(size, op.size, strict=True))
    for half_pixel in (False, True):
        if all(np.array_equal(_rows(*axis, half_pixel=half_pixel), _exact_rows(*axis)) for axis in axes):
            return half_pixel
    return None


def _exact_rows(size: int, out: int) -> NDArray[np.int64]:
    rows: NDArray[np.int64] = np.arange(out) * size // out
    return rows


def _rows(size: int, out: int, *, half_pixel: bool) -> NDArray[np.int64]:
    """``GetNearestNeighbor`` of TensorFlow Lite's ``resize_nearest_neighbor.h`` for every output row."""
    position = np.arange(out).astype(np.float32) + np.float32(0.5 if half_pixel else 0.0)
    rows = np.floor(position * (np.float32(size) / np.float32(out))).astype(np.int64)
    inside: NDArray[np.int64] = np.minimum(rows, size - 1)
    return inside


def _aligned_builder() -> Any:
    import flatbuffers

    class Builder(flatbuffers.Builder):  # type: ignore[misc]
        """Aligns byte vectors, which hold all constant data, as the schema's ``force_align`` asks for."""

        def StartVector(self, elemSize: int, numElems: int, alignment: int) -> int:
            return int(super().StartVector(elemSize, numElems, _ALIGNMENT if elemSize == 1 else alignment))

    return Builder(1024)
