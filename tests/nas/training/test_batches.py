from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from firmware.frontend.reference import features
from firmware.frontend.tables import FEATURE_QUANT
from firmware.int8_model import Quant
from nas.tasks import Augmentation, SoundAugmentation, TaskData, load_task, to_int8
from nas.training.batches import Clips, Images, training_batches, training_data_digest, validation_batches
from tests.nas.training.sounds import FRONTENDS, beeps

CPU = torch.device("cpu")


def images(
    count: int = 1, height: int = 4, width: int = 5, channels: int = 2, how: Augmentation | None = None
) -> Images:
    x = np.arange(1, 1 + count * height * width * channels) % 256
    x = x.astype(np.uint8).reshape(count, height, width, channels)
    return Images(x, np.arange(count, dtype=np.uint8), CPU, how=how or Augmentation())


def draws(source: Images, times: int = 300) -> np.ndarray:
    """``times`` variations of the first image as bytes (times, height, width, channels)."""
    rows = torch.zeros(times, dtype=torch.int64)
    varied = source.augmented(rows, torch.Generator().manual_seed(0))
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
    varied = source.augmented(rows, torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(varied, source.plain(rows))


def test_shifts_with_black_around() -> None:
    source = images(how=Augmentation(shift=1))
    padded = np.pad(source.bytes[0].numpy(), ((1, 1), (1, 1), (0, 0)))
    expected = {padded[y : y + 4, x : x + 5].tobytes() for y in range(3) for x in range(3)}
    assert distinct(draws(source)) == expected


def test_shifts_and_flips_with_the_mirrored_image_around() -> None:
    source = images(how=Augmentation(shift=1, reflect=True, flip=True))
    padded = np.pad(source.bytes[0].numpy(), ((1, 1), (1, 1), (0, 0)), mode="reflect")
    crops = [padded[y : y + 4, x : x + 5] for y in range(3) for x in range(3)]
    expected = {crop.tobytes() for crop in crops} | {crop[:, ::-1].tobytes() for crop in crops}
    assert distinct(draws(source)) == expected


def test_cutout_grays_a_square() -> None:
    source = images(height=6, width=6, channels=1, how=Augmentation(cutout=2))
    original = source.bytes[0].numpy()
    sizes = set()
    for varied in draws(source):
        rows, columns = np.nonzero(varied[..., 0] != original[..., 0])
        assert (varied[rows, columns] == 128).all()
        sizes.add((np.ptp(rows) + 1, np.ptp(columns) + 1))
    assert sizes == {(1, 1), (1, 2), (2, 1), (2, 2)}


def test_the_generator_alone_decides() -> None:
    how = Augmentation(shift=1, flip=True, cutout=2)
    np.testing.assert_array_equal(draws(images(how=how)), draws(images(how=how)))


def test_inputs_of_any_quantisation() -> None:
    x = np.array([0, 128, 138, 255], np.uint8).reshape(4, 1, 1, 1)
    source = Images(x, np.zeros(4, np.uint8), CPU, Quant(0.5, 10))
    assert source.plain(slice(None)).flatten().tolist() == [-69.0, -5.0, 0.0, 58.5]


def plainly(task: TaskData) -> TaskData:
    """``task`` with sounds that are not varied."""
    assert task.sound is not None
    return replace(task, sound=replace(task.sound, augmentation=SoundAugmentation(), noise=()))


def test_batches_of_sound_are_its_features() -> None:
    task = beeps()
    assert task.sound is not None
    source = training_batches(task, CPU)
    assert isinstance(source, Clips)
    expected = features(FRONTENDS[0], task.sound.train) * FEATURE_QUANT.scale
    rows = torch.tensor([3, 0, 5])
    np.testing.assert_array_equal(source.plain(rows).permute(0, 2, 3, 1), expected[rows].astype(np.float32))
    held = torch.cat([x for x, _ in validation_batches(task, CPU).batches(7)])
    np.testing.assert_array_equal(held.permute(0, 2, 3, 1) * 32, to_int8(task.x_val))


def test_without_variations_augmented_sound_is_plain() -> None:
    for task in (plainly(beeps()), plainly(beeps().bound_to(FRONTENDS[1]))):
        source = training_batches(task, CPU)
        rows = torch.tensor([3, 0, 5])
        np.testing.assert_array_equal(source.augmented(rows, torch.Generator()), source.plain(rows))


def unmasked(task: TaskData) -> TaskData:
    """``task`` with sounds that are varied, but features that are not masked."""
    assert task.sound is not None
    how = replace(task.sound.augmentation, time_masks=0, frequency_masks=0)
    return replace(task, sound=replace(task.sound, augmentation=how))


def test_versions_take_turns_whatever_the_generator() -> None:
    rows = torch.tensor([3, 0, 5])
    batches = []
    for seed in (1, 2):
        source = training_batches(unmasked(beeps()), CPU, versions=2)
        for epoch in (0, 1, 2):
            source.begin(epoch)
            batches.append(source.augmented(rows, torch.Generator().manual_seed(seed)))
    first, second = batches[:2]
    assert (first != source.plain(rows)).any()
    assert (first != second).any()
    for batch, same in zip(batches[2:], (first, first, second, first), strict=True):
        np.testing.assert_array_equal(batch, same)


def test_without_versions_every_batch_is_varied_anew() -> None:
    source = training_batches(unmasked(beeps()), CPU, versions=0)
    rows, generator = torch.tensor([3, 0, 5]), torch.Generator().manual_seed(0)
    assert (source.augmented(rows, generator) != source.augmented(rows, generator)).any()


def test_sound_is_varied_only_where_asked_for() -> None:
    source = training_batches(beeps(), CPU, augment=False)
    rows = torch.arange(8)
    np.testing.assert_array_equal(source.augmented(rows, torch.Generator()), source.plain(rows))


def test_the_digest_knows_everything_that_batches_are_made_of() -> None:
    task, digits = beeps(), load_task("digits")
    assert task.sound is not None
    louder = replace(task.sound.augmentation, gain_db=7.0)
    variants = [
        task,
        task.bound_to(FRONTENDS[1]),
        replace(task, sound=replace(task.sound, augmentation=louder)),
        replace(task, sound=replace(task.sound, noise=())),
        replace(task, y_train=np.roll(task.y_train, 1)),
        digits,
        replace(digits, x_train=digits.x_train ^ np.uint8(1)),
        replace(digits, augmentation=Augmentation()),
    ]
    assert len({training_data_digest(variant) for variant in variants}) == len(variants)
    assert training_data_digest(beeps()) == training_data_digest(task)
