from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from firmware.files import atomic_write
from search_spaces.errors import NasError


def test_writes_bytes_and_text(tmp_path: Path) -> None:
    assert atomic_write(tmp_path / "a", b"\x00\xff") == tmp_path / "a"
    atomic_write(str(tmp_path / "b"), "ä\n")
    assert (tmp_path / "a").read_bytes() == b"\x00\xff"
    assert (tmp_path / "b").read_bytes() == b"\xc3\xa4\n"
    assert sorted(os.listdir(tmp_path)) == ["a", "b"]


def test_content_first_and_then_the_name_are_flushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushed: list[str] = []
    monkeypatch.setattr(os, "fsync", lambda number: flushed.append(os.readlink(f"/proc/self/fd/{number}")))
    atomic_write(tmp_path / "a", "x")
    assert len(flushed) == 2
    assert flushed[0].endswith(".tmp")
    assert flushed[1] == str(tmp_path.resolve())


def test_mode_is_that_of_any_new_file(tmp_path: Path) -> None:
    atomic_write(tmp_path / "a", "x")
    (tmp_path / "b").write_text("x")
    assert (tmp_path / "a").stat().st_mode == (tmp_path / "b").stat().st_mode


def test_follows_links(tmp_path: Path) -> None:
    (tmp_path / "target").write_text("old")
    (tmp_path / "link").symlink_to("target")
    atomic_write(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "new"


def test_full_device() -> None:
    with pytest.raises(NasError, match=r"^/dev/full could not be written: No space left on device$"):
        atomic_write("/dev/full", "x")
    assert Path("/dev/full").is_char_device()


@pytest.mark.parametrize("name", ["missing/a", "."])
def test_impossible_places(tmp_path: Path, name: str) -> None:
    with pytest.raises(NasError, match="could not be written"):
        atomic_write(tmp_path / name, "x")
    assert os.listdir(tmp_path) == []


def test_limit_on_file_size_leaves_the_old_file(tmp_path: Path) -> None:
    """In a process of its own: a lowered limit cannot be raised again by everybody."""
    program = (
        "import sys\n"
        "sys.dont_write_bytecode = True  # byte code cut short by the limit would break every later import\n"
        "from firmware.files import atomic_write\n"
        "from search_spaces.errors import NasError\n"
        "try:\n"
        "    atomic_write(sys.argv[1], b'x' * 100_000)\n"
        "except NasError as error:\n"
        "    print(error)\n"
    )
    target = tmp_path / "a"
    target.write_text("old")
    result = subprocess.run(
        [sys.executable, "-c", program, str(target)],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000)),
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout == f"{target} could not be written: File too large\n"
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["a"]
