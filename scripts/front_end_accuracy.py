"""What the integer front end costs in accuracy: trains one network on its features and on torchaudio's float MFCC.

Both see the same variations of the same clips, in the same order, for the same number of steps, and train the same
network in floating point; only the features differ. The difference in accuracy over validation and test clips together
(nothing is chosen by either) gets a paired bootstrap interval over clips, the seeds averaged per clip.

    python scripts/front_end_accuracy.py [--seeds 3] [--epochs 8] [--network ds-cnn-s] [--out results/front-end.json]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import mean

import numpy as np
import torch
import torchaudio
from numpy.typing import NDArray
from torch import Tensor

from firmware.files import atomic_write
from nas.audio.augment import WaveAugmenter, mask_features
from nas.audio.versions import BATCH
from nas.tasks import TaskData, load_task
from nas.training.batches import Images
from nas.training.session import Session
from nas.training.settings import TrainSettings
from search_spaces import Features, FrontEnd, network

TASK = "speech_commands"
RESAMPLES = 10_000
ALLOWED_LOSS = 0.01


class FloatMfcc:
    """torchaudio's MFCC with the parameters of a front end, each coefficient to mean 0 and deviation 1 in training."""

    def __init__(self, frontend: FrontEnd, clips: NDArray[np.int16]) -> None:
        if frontend.features is not Features.MFCC or frontend.window != frontend.fft_size:
            raise ValueError(f"{frontend.name}: MFCC with a window of a power of two expected")
        self.transform = torchaudio.transforms.MFCC(
            sample_rate=frontend.sample_rate,
            n_mfcc=frontend.coefficients,
            log_mels=True,
            melkwargs={
                "n_fft": frontend.fft_size,
                "hop_length": frontend.hop,
                "n_mels": frontend.mel_bands,
                "f_min": float(frontend.low_hz),
                "f_max": float(frontend.high_hz),
                "center": False,
            },
        )
        self.mean, self.deviation = torch.tensor(0.0), torch.tensor(1.0)
        values = self.of(clips)
        self.mean, self.deviation = values.mean((0, 1)), values.std((0, 1))

    def __call__(self, waves: Tensor) -> Tensor:
        """Features float (n, frames, coefficients) of clips int16 (n, samples)."""
        features: Tensor = self.transform(waves.to(torch.float32) / (1 << 15)).transpose(1, 2)
        return (features - self.mean) / self.deviation

    def of(self, clips: NDArray[np.int16]) -> Tensor:
        """Features of many clips."""
        parts = (torch.from_numpy(np.array(clips[i : i + BATCH])) for i in range(0, len(clips), BATCH))
        return torch.cat([self(part) for part in parts])


class FloatClips(Images):
    """The training clips as torchaudio's features; variations take turns as the integer front end's do."""

    def __init__(self, task: TaskData, mfcc: FloatMfcc, versions: int) -> None:
        assert task.sound is not None
        super().__init__(task.x_train, task.y_train, torch.device("cpu"), task.input_quant)
        sound = task.sound
        self.clips, self.mfcc, self.versions = torch.from_numpy(np.array(sound.train)), mfcc, versions
        self.vary = WaveAugmenter(
            sound.augmentation, sound.train.shape[1], sound.noise, sound.silence, torch.device("cpu")
        )
        self.made: dict[int, Tensor] = {}
        self.current = torch.empty(0)

    def begin(self, epoch: int) -> None:
        version = epoch % self.versions
        if version not in self.made:
            # As nas.audio.versions varies them: the same numbers for the same batches of rows.
            generator = torch.Generator().manual_seed(version)
            rows = torch.arange(len(self))
            parts = (rows[i : i + BATCH] for i in range(0, len(rows), BATCH))
            self.made[version] = torch.cat(
                [self.mfcc(self.vary(self.clips, part, self.labels[part], generator)) for part in parts]
            )
        self.current = self.made[version]

    def augmented(self, rows: Tensor, generator: torch.Generator) -> Tensor:
        """Batch (n, 1, frames, coefficients) of varied, then masked features."""
        return mask_features(self.current[rows], self.vary.how, generator).unsqueeze(1)


def right(session: Session, batches: list[Tensor], labels: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Which clips the network in floating point classifies correctly."""
    session.network.eval()
    with torch.no_grad():
        guesses = torch.cat([session.network(batch).argmax(1) for batch in batches]).numpy()
    hits: NDArray[np.bool_] = guesses == labels
    return hits


def trained(task: TaskData, name: str, settings: TrainSettings, mfcc: FloatMfcc | None) -> NDArray[np.bool_]:
    """Trains ``name`` on the front end's features, or on ``mfcc``'s; the hits on validation and test clips."""
    sound = task.sound
    assert sound is not None
    graph, task = task.for_network(network(name, task.classes))
    session = Session(graph, task, settings, None, torch.device("cpu"))
    labels = np.concatenate([task.y_val, task.y_test])
    if mfcc is None:
        held = [Images(x, y, session.device, task.input_quant) for x, y in _held(task)]
        batches = [x for images in held for x, _ in images.batches(BATCH)]
    else:
        session.images = FloatClips(task, mfcc, settings.versions)
        features = torch.cat([mfcc.of(sound.val), mfcc.of(sound.test)]).unsqueeze(1)
        batches = [features[i : i + BATCH] for i in range(0, len(features), BATCH)]
    session.run()
    return right(session, batches, labels)


def _held(task: TaskData) -> list[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    return [(task.x_val, task.y_val), (task.x_test, task.y_test)]


def interval(integer: NDArray[np.float64], real: NDArray[np.float64]) -> tuple[float, float]:
    """95 % paired bootstrap interval, over clips, of the accuracy with the integer front end minus that without."""
    rng = np.random.default_rng(0)
    difference = integer - real
    draws = [difference[rng.integers(0, len(difference), len(difference))].mean() for _ in range(RESAMPLES)]
    low, high = np.percentile(draws, [2.5, 97.5])
    return float(low), float(high)


def main() -> None:
    """Trains both sides with every seed and prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=float, default=8.0)
    parser.add_argument("--network", default="ds-cnn-s")
    parser.add_argument("--out", type=Path, default=Path("results/front-end.json"))
    parser.add_argument("--data-root", default=None)
    options = parser.parse_args()
    torch.set_num_threads(1)
    task = load_task(TASK, options.data_root)
    assert task.sound is not None
    mfcc = FloatMfcc(task.sound.frontends[0], task.sound.train)
    hits: dict[str, list[NDArray[np.bool_]]] = {"integer": [], "float": []}
    for seed in range(options.seeds):
        settings = TrainSettings.for_task(TASK, epochs=options.epochs, qat_epochs=0, seed=seed, threads=1, device="cpu")
        for side, features in (("integer", None), ("float", mfcc)):
            hits[side].append(trained(task, options.network, settings, features))
            print(
                f"seed {seed}, {side} front end: {hits[side][-1].mean():.2%} of {len(hits[side][-1])} clips", flush=True
            )
    averaged = {side: np.stack(rows).astype(np.float64).mean(axis=0) for side, rows in hits.items()}
    low, high = interval(averaged["integer"], averaged["float"])
    figures = {
        "task": task.name,
        "network": options.network,
        "front_end": task.sound.frontends[0].to_json(),
        "epochs": options.epochs,
        "clips": {"train": len(task.y_train), "val": len(task.y_val), "test": len(task.y_test)},
        "accuracy": {side: [float(row.mean()) for row in rows] for side, rows in hits.items()},
        "difference": mean(float(row.mean()) for row in hits["integer"])
        - mean(float(row.mean()) for row in hits["float"]),
        "interval_95": [low, high],
    }
    atomic_write(options.out, json.dumps(figures, indent=1) + "\n")
    print(f"integer minus float: {figures['difference']:+.2%}, 95 % interval {low:+.2%} to {high:+.2%}")
    print(f"a loss of more than {ALLOWED_LOSS:.0%} is {'excluded' if low > -ALLOWED_LOSS else 'not excluded'}")


if __name__ == "__main__":
    main()
