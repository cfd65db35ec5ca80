"""Trains published networks on Speech Commands, int8, several seeds each, and writes the table of their accuracies.

Each network is trained with the task's default settings on one thread, so that the same seed gives the same network on
any machine of one kind. The test split is touched once for each trained network, at the end. Interrupted, the script
goes on where it was: every epoch is kept.

    python scripts/speech_networks.py [--jobs 2] [--seeds 3] [--out results/speech-networks]
    python scripts/speech_networks.py --table-only      # writes the table of what was trained so far
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from estimators import estimate, load_target, lower
from firmware.files import atomic_write
from firmware.int8_file import load_model, save_model
from search_spaces.errors import NasError

TASK = "speech_commands"
TABLE = "table.md"
TARGETS = ("esp32s2", "stm32l4r9")


@dataclass(frozen=True)
class Peer:
    """What somebody else published about a network of this name: the figure, and what it was measured on."""

    accuracy: str
    on: str


NETWORKS = {
    "qtinyspeech-z": Peer(
        "86.3 %",
        "report by A. Lefevre: int8, ten words (yes no up down left right on off stop go), 38,546 clips of Speech "
        "Commands v2, split 30,836 / 3,855 / 3,855",
    ),
    "tinyspeech-z": Peer("92.4 %", "Wong et al. 2020: float, 12 classes of Speech Commands v1"),
    "ds-cnn-s": Peer("94.4 %", "Zhang et al. 2017 (Hello Edge): 12 classes of Speech Commands v1"),
}


def train_one(name: str, seed: int, out: Path, data: str | None) -> dict[str, Any]:
    """Trains one network, saves its model and figures in ``out`` and returns the figures; those kept there are taken.

    Raises NasError where the kept ones are of other clips, classes or settings.
    """
    from nas import api
    from nas.training import TrainSettings, integer_accuracy

    stem = out / f"{name}-seed{seed}"
    record = stem.with_suffix(".json")
    task = api.load_task(TASK, data)
    plan = {
        "network": name,
        "seed": seed,
        "task": task.name,
        "classes": list(task.class_names),
        "clips": {"train": len(task.y_train), "val": len(task.y_val), "test": len(task.y_test)},
        "clips_sha256": None if task.sound is None else task.sound.digest,
        "settings": TrainSettings.for_task(TASK, seed=seed, threads=1, device="cpu").model_dump(mode="json"),
    }
    if record.exists():
        found: dict[str, Any] = json.loads(record.read_text())
        for field, value in plan.items():
            if found.get(field, value) != value:  # a digest of the clips came later than the first records
                raise NasError(f"{record} has {field} {found.get(field)}; {value} expected: remove it to train anew")
        return found
    checkpoint = stem.with_suffix(".checkpoint.npz")
    result = api.train(
        name,
        task,
        checkpoint=checkpoint,
        on_epoch=lambda report: print(
            f"{name} seed {seed}: epoch {report.epoch}/{report.epochs} {report.phase}, {report.val_accuracy:.2%} val, "
            f"{report.seconds:.0f} s",
            flush=True,
        ),
        seed=seed,
        threads=1,
        device="cpu",
    )
    model = result.model
    bound = task.bound_to(model.graph.frontend)
    save_model(model, stem.with_suffix(".int8"))
    figures = {
        **plan,
        "front_end": None if model.graph.frontend is None else model.graph.frontend.to_json(),
        "params": model.graph.params,
        "macs": model.graph.macs,
        "val_accuracy": result.val_accuracy,
        "float_val_accuracy": result.float_val_accuracy,
        "fake_quant_val_accuracy": result.fake_quant_val_accuracy,
        "test_accuracy": integer_accuracy(model, bound.x_test, bound.y_test),
        "epochs": result.epochs,
        "seconds": round(result.seconds, 1),
        "curve": [asdict(row) for row in result.curve],
    }
    atomic_write(record, (json.dumps(figures, indent=1) + "\n").encode())
    checkpoint.unlink(missing_ok=True)
    return figures


def document(out: Path) -> str:
    """The table of everything that was trained in ``out``."""
    rows = [json.loads(path.read_text()) for path in out.glob("*-seed*.json")]
    rows.sort(key=lambda row: (list(NETWORKS).index(row["network"]), row["seed"]))
    return "\n".join(table(rows, out)) + "\n"


def table(rows: Sequence[dict[str, Any]], out: Path) -> Iterator[str]:
    """Lines of a Markdown table: mean and deviation over the seeds, costs, and the published figure beside them."""
    yield "| network | params | MACs | test accuracy, int8 | validation, int8 | validation, float | seeds | published |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |"
    for name, peer in NETWORKS.items():
        mine = [row for row in rows if row["network"] == name]
        if mine:
            test, val, real = (spread([row[key] for row in mine]) for key in _ACCURACIES)
            counts = f"{mine[0]['params']:,} | {mine[0]['macs']:,}"
            yield f"| {name} | {counts} | {test} | {val} | {real} | {len(mine)} | {peer.accuracy}: {peer.on} |"
    yield ""
    yield "| network | target | SRAM | flash | time of front end and network | kind of the time |"
    yield "| --- | --- | ---: | ---: | ---: | --- |"
    for name in NETWORKS:
        first = next((row for row in rows if row["network"] == name), None)
        for target in TARGETS if first is not None else ():
            graph = load_model(out / f"{name}-seed{first['seed']}.int8").graph  # type: ignore[index]
            cost = estimate(lower(graph, load_target(target)))
            yield (
                f"| {name} | {target} | {cost.sram_bytes:,} B | {cost.flash_bytes:,} B | {1e3 * cost.seconds:.1f} ms | "
                f"{cost.kinds['seconds']} |"
            )


_ACCURACIES = ("test_accuracy", "val_accuracy", "float_val_accuracy")


def spread(values: Sequence[float]) -> str:
    """Mean ± standard deviation in per cent."""
    deviation = f" ± {100 * stdev(values):.2f}" if len(values) > 1 else ""
    return f"{100 * mean(values):.2f}{deviation} %"


def main() -> None:
    """Trains what is missing, then writes and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=list(NETWORKS), choices=list(NETWORKS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("results/speech-networks"))
    parser.add_argument("--data-root", default=None)
    parser.add_argument("--table-only", action="store_true")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if not options.table_only:
        jobs = [(name, seed) for seed in range(options.seeds) for name in options.networks]
        with ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool:
            waiting = [pool.submit(train_one, name, seed, options.out, options.data_root) for name, seed in jobs]
            for done in as_completed(waiting):
                done.result()
    text = document(options.out)
    atomic_write(options.out / TABLE, text)
    print(text, end="")


if __name__ == "__main__":
    main()
