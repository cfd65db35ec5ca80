from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import nas as package
from estimators import load_target
from firmware.int8_file import load_model, save_model
from firmware.int8_model import Int8Model
from firmware.validate import Mismatch
from nas.cli import firmware
from nas.tasks import load_task, to_int8
from tests.nas.cli.conftest import Ended, assert_one_sentence

Nas = Callable[..., Ended]
SHARED = (
    "bit_exact",
    "vectors",
    "instructions",
    "cycles",
    "seconds",
    "sram_bytes",
    "stack_bytes",
    "flash_bytes",
    "test_accuracy",
)


def test_export_takes_real_images_for_vectors(nas: Nas, model_file: Path, tmp_path: Path) -> None:
    ended = nas("export", model_file, "-t", "stm32l4r9", "-o", "out", "--vectors", 3, "--json")
    assert ended.code == 0
    assert ended.document["vectors"] == 3
    assert ended.document["folder"] == "out"
    assert ended.document["predicted"]["kinds"]["arena_bytes"] == "exact"
    pixels = to_int8(load_task("digits").x_test[2]).reshape(-1)[:12]
    assert ", ".join(map(str, pixels)) in " ".join((tmp_path / "out" / "vectors.c").read_text().split())


def test_export_without_data_takes_random_vectors(nas: Nas, digits_model: Int8Model, tmp_path: Path) -> None:
    save_model(Int8Model(digits_model.graph, digits_model.quant, digits_model.layers), tmp_path / "plain.int8")
    ended = nas("export", "plain.int8", "-t", "stm32l4r9", "-o", "out")
    assert ended.code == 0
    assert "random test vectors" in ended.out


def test_dead_channels_are_left_out(nas: Nas, digits_model: Int8Model, tmp_path: Path) -> None:
    name = next(op.output for op in digits_model.graph.ops if op.kind == "Conv2D")
    layer = digits_model.layers[name]
    weights, bias = layer.weights.copy(), layer.bias.copy()
    # Held down by the ReLU whatever the image; it means zero beside the padding too.
    weights[0], bias[0] = 0, -(1 << 20)
    layers = {**digits_model.layers, name: replace(layer, weights=weights, bias=bias)}
    save_model(replace(digits_model, layers=layers), tmp_path / "dead.int8")
    ended = nas("export", "dead.int8", "-t", "stm32l4r9", "-o", "out", "--vectors", 3)
    assert ended.code == 0
    assert "parameters of channels that no input can change" in ended.out
    slim = load_model(tmp_path / "out" / "model.int8").graph
    assert slim.shapes[name][2] < digits_model.graph.shapes[name][2]
    assert nas("validate", "out").code == 0


def test_export_that_fits_ram_says_so(nas: Nas, model_file: Path, tmp_path: Path) -> None:
    words = ("export", str(model_file), "-t", "stm32l4r9", "--json", "--out")
    modes = [
        nas(*words, str(tmp_path / name), *more).document["mode"] for name, more in (("a", ()), ("b", ("--fit-ram",)))
    ]
    assert modes == ["speed", "ram"]


def test_validate_document(nas: Nas, model_file: Path) -> None:
    assert nas("export", model_file, "-t", "stm32l4r9", "-o", "out", "--vectors", 5).code == 0
    ended = nas("validate", "out", "--json")
    assert ended.code == 0
    document = ended.document
    assert (document["bit_exact"], document["vectors"]) == (True, 5)
    assert set(SHARED) <= set(document)
    assert set(SHARED) <= set(document["predicted"])
    assert document["kinds"]["cycles"] == "measured"
    # What the board adds for flash wait states is not emulated: no time is better known than they are.
    assert document["kinds"]["seconds"] == load_target("stm32l4r9").wait_states.kind  # type: ignore[union-attr]
    assert document["kinds"]["joules"] == document["kinds"]["seconds"]
    assert set(document["kinds"]) == set(document["predicted"]) & set(document)
    assert document["predicted"]["test_accuracy"] == document["test_accuracy"]
    assert document["test_accuracy"] == reference_accuracy(load_model(model_file))
    assert document["cycles"] > document["instructions"] > document["predicted"]["macs"]


def test_validate_lines(nas: Nas, model_file: Path) -> None:
    ended = nas("validate", model_file, "--compiler", "gcc", "--vectors", 2)
    assert ended.code == 0
    *_, verdict, accuracy = ended.out.splitlines()
    assert verdict == "bit-exact over all 2 vectors on the core and all 359 test images on this machine"
    assert accuracy.startswith("test accuracy of the integer model: ")
    assert "building" in ended.err


def test_a_byte_that_differs_is_told_and_is_exit_code_1(
    nas: Nas, model_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    result = package.validate(model_file, vectors=1)
    wrong = replace(result, bit_exact=False, mismatch=Mismatch("stm32l4r9", 0, 3, 5, 6))
    monkeypatch.setattr("nas.api.validate", lambda *_, **__: wrong)
    ended = nas("validate", model_file)
    assert ended.code == 1
    assert "DIFFERS: build stm32l4r9, input 0, byte 3: 6 instead of 5" in ended.out.splitlines()
    assert nas("validate", model_file, "--json").document["bit_exact"] is False
    assert firmware.document(replace(wrong, host_bit_exact=False))["predicted"]["test_accuracy"] is None


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["export", "tiny.int8", "-t", "stm32l4r9", "-o", "taken"], ["taken", "no export folder"]),
        (["export", "tiny.int8", "-t", "stm32l4r9", "-o", "out", "--task", "digit"], ["task 'digit' is unknown"]),
        (["export", "tiny.int8", "-t", "stm32l4r9", "-o", "out", "--name", "a-b"], ["a-b"]),
        (["export", "cifar-lite", "-t", "stm32l4r9", "-o", "out"], ["'cifar-lite' is neither a model file"]),
        (["export", "taken", "-t", "stm32l4r9", "-o", "out"], ["taken is no run folder"]),
        (["export", "tiny.int8", "-t", "stm32l4r9", "-o", "out", "--task", "cifar10", "--data-root", "d"], ["32x32x3"]),
        (["validate", "nothing"], ["'nothing' is neither"]),
        (["validate", "nothing.int8"], ["nothing.int8 does not exist"]),
    ],
)
def test_bad_input(nas: Nas, tmp_path: Path, model_file: Path, words: list[str], parts: list[str]) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "diary.txt").write_text("dear diary")
    write_cifar10(tmp_path / "d")
    ended = nas(*words)
    assert (ended.code, ended.out) == (2, "")
    assert_one_sentence(
        ended.err.replace("building for the core and for this machine, then running both\n", ""), *parts
    )
    assert not (tmp_path / "out").exists()


def test_a_folder_that_was_changed_is_refused(nas: Nas, tmp_path: Path, model_file: Path) -> None:
    nas("export", model_file, "-t", "stm32l4r9", "-o", "out")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    (tmp_path / "out" / manifest["sources"][0]).write_text("int x;\n")
    ended = nas("validate", "out", "-q")
    assert ended.code == 2
    assert_one_sentence(ended.err, "model.c", "changed")


def reference_accuracy(model: Int8Model) -> float:
    from firmware import reference

    task = load_task("digits")
    return float(np.mean(reference.run(model, to_int8(task.x_test)).reshape(-1, 10).argmax(1) == task.y_test))


def write_cifar10(folder: Path) -> None:
    """A data set of the right form, with hardly an image in it."""
    folder.mkdir()
    images, labels = np.zeros((5002, 32, 32, 3), np.uint8), np.zeros(5002, np.uint8)
    np.savez(folder / "cifar10.npz", x_train=images, y_train=labels, x_test=images[:2], y_test=labels[:2])
