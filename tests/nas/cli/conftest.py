from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest

from firmware.int8_file import save_model
from firmware.int8_model import Int8Model, Quant
from nas.cli import main
from search_spaces.builder import GraphBuilder
from tests.conftest import CHECKOUT
from tests.strategies import random_int8_model


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def nas(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs the command line in this process, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: object) -> Ended:
        code = main([str(word) for word in words])
        return Ended(code, *capsys.readouterr())

    return run


def nas_process(*words: object, cwd: Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs the command line in a process of its own."""
    command = [sys.executable, "-m", "nas", *map(str, words)]
    # Python does not notice when a limit on file sizes cuts a module's byte code short, and fails on it ever after.
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONDONTWRITEBYTECODE": "1"}
    defaults: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.run(command, cwd=cwd, env=environment, text=True, **{**defaults, **options})


def assert_one_sentence(text: str, *parts: str) -> None:
    """One line on standard error, no traceback, with all of ``parts`` in it."""
    lines = text.splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("error: ")
    for part in parts:
        assert part in lines[0], text


@pytest.fixture(scope="session")
def digits_model() -> Int8Model:
    """An untrained network for the digits, that says so in its metadata."""
    builder = GraphBuilder((8, 8, 1))
    x = builder.conv(builder.input, 4, 3, stride=2)
    x = builder.depthwise(x, 3)
    builder.dense(builder.global_avg_pool(x), 10)
    model = random_int8_model(builder.build("tiny"), np.random.default_rng(3))
    return Int8Model(model.graph, {**model.quant, "input": Quant(1 / 255, -128)}, model.layers, {"task": "digits"})


@pytest.fixture
def model_file(digits_model: Int8Model, tmp_path: Path) -> Path:
    return save_model(digits_model, tmp_path / "tiny.int8")
