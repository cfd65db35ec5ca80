from __future__ import annotations

from pathlib import Path

import pytest

from firmware.toolchain import Compiler
from firmware.virtual.objects import compile_object
from search_spaces.errors import NasError

FLAGS = ("-O2", "-ffreestanding")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "include").mkdir()
    (tmp_path / "include" / "numbers.h").write_text('#include "more.h"\n')
    (tmp_path / "include" / "more.h").write_text("#define MORE 2\n")
    (tmp_path / "main.c").write_text('#include "numbers.h"\nint more(void);\nint more(void) { return MORE; }\n')
    return tmp_path / "main.c"


def compiled(compiler: Compiler, source: Path, kept: Path | None, flags: tuple[str, ...] = FLAGS) -> bytes:
    out = source.parent / "out" / "main.o"
    compile_object(compiler, flags, [source.parent / "include"], source, out, kept)
    return out.read_bytes()


def test_the_same_text_is_compiled_once(arm_gcc: Compiler, source: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    first = compiled(arm_gcc, source, kept)
    (only,) = kept.iterdir()
    assert only.read_bytes() == first
    only.write_bytes(b"taken from here")
    assert compiled(arm_gcc, source, kept) == b"taken from here"
    assert compiled(arm_gcc, source, None) == first


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("include/more.h", "2", "3"), ("main.c", "return", "return 1 +"), ("include/numbers.h", "#include", "# include")],
)
def test_other_text_is_another_object(
    arm_gcc: Compiler, source: Path, tmp_path: Path, file: str, old: str, new: str
) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    compiled(arm_gcc, source, kept)
    changed = tmp_path / file
    changed.write_text(changed.read_text().replace(old, new))
    compiled(arm_gcc, source, kept)
    assert len(list(kept.iterdir())) == 2


def test_another_command_is_another_object(arm_gcc: Compiler, source: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    for flags in (FLAGS, ("-O1", "-ffreestanding")):
        compiled(arm_gcc, source, kept, flags)
    assert len(list(kept.iterdir())) == 2


def test_what_does_not_compile_is_not_kept(arm_gcc: Compiler, source: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    source.write_text("int broken(\n")
    with pytest.raises(NasError, match=r"main\.c"):
        compiled(arm_gcc, source, kept)
    assert not list(kept.iterdir())
