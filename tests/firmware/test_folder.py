"""Export folders appear whole or not at all, and replace nothing but an export."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

import pytest

from firmware.folder import FORMAT, FORMAT_VERSION, KEYS, MANIFEST, digests, new_folder, read_manifest
from search_spaces.errors import NasError


def write_export(folder: Path, text: str = "first", overwrite: bool = False) -> None:
    with new_folder(folder, overwrite) as draft:
        (draft / "sub").mkdir()
        (draft / "sub" / "a.c").write_text(text)
        manifest = {key: kind() for key, kind in KEYS.items()}
        manifest |= {"format": FORMAT, "format_version": FORMAT_VERSION, "files": digests(draft)}
        manifest |= {key: {"shape": [1, 1, 1]} for key in ("input", "output")}
        (draft / MANIFEST).write_text(json.dumps(manifest))


def test_a_new_folder_appears_at_the_end(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    with new_folder(folder) as draft:
        (draft / "a").write_text("x")
        assert not folder.exists()
        assert draft.parent == folder.parent
    assert (folder / "a").read_text() == "x"
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), RuntimeError("no"), NasError("no")])
def test_failing_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def fail_half_way() -> None:
        with new_folder(tmp_path / "out") as draft:
            (draft / "a").write_text("x")
            raise error

    with pytest.raises(type(error)):
        fail_half_way()
    assert not list(tmp_path.iterdir())


def test_failing_leaves_an_earlier_export_as_it_was(tmp_path: Path) -> None:
    write_export(tmp_path / "out")
    before = digests(tmp_path / "out")
    with pytest.raises(NasError, match="out cannot be written: No space left"), new_folder(tmp_path / "out"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert digests(tmp_path / "out") == before
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_a_failing_move_brings_the_earlier_export_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_export(tmp_path / "out")
    rename = os.rename

    def refuse(source: Any, destination: Any) -> None:
        if str(source).endswith(".tmp"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rename(source, destination)

    monkeypatch.setattr(os, "rename", refuse)
    with pytest.raises(NasError, match="cannot be written: Input/output error"):
        write_export(tmp_path / "out", "second")
    assert (tmp_path / "out" / "sub" / "a.c").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_untouched_export_is_replaced(tmp_path: Path) -> None:
    write_export(tmp_path / "out")
    write_export(tmp_path / "out", "second")
    assert (tmp_path / "out" / "sub" / "a.c").read_text() == "second"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("path", ["sub/a.c", "sub/new.c"])
def test_a_changed_export_is_replaced_only_when_asked(tmp_path: Path, path: str) -> None:
    write_export(tmp_path / "out")
    (tmp_path / "out" / path).write_text("mine")
    with pytest.raises(NasError, match="was changed since it was written"):
        write_export(tmp_path / "out", "second")
    assert (tmp_path / "out" / path).read_text() == "mine"
    write_export(tmp_path / "out", "second", overwrite=True)
    assert (tmp_path / "out" / "sub" / "a.c").read_text() == "second"


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize("manifest", [None, "{}", "[]", "no json", '{"format": "app"}', f'{{"format": "{FORMAT}"}}'])
def test_a_folder_of_something_else_is_never_replaced(tmp_path: Path, manifest: str | None, overwrite: bool) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "thesis.tex").write_text("years")
    if manifest is not None:
        (folder / MANIFEST).write_text(manifest)
    with pytest.raises(NasError, match=r"is no export folder|is an export of format None"):
        write_export(folder, overwrite=overwrite)
    assert (folder / "thesis.tex").read_text() == "years"
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_empty_folder_is_taken_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    write_export(tmp_path / "empty")
    assert (tmp_path / "empty" / MANIFEST).is_file()
    (tmp_path / "file").write_text("x")
    with pytest.raises(NasError, match="is a file"):
        write_export(tmp_path / "file")
    with pytest.raises(NasError, match="cannot be written: "):
        write_export(tmp_path / "file" / "out")


def test_a_manifest_that_lacks_a_part_is_damaged(tmp_path: Path) -> None:
    write_export(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    del manifest["sources"]
    (tmp_path / "out" / MANIFEST).write_text(json.dumps(manifest))
    with pytest.raises(NasError, match=r"damaged export folder: its manifest\.json lacks 'sources'"):
        read_manifest(tmp_path / "out")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("files", []),
        ("name", 5),
        ("sources", "model.c"),
        ("input", None),
        ("output", {}),
        ("input", {"shape": [1, "2", 3]}),
    ],
)
def test_a_manifest_with_a_part_of_another_kind_is_damaged(tmp_path: Path, key: str, value: object) -> None:
    write_export(tmp_path / "out")
    manifest = json.loads((tmp_path / "out" / MANIFEST).read_text())
    (tmp_path / "out" / MANIFEST).write_text(json.dumps(manifest | {key: value}))
    with pytest.raises(NasError, match=rf"damaged export folder: in its manifest\.json, .*'{key}' is "):
        read_manifest(tmp_path / "out")


def test_a_manifest_nested_beyond_reading_is_none(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(NasError, match="no readable manifest"):
        read_manifest(tmp_path)


def test_folders_get_the_permissions_of_any_other(tmp_path: Path) -> None:
    write_export(tmp_path / "out")
    (tmp_path / "other").mkdir()
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "other").stat().st_mode
