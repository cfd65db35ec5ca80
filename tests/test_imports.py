"""Who may import whom: the packages build on each other in one direction, and the light ones stay light."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.conftest import CHECKOUT

# Each package may import itself and those before it.
PACKAGES = ("search_spaces", "estimators", "firmware", "nas")
HEAVY = ("torch", "optuna", "ray", "tensorflow")

# Third-party packages by import name. Lazy ones are imported inside functions only: they are slow to load, or missing
# where somebody installs only what an export needs.
EAGER = {
    "search_spaces": {"numpy"},
    "estimators": {"numpy", "pydantic"},
    "firmware": {"numpy", "pydantic", "jinja2", "elftools"},
}
LAZY: dict[str, set[str]] = {
    "search_spaces": set(),
    "estimators": set(),
    "firmware": {"tensorflow", "flatbuffers", "unicorn", "capstone"},
}
NAS = {
    *EAGER["firmware"],
    *LAZY["firmware"],
    *("optuna", "plotly", "ray", "rich", "sklearn", "soundfile", "torch", "torchaudio", "torchvision", "typer"),
    "ziglang",
}
# Reading these runs code that a file brings along.
UNSAFE = {"pickle", "marshal", "shelve", "dill", "cloudpickle"}


class Import(NamedTuple):
    """One imported module; `lazy` inside a function, `line` for the message."""

    module: str
    lazy: bool
    line: int

    @property
    def root(self) -> str:
        return self.module.partition(".")[0]


def imports(tree: ast.AST, module: str, is_package: bool) -> Iterator[Import]:
    """Every import of `module` as an absolute name, those for type checkers alone left out."""

    def visit(node: ast.AST, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, lazy, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            parents = module.split(".")
            base = parents[: len(parents) - node.level + is_package] if node.level else []
            yield Import(".".join([*base, *([node.module] if node.module else [])]), lazy, node.lineno)
        elif isinstance(node, ast.If) and ast.unparse(node.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING"):
            for child in node.orelse:
                yield from visit(child, lazy)
        else:
            inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            for child in ast.iter_child_nodes(node):
                yield from visit(child, inside)

    return visit(tree, False)


def faults(package: str, found: Import) -> Iterator[str]:
    """What is wrong with `found` inside `package`."""
    root = found.root
    if root in UNSAFE:
        yield f"{root} can run code from a file"
    elif root in PACKAGES:
        if PACKAGES.index(root) > PACKAGES.index(package):
            yield f"{package} must not build on {root}"
    elif root in sys.stdlib_module_names:
        return
    elif package == "nas":
        if root not in NAS:
            yield f"{root} is no declared dependency"
    elif root in LAZY[package]:
        if not found.lazy:
            yield f"{root} must be imported inside the function that uses it"
    elif root not in EAGER[package]:
        yield f"{package} must not import {root}"


@pytest.mark.parametrize("package", PACKAGES)
def test_import_table(package: str) -> None:
    sources = sorted((CHECKOUT / package).rglob("*.py"))
    assert sources
    wrong = []
    for path in sources:
        relative = path.relative_to(CHECKOUT)
        is_package = path.name == "__init__.py"
        module = ".".join(relative.parent.parts if is_package else relative.with_suffix("").parts)
        for found in imports(ast.parse(path.read_text()), module, is_package):
            wrong += [f"{relative}:{found.line}: {fault}" for fault in faults(package, found)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    ("package", "line", "fault"),
    [
        ("search_spaces", "import numpy as np", None),
        ("search_spaces", "import pydantic", "search_spaces must not import pydantic"),
        ("search_spaces", "from estimators import lower", "search_spaces must not build on estimators"),
        ("estimators", "def f():\n    import firmware.emit", "estimators must not build on firmware"),
        ("firmware", "from .emit import export", None),
        ("firmware", "from ..nas import cli", "firmware must not build on nas"),
        ("firmware", "import unicorn", "unicorn must be imported inside the function that uses it"),
        ("firmware", "def f():\n    import unicorn", None),
        ("firmware", "def f():\n    import torch.nn", "firmware must not import torch"),
        ("firmware", "if TYPE_CHECKING:\n    import unicorn", None),
        ("nas", "import requests", "requests is no declared dependency"),
        ("nas", "import torch, pickle", "pickle can run code from a file"),
    ],
)
def test_the_scan_itself(package: str, line: str, fault: str | None) -> None:
    found = imports(ast.parse(line), f"{package}.some.module" if ".." not in line else f"{package}.module", False)
    assert [text for one in found for text in faults(package, one)] == ([fault] if fault else [])


LOAD_ALL = """
import importlib, pkgutil
for name in {packages!r}:
    package = importlib.import_module(name)
    for module in pkgutil.walk_packages(package.__path__, name + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
"""
HELP = """
import sys
sys.argv = ["nas", "--help"]
from nas.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
"""


@pytest.mark.parametrize(
    ("program", "absent"),
    [
        ("import search_spaces, estimators", HEAVY),
        ("import firmware", HEAVY),
        ("import nas", HEAVY),
        (LOAD_ALL.format(packages=PACKAGES[:3]), (*HEAVY, "unicorn", "capstone")),
        (HELP, HEAVY),
    ],
    ids=["light-packages", "firmware", "nas", "all-modules-of-the-light-packages", "nas-help"],
)
def test_nothing_heavy_is_loaded(program: str, absent: tuple[str, ...], tmp_path: Path) -> None:
    """In a process of its own, as this one has loaded everything already."""
    listing = tmp_path / "modules.json"
    program += f"\nimport json, sys\nopen({str(listing)!r}, 'w').write(json.dumps(sorted(sys.modules)))\n"
    done = subprocess.run([sys.executable, "-c", program], cwd=CHECKOUT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    loaded = {name.partition(".")[0] for name in json.loads(listing.read_text())}
    assert loaded.isdisjoint(absent), sorted(loaded.intersection(absent))
