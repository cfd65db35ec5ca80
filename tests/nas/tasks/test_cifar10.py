from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torchvision.datasets.utils
from numpy.typing import NDArray

from nas.tasks import DataError, get_task, load_task
from nas.tasks import cifar10 as module

Bytes = NDArray[np.uint8]


def arrays(train: int = 5003, test: int = 7) -> dict[str, Any]:
    """Images that carry their own number in their first pixel."""
    rng = np.random.default_rng(0)
    data = {}
    for split, count in (("train", train), ("test", test)):
        x = np.zeros((count, 32, 32, 3), np.uint8)
        x[:, 0, 0, 0], x[:, 0, 0, 1] = np.arange(count) % 256, np.arange(count) // 256
        data[f"x_{split}"] = x
        data[f"y_{split}"] = rng.integers(0, 10, count).astype(np.uint8)
    return data


def binary_record(label: int, image: Bytes) -> bytes:
    return bytes([label]) + image[..., 0].tobytes() + image[..., 1].tobytes() + image[..., 2].tobytes()


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> int:
    """Binary batches of 1,001 images instead of 10,000."""
    monkeypatch.setattr(module, "_IMAGES", 1001)
    return 1001


def write_binary(folder: Path, size: int) -> dict[str, Any]:
    data = arrays(5 * size, size)
    folder.mkdir(parents=True)
    for i in range(6):
        split, offset = ("train", i * size) if i < 5 else ("test", 0)
        rows = range(offset, offset + size)
        content = b"".join(binary_record(data[f"y_{split}"][k], data[f"x_{split}"][k]) for k in rows)
        (folder / (f"data_batch_{i + 1}.bin" if i < 5 else "test_batch.bin")).write_bytes(content)
    return data


def write_archive(path: Path, size: int) -> dict[str, Any]:
    folder = path.parent / "unpacked"
    data = write_binary(folder, size)
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-bin")
    return data


def assert_is(root: Path, data: dict[str, Any]) -> None:
    task = load_task("cifar10", root)
    train = len(data["x_train"]) - 5000
    for key, expected in (
        ("x_train", data["x_train"][:train]),
        ("y_train", data["y_train"][:train]),
        ("x_val", data["x_train"][train:]),
        ("y_val", data["y_train"][train:]),
        ("x_test", data["x_test"]),
        ("y_test", data["y_test"]),
    ):
        np.testing.assert_array_equal(getattr(task, key), expected)


def test_npz_with_the_last_5000_training_images_for_validation(tmp_path: Path) -> None:
    data = arrays()
    np.savez(tmp_path / "cifar10.npz", classes=np.array(["a"]), **data)
    assert_is(tmp_path, data)
    assert get_task("cifar10").find(tmp_path) == str(tmp_path / "cifar10.npz")


def test_labels_of_other_integer_types_and_in_a_column(tmp_path: Path) -> None:
    data = arrays()
    np.savez(tmp_path / "cifar10.npz", **{**data, "y_train": data["y_train"].astype(np.int64)[:, None]})
    assert_is(tmp_path, data)


def test_binary_folder(tmp_path: Path, small_batches: int) -> None:
    assert_is(tmp_path, write_binary(tmp_path / "cifar-10-batches-bin", small_batches))


def test_binary_archive(tmp_path: Path, small_batches: int) -> None:
    assert_is(tmp_path, write_archive(tmp_path / "cifar-10-binary.tar.gz", small_batches))


def test_download_becomes_an_npz_and_leaves_nothing_else(
    tmp_path: Path, small_batches: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_archive(tmp_path / "published.tar.gz", small_batches)

    def download(url: str, folder: str, filename: str, md5: str) -> None:
        assert (url.rsplit("/")[-1], md5) == ("cifar-10-binary.tar.gz", "c32a1d4ab5d03f1284b67883e8d87530")
        (Path(folder) / filename).write_bytes((tmp_path / "published.tar.gz").read_bytes())

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", download)
    root = tmp_path / "new" / "root"
    assert_is(root, data)
    assert [path.name for path in root.iterdir()] == ["cifar10.npz"]


def test_failed_download_says_what_to_do_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def download(url: str, folder: str, filename: str, md5: str) -> None:
        (Path(folder) / filename).write_bytes(b"half of it")
        raise OSError("no route to host")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", download)
    with pytest.raises(DataError) as caught:
        load_task("cifar10", tmp_path / "new" / "root")
    message = str(caught.value)
    for part in (str(tmp_path / "new" / "root"), "cifar10.npz", "no route", "`make data`", "NAS_DATA", "--data-root"):
        assert part in message
    assert not (tmp_path / "new").exists()


def refusal(root: Path) -> str:
    with pytest.raises(DataError) as caught:
        load_task("cifar10", root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_truncated_npz(tmp_path: Path) -> None:
    path = tmp_path / "cifar10.npz"
    np.savez_compressed(path, **arrays())
    whole = path.read_bytes()
    for cut in (0, 10, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:cut])
        assert "cifar10.npz cannot be read as CIFAR-10" in refusal(tmp_path)


def test_flipped_bit_is_found(tmp_path: Path) -> None:
    path = tmp_path / "cifar10.npz"
    np.savez(path, **arrays())
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)
    assert "cannot be read as CIFAR-10 (Bad CRC-32" in refusal(tmp_path)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"x_train": np.zeros((5003, 3, 32, 32), np.uint8)}, "x_train is uint8 (5003, 3, 32, 32)"),
        ({"x_train": np.zeros((5000, 32, 32, 3), np.uint8)}, "N of at least 5001"),
        ({"x_test": np.zeros((7, 32, 32, 3), np.float32)}, "x_test is float32"),
        ({"y_train": np.zeros(5002, np.uint8)}, "y_train is uint8 (5002,); 5003 uint8 labels"),
        ({"y_test": np.full(7, 10, np.uint8)}, "labels in 0..9"),
        ({"y_test": np.full(7, -1)}, "y_test is int64"),
    ],
)
def test_arrays_that_are_not_cifar10(tmp_path: Path, change: dict[str, Any], complaint: str) -> None:
    np.savez(tmp_path / "cifar10.npz", **{**arrays(), **change})
    assert complaint in refusal(tmp_path)


def test_missing_array(tmp_path: Path) -> None:
    data = arrays()
    del data["y_test"]
    np.savez(tmp_path / "cifar10.npz", **data)
    assert "y_test" in refusal(tmp_path)


class Bomb:
    def __reduce__(self) -> Any:
        return (exec, ("raise SystemExit('unpickled')",))


def test_pickles_are_not_opened(tmp_path: Path) -> None:
    np.savez(tmp_path / "cifar10.npz", **{**arrays(), "x_test": np.array([Bomb()])})
    assert "allow_pickle=False" in refusal(tmp_path)


def test_python_batches_that_differ_from_the_published_ones_are_not_opened(tmp_path: Path) -> None:
    folder = tmp_path / "cifar-10-batches-py"
    folder.mkdir()
    for name in [f"data_batch_{i}" for i in range(1, 6)] + ["test_batch", "batches.meta"]:
        (folder / name).write_bytes(pickle.dumps(Bomb()))
    assert "data_batch_1 is missing or differs from the published file, so it is not opened" in refusal(tmp_path)


def test_short_batch(tmp_path: Path, small_batches: int) -> None:
    write_binary(tmp_path / "cifar-10-batches-bin", small_batches)
    (tmp_path / "cifar-10-batches-bin" / "test_batch.bin").write_bytes(b"short")
    assert "test_batch.bin has 5 bytes, 3076073 expected" in refusal(tmp_path)


def test_archive_without_a_batch(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "cifar-10-binary.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("cifar-10-batches-bin/readme.html"), io.BytesIO())
    assert "data_batch_1.bin" in refusal(tmp_path)


def test_the_real_one(data_root: Path) -> None:
    if get_task("cifar10").find(data_root) is None:
        pytest.skip(f"no CIFAR-10 in {data_root}: `make data` brings it")
    task = load_task("cifar10", data_root)
    assert (len(task.x_train), len(task.x_val), len(task.x_test)) == (45_000, 5_000, 10_000)
    np.testing.assert_array_equal(np.bincount(task.y_test), [1000] * 10)
    np.testing.assert_array_equal(np.bincount(np.concatenate([task.y_train, task.y_val])), [5000] * 10)
    # The first training image is a frog, the second a truck (official order); the mean grey is published widely.
    assert [task.class_names[label] for label in task.y_train[:2]] == ["frog", "truck"]
    mean = np.concatenate([task.x_train, task.x_val]).mean((0, 1, 2)) / 255
    np.testing.assert_allclose(mean, [0.4914, 0.4822, 0.4465], atol=1e-3)
