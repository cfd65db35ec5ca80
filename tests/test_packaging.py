"""The built wheel, installed where nothing else is, does its work from any folder."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import requires
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from firmware.int8_file import save_model
from firmware.int8_model import Int8Model, LayerWeights, Quant
from search_spaces.builder import GraphBuilder
from search_spaces.ops import Activation
from tests.test_repository import committed_files

PACKAGES = ("nas", "search_spaces", "estimators", "firmware")
# What describing a target, estimating and exporting need; search and training need the rest.
LIGHT = ("numpy", "pydantic", "typer", "rich", "jinja2", "pyelftools")


def run(command: list[str | Path], cwd: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def light_requirements(lock: Path) -> str:
    """The part of the lock that `LIGHT` and what it depends on need, hashes included."""
    needed: set[str] = set()
    waiting = [canonicalize_name(name) for name in LIGHT]
    while waiting:
        name = waiting.pop()
        if name in needed:
            continue
        needed.add(name)
        wanted = [Requirement(text) for text in requires(name) or []]
        waiting += [canonicalize_name(r.name) for r in wanted if r.marker is None or r.marker.evaluate({"extra": ""})]
    blocks = re.split(r"\n(?=[a-z0-9])", lock.read_text())
    return "\n".join(block for block in blocks if canonicalize_name(block.partition("==")[0]) in needed) + "\n"


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from a copy of what is committed: a build leaves folders that the next one would pick up."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for path in committed_files(checkout):
        copy = source / path.relative_to(checkout)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    uv = [sys.executable, "-m", "uv"]
    run([*uv, "build", "--wheel", "--no-build-isolation", "--python", sys.executable, "--out-dir", folder], source)
    return next(folder.glob("mcu_nas-*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the commands of a clean environment that holds the wheel and the light dependencies."""
    folder = tmp_path_factory.mktemp("clean")
    lock = folder / "light.lock"
    lock.write_text(light_requirements(checkout / "requirements.lock"))
    uv = [sys.executable, "-m", "uv"]
    run([*uv, "venv", "--quiet", "--python", sys.executable, folder / "env"], folder)
    commands = folder / "env" / ("Scripts" if os.name == "nt" else "bin")
    install = [*uv, "pip", "install", "--quiet", "--python", commands / "python", "--no-deps"]
    run([*install, "--require-hashes", "--requirement", lock], folder)
    run([*install, wheel], folder)
    return commands


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """An int8 model of a convolution, a global average pool and a dense layer, with random weights."""
    rng = np.random.default_rng(7)
    builder = GraphBuilder((8, 8, 1))
    convolution = builder.conv("input", 4, 3, stride=2, activation=Activation.RELU)
    pooled = builder.global_avg_pool(convolution)
    output = builder.dense(pooled, 3)
    layers = {
        name: LayerWeights(
            weights=rng.integers(-127, 128, shape, dtype=np.int8),
            weight_scales=np.full(shape[0], 0.01, np.float32),
            bias=rng.integers(-100, 100, shape[0], dtype=np.int32),
        )
        for name, shape in ((convolution, (4, 3, 3, 1)), (output, (3, 4)))
    }
    pixels, positive = Quant(1 / 255, -128), Quant(0.02, -128)
    quant = {"input": pixels, convolution: positive, pooled: positive, output: Quant(0.05, 3)}
    path = tmp_path / "tiny.int8"
    save_model(Int8Model(builder.build("tiny"), quant, layers), path)
    return path


def test_wheel_holds_every_file_of_the_packages(wheel: Path, checkout: Path) -> None:
    names = (path.relative_to(checkout).as_posix() for path in committed_files(checkout))
    expected = {name for name in names if name.partition("/")[0] in PACKAGES}
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert expected <= held, sorted(expected - held)
    assert {name for name in held if ".dist-info/" not in name} == expected
    assert any(name.endswith("licenses/LICENSE") for name in held)


def test_export_from_another_directory(installed: Path, model_file: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    origin = run([installed / "python", "-c", "import firmware; print(firmware.__file__)"], elsewhere)
    assert Path(origin).is_relative_to(installed.parent)
    assert "export" in run([installed / "nas", "--help"], elsewhere)
    run([installed / "nas", "export", model_file, "--target", "stm32l4r9", "--out", "firmware-of-tiny"], elsewhere)
    folder = elsewhere / "firmware-of-tiny"
    assert {"model.h", "model.c", "manifest.json", "kernels", "stm32l4r9"} <= {path.name for path in folder.iterdir()}
    assert json.loads((folder / "manifest.json").read_text())
