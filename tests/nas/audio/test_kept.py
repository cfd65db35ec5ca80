from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep

import numpy as np
import pytest

from nas.audio import kept
from nas.audio.kept import Features, features_file, kept_features, remove_least_used
from tests.conftest import CHECKOUT

SHAPES = {"x": (2, 3)}
KEY = "0123456789abcdef" * 4


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAS_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "features"


def made() -> Features:
    return {"x": np.arange(6, dtype=np.int8).reshape(2, 3)}


def refused() -> Features:
    pytest.fail("the features are there")


def test_made_once_by_whoever_is_first() -> None:
    """The others wait for it; each opens the lock for itself, as processes do."""
    path, calls = features_file("name", KEY), []

    def slowly() -> Features:
        calls.append(1)
        sleep(0.3)
        return made()

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: kept_features(path, KEY, SHAPES, slowly), range(4)))
    assert len(calls) == 1
    for features in found:
        np.testing.assert_array_equal(features["x"], made()["x"])
    assert [file.name for file in path.parent.iterdir()] == [f"name-{KEY[:24]}.npz"]


def test_a_process_that_dies_leaves_no_lock_behind(folder: Path) -> None:
    path = features_file("name", KEY)
    program = (
        "import os\n"
        "from nas.audio.kept import features_file, kept_features\n"
        f"kept_features(features_file('name', {KEY!r}), {KEY!r}, {{}}, lambda: os._exit(3))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    assert subprocess.run([sys.executable, "-c", program], env=environment).returncode == 3
    assert [file.suffix for file in folder.iterdir()] == [".lock"]
    kept_features(path, KEY, SHAPES, made)
    assert list(folder.iterdir()) == [path]


def test_an_error_frees_the_lock() -> None:
    path = features_file("name", KEY)
    with pytest.raises(ZeroDivisionError):
        kept_features(path, KEY, SHAPES, lambda: {"x": np.int8(1 / 0)})  # type: ignore[dict-item]
    kept_features(path, KEY, SHAPES, made)


def test_the_least_recently_used_go(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [features_file(name, KEY) for name in "abcd"]
    for hours, path in enumerate(paths):
        kept_features(path, KEY, SHAPES, made)
        os.utime(path, (hours * 3600, hours * 3600))
    size = paths[0].stat().st_size
    kept_features(paths[0], KEY, SHAPES, refused)  # the oldest is the one used last
    monkeypatch.setattr(kept, "MOST_BYTES", 3 * size + size // 2)
    newest = features_file("e", KEY)
    kept_features(newest, KEY, SHAPES, made)
    assert set(folder.iterdir()) == {paths[0], paths[3], newest}
    remove_least_used(folder, 0, newest)
    assert list(folder.iterdir()) == [newest]
