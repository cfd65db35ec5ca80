from __future__ import annotations

import numpy as np
import torch

from nas.tasks import Augmentation
from nas.training.batches import Images

CPU = torch.device("cpu")


def images(count: int = 1, height: int = 4, width: int = 5, channels: int = 2) -> Images:
    x = np.arange(1, 1 + count * height * width * channels) % 256
    return Images(x.astype(np.uint8).reshape(count, height, width, channels), np.arange(count, dtype=np.uint8), CPU)


def draws(source: Images, how: Augmentation, times: int = 300) -> np.ndarray:
    """``times`` variations of the first image as bytes (times, height, width, channels)."""
    rows = torch.zeros(times, dtype=torch.int64)
    varied = source.augmented(rows, how, torch.Generator().manual_seed(0))
    return np.rint(varied.permute(0, 2, 3, 1).numpy() * 255).astype(np.uint8)


def distinct(variations: np.ndarray) -> set[bytes]:
    return {image.tobytes() for image in variations}


def test_plain_batches_are_the_images_in_order() -> None:
    source = images(5)
    batches = list(source.batches(2))
    assert [len(labels) for _, labels in batches] == [2, 2, 1]
    x = torch.cat([x for x, _ in batches])
    assert x.is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_allclose(x.permute(0, 2, 3, 1), source.bytes / 255)
    assert torch.cat([labels for _, labels in batches]).tolist() == [0, 1, 2, 3, 4]


def test_no_augmentation_changes_nothing() -> None:
    source = images(3)
    rows = torch.tensor([2, 0])
    varied = source.augmented(rows, Augmentation(), torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(varied, source.plain(rows))


def test_shifts_with_black_around() -> None:
    source = images()
    padded = np.pad(source.bytes[0].numpy(), ((1, 1), (1, 1), (0, 0)))
    expected = {padded[y : y + 4, x : x + 5].tobytes() for y in range(3) for x in range(3)}
    assert distinct(draws(source, Augmentation(shift=1))) == expected


def test_shifts_and_flips_with_the_mirrored_image_around() -> None:
    source = images()
    padded = np.pad(source.bytes[0].numpy(), ((1, 1), (1, 1), (0, 0)), mode="reflect")
    crops = [padded[y : y + 4, x : x + 5] for y in range(3) for x in range(3)]
    expected = {crop.tobytes() for crop in crops} | {crop[:, ::-1].tobytes() for crop in crops}
    assert distinct(draws(source, Augmentation(shift=1, reflect=True, flip=True))) == expected


def test_cutout_grays_a_square() -> None:
    source = images(height=6, width=6, channels=1)
    original = source.bytes[0].numpy()
    sizes = set()
    for varied in draws(source, Augmentation(cutout=2)):
        rows, columns = np.nonzero(varied[..., 0] != original[..., 0])
        assert (varied[rows, columns] == 128).all()
        sizes.add((np.ptp(rows) + 1, np.ptp(columns) + 1))
    assert sizes == {(1, 1), (1, 2), (2, 1), (2, 2)}


def test_the_generator_alone_decides() -> None:
    how = Augmentation(shift=1, flip=True, cutout=2)
    np.testing.assert_array_equal(draws(images(), how), draws(images(), how))
