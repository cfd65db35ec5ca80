"""``nas classify``: what a trained model hears in audio files."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nas import units
from nas.cli.options import Model
from nas.cli.output import Json, Output, Quiet, table

if TYPE_CHECKING:
    from nas.audio.classify import Heard

_ABOUT = "softmax of the int8 model's outputs as real numbers, not calibrated"


def classify(
    model: Model,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Audio: WAV, FLAC, OGG, any rate.")],
    every: Annotated[
        float | None,
        typer.Option("--every", metavar="SECONDS", help="Clips that begin so far apart; else the first one alone."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Classify the sound in audio files with a trained model, in the integers that the device computes."""
    from nas import api

    heard = api.classify(model, files, every=every)
    document = {
        "model": model,
        "probabilities_are": _ABOUT,
        "clips": [_document(clip) for clip in heard],
    }
    Output(json, quiet).result(document, _lines(heard))


def _document(clip: Heard) -> dict[str, Any]:
    return {
        "file": clip.file,
        "seconds": clip.seconds,
        "class": clip.class_name,
        "probability": clip.probabilities[clip.best],
        "probabilities": dict(zip(clip.class_names, clip.probabilities, strict=True)),
        "outputs": clip.outputs,
    }


def _lines(heard: Sequence[Heard]) -> Iterator[str]:
    rows = []
    for clip in heard:
        order = sorted(range(len(clip.outputs)), key=lambda number: -clip.probabilities[number])
        others = (f"{clip.class_names[n]} {units.percent(clip.probabilities[n])}" for n in order if n != clip.best)
        first = units.percent(clip.probabilities[clip.best])
        file = os.fsencode(clip.file).decode("utf-8", "backslashreplace")  # names are bytes, not always text
        rows.append((file, f"{clip.seconds:.2f} s", clip.class_name, first, ", ".join(list(others)[:2])))
    yield from table(("file", "from", "class", "probability", "next"), rows)
    yield f"probability: {_ABOUT}"


COMMANDS = {"classify": classify}
