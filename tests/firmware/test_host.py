"""The host build: equals the reference, keeps models apart, cleans up, and says in a sentence what is wrong."""

from __future__ import annotations

import json
import re
import tempfile
from pathlib import Path

import numpy as np
import pytest

from firmware import reference
from firmware.emit import export
from firmware.folder import MANIFEST
from firmware.host import HostModel
from firmware.int8_model import Int8Model
from firmware.toolchain import Compiler
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from tests.strategies import random_input, random_int8_model


def small_model(seed: int = 3) -> Int8Model:
    builder = GraphBuilder((6, 5, 2))
    x = builder.conv("input", 4, 3)
    x = builder.add(x, builder.depthwise(x))
    builder.dense(builder.max_pool(x, 2, 2), 3)
    return random_int8_model(builder.build("small"), np.random.default_rng(seed))


@pytest.fixture(scope="module")
def model() -> Int8Model:
    return small_model()


@pytest.fixture
def folder(model: Int8Model, tmp_path: Path) -> Path:
    return export(model, "stm32l4r9", tmp_path / "c")


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where builds go during a test."""
    place = tmp_path / "scratch"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


@pytest.mark.parametrize("sanitize", [False, True])
def test_many_images_equal_the_reference(model: Int8Model, folder: Path, sanitize: bool) -> None:
    x = random_input(model, 200, np.random.default_rng(1))
    with HostModel(folder, sanitize=sanitize) as host:
        got = host.run(x)
        assert host.run(x[:0]).shape == (0, *model.graph.output_shape)
    assert got.dtype == np.int8
    np.testing.assert_array_equal(got, reference.run(model, x))


def test_arrays_of_any_layout(model: Int8Model, folder: Path) -> None:
    x = random_input(model, 9, np.random.default_rng(1))
    with HostModel(folder) as host:
        np.testing.assert_array_equal(host.run(x[::2]), reference.run(model, x)[::2])
        np.testing.assert_array_equal(host.run(np.asfortranarray(x)), reference.run(model, x))


def test_models_that_are_open_at_once_do_not_mix(tmp_path: Path) -> None:
    """All of them define the same C names."""
    models = [small_model(seed) for seed in (4, 5)]
    x = random_input(models[0], 20, np.random.default_rng(1))
    expected = [reference.run(model, x) for model in models]
    assert not np.array_equal(*expected)
    folders = [export(model, "stm32l4r9", tmp_path / str(index)) for index, model in enumerate(models)]
    with HostModel(folders[0]) as first, HostModel(folders[1]) as second:
        for host, outputs in ((first, expected[0]), (second, expected[1]), (first, expected[0])):
            np.testing.assert_array_equal(host.run(x), outputs)


def test_the_build_is_removed_and_the_folder_untouched(model: Int8Model, folder: Path, scratch: Path) -> None:
    before = sorted(folder.rglob("*"))
    with HostModel(folder) as host:
        assert list(scratch.iterdir())
    host.close()
    assert not list(scratch.iterdir())
    assert sorted(folder.rglob("*")) == before
    with pytest.raises(NasError, match="is closed"):
        host.run(random_input(model, 1, np.random.default_rng(1)))


@pytest.mark.parametrize(
    ("x", "named"), [(np.zeros((1, 6, 5, 2), np.uint8), "uint8"), (np.zeros((6, 5, 2), np.int8), r"\(6, 5, 2\)")]
)
def test_other_arrays_are_refused(folder: Path, x: np.ndarray, named: str) -> None:
    with HostModel(folder) as host, pytest.raises(NasError, match=rf"{named}.*; int8 \(N, 6, 5, 2\) expected"):
        host.run(x)


def test_other_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(NasError, match="is no export folder"):
        HostModel(tmp_path)


@pytest.mark.parametrize("line", ["this is no C;", "static int unused;", "static int f(long x) { return (int8_t)x; }"])
def test_what_does_not_compile_without_a_warning_is_refused(folder: Path, scratch: Path, line: str) -> None:
    with (folder / "model.c").open("a") as source:
        source.write(f"{line}\n")
    with pytest.raises(NasError, match="failed with exit code 1"):
        HostModel(folder)
    assert not list(scratch.iterdir())


def test_a_missing_source_is_named(folder: Path) -> None:
    (folder / "kernels" / "conv2d_s8.c").unlink()
    with pytest.raises(NasError, match=r"conv2d_s8\.c"):
        HostModel(folder)


def test_zig_takes_over_where_there_is_no_compiler(
    model: Int8Model, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "")
    x = random_input(model, 8, np.random.default_rng(1))
    with HostModel(folder) as host:
        assert host.compiler.kind == "zig"
        np.testing.assert_array_equal(host.run(x), reference.run(model, x))


def test_a_compiler_that_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(NasError, match="no-such-cc does not start"):
        HostModel(folder, Compiler("gcc", ("no-such-cc",), "none"))


@pytest.mark.parametrize(
    ("pattern", "replacement", "fault"),
    [
        (r"(conv2d_s8\(.*, 0, )6", r"\g<1>999", "AddressSanitizer"),
        (r"(?s)(window_params params_3 = .*?stride_height = )2", r"\g<1>2147483647", "signed integer overflow"),
    ],
)
def test_sanitisers_end_a_faulty_run(
    model: Int8Model, folder: Path, pattern: str, replacement: str, fault: str
) -> None:
    source = folder / "model.c"
    text, found = re.subn(pattern, replacement, source.read_text())
    assert found == 1
    source.write_text(text)
    x = random_input(model, 8, np.random.default_rng(1))
    with HostModel(folder, sanitize=True) as host, pytest.raises(NasError, match=fault):
        host.run(x)


def test_a_manifest_of_another_version_is_refused(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps(manifest | {"format_version": 99}))
    with pytest.raises(NasError, match="is an export of format 99; this version reads 1"):
        HostModel(folder)
