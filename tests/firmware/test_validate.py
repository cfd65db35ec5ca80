"""The C on the emulated core, the C on this machine and the numpy reference agree; where they do not, it is told."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from estimators import estimate, load_target, lower
from firmware import reference, toolchain
from firmware.emit import export
from firmware.folder import MANIFEST, digests
from firmware.int8_file import save_model
from firmware.int8_model import Int8Model
from firmware.toolchain import Compiler, find_arm_compiler
from firmware.validate import PREDICTED, validate
from firmware.virtual import build_firmware, run_elf
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from tests.strategies import models, random_input, random_int8_model

TARGET = "stm32l4r9"


def small_model() -> Int8Model:
    builder = GraphBuilder((8, 8, 1))
    x = builder.conv("input", 4, 3)
    x = builder.add(x, builder.depthwise(x))
    builder.dense(builder.avg_pool(x, 8, 8), 3)
    return random_int8_model(builder.build("small"), np.random.default_rng(5))


@pytest.fixture(scope="module")
def model() -> Int8Model:
    return small_model()


@pytest.fixture
def folder(model: Int8Model, tmp_path: Path) -> Path:
    return export(model, TARGET, tmp_path / "c", random_input(model, 3, np.random.default_rng(1)))


def test_of_an_exported_folder(model: Int8Model, folder: Path, arm_gcc: Compiler) -> None:
    rng = np.random.default_rng(2)
    x = rng.integers(-128, 128, (200, 8, 8, 1)).astype(np.int8)
    classes = reference.run(model, x).reshape(200, -1).argmax(axis=1)
    labels = np.where(np.arange(200) < 150, classes, (classes + 1) % 3)
    before = digests(folder)

    result = validate(folder, TARGET, labelled_split=(x, labels), compiler=arm_gcc)
    assert result.passed
    assert result.bit_exact is True
    assert result.host_bit_exact
    assert result.test_accuracy == 0.75
    assert result.test_images == 200
    assert result.vectors == 3
    assert result.mismatch is None
    assert digests(folder) == before

    predicted = estimate(lower(model.graph, load_target(TARGET)))
    assert result.sizes is not None
    assert result.sizes.arena == predicted.arena_bytes
    assert result.sram_bytes == predicted.arena_bytes + result.sizes.data_bytes + (result.stack_bytes or 0)
    assert result.stack_bytes
    assert result.cycles is not None
    assert result.instructions is not None
    # 36 MACs and more for each of 64 pixels; no core does several MACs in one instruction of these.
    assert model.graph.macs < result.instructions < result.cycles < 100 * model.graph.macs
    assert result.seconds == result.cycles / 120e6
    assert result.flash_bytes is not None
    assert predicted.weights_bytes < result.flash_bytes < 12_000

    shown = result.to_dict()
    assert json.loads(json.dumps(shown)) == shown
    assert shown["predicted"] == {name: getattr(predicted, name) for name in PREDICTED}
    names = "bit_exact vectors instructions cycles seconds sram_bytes stack_bytes flash_bytes test_accuracy predicted"
    assert set(names.split()) <= shown.keys()
    assert sum(shown["functions"].values()) <= shown["instructions"]


def test_of_a_model_file(model: Int8Model, tmp_path: Path, arm_gcc: Compiler) -> None:
    save_model(model, tmp_path / "small.int8")
    result = validate(tmp_path / "small.int8", TARGET, random_input(model, 5, np.random.default_rng(3)), None, arm_gcc)
    assert result.passed
    assert (result.vectors, result.test_accuracy, result.test_images) == (5, None, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["small.int8"]


def test_given_vectors_replace_the_folders(model: Int8Model, folder: Path, arm_gcc: Compiler) -> None:
    vectors = random_input(model, 7, np.random.default_rng(4))
    result = validate(folder, TARGET, vectors, compiler=arm_gcc)
    assert result.execution is not None
    assert (result.vectors, result.bit_exact) == (7, True)
    assert np.array_equal(result.execution.outputs, reference.run(model, vectors).reshape(7, -1))


def test_of_a_model_with_a_name(model: Int8Model, tmp_path: Path) -> None:
    folder = export(model, TARGET, tmp_path / "named", name="digits")
    result = validate(folder, TARGET, compiler=find_arm_compiler("zig"))
    assert result.bit_exact
    assert result.compiler is not None
    assert result.compiler.startswith("zig ")


def test_a_wrong_byte_is_found(model: Int8Model, folder: Path, arm_gcc: Compiler) -> None:
    """A number changed behind the manifest's back: the C no longer is the model beside it."""
    source = (folder / "model.c").read_text()
    # The bias of the last layer's second output, far off.
    place = re.search(r"filters_4\[\d+\] = \{\n *-?\d+, (-?\d+),", source)
    assert place is not None
    layer, last = model.layers[model.graph.output], model.graph.ops[-1]
    zero_point = model.quant[last.inputs[0]].zero_point
    assert int(place[1]) == layer.bias[1] - zero_point * layer.weights[1].astype(int).sum()
    changed = int(place[1]) + 2**28
    (folder / "model.c").write_text(f"{source[: place.start(1)]}{changed}{source[place.end(1) :]}")
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"files": digests(folder)}))

    result = validate(folder, TARGET, compiler=arm_gcc)
    assert not result.passed
    assert result.bit_exact is False
    assert not result.host_bit_exact
    assert result.mismatch is not None
    assert (result.mismatch.build, result.mismatch.byte) == (TARGET, 1)
    assert result.mismatch.expected != result.mismatch.got
    assert result.to_dict()["first_mismatch"]["build"] == TARGET


def test_a_changed_folder_is_refused(folder: Path) -> None:
    (folder / "model.c").write_text((folder / "model.c").read_text() + "\n")
    with pytest.raises(NasError, match=r"is not as it was exported: model\.c changed"):
        validate(folder, TARGET)
    (folder / "kernels" / "conv2d_s8.c").unlink()
    with pytest.raises(NasError, match=r"kernels/conv2d_s8\.c and 1 more changed"):
        validate(folder, TARGET)


def test_what_does_not_fit_is_refused(model: Int8Model, folder: Path, tmp_path: Path) -> None:
    x = np.zeros((2, 8, 8, 1), np.int8)
    with pytest.raises(NasError, match="was exported for target 'stm32l4r9', not for 'esp32s2'"):
        validate(folder, "esp32s2")
    with pytest.raises(NasError, match="target 'stm32' is unknown"):
        validate(folder, "stm32")
    with pytest.raises(NasError, match=r"vectors are int8 \(2, 8, 8\)"):
        validate(folder, TARGET, x[..., 0])
    with pytest.raises(NasError, match=r"labelled images are uint8 \(2, 8, 8, 1\); int8 \(N, 8, 8, 1\) expected"):
        validate(folder, TARGET, labelled_split=(x.astype(np.uint8), np.zeros(2, np.int64)))
    with pytest.raises(NasError, match=r"labels are int64 \(3,\); 2 integers"):
        validate(folder, TARGET, labelled_split=(x, np.zeros(3, np.int64)))
    with pytest.raises(NasError, match="is no export folder"):
        validate(tmp_path, TARGET)
    (tmp_path / "text.int8").write_text("no model")
    with pytest.raises(NasError, match=r"text\.int8"):
        validate(tmp_path / "text.int8", TARGET)


def test_a_target_that_cannot_be_run_here(model: Int8Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(toolchain, "find_tool", lambda _: None)
    folder = export(model, "esp32s2", tmp_path / "c")
    x = np.zeros((4, 8, 8, 1), np.int8)
    result = validate(folder, "esp32s2", labelled_split=(x, np.zeros(4, np.int64)))
    assert result.passed
    assert result.host_bit_exact
    assert (result.bit_exact, result.cycles, result.sram_bytes, result.compiler) == (None, None, None, None)
    assert result.note == (
        "the virtual target 'esp32s2' cannot be run here (xtensa-lx106-elf-gcc was not found: run `make toolchain`): "
        "only the host build was checked"
    )
    assert result.test_accuracy in (0.0, 1.0)
    shown = result.to_dict()
    assert shown["seconds"] is None
    assert shown["predicted"]["cycles"] > 0


@settings(max_examples=8, suppress_health_check=[HealthCheck.too_slow])
@given(models(), st.sampled_from(["gcc", "zig"]))
def test_random_networks_agree_on_the_core(
    tmp_path_factory: pytest.TempPathFactory, model: Int8Model, kind: str
) -> None:
    """Every byte of random graphs over all operations, on the emulated core; the host build has its own such test."""
    scratch = tmp_path_factory.mktemp("random")
    inputs = random_input(model, 3, np.random.default_rng(0))
    folder = export(model, TARGET, scratch / "c", inputs)
    compiler = find_arm_compiler("gcc" if kind == "gcc" else "zig")
    execution = run_elf(build_firmware(folder, TARGET, compiler, scratch / "build"), TARGET)
    assert np.array_equal(execution.outputs, reference.run(model, inputs).reshape(3, -1))
    assert execution.mismatches == 0
    shutil.rmtree(scratch)
