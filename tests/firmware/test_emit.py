"""The exported folder: what is in it, that it obeys the plan, and that nothing else ever happens to the disk."""

from __future__ import annotations

import ctypes
import hashlib
import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection
from numpy.typing import NDArray

from estimators import Plan, estimate, load_target, lower
from firmware import reference
from firmware.emit import export
from firmware.folder import digests
from firmware.host import HostModel
from firmware.int8_file import load_model
from firmware.int8_model import Int8Model
from firmware.toolchain import (
    ARM_CFLAGS,
    HOST_CFLAGS,
    WARNINGS,
    Compiler,
    find_arm_compiler,
    find_host_compiler,
    run_tool,
)
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from search_spaces.graph import Graph
from tests.strategies import random_input, random_int8_model

TARGET = load_target("stm32l4r9")
HELPERS = {"memcpy", "memset", "memmove"}


def every_kernel() -> Graph:
    builder = GraphBuilder((9, 11, 3))
    x = builder.conv("input", 8, 3, 2)
    x = builder.add(x, builder.conv(builder.depthwise(x, multiplier=2, dilation=2), 8))
    gate = builder.sigmoid(builder.upsample(builder.max_pool(x, 2, 2), builder.shape(x)[:2]))
    x = builder.mul(builder.mul(x, gate), builder.global_avg_pool(x))
    builder.softmax(builder.dense(x, 10))
    return builder.build("every kernel")


def two_kernels() -> Graph:
    builder = GraphBuilder((4, 4, 2))
    builder.dense(builder.conv("input", 4, 3), 3)
    return builder.build("two kernels")


@pytest.fixture(scope="module")
def model() -> Int8Model:
    return random_int8_model(every_kernel(), np.random.default_rng(7))


@pytest.fixture(scope="module")
def plan(model: Int8Model) -> Plan:
    return lower(model.graph, TARGET)


@pytest.fixture(scope="module")
def folder(model: Int8Model, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(model, TARGET, tmp_path_factory.mktemp("export") / "c")


@pytest.fixture
def small() -> Int8Model:
    return random_int8_model(two_kernels(), np.random.default_rng(8))


# --- what is in it ---------------------------------------------------------------------------------------------------


def test_equal_arguments_give_equal_bytes(model: Int8Model, folder: Path, tmp_path: Path) -> None:
    again = export(model, "stm32l4r9", tmp_path / "again")
    assert digests(again) == digests(folder)
    assert (again / "manifest.json").read_bytes() == (folder / "manifest.json").read_bytes()


def test_only_the_kernels_that_are_used(small: Int8Model, folder: Path, tmp_path: Path) -> None:
    export(small, TARGET, tmp_path / "c")
    names = {path.name for path in (tmp_path / "c" / "kernels").iterdir()}
    sources = {"conv2d_s8.c", "matmul_s8.c", "matmul_common.c", "fully_connected_s8.c"}
    assert {name for name in names if name.endswith(".c")} == sources
    assert {"kernels.h", "matmul_s8.h", "matmul_common.h"} <= names
    assert "depthwise_planes.h" not in names
    every = {path.name for path in (folder / "kernels").iterdir()}
    assert names | {"pointwise_s8.c", "depthwise_planes.h"} < every
    assert not {name for name in every if name.startswith("frontend")}


def test_manifest_describes_the_export(model: Int8Model, plan: Plan, folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["network"] == "every kernel"
    assert manifest["graph_digest"] == model.graph.digest
    assert manifest["target"] == "stm32l4r9"
    assert manifest["predicted"] == estimate(plan).to_dict()
    assert manifest["input"] == {
        "shape": [9, 11, 3],
        "scale": model.input_quant.scale,
        "zero_point": model.input_quant.zero_point,
    }
    assert manifest["output"] == {"shape": [1, 1, 10], "scale": 1 / 256, "zero_point": -128}
    assert all((folder / source).is_file() for source in manifest["sources"])


def test_manifest_has_the_digest_of_every_file(folder: Path) -> None:
    files = json.loads((folder / "manifest.json").read_text())["files"]
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    assert files.keys() == found.keys() - {"manifest.json"}
    for name, digest in files.items():
        assert hashlib.sha256(found[name].read_bytes()).hexdigest() == digest


def test_board_project_comes_along(folder: Path, checkout: Path) -> None:
    board = checkout / "firmware" / "boards" / "stm32l4r9"
    expected = {path.name: path.read_bytes() for path in board.iterdir() if path.is_file() and path.suffix != ".py"}
    assert {path.name: path.read_bytes() for path in (folder / "stm32l4r9").iterdir()} == expected
    assert "stm32l4r9.ld" in expected


def test_a_target_without_a_board_project(small: Int8Model, tmp_path: Path) -> None:
    target = TARGET.model_copy(update={"name": "nowhere"})
    exported = export(small, target, tmp_path / "c")
    assert not (exported / "nowhere").exists()
    assert "builds as it is" not in (exported / "README.md").read_text()


def test_the_model_file_is_the_model(model: Int8Model, folder: Path) -> None:
    x = random_input(model, 3, np.random.default_rng(0))
    loaded = load_model(folder / "model.int8")
    np.testing.assert_array_equal(reference.run(loaded, x), reference.run(model, x))


def test_no_float_no_allocation_no_library(folder: Path) -> None:
    for source in [folder / "model.c", *(folder / "kernels").iterdir()]:
        code = re.sub(r"/\*.*?\*/", "", source.read_text(), flags=re.DOTALL)
        assert not re.search(r"\b(float|double|malloc|calloc|realloc|free|printf|assert)\b", code), source
        includes = set(re.findall(r"#include\s+(\S+)", code))
        own = {f'"{path.name}"' for path in (folder / "kernels").glob("*.h")}
        assert includes <= {"<stdint.h>", '"model.h"', '"kernels/kernels.h"', *own}


# --- the plan is obeyed ----------------------------------------------------------------------------------------------


def test_tensors_lie_where_the_plan_says(plan: Plan, folder: Path) -> None:
    text = (folder / "model.c").read_text()
    places = re.findall(r"#define TENSOR_(\d+) \(\(int8_t \*\)arena \+ (\d+)\)", text)
    assert [int(index) for index, _ in places] == list(range(len(plan.placements)))
    assert [int(offset) for _, offset in places] == [place.offset for place in plan.placements.values()]
    assert re.findall(r"^    (\w+_s8)\(", text, re.MULTILINE) == [step.kernel for step in plan.steps]


def compile_for_arm(folder: Path, compiler: Compiler, out: Path) -> dict[str, Path]:
    """Objects of the network by source, every warning an error."""
    objects = {}
    for source in [folder / "model.c", folder / "vectors.c", *sorted((folder / "kernels").glob("*.c"))]:
        objects[source.name] = out / f"{source.stem}.o"
        flags = [*ARM_CFLAGS[compiler.kind], *WARNINGS, "-Werror", "-Wpedantic", "-I", str(folder)]
        run_tool([*compiler.cc, *flags, "-c", source, "-o", objects[source.name]])
    return objects


def symbols(path: Path) -> tuple[dict[str, int], set[str]]:
    """Sizes of the symbols that an object defines, and the names that it lacks."""
    defined, undefined = {}, set()
    with path.open("rb") as file:
        for section in ELFFile(file).iter_sections():
            if isinstance(section, SymbolTableSection):
                for symbol in section.iter_symbols():
                    if symbol["st_shndx"] == "SHN_UNDEF":
                        undefined.add(symbol.name)
                    elif symbol["st_size"]:
                        defined[symbol.name] = int(symbol["st_size"])
    return defined, undefined - {""}


@pytest.fixture(scope="module")
def arm_objects(folder: Path, arm_gcc: Compiler, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return compile_for_arm(folder, arm_gcc, tmp_path_factory.mktemp("arm"))


def test_arena_and_tables_have_the_predicted_sizes(plan: Plan, arm_objects: dict[str, Path]) -> None:
    sizes, _ = symbols(arm_objects["model.c"])
    predicted = estimate(plan)

    assert sizes["arena"] == plan.arena_bytes == predicted.arena_bytes
    functions = {name for name in sizes if name.startswith("model_")}
    tables = sum(-(-size // 4) * 4 for name, size in sizes.items() if name not in functions | {"arena"})
    assert tables == predicted.weights_bytes + predicted.bias_bytes + predicted.table_bytes


def test_objects_need_nothing_but_each_other(plan: Plan, arm_objects: dict[str, Path]) -> None:
    found = {name: symbols(path) for name, path in arm_objects.items() if name != "vectors.c"}
    everything = {name for defined, _ in found.values() for name in defined}
    for defined, needed in found.values():
        assert defined
        assert needed <= everything | HELPERS
    _, called = found["model.c"]
    assert {step.kernel for step in plan.steps} <= called


def test_zig_compiles_it_without_a_warning(folder: Path, tmp_path: Path) -> None:
    objects = compile_for_arm(folder, find_arm_compiler("zig"), tmp_path)
    assert all(path.stat().st_size for path in objects.values())


# --- vectors ---------------------------------------------------------------------------------------------------------


def read_vectors(folder: Path, out: Path) -> tuple[NDArray[np.int8], NDArray[np.int8]]:
    """The arrays as a C program sees them: one row per vector."""
    compiler = find_host_compiler()
    source = '#include "vectors.h"\nint count(void); int count(void) { return VECTOR_COUNT; }\n'
    (out / "count.c").write_text(source)
    flags = [*HOST_CFLAGS[compiler.kind], *WARNINGS, "-Werror", "-shared", "-I", folder]
    run_tool([*compiler.cc, *flags, "-o", out / "vectors.so", folder / "vectors.c", out / "count.c"])
    library = ctypes.CDLL(str(out / "vectors.so"))
    text = (folder / "model.h").read_text()
    arrays = []
    for name in ("INPUT", "OUTPUT"):
        size = int(re.findall(rf"{name}_BYTES (\d+)", text)[0]) * library.count()
        data = (ctypes.c_int8 * size).in_dll(library, f"vector_{name.lower()}s")
        arrays.append(np.array(data, np.int8).reshape(library.count(), -1))
    return arrays[0], arrays[1]


def test_vectors_are_given_inputs_and_reference_outputs(small: Int8Model, tmp_path: Path) -> None:
    x = random_input(small, 5, np.random.default_rng(4))
    inputs, outputs = read_vectors(export(small, TARGET, tmp_path / "c", x), tmp_path)
    np.testing.assert_array_equal(inputs, x.reshape(5, -1))
    np.testing.assert_array_equal(outputs, reference.run(small, x).reshape(5, -1))


def test_vectors_are_drawn_when_none_are_given(small: Int8Model, tmp_path: Path) -> None:
    inputs, outputs = read_vectors(export(small, TARGET, tmp_path / "c"), tmp_path)
    assert inputs.shape == (4, 32)
    assert len(np.unique(inputs)) > 64
    expected = reference.run(small, inputs.reshape(4, *small.graph.input_shape))
    np.testing.assert_array_equal(outputs, expected.reshape(4, -1))


@pytest.mark.parametrize(
    "vectors", [np.zeros((0, 4, 4, 2), np.int8), np.zeros((1, 4, 4, 2), np.uint8), np.zeros((4, 4, 2), np.int8)]
)
def test_other_vectors_are_refused(small: Int8Model, tmp_path: Path, vectors: NDArray[np.int8]) -> None:
    with pytest.raises(NasError, match=r"int8 \(N, 4, 4, 2\) with N >= 1 expected"):
        export(small, TARGET, tmp_path / "c", vectors)
    assert not list(tmp_path.iterdir())


# --- names -----------------------------------------------------------------------------------------------------------

HOSTILE = '*/ #error "hostile" /* \\\n??/ `x` <b> %s {{ 1/0 }} é'


def test_names_from_users_stay_text(small: Int8Model, tmp_path: Path) -> None:
    hostile_ops = json.loads(json.dumps(small.graph.to_json()).replace("conv0", "conv0*/ int x; /*"))
    graph = Graph.from_json(hostile_ops | {"name": HOSTILE})
    (tensor,) = set(graph.shapes) - set(small.graph.shapes)
    model = Int8Model(
        graph,
        {name: small.quant[name if name in small.quant else "conv0"] for name in graph.shapes},
        {tensor: small.layers["conv0"], "dense1": small.layers["dense1"]},
        {"class_names": [HOSTILE, "no", "*/"]},
    )
    x = random_input(model, 4, np.random.default_rng(0))
    exported = export(model, TARGET, tmp_path / "c")
    with HostModel(exported) as host:
        np.testing.assert_array_equal(host.run(x), reference.run(model, x))
    manifest = json.loads((exported / "manifest.json").read_text())
    assert manifest["network"] == HOSTILE
    assert manifest["class_names"] == [HOSTILE, "no", "*/"]
    for path in ("model.h", "model.c", "README.md"):
        assert "hostile_ /_" not in (exported / path).read_text()
        assert '"hostile"' not in (exported / path).read_text()


def test_class_names_stand_in_the_header(small: Int8Model, tmp_path: Path) -> None:
    labels = [f"class number {index}" for index in range(40)]
    exported = export(replace(small, metadata={"class_names": labels}), TARGET, tmp_path / "c")
    text = " ".join((exported / "model.h").read_text().replace(" * ", " ").split())
    assert "Outputs: 0 class number 0, 1 class number 1," in text
    assert "39 class number 39." in text
    with pytest.raises(NasError, match="class_names 'yes' in the model's metadata: a list of names expected"):
        export(replace(small, metadata={"class_names": "yes"}), TARGET, tmp_path / "d")


def test_a_name_that_is_no_identifier_is_refused(small: Int8Model, tmp_path: Path) -> None:
    with pytest.raises(NasError, match="name 'my net' is no C identifier"):
        export(small, TARGET, tmp_path / "c", name="my net")
    assert not list(tmp_path.iterdir())


BOTH_SOURCE = """
#include <stddef.h>
#include "kws/model.h"
#include "eyes/model.h"

const int8_t *both(int8_t first, int8_t second);

const int8_t *both(int8_t first, int8_t second)
{
    static int8_t outputs[KWS_OUTPUT_BYTES + EYES_OUTPUT_BYTES];

    kws_init();
    eyes_init();
    for (size_t i = 0; i < KWS_INPUT_BYTES; i++) { kws_input()[i] = first; }
    for (size_t i = 0; i < EYES_INPUT_BYTES; i++) { eyes_input()[i] = second; }
    kws_invoke();
    eyes_invoke();
    for (size_t i = 0; i < KWS_OUTPUT_BYTES; i++) { outputs[i] = kws_output()[i]; }
    for (size_t i = 0; i < EYES_OUTPUT_BYTES; i++) { outputs[KWS_OUTPUT_BYTES + i] = eyes_output()[i]; }
    return outputs;
}
"""


def test_one_program_holds_two_networks(small: Int8Model, tmp_path: Path) -> None:
    other = random_int8_model(two_kernels(), np.random.default_rng(9))
    models = {"kws": small, "eyes": other}
    for name, model in models.items():
        export(model, TARGET, tmp_path / name, name=name)
    (tmp_path / "both.c").write_text(BOTH_SOURCE)
    compiler = find_host_compiler()
    flags = [*HOST_CFLAGS[compiler.kind], *WARNINGS, "-Werror", "-shared", "-I", tmp_path]
    sources = ["both.c", "kws/model.c", "eyes/model.c", *(tmp_path / "kws" / "kernels").glob("*.c")]
    run_tool([*compiler.cc, *flags, "-o", "both.so", *sources], cwd=tmp_path)
    library = ctypes.CDLL(str(tmp_path / "both.so"))
    library.both.restype = ctypes.POINTER(ctypes.c_int8)
    got = library.both(ctypes.c_int8(5), ctypes.c_int8(-6))[:6]
    expected = [reference.run(model, np.full((1, 4, 4, 2), value, np.int8)).ravel().tolist()
                for model, value in ((small, 5), (other, -6))]  # fmt: skip
    assert got == [*expected[0], *expected[1]]


@pytest.mark.parametrize("name", ["kws", "Model"])
def test_harnesses_find_any_name(small: Int8Model, tmp_path: Path, name: str) -> None:
    x = random_input(small, 4, np.random.default_rng(0))
    with HostModel(export(small, TARGET, tmp_path / "c", name=name)) as host:
        np.testing.assert_array_equal(host.run(x), reference.run(small, x))
