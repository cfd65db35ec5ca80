from __future__ import annotations

import urllib.error
from pathlib import Path

import pytest
import torchaudio
from torchaudio.datasets import SPEECHCOMMANDS

from nas.errors import DataError
from nas.tasks.speech_files import (
    SPLITS,
    download,
    find_folder,
    list_clips,
    list_splits,
    noise_files,
    speaker_of,
    split_of,
    word_of,
)
from tests.nas.speech_folder import SPEAKERS, WORDS, write_data_set

SUBSETS = {"train": "training", "val": "validation", "test": "testing"}


def torchaudio_lists(root: Path, folder: Path, subset: str | None) -> list[str]:
    """What torchaudio would read, below the data set's folder."""
    there = SPEECHCOMMANDS(root, url=folder.name, subset=subset)
    return [str(Path(there.get_metadata(i)[0]).relative_to(folder.name)) for i in range(len(there))]


def assert_as_torchaudio(root: Path) -> None:
    folder = find_folder(root)
    assert folder is not None
    assert list_clips(folder) == torchaudio_lists(root, folder, None)
    splits = list_splits(folder)
    for split, subset in SUBSETS.items():
        assert splits[split] == torchaudio_lists(root, folder, subset)  # type: ignore[index]


@pytest.mark.parametrize("version", ["speech_commands_v0.01", "speech_commands_v0.02"])
def test_the_files_that_torchaudio_lists(tmp_path: Path, version: str) -> None:
    folder = write_data_set(tmp_path, version=version)
    (folder / "yes" / "notes.txt").write_text("no clip")
    (folder / "yes" / "unnamed.wav").write_bytes(b"")
    (folder / "LICENSE").write_text("CC BY 4.0")
    assert_as_torchaudio(tmp_path)
    assert len(list_clips(folder)) == len(WORDS) * sum(SPEAKERS.values())


def test_the_newer_version_first(tmp_path: Path) -> None:
    assert find_folder(tmp_path) is None
    old = write_data_set(tmp_path, version="speech_commands_v0.01")
    assert find_folder(tmp_path) == old
    assert find_folder(tmp_path) != (new := write_data_set(tmp_path))
    assert find_folder(tmp_path) == new


def test_without_lists_the_rule_gives_the_same_splits(tmp_path: Path) -> None:
    listed = list_splits(write_data_set(tmp_path / "listed"))
    ruled = list_splits(write_data_set(tmp_path / "ruled", lists=False))
    assert {split: sorted(clips) for split, clips in listed.items()} == ruled


def test_names() -> None:
    assert speaker_of("yes/0a7c2a8d_nohash_3.wav") == "0a7c2a8d"
    assert word_of("yes/0a7c2a8d_nohash_3.wav") == "yes"
    assert split_of("yes/0a7c2a8d_nohash_0.wav") == split_of("no/0a7c2a8d_nohash_7.wav")


def test_noise_files(tmp_path: Path) -> None:
    folder = write_data_set(tmp_path)
    assert [path.name for path in noise_files(folder)] == ["running_tap.wav", "white_noise.wav"]
    assert noise_files(tmp_path) == []


@pytest.mark.parametrize("missing", ["validation_list.txt", "testing_list.txt"])
def test_one_list_without_the_other(tmp_path: Path, missing: str) -> None:
    folder = write_data_set(tmp_path)
    (folder / missing).unlink()
    with pytest.raises(DataError, match=f"has no {missing}; both lists of its splits, or none, expected"):
        list_splits(folder)


@pytest.mark.parametrize("line", ["/etc/passwd", "../../../secret.wav", "yes", "a/b/c.wav"])
def test_lists_name_files_of_the_data_set_alone(tmp_path: Path, line: str) -> None:
    folder = write_data_set(tmp_path)
    with (folder / "testing_list.txt").open("a") as file:
        file.write(f"\n{line}\n")
    with pytest.raises(DataError, match=r"testing_list\.txt lists '.*'; word/name\.wav expected"):
        list_splits(folder)


def test_lists_of_other_editors(tmp_path: Path) -> None:
    folder = write_data_set(tmp_path)
    expected = list_splits(folder)
    for name in ("validation_list.txt", "testing_list.txt"):
        lines = (folder / name).read_bytes()
        (folder / name).write_bytes(b"\xef\xbb\xbf" + lines.replace(b"\n", b"\r\n"))
    assert list_splits(folder) == expected


def test_no_clip_is_in_both_lists(tmp_path: Path) -> None:
    folder = write_data_set(tmp_path)
    clip = list_splits(folder)["val"][0]
    with (folder / "testing_list.txt").open("a") as file:
        file.write(f"{clip}\n")
    with pytest.raises(DataError, match=f"lists {clip} for validation and for testing"):
        list_splits(folder)


def test_a_list_that_is_no_text(tmp_path: Path) -> None:
    folder = write_data_set(tmp_path)
    (folder / "validation_list.txt").write_bytes(b"yes/\xff\xfe.wav")
    with pytest.raises(DataError, match=r"validation_list\.txt cannot be read as a list of clips"):
        list_splits(folder)


def test_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By torchaudio, with the published checksum; only the finished folder appears."""

    def fetch(url: str, path: str, hash_prefix: str) -> None:
        assert url.endswith("/speech_commands_v0.02.tar.gz")
        assert hash_prefix == "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
        Path(path).write_bytes(b"archive")

    def unpack(archive: str, folder: str) -> None:
        assert Path(archive).read_bytes() == b"archive"
        Path(folder).parent.mkdir(parents=True)
        write_data_set(Path(folder).parent.parent)

    monkeypatch.setattr(torchaudio.datasets.speechcommands, "download_url_to_file", fetch)
    monkeypatch.setattr(torchaudio.datasets.speechcommands, "_extract_tar", unpack)
    root = tmp_path / "new" / "root"
    folder = download(root)
    assert folder == find_folder(root)
    assert len(list_clips(folder)) == len(WORDS) * sum(SPEAKERS.values())
    assert [path.name for path in root.iterdir()] == ["SpeechCommands"]


@pytest.mark.parametrize("error", [urllib.error.URLError("no route to host"), RuntimeError('invalid hash value "1"')])
def test_failed_download_says_what_to_do_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fetch(url: str, path: str, hash_prefix: str) -> None:
        Path(path).write_bytes(b"half of it")
        raise error

    monkeypatch.setattr(torchaudio.datasets.speechcommands, "download_url_to_file", fetch)
    with pytest.raises(DataError) as caught:
        download(tmp_path / "new" / "root")
    parts = (str(tmp_path / "new" / "root"), "speech_commands_v0.02", str(error), "`make data`", "NAS_DATA")
    assert all(part in str(caught.value) for part in (*parts, "--data-root"))
    assert not (tmp_path / "new").exists()


def test_the_real_one(data_root: Path) -> None:
    folder = find_folder(data_root)
    if folder is None:
        pytest.skip(f"no Speech Commands in {data_root}: `make data` brings it")
    assert_as_torchaudio(data_root)
    splits = list_splits(folder)
    for split, clips in splits.items():
        assert all(split_of(clip) == split for clip in clips)
    speakers = [{speaker_of(clip) for clip in splits[split]} for split in SPLITS]
    assert sum(map(len, speakers)) == len(set().union(*speakers))
