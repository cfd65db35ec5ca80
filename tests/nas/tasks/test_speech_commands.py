from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from firmware.frontend import reference
from firmware.frontend.tables import FEATURE_QUANT
from nas.audio.wav import read_clip
from nas.tasks import DataError, TaskData, get_task, load_task, speech_commands, to_int8
from nas.tasks.speech_commands import FRONTENDS, FURTHER
from nas.tasks.speech_files import SPLITS, list_splits, word_of
from search_spaces.errors import NasError
from search_spaces.frontend import FrontEnd
from search_spaces.published import network
from tests.nas.speech_folder import NOISE_SECONDS, RATE, SPEAKERS, WORDS, write_data_set

THREE = "speech_commands:yes,no,unknown,silence"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("data")
    write_data_set(root)
    return root


@pytest.fixture(scope="module")
def task(root: Path) -> TaskData:
    return load_task(THREE, root)


def labels(task: TaskData) -> dict[str, np.ndarray]:
    return {"train": task.y_train, "val": task.y_val, "test": task.y_test}


def clips(task: TaskData) -> dict[str, np.ndarray]:
    assert task.sound is not None
    return {"train": task.sound.train, "val": task.sound.val, "test": task.sound.test}


def files_of(root: Path, words: tuple[str, ...], split: str) -> set[bytes]:
    """Samples of all clips of some words in a split."""
    folder = root / "SpeechCommands" / "speech_commands_v0.02"
    files = list_splits(folder)[split]  # type: ignore[index]
    return {read_clip(folder / clip, RATE, RATE).tobytes() for clip in files if word_of(clip) in words}


def test_the_classes_and_their_sizes(task: TaskData) -> None:
    assert task.name == THREE
    assert task.class_names == ("yes", "no", "unknown", "silence")
    # Two words: the mean is the number of a word's speakers. Of three other words, three times that in training.
    for split in SPLITS:
        people = SPEAKERS[split]
        others = 3 * people if split == "train" else people
        np.testing.assert_array_equal(np.bincount(labels(task)[split]), [people, people, others, people])


def test_every_clip_has_the_label_of_its_file(root: Path, task: TaskData) -> None:
    for split in SPLITS:
        for label, words in ((0, ("yes",)), (1, ("no",)), (2, ("cat", "dog", "up"))):
            of_class = clips(task)[split][labels(task)[split] == label]
            assert {clip.tobytes() for clip in of_class} <= files_of(root, words, split)
            assert len({clip.tobytes() for clip in of_class}) == len(of_class)


def test_the_classes_are_mixed(task: TaskData) -> None:
    assert np.count_nonzero(np.diff(task.y_train.astype(int))) > len(task.y_train) / 3


def test_sounds_and_features(task: TaskData) -> None:
    sound = task.sound
    assert sound is not None
    assert (sound.silence, sound.frontends[0], task.frontend) == (3, FrontEnd(), FrontEnd())
    assert (task.input_shape, task.input_quant) == ((49, 10, 1), FEATURE_QUANT)
    for split, x in (("train", task.x_train), ("val", task.x_val), ("test", task.x_test)):
        assert x.dtype == np.uint8
        np.testing.assert_array_equal(to_int8(x), reference.features(FrontEnd(), clips(task)[split]))
    assert [len(part) for part in sound.noise] == [round(0.6 * NOISE_SECONDS * RATE)] * 2


def test_bound_to_another_front_end(task: TaskData) -> None:
    assert task.bound_to(None) is task
    assert task.bound_to(FrontEnd()) is task
    other = FRONTENDS[-1]
    bound = task.bound_to(other)
    assert (bound.frontend, bound.input_shape) == (other, (33, 40, 1))
    assert bound.x_val.shape == (len(task.x_val), 33, 40, 1)
    np.testing.assert_array_equal(bound.y_train, task.y_train)
    assert bound.sound is task.sound
    np.testing.assert_array_equal(bound.bound_to(None).x_val, task.x_val)
    with pytest.raises(NasError, match=r"takes 8000 samples at 8000 Hz; the clips of task .* have 16000 at 16000 Hz"):
        task.bound_to(FrontEnd(sample_rate=8000, samples=8000, high_hz=3800))


def test_a_task_of_images_has_no_front_end() -> None:
    digits = load_task("digits")
    assert digits.bound_to(None) is digits
    with pytest.raises(NasError, match="needs sound; task 'digits' has images"):
        digits.bound_to(FrontEnd())


def test_front_ends_have_names_of_their_own_and_hear_one_kind_of_clip() -> None:
    every = (*FRONTENDS, *FURTHER)
    assert len({frontend.name for frontend in every}) == len(every)
    assert {(frontend.sample_rate, frontend.samples) for frontend in every} == {(RATE, RATE)}


def test_searches_choose_from_the_same_front_ends_as_ever() -> None:
    """Another one changes what a seed draws, and with it what the published runs are repeated to."""
    assert [frontend.name for frontend in FRONTENDS] == [
        "mfcc10-40mel-w512-h320",
        "mfcc10-40mel-w640-h320",
        "mfcc13-40mel-w512-h320",
        "mfcc10-40mel-w512-h512",
        "logmel-20mel-w512-h320",
        "logmel-40mel-w512-h480",
    ]


def test_networks_get_a_front_end_by_the_shape_of_their_input(task: TaskData) -> None:
    for name, expected in (("ds-cnn-s", FRONTENDS[0]), ("bc-resnet-1-bn", FURTHER[0])):
        graph, bound = task.for_network(network(name, 4))
        assert graph.frontend == bound.frontend == expected
        assert graph.input_shape == bound.input_shape == bound.x_val.shape[1:]
    assert FURTHER[0].shape == (98, 40, 1)
    own = replace(network("ds-cnn-s", 4), frontend=FrontEnd(window=640))
    assert task.for_network(own)[0] is own  # what names its own keeps it
    sentence = (
        "network 'resnet-8' takes inputs of 32x32x3 and names no front end of its own; the front ends of task "
        "'.*' make features of 49x10x1, 49x13x1, 31x10x1, 49x20x1, 33x40x1, 98x40x1"
    )
    with pytest.raises(NasError, match=sentence):
        task.for_network(network("resnet-8", 4))
    digits = load_task("digits")
    graph = network("resnet-8")
    assert digits.for_network(graph) == (graph, digits)


def test_the_kept_clips_are_the_same_ones(root: Path, task: TaskData, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        again = load_task(THREE, root)
    assert not caplog.records
    assert isinstance(clips(again)["train"], np.memmap)
    for split in SPLITS:
        np.testing.assert_array_equal(clips(again)[split], clips(task)[split])
        np.testing.assert_array_equal(labels(again)[split], labels(task)[split])
    assert again.sound is not None
    assert task.sound is not None
    assert again.sound.digest == task.sound.digest


def test_a_changed_file_is_decoded_again(tmp_path: Path) -> None:
    folder = write_data_set(tmp_path)
    before = load_task("speech_commands:all", tmp_path)
    changed = next((folder / "up").glob("*.wav"))
    soundfile.write(changed, np.full(300, 77, np.int16), RATE)
    after = load_task("speech_commands:all", tmp_path)
    assert before.sound is not None
    assert after.sound is not None
    assert before.sound.digest != after.sound.digest
    everything = np.concatenate([after.sound.train, after.sound.val, after.sound.test])
    assert (everything[:, :300] == 77).all(axis=1).sum() == 1


def test_silence_comes_from_separate_parts_of_the_recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The samples of the recordings tell the time, in units of 16 samples."""
    monkeypatch.setattr(speech_commands, "QUIETEST_DB", 0.0)
    folder = write_data_set(tmp_path)
    length = 20 * RATE
    for path in (folder / "_background_noise_").glob("*.wav"):
        soundfile.write(path, (np.arange(length) // 16).astype(np.int16), RATE)
    task = load_task("speech_commands:yes,no,silence", tmp_path)
    for split, first, last in (("train", 0.0, 0.6), ("val", 0.6, 0.8), ("test", 0.8, 1.0)):
        silence = clips(task)[split][labels(task)[split] == 2].astype(int)
        assert len(silence) == SPEAKERS[split]  # type: ignore[index]
        assert silence.min() * 16 >= first * length
        assert silence.max() * 16 < last * length
        assert len({int(row[0]) for row in silence}) == len(silence)
    assert task.sound is not None
    assert max(int(part.max()) for part in task.sound.noise) * 16 < 0.6 * length


def test_broken_clips_are_named_counted_and_left_out(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = write_data_set(tmp_path)
    whole = load_task("speech_commands:all", tmp_path)
    cut, empty = sorted((folder / "dog").glob("*.wav"))[:2]
    cut.write_bytes(cut.read_bytes()[:-10])
    empty.write_bytes(b"")
    (folder / "_background_noise_" / "white_noise.wav").write_bytes(b"no sound")
    task = load_task("speech_commands:all", tmp_path)
    messages = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(messages) == 3
    for path, message in ((folder / "_background_noise_" / "white_noise.wav", messages[0]), (cut, messages[1])):
        assert str(path) in message or str(empty) in message
        assert message.endswith("it is left out")
    assert task.source.endswith("3 broken ones left out")
    count = sum(len(y) for y in labels(task).values())
    assert count == sum(len(y) for y in labels(whole).values()) - 2
    assert all(clip.any() for split in SPLITS for clip in clips(task)[split])
    again = load_task("speech_commands:all", tmp_path)
    assert again.source == task.source
    for split in SPLITS:
        np.testing.assert_array_equal(labels(again)[split], labels(task)[split])


def test_many_broken_clips_are_not_all_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(speech_commands, "_MOST_WARNINGS", 2)
    folder = write_data_set(tmp_path)
    whole = next(clip for clip in list_splits(folder)["train"] if clip.startswith("dog/"))
    for path in (folder / "dog").glob("*.wav"):
        if path != folder / whole:
            path.write_bytes(b"")
    load_task("speech_commands:all", tmp_path)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(warnings) == 3
    assert warnings[2] == f"{sum(SPEAKERS.values()) - 3} more clips in {folder} cannot be read and are left out"


def test_no_readable_clip(tmp_path: Path) -> None:
    folder = write_data_set(tmp_path)
    for clip in list_splits(folder)["test"]:
        (folder / clip).write_bytes(b"")
    with pytest.raises(DataError, match="has no readable clip for the test split of task 'speech_commands:all'"):
        load_task("speech_commands:all", tmp_path)


def test_no_readable_training_clip_of_a_word(tmp_path: Path) -> None:
    folder = write_data_set(tmp_path)
    for path in (folder / "dog").glob("*.wav"):
        path.write_bytes(b"")
    with pytest.raises(DataError, match="has no readable training clip of class 'dog'"):
        load_task("speech_commands:all", tmp_path)


def test_every_word_where_there_is_one(tmp_path: Path) -> None:
    write_data_set(tmp_path, words=("yes",))
    with pytest.raises(DataError, match=r"has one word, 'yes'; task 'speech_commands:all' needs at least two classes"):
        load_task("speech_commands:all", tmp_path)


def test_words_and_noise_that_are_not_there(tmp_path: Path) -> None:
    folder = write_data_set(tmp_path)
    with pytest.raises(DataError, match=r"word 'on' has no training clips in .*; there are cat, dog, no, up, yes"):
        load_task("speech_commands:yes,on", tmp_path)
    with pytest.raises(DataError, match=r"has no other words than .* to make 'unknown' of in the train split"):
        load_task(f"speech_commands:{','.join(WORDS)},unknown", tmp_path)
    for path in (folder / "_background_noise_").glob("*.wav"):
        soundfile.write(path, np.ones(4 * RATE, np.int16), RATE)
    with pytest.raises(DataError, match=r"has no background recordings of 5 s or more that can be read"):
        load_task("speech_commands:yes,no,silence", tmp_path)
    task = load_task("speech_commands:yes,no", tmp_path)
    assert task.sound is not None
    assert (task.sound.silence, len(task.sound.noise)) == (None, 2)


@pytest.mark.parametrize(
    ("name", "canonical", "classes"),
    [
        ("speech_commands", "speech_commands", 10),
        ("speech_commands:yes,no,up,down,left,right,stop,go,unknown,silence", "speech_commands", 10),
        ("speech_commands:no,yes", "speech_commands:no,yes", 2),
        ("speech_commands:silence, unknown,yes", "speech_commands:yes,unknown,silence", 3),
        ("speech_commands:all", "speech_commands:all", 0),
        ("speech_commands:silence,all", "speech_commands:all,silence", 0),
    ],
)
def test_options(name: str, canonical: str, classes: int) -> None:
    task = get_task(name)
    assert (task.name, task.classes) == (canonical, classes)
    assert get_task(task.name).name == canonical


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("", "has a gap"),
        ("yes,,no", "has a gap"),
        ("yes,no,yes", "has 'yes' twice"),
        ("yes", "option 'yes' leaves one class; at least two expected"),
        ("unknown,silence", "'unknown,silence' names no word beside unknown and silence; words, or all for every"),
        ("silence", "'silence' names no word"),
        ("all,yes", "has other words beside 'all'"),
        ("all,unknown", "has other words beside 'all'"),
    ],
)
def test_options_that_mean_nothing(options: str, sentence: str) -> None:
    with pytest.raises(NasError, match=sentence):
        get_task(f"speech_commands:{options}")


def test_tasks_without_options() -> None:
    with pytest.raises(NasError, match="task 'digits:3' is unknown: digits has no options"):
        get_task("digits:3")


def test_find(root: Path, tmp_path: Path) -> None:
    folder = root / "SpeechCommands" / "speech_commands_v0.02"
    assert get_task("speech_commands").find(root) == f"{folder}: {len(WORDS) * sum(SPEAKERS.values())} clips"
    assert get_task("speech_commands").find(tmp_path) is None


def test_an_absent_data_set_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speech_commands, "download", write_data_set)
    assert load_task("speech_commands:all", tmp_path).classes == len(WORDS)


def test_the_real_one(real_speech: TaskData) -> None:
    assert real_speech.class_names[-2:] == ("unknown", "silence")
    sound = real_speech.sound
    assert sound is not None
    for split in SPLITS:
        counts = np.bincount(labels(real_speech)[split])
        mean = round(counts[:8].mean())
        assert counts[9] == mean
        assert counts[8] == (3 if split == "train" else 1) * mean
        assert len(clips(real_speech)[split]) == counts.sum()
    assert "broken" not in real_speech.source
    loudest = np.abs(sound.train[real_speech.y_train == 9].astype(int)).max(axis=1)
    assert loudest.min() < 30
    assert loudest.max() > 8000
    # Few features touch the ends of int8, and they use a good part of it.
    features = to_int8(real_speech.x_val).astype(int)
    assert (np.abs(features) >= 127).mean() < 0.005
    assert 20 < features.std() < 60
