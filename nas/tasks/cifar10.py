"""CIFAR-10 from whichever of its published forms lies under the data root.

Nothing is unpickled that is not known: ``cifar10.npz`` is read with pickles refused, the binary version holds none, and
the Python version's batch files are opened (by torchvision) only after each was found to have its published MD5. What
has to be downloaded is the binary version.
"""

from __future__ import annotations

import tarfile
import zipfile
import zlib
from pathlib import Path
from typing import IO

import numpy as np
from numpy.typing import NDArray

from nas.tasks.download import download_archive
from nas.tasks.task import Augmentation, DataError, Task, TaskData

INPUT_SHAPE = (32, 32, 3)
CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
VALIDATION_IMAGES = 5000
"""The last images of the official training set; they are never trained on."""

NPZ = "cifar10.npz"
BINARY_FOLDER = "cifar-10-batches-bin"
BINARY_ARCHIVE = "cifar-10-binary.tar.gz"
PYTHON_FOLDER = "cifar-10-batches-py"
FORMS = (NPZ, BINARY_FOLDER, BINARY_ARCHIVE, PYTHON_FOLDER)

_URL = "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
_MD5 = "c32a1d4ab5d03f1284b67883e8d87530"
_BATCHES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")
_IMAGES = 10_000
_RECORD = 1 + 3 * 32 * 32

_UNREADABLE = (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error, tarfile.TarError)
"""What reading a damaged file of one of the forms may raise."""

Arrays = dict[str, NDArray[np.uint8]]


def find(root: Path) -> str | None:
    """Path of the form that ``load`` would read, None when there is none."""
    return next((str(root / form) for form in FORMS if (root / form).exists()), None)


def load(root: Path) -> TaskData:
    """Reads CIFAR-10 under ``root``, downloading it there when no form of it is present.

    45,000 training images, 5,000 validation images (the last of the official training set), 10,000 test images.
    Raises DataError when it is damaged, or absent and not to be had.
    """
    source = find(root)
    if source is None:
        _download(root)
        source = str(root / NPZ)
    path = Path(source)
    try:
        arrays = _READERS[path.name](path)
    except _UNREADABLE as error:
        raise DataError(f"{path} cannot be read as CIFAR-10 ({error}); remove it and fetch it again") from error
    _check(arrays, path)
    train = len(arrays["x_train"]) - VALIDATION_IMAGES
    return TaskData(
        name="cifar10",
        input_shape=INPUT_SHAPE,
        class_names=CLASS_NAMES,
        augmentation=Augmentation(shift=4, reflect=True, flip=True),
        x_train=arrays["x_train"][:train],
        y_train=arrays["y_train"][:train],
        x_val=arrays["x_train"][train:],
        y_val=arrays["y_train"][train:],
        x_test=arrays["x_test"],
        y_test=arrays["y_test"],
        source=source,
    )


def _check(arrays: Arrays, path: Path) -> None:
    for split, least in (("train", VALIDATION_IMAGES + 1), ("test", 1)):
        x, y = arrays[f"x_{split}"], arrays[f"y_{split}"]
        if x.shape[1:] != INPUT_SHAPE or x.dtype != np.uint8 or len(x) < least:
            raise DataError(
                f"{path}: x_{split} is {x.dtype} {x.shape}; uint8 (N, 32, 32, 3) with N of at least {least} expected"
            )
        if y.shape != (len(x),) or y.dtype != np.uint8 or int(y.max()) >= len(CLASS_NAMES):
            raise DataError(f"{path}: y_{split} is {y.dtype} {y.shape}; {len(x)} uint8 labels in 0..9 expected")


def _read_npz(path: Path) -> Arrays:
    with np.load(path, allow_pickle=False) as file:
        arrays = {key: file[key] for key in ("x_train", "y_train", "x_test", "y_test")}
    for key in ("y_train", "y_test"):
        labels = arrays[key].reshape(-1)
        if labels.dtype != np.uint8 and np.issubdtype(labels.dtype, np.integer) and labels.min() >= 0:
            labels = np.minimum(labels, 255).astype(np.uint8)
        arrays[key] = labels
    return arrays


def _read_binary_folder(path: Path) -> Arrays:
    def batch(name: str) -> IO[bytes]:
        return (path / name).open("rb")

    return _from_binary({name: batch(name) for name in _BATCHES})


def _read_binary_archive(path: Path) -> Arrays:
    with tarfile.open(path, "r:gz") as archive:
        return _from_binary({name: _member(archive, f"{BINARY_FOLDER}/{name}") for name in _BATCHES})


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    file = archive.extractfile(name)
    if file is None:
        raise ValueError(f"{name} is not a file")
    return file


def _from_binary(files: dict[str, IO[bytes]]) -> Arrays:
    """Records of one label byte and 3,072 pixel bytes, the three colour planes one after the other."""
    images = np.empty((len(files), _IMAGES, *INPUT_SHAPE), np.uint8)
    labels = np.empty((len(files), _IMAGES), np.uint8)
    for index, (name, file) in enumerate(files.items()):
        with file:
            data = file.read()
        if len(data) != _IMAGES * _RECORD:
            raise ValueError(f"{name} has {len(data)} bytes, {_IMAGES * _RECORD} expected")
        records = np.frombuffer(data, np.uint8).reshape(_IMAGES, _RECORD)
        labels[index] = records[:, 0]
        images[index] = records[:, 1:].reshape(_IMAGES, 3, 32, 32).transpose(0, 2, 3, 1)
    return {
        "x_train": images[:-1].reshape(-1, *INPUT_SHAPE),
        "y_train": labels[:-1].reshape(-1),
        "x_test": images[-1],
        "y_test": labels[-1],
    }


def _read_python_folder(path: Path) -> Arrays:
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    for name, md5 in (*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])):
        if not check_integrity(path / name, md5):
            raise ValueError(f"{name} is missing or differs from the published file, so it is not opened")
    arrays: Arrays = {}
    for split in ("train", "test"):
        data = CIFAR10(path.parent, train=split == "train")
        arrays[f"x_{split}"] = np.ascontiguousarray(data.data)
        arrays[f"y_{split}"] = np.array(data.targets, np.uint8)
    return arrays


_READERS = {
    NPZ: _read_npz,
    BINARY_FOLDER: _read_binary_folder,
    BINARY_ARCHIVE: _read_binary_archive,
    PYTHON_FOLDER: _read_python_folder,
}


def _download(root: Path) -> None:
    """Downloads the binary version and leaves ``cifar10.npz`` alone under ``root``."""
    missing = f"CIFAR-10 was not found under {root} (looked for {', '.join(FORMS)})"
    advice = "run `make data`, or point NAS_DATA or --data-root at a folder that holds one of them"
    try:
        with download_archive(_URL, _MD5, root) as archive:
            arrays = _read_binary_archive(archive)
            part = archive.with_name(NPZ)
            np.savez(part, **arrays)  # type: ignore[arg-type]
            part.replace(root / NPZ)
    except (*_UNREADABLE, RuntimeError) as error:
        raise DataError(f"{missing} and could not be downloaded ({error}): {advice}") from error


TASK = Task(
    name="cifar10",
    description="60,000 colour photographs 32x32: 45,000 training, 5,000 validation, 10,000 test images",
    input_shape=INPUT_SHAPE,
    class_names=CLASS_NAMES,
    load=load,
    find=find,
)
