"""Writes a model as a self-contained folder of C99, with test vectors and a manifest."""

from __future__ import annotations

import importlib.metadata
import json
import re
import shutil
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from estimators import Mode, Plan, Resources, Target, estimate, load_target, lower
from estimators.kernels import sources_of
from firmware import reference
from firmware.c_rows import parts
from firmware.c_steps import calls, tensors
from firmware.c_text import checked_name, float_literal, plain
from firmware.folder import FORMAT, FORMAT_VERSION, MANIFEST, digests, new_folder
from firmware.frontend import c_source
from firmware.int8_file import save_model
from firmware.int8_model import Int8Model, Quant
from firmware.render import render
from firmware.vectors import checked_clips, checked_vectors, with_features, write_vectors
from search_spaces.errors import NasError
from search_spaces.ops import Shape

_PACKAGE = Path(__file__).parent
_TEMPLATES = ("model.h", "model.c", "README.md")


def export(
    model: Int8Model,
    target: Target | str,
    folder: Path | str,
    vectors: NDArray[np.int8] | None = None,
    name: str = "model",
    overwrite: bool = False,
    clips: NDArray[np.int16] | None = None,
    mode: Mode = "speed",
) -> Path:
    """Writes the folder of C for ``model`` on ``target`` and returns its path.

    Args:
        model: the network.
        target: a target or its name. Its board project is added where this package has one.
        folder: the new folder. An earlier export there is replaced as long as nothing in it was changed.
        vectors: test inputs (int8, N x height x width x channels, N at least 1); None draws four random ones, the same
            ones every time. The expected outputs come from the numpy reference.
        name: prefix of the C functions (and in capitals of the macros), so that a program can hold several networks.
        overwrite: replace an earlier export even if files in it were changed or added.
        clips: for a network with a front end, test clips (int16, N x samples, N at least 1); None makes two, the same
            ones every time. The expected features come from the numpy reference too.
        mode: what the plan is made for (``estimators.lower``).

    Equal arguments give equal bytes. The folder appears whole or not at all. Raises NasError for a name that is no C
    identifier, vectors or clips that do not fit, a model whose integers would leave the range of a kernel, a place that
    holds anything but an export, and where nothing can be written.
    """
    checked_name(name)
    plan = lower(model.graph, load_target(target) if isinstance(target, str) else target, mode)
    inputs = checked_vectors(model, vectors)
    outputs = reference.run(model, inputs)
    sound = checked_clips(model.graph.frontend, clips)
    content = _Content(model, plan, name, len(inputs), 0 if sound is None else len(sound), estimate(plan))
    texts = content.texts()
    with new_folder(Path(folder), overwrite) as draft:
        for path, text in texts.items():
            # C is ASCII for any compiler's sake; the text for people says "± x %".
            encoding = "utf-8" if path == "README.md" else "ascii"
            (draft / path).write_text(text, encoding=encoding, newline="\n")
        write_vectors(draft, inputs, outputs, name, with_features(model.graph.frontend, sound))
        (draft / "kernels").mkdir()
        for file in content.kernel_files():
            shutil.copyfile(_PACKAGE / "kernels" / file, draft / "kernels" / file)
        if content.board is not None:
            _copy_board(content.board, draft / content.board.name)
        save_model(model, draft / "model.int8")
        manifest = content.manifest() | {"files": digests(draft)}
        (draft / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="ascii", newline="\n")
    return Path(folder)


@dataclass(frozen=True)
class _Content:
    """What an export says, before anything is written."""

    model: Int8Model
    plan: Plan
    name: str
    vectors: int
    clips: int
    predicted: Resources

    @property
    def kernels(self) -> list[str]:
        return sorted({step.kernel for step in self.plan.steps})

    @property
    def board(self) -> Path | None:
        """The board project of the target; None where this package has none."""
        folder = _PACKAGE / "boards" / self.plan.target.name
        return folder if folder.is_dir() else None

    @property
    def class_names(self) -> list[str]:
        labels = self.model.metadata.get("class_names") or []
        if not isinstance(labels, list | tuple):
            raise NasError(f"class_names {labels!r} in the model's metadata: a list of names expected")
        return [str(label) for label in labels]

    def kernel_files(self) -> list[str]:
        files = [Path(source).name for source in self.sources[1:]]
        return [*_headers(files), *files]

    @property
    def sources(self) -> list[str]:
        """C files of the network by path."""
        front = () if self.model.graph.frontend is None else c_source.SOURCES
        files = sorted({file for step in self.plan.steps for file in sources_of(step.kernel, self.plan.target.dsp)})
        return ["model.c", *(f"kernels/{file}" for file in (*files, *front))]

    def texts(self) -> dict[str, str]:
        """Generated files by path."""
        model, graph = self.model, self.model.graph
        places = tensors(self.plan)
        written = calls(model, self.plan)
        labels = ", ".join(f"{index} {plain(label)}" for index, label in enumerate(self.class_names))
        values = {
            "version": tool_version(),
            "network": plain(graph.name) or "network",
            "target": plain(self.plan.target.name),
            "name": self.name,
            "prefix": self.name.upper(),
            "classes": textwrap.wrap(f"Outputs: {labels}.", 110, break_on_hyphens=False) if labels else [],
            **_tensor("input", graph.input_shape, model.input_quant),
            **_tensor("output", graph.output_shape, model.output_quant),
            "arena_bytes": self.plan.arena_bytes,
            "macs": graph.macs,
            "tensors": list(places.values()),
            "calls": written,
            "parts": parts(self.plan, written),
            "by_rows": bool(self.plan.segments),
            "input": places[graph.input].macro,
            "output": places[self.plan.sources[graph.output]].macro,
            "count": self.vectors,
            "kernels": self.kernels,
            "sound": self.sound(),
            "board": self.board is not None,
            "predicted": _table(self.predicted),
        }
        return {name: render(name, values) for name in _TEMPLATES}

    def sound(self) -> dict[str, Any] | None:
        """What the templates say of the front end; None without one."""
        front, offset = self.model.graph.frontend, self.plan.frontend_scratch
        if front is None or offset is None:
            return None
        return {
            "name": front.name,
            "front": front,
            "clips": self.clips,
            "constants": c_source.constants(front),
            "members": c_source.members(front, f"arena + {offset // 4}", "heard_samples", "heard_rows"),
            "cycles": self.predicted.frontend_cycles,
        }

    def manifest(self) -> dict[str, Any]:
        """Everything about the export but the digests of its files."""
        model, graph, target = self.model, self.model.graph, self.plan.target
        return {
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "tool": {"name": "mcu-nas", "version": tool_version()},
            "network": graph.name,
            "graph_digest": graph.digest,
            "name": self.name,
            "target": target.name,
            "mode": self.plan.mode,
            "input": _described(graph.input_shape, model.input_quant),
            "output": _described(graph.output_shape, model.output_quant),
            "class_names": self.class_names or None,
            "vectors": self.vectors,
            **({} if graph.frontend is None else {"frontend": graph.frontend.to_json(), "clips": self.clips}),
            "sources": self.sources,
            "predicted": self.predicted.to_dict(),
        }


def _headers(files: Sequence[str]) -> list[str]:
    """The headers that these files of the folder ``kernels`` include, and those that they include in turn."""
    found: set[str] = set()
    unread = ["kernels.h", *files]
    while unread:
        file = unread.pop()
        text = (_PACKAGE / "kernels" / file).read_text(encoding="ascii")
        included = set(re.findall(r'^#include "(\w+\.h)"', text, re.MULTILINE))
        unread += included - found
        found |= included
    return sorted(found | {"kernels.h"})


def tool_version() -> str:
    """Version of the installed package; "not installed" when it is run from its sources alone."""
    try:
        return importlib.metadata.version("mcu-nas")
    except importlib.metadata.PackageNotFoundError:
        return "(not installed)"


def _tensor(role: str, shape: Shape, quant: Quant) -> dict[str, Any]:
    return {
        f"{role}_shape": shape,
        f"{role}_bytes": shape[0] * shape[1] * shape[2],
        f"{role}_scale": float_literal(quant.scale),
        f"{role}_zero_point": quant.zero_point,
    }


def _described(shape: Shape, quant: Quant) -> dict[str, Any]:
    return {"shape": list(shape), "scale": quant.scale, "zero_point": quant.zero_point}


def _table(predicted: Resources) -> list[tuple[str, str, str]]:
    """Rows of the README: what, how much, and how far to trust it."""
    shown = {
        "SRAM": f"{predicted.sram_bytes} bytes",
        "flash": f"{predicted.flash_bytes} bytes",
        "time": f"{predicted.seconds * 1e3:.3g} ms, {predicted.cycles} cycles",
        "energy": f"{predicted.joules * 1e3:.3g} mJ",
    }
    kinds = ("sram_bytes", "flash_bytes", "cycles", "joules")
    return [(what, value, predicted.kinds[kind]) for (what, value), kind in zip(shown.items(), kinds, strict=True)]


def _copy_board(source: Path, destination: Path) -> None:
    """The board project's files; Python's own (the folder is part of a package) stay behind."""
    shutil.copytree(source, destination, ignore=shutil.ignore_patterns("*.py", "__pycache__", ".*"))
