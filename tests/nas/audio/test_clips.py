from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest

from nas.audio.clips import Clips, stored_clips

SAMPLES = 8


@pytest.fixture
def clips() -> Clips:
    return Clips(np.arange(3 * SAMPLES, dtype=np.int16).reshape(3, SAMPLES), {1: "clip 1 is broken"})


def never() -> Clips:
    raise AssertionError("made again")


def assert_equal(found: Clips, expected: Clips) -> None:
    np.testing.assert_array_equal(found.samples, expected.samples)
    assert (found.broken, found.digest) == (expected.broken, expected.digest)


def test_made_once(tmp_path: Path, clips: Clips) -> None:
    path = tmp_path / "new" / "set-a.int16"
    assert stored_clips(path, SAMPLES, lambda: clips) is clips
    found = stored_clips(path, SAMPLES, never)
    assert_equal(found, clips)
    assert isinstance(found.samples, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        found.samples[0] = 1


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("set-a.int16", b""),
        ("set-a.int16", bytes(3 * SAMPLES * 2)),
        ("set-a.int16", b"odd"),
        ("set-a.json", b"{"),
        ("set-a.json", b"[]"),
        ("set-a.json", b'{"sha256": "0", "broken": {}}'),
        ("set-a.json", b'{"sha256": "0", "crc32": 0, "broken": {"one": ""}}'),
    ],
)
def test_damage_is_told_and_mended(
    tmp_path: Path, clips: Clips, caplog: pytest.LogCaptureFixture, name: str, content: bytes
) -> None:
    path = tmp_path / "set-a.int16"
    stored_clips(path, SAMPLES, lambda: clips)
    (tmp_path / name).write_bytes(content)
    assert_equal(stored_clips(path, SAMPLES, lambda: clips), clips)
    assert [record.levelno for record in caplog.records] == [logging.WARNING]
    assert "set-a.int16 is damaged" in caplog.text
    assert_equal(stored_clips(path, SAMPLES, never), clips)


def test_a_description_without_samples_and_samples_without_description(tmp_path: Path, clips: Clips) -> None:
    path = tmp_path / "set-a.int16"
    for missing in (path, path.with_suffix(".json")):
        stored_clips(path, SAMPLES, lambda: clips)
        missing.unlink()
        assert stored_clips(path, SAMPLES, lambda: clips) is clips


def test_earlier_contents_go(tmp_path: Path, clips: Clips) -> None:
    for name in ("one-a", "two-a", "two-b"):
        stored_clips(tmp_path / f"{name}.int16", SAMPLES, lambda: clips)
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"one-a.int16", "one-a.json", "two-b.int16", "two-b.json"}


def test_nowhere_to_write(tmp_path: Path, clips: Clips, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "file").write_text("no folder")
    assert stored_clips(tmp_path / "file" / "set-a.int16", SAMPLES, lambda: clips) is clips
    assert "could not be kept" in caplog.text


def test_the_digest_is_of_the_samples() -> None:
    samples = np.zeros((2, SAMPLES), np.int16)
    assert Clips(samples, {}).digest == Clips(samples.copy(), {0: "broken"}).digest
    assert Clips(samples + np.int16(1), {}).digest != Clips(samples, {}).digest
