from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from firmware.int8_model import Int8Model, Quant
from firmware.reference import run, run_all
from firmware.tflite_writer import half_pixel_centers, to_tflite, write_tflite
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from search_spaces.ops import Activation, FullyConnected, UpsampleNearest
from search_spaces.published import network, network_names
from tests.strategies import models, random_input, random_int8_model, seeds

pytestmark = pytest.mark.filterwarnings("ignore:.*tf.lite.Interpreter is deprecated:UserWarning")

Tensors = dict[str, NDArray[np.int8]]


def _interpret(content: bytes, x: NDArray[np.int8]) -> Tensors:
    """Every tensor that TensorFlow Lite's reference kernels compute, by name."""
    import tensorflow as tf

    interpreter = tf.lite.Interpreter(
        model_content=content,
        experimental_op_resolver_type=tf.lite.experimental.OpResolverType.BUILTIN_REF,
        experimental_preserve_all_tensors=True,
    )
    source = interpreter.get_input_details()[0]["index"]
    interpreter.resize_tensor_input(source, x.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(source, x)
    interpreter.invoke()
    return {d["name"]: interpreter.get_tensor(d["index"]) for d in interpreter.get_tensor_details() if d["name"]}


def _assert_same(model: Int8Model, x: NDArray[np.int8]) -> None:
    theirs = _interpret(to_tflite(model), x)
    for name, ours in run_all(model, x).items():
        np.testing.assert_array_equal(theirs[name], ours, err_msg=name)


def _unpacked(content: bytes) -> Any:
    from tensorflow.lite.python import schema_py_generated as schema

    return schema.ModelT.InitFromPackedBuf(content, 0)


def _changed(content: bytes, change: Callable[[Any, Any], None]) -> bytes:
    """The file with ``change(model, operator)`` made to its first operator."""
    import flatbuffers

    model = _unpacked(content)
    change(model, model.subgraphs[0].operators[0])
    builder = flatbuffers.Builder()
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


@settings(max_examples=60)
@given(models(), seeds())
def test_every_tensor_of_random_graphs(model: Int8Model, seed: int) -> None:
    _assert_same(model, random_input(model, 5, np.random.default_rng(seed)))


@pytest.mark.parametrize("name", network_names())
def test_published_networks(name: str) -> None:
    rng = np.random.default_rng(1)
    model = random_int8_model(network(name), rng)
    _assert_same(model, random_input(model, 2, rng)[-1:])


@settings(max_examples=40)
@given(st.floats(1e-4, 10.0), st.integers(-128, 127))
def test_every_input_of_sigmoid_and_softmax(scale: float, zero_point: int) -> None:
    builder = GraphBuilder((1, 256, 1))
    builder.sigmoid(builder.input)
    out = builder.build().output
    values = np.arange(-128, 128).astype(np.int8)
    quant = {builder.input: Quant(scale, zero_point), out: Quant(1 / 256, -128)}
    _assert_same(Int8Model(builder.build(), quant, {}), values.reshape(1, 1, 256, 1))
    builder = GraphBuilder((256, 1, 3))
    builder.softmax(builder.input)
    out = builder.build().output
    quant = {builder.input: Quant(scale, zero_point), out: Quant(1 / 256, -128)}
    x = np.stack([values, np.roll(values, 77), np.full(256, zero_point, np.int8)], axis=1)
    _assert_same(Int8Model(builder.build(), quant, {}), x.reshape(1, 256, 1, 3))


# --- what is in the file ---------------------------------------------------------------------------------------------


def _everything() -> Int8Model:
    builder = GraphBuilder((8, 6, 3))
    stem = builder.conv(builder.input, 8, (3, 5), (2, 1), dilation=(1, 2), activation=Activation.RELU6)
    x = builder.depthwise(stem, 3, multiplier=2, activation=Activation.RELU)
    x = builder.add(builder.conv(x, 8, 1, activation=Activation.NONE), stem, Activation.RELU)
    x = builder.mul(x, builder.sigmoid(builder.upsample(builder.max_pool(x, 2, 2), (4, 6))))
    builder.softmax(builder.dense(builder.avg_pool(builder.scale(x), 2, 2), 5))
    graph = builder.build("all of them")
    return random_int8_model(graph, np.random.default_rng(3))


def test_operators_and_versions() -> None:
    from tensorflow.lite.python import schema_py_generated as schema

    content = to_tflite(_everything())
    assert content[4:8] == b"TFL3"
    model = _unpacked(content)
    assert model.version == 3
    assert model.description == b"mcu-nas all of them"
    names = {value: name for name, value in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    versions = {names[code.builtinCode]: code.version for code in model.operatorCodes}
    assert versions.pop("MUL") in (2, 3)  # 3 where its multiplier is at least one
    assert versions == {
        "CONV_2D": 3,
        "DEPTHWISE_CONV_2D": 3,
        "ADD": 2,
        "MAX_POOL_2D": 2,
        "RESIZE_NEAREST_NEIGHBOR": 2,
        "LOGISTIC": 2,
        "AVERAGE_POOL_2D": 2,
        "SOFTMAX": 2,
        "RESHAPE": 1,
    }
    operators = model.subgraphs[0].operators
    stem = operators[0].builtinOptions
    assert (stem.strideH, stem.strideW, stem.dilationHFactor, stem.dilationWFactor) == (2, 1, 1, 2)
    assert stem.padding == schema.Padding.SAME
    assert stem.fusedActivationFunction == schema.ActivationFunctionType.RELU6
    depthwise = operators[1].builtinOptions
    assert depthwise.depthMultiplier == 2
    assert depthwise.fusedActivationFunction == schema.ActivationFunctionType.RELU


def test_tensors_and_quantisation() -> None:
    model = _everything()
    tensors = {t.name.decode(): t for t in _unpacked(to_tflite(model)).subgraphs[0].tensors}
    for name, quant in model.quant.items():
        assert tuple(tensors[name].shape) == (1, *model.graph.shapes[name])
        assert tensors[name].quantization.scale.tolist() == [quant.scale]
        assert tensors[name].quantization.zeroPoint.tolist() == [quant.zero_point]
    for name, layer in model.layers.items():
        weights, bias = tensors[f"{name}/weights"], tensors[f"{name}/bias"]
        assert weights.quantization.scale.tolist() == layer.weight_scales.tolist()
        assert weights.quantization.quantizedDimension == (3 if name.startswith("depthwise") else 0)
        assert set(weights.quantization.zeroPoint.tolist()) == {0}
        assert len(bias.quantization.scale) == len(layer.bias)


def test_constants_are_aligned() -> None:
    content = to_tflite(_everything())
    largest = _everything().layers["conv2"].weights.tobytes()
    assert content.find(largest) % 16 == 0
    for layer in _everything().layers.values():
        assert content.find(layer.weights.tobytes()) % 16 == 0
        assert content.find(layer.bias.astype("<i4").tobytes()) % 16 == 0


def test_file(tmp_path: Path) -> None:
    model = _everything()
    write_tflite(model, tmp_path / "m.tflite")
    assert (tmp_path / "m.tflite").read_bytes() == to_tflite(model)
    assert os.listdir(tmp_path) == ["m.tflite"]
    with pytest.raises(NasError, match="No space left on device"):
        write_tflite(model, "/dev/full")


# --- where TensorFlow Lite itself departs from the specification ------------------------------------------------------


def _dense(rng: np.random.Generator) -> Int8Model:
    builder = GraphBuilder((1, 1, 6))
    builder.dense(builder.input, 8)
    while True:  # the first that spreads its outputs
        model = random_int8_model(builder.build(), rng)
        if len(np.unique(run(model, random_input(model, 50, rng)))) > 100:
            return model


def test_reference_fully_connected_rounds_once() -> None:
    """Why dense layers are written as convolutions: the reference kernel of FULLY_CONNECTED leaves out a rounding."""
    from tensorflow.lite.python import schema_py_generated as schema

    rng = np.random.default_rng(0)
    model = _dense(rng)
    x = random_input(model, 4000, rng)

    def as_fully_connected(content: Any, operator: Any) -> None:
        code = content.operatorCodes[0]
        code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.FULLY_CONNECTED
        code.version = 4
        operator.builtinOptionsType = schema.BuiltinOptions.FullyConnectedOptions
        operator.builtinOptions = schema.FullyConnectedOptionsT()
        tensors = content.subgraphs[0].tensors
        tensors[operator.inputs[1]].shape = [8, 6]
        tensors[operator.outputs[0]].shape = [1, 8]

    name = model.graph.output
    _assert_same(model, x)
    theirs = _interpret(_changed(to_tflite(model), as_fully_connected), x)[name]
    ours = run(model, x).reshape(theirs.shape)
    difference = np.abs(theirs.astype(int) - ours)
    assert difference.max() == 1
    assert 0 < difference.mean() < 0.05
    op = model.graph.ops[0]
    assert isinstance(op, FullyConnected)
    layer = model.layers[name]
    sums = (x.reshape(len(x), -1).astype(int) - model.input_quant.zero_point) @ layer.weights.T.astype(int) + layer.bias
    real = sums * (model.input_quant.scale * layer.weight_scales.astype(float) / model.output_quant.scale)
    once = np.clip(np.rint(real) + model.output_quant.zero_point, -128, 127)
    assert (theirs == once)[np.abs(real % 1 - 0.5) > 1e-4].all()


def _upsampling(size: tuple[int, int], out: tuple[int, int]) -> Int8Model:
    builder = GraphBuilder((*size, 1))
    builder.upsample(builder.input, out)
    graph: Graph = builder.build()
    return Int8Model(graph, dict.fromkeys(graph.shapes, Quant(1.0, 0)), {})


def _rows(model: Int8Model) -> NDArray[np.int8]:
    return np.arange(model.graph.input_shape[0], dtype=np.int8).reshape(1, -1, 1, 1)


def test_upsampling_by_an_integer_factor_is_written_half_pixel_where_needed() -> None:
    model = _upsampling((2, 1), (82, 1))
    content = to_tflite(model)
    operator = _unpacked(content).subgraphs[0].operators[0]
    assert operator.builtinOptions.halfPixelCenters
    assert _unpacked(content).operatorCodes[0].version == 3
    _assert_same(model, _rows(model))

    def plain(_: Any, operator: Any) -> None:
        operator.builtinOptions.halfPixelCenters = False

    theirs = _interpret(_changed(content, plain), _rows(model))[model.graph.output]
    assert np.flatnonzero(theirs != run(model, _rows(model))).tolist() == [41]  # float32: 41 * (2 / 82) < 1


@pytest.mark.parametrize(("size", "out"), [((14, 1), (46, 1)), ((4, 32), (12, 94)), ((2, 14), (82, 46))])
def test_upsampling_in_neither_form_names_its_rows_and_columns(size: tuple[int, int], out: tuple[int, int]) -> None:
    builder = GraphBuilder((*size, 3))
    builder.upsample(builder.input, out)
    graph = builder.build()
    assert half_pixel_centers(size, graph.ops[0]) is None  # type: ignore[arg-type]
    model = Int8Model(graph, dict.fromkeys(graph.shapes, Quant(1.0, 0)), {})
    assert len(_unpacked(to_tflite(model)).subgraphs[0].operators) == 2
    _assert_same(model, random_input(model, 4, np.random.default_rng(0)))


def test_a_scale_changes_the_scale_and_no_byte() -> None:
    builder = GraphBuilder((3, 2, 5))
    builder.sigmoid(builder.scale(builder.scale(builder.input)))
    quant = {
        "input": Quant(0.1, 3),
        "scale0": Quant(0.25, 3),
        "scale1": Quant(0.01, 3),
        "sigmoid2": Quant(1 / 256, -128),
    }
    model = Int8Model(builder.build(), quant, {})
    x = random_input(model, 4, np.random.default_rng(0))
    _assert_same(model, x)
    tensors = {t.name.decode(): t for t in _unpacked(to_tflite(model)).subgraphs[0].tensors}
    assert tensors["scale0"].quantization.scale.tolist() == [np.float32(0.25)]
    np.testing.assert_array_equal(_interpret(to_tflite(model), x)["scale1"], x)


def test_usual_upsampling_is_plain() -> None:
    """From up to 24 rows to up to 44 the form is the one that all runtimes know."""
    for size in range(1, 25):
        for out in range(1, 45):
            op = UpsampleNearest(inputs=("input",), output="x", size=(out, 1))
            assert not half_pixel_centers((size, 1), op)
    for size, out in ((3, 7), (5, 9), (7, 44), (24, 41)):
        model = _upsampling((size, 1), (out, 1))
        _assert_same(model, _rows(model))
