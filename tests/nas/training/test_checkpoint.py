from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nas.training.checkpoint import CheckpointError, load_arrays, save_arrays


def test_there_and_back(tmp_path: Path) -> None:
    arrays = {"a/b": np.arange(6, dtype=np.float32).reshape(2, 3), "step": np.array(7)}
    save_arrays(tmp_path / "x.npz", arrays, {"epoch": 3, "rate": 0.1, "nan": float("nan")})
    found, document = load_arrays(tmp_path / "x.npz")
    assert set(found) == set(arrays)
    np.testing.assert_array_equal(found["a/b"], arrays["a/b"])
    assert (document["epoch"], document["rate"]) == (3, 0.1)
    assert np.isnan(document["nan"])
    assert [path.name for path in tmp_path.iterdir()] == ["x.npz"]


def test_damage_is_told_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "x.npz"
    save_arrays(path, {"a": np.arange(1000)}, {"epoch": 3})
    whole = path.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 4
    for content in (b"", whole[:100], whole[:-30], bytes(flipped), b"no archive at all"):
        path.write_bytes(content)
        with pytest.raises(CheckpointError, match=r"^.*x\.npz is damaged or no file of this kind \(.*remove it"):
            load_arrays(path)


def test_npz_of_somebody_else(tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", a=np.arange(3))
    with pytest.raises(CheckpointError, match="no file of this kind"):
        load_arrays(tmp_path / "x.npz")
    np.save(tmp_path / "y.npy", np.arange(3))
    with pytest.raises(CheckpointError, match="no file of this kind"):
        load_arrays(tmp_path / "y.npy")
