"""What exporting does to the disk: a whole folder or nothing, and never to what is not ours."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from estimators import load_target
from firmware.emit import export
from firmware.int8_model import Int8Model
from search_spaces.builder import GraphBuilder
from search_spaces.errors import NasError
from tests.strategies import random_int8_model

TARGET = load_target("stm32l4r9")


@pytest.fixture
def small() -> Int8Model:
    builder = GraphBuilder((4, 4, 2))
    builder.dense(builder.conv("input", 4, 3), 3)
    return random_int8_model(builder.build("two kernels"), np.random.default_rng(8))


def test_a_folder_of_something_else_is_never_touched(small: Int8Model, tmp_path: Path) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "notes.txt").write_text("mine")
    for overwrite in (False, True):
        with pytest.raises(NasError, match="work is no export folder"):
            export(small, TARGET, tmp_path / "work", overwrite=overwrite)
    assert [path.name for path in tmp_path.rglob("*")] == ["work", "notes.txt"]


def test_an_export_is_replaced_unless_it_was_changed(small: Int8Model, tmp_path: Path) -> None:
    folder = export(small, TARGET, tmp_path / "c")
    export(small, TARGET, folder, name="kws")
    assert "kws_invoke" in (folder / "model.h").read_text()
    (folder / "stm32l4r9" / "harness.c").write_text("int main(void) { return 0; }")
    with pytest.raises(NasError, match="was changed since it was written"):
        export(small, TARGET, folder)
    export(small, TARGET, folder, overwrite=True)
    assert "kws_invoke" not in (folder / "model.h").read_text()


# Python does not notice when the limit cuts a module's byte code short, and fails on it ever after: none is written.
LIMITED = """
import resource, sys
sys.dont_write_bytecode = True
from pathlib import Path
from firmware.emit import export
from firmware.int8_file import load_model
from search_spaces.errors import NasError

model = load_model(Path(sys.argv[1]))
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[3]),) * 2)
try:
    export(model, "stm32l4r9", Path(sys.argv[2]))
except NasError as error:
    sys.exit(f"error: {error}")
"""


@pytest.mark.parametrize("share", [0.0, 0.2, 0.6, 0.99])
def test_no_space_leaves_nothing(small: Int8Model, tmp_path: Path, checkout: Path, share: float) -> None:
    whole = export(small, TARGET, tmp_path / "whole")
    limit = int(share * max(path.stat().st_size for path in whole.rglob("*")))
    (tmp_path / "place").mkdir()
    command = [sys.executable, "-c", LIMITED, whole / "model.int8", tmp_path / "place" / "c", str(limit)]
    done = subprocess.run(command, cwd=checkout, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.fullmatch(r"error: .* written: File too large\n", done.stderr)
    assert not list((tmp_path / "place").iterdir())
