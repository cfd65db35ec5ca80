"""Writes docs/networks.md: every published network with its published counts and ours.

    python scripts/network_table.py [--check]

``--check`` writes nothing and fails where the file is not what would be written.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from inspect import getdoc
from pathlib import Path

from firmware.files import atomic_write
from search_spaces import NasError, PublishedNetwork, network, network_names, published_network
from search_spaces.counting import COUNTINGS, Counts, count
from search_spaces.published import Claims, impossible_networks

PAGE = Path(__file__).resolve().parent.parent / "docs" / "networks.md"

TOLERANCE = 0.025
"""A count is reproduced within this: figures of two digits like "2.7 K" say no more, and some of them are cut off."""

HEAD = """\
# Published networks

`nas networks` lists them, and every command that takes a network takes these names. "Published" are the parameters and
MACs that the source prints, "counted as" the rule by which it seems to count (below), "ours so counted" what that rule
makes of our network. "Exact" is what this project means everywhere else: parameters are the trained numbers that are
left after folding, weights and biases; MACs are those of convolutions and dense layers.

A row is *reproduced* where every published figure is met within {tolerance}, about what two printed digits are worth.
Where one is not, nothing is bent to fit. Several rows of one name are figures of several sources.

This page is written by `python scripts/network_table.py`.
"""

COLUMNS = (
    "network",
    "input",
    "published params",
    "published MACs",
    "counted as",
    "params, ours so counted",
    "MACs, ours so counted",
    "params, exact",
    "MACs, exact",
    "remark",
)

NONE = "–"


def page() -> str:
    """The whole file."""
    networks = [published_network(name) for name in network_names()]
    parts = [
        HEAD.format(tolerance=_percent(TOLERANCE)),
        _table(COLUMNS, (row for known in networks for row in _rows(known))),
        "## Known, but not built\n",
        _table(("network", "why"), impossible_networks().items()),
        "## How they are counted\n",
        _table(("counted as", "what that means"), ((mode, _meaning(mode)) for mode in COUNTINGS)),
        "## Where they come from\n",
        _table(("network", "space", "source"), ((n.name, n.space or NONE, n.source) for n in networks)),
    ]
    return "\n".join(parts)


def _rows(known: PublishedNetwork) -> Iterator[tuple[str, ...]]:
    graph = network(known.name)
    shape = "x".join(map(str, graph.input_shape))
    exact = _number(graph.params), _number(graph.macs)
    for claims in known.claims:
        counts = count(graph, claims.counting)
        yield (
            known.name,
            shape,
            _number(claims.params),
            _number(claims.macs),
            claims.counting,
            _number(counts.params),
            _number(counts.macs),
            *exact,
            remark(claims, counts),
        )
    if not known.claims:
        yield (known.name, shape, NONE, NONE, NONE, NONE, NONE, *exact, "no counts published")


def remark(claims: Claims, counts: Counts) -> str:
    """Whether ``counts`` reproduce ``claims``, how far off they are, and what else there is to say."""
    pairs = {"params": (counts.params, claims.params), "MACs": (counts.macs, claims.macs)}
    off = {what: ours / printed - 1 for what, (ours, printed) in pairs.items() if printed is not None}
    verdict = "reproduced" if all(abs(miss) <= TOLERANCE for miss in off.values()) else "**not reproduced**"
    misses = ", ".join(f"{what} {_percent(miss, '+') if miss else 'exactly'}" for what, miss in off.items())
    source = f"Figures of {claims.source}." if claims.source else ""
    return " ".join(filter(None, (f"{verdict} ({misses}).", source, claims.note)))


def _meaning(mode: str) -> str:
    """The first paragraph of the docstring of a counting mode, which is all that a reader of the table needs."""
    text = (getdoc(COUNTINGS[mode]) or "").replace("``", "`")
    return " ".join(text.split("\n\n")[0].split())


def _percent(share: float, sign: str = "") -> str:
    return f"{100 * share:{sign}.1f} %"


def _number(value: int | None) -> str:
    return NONE if value is None else f"{value:,}"


def _table(columns: Sequence[str], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [columns, ["---"] * len(columns), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code: 1 where the file cannot be written or, with ``--check``, is out of date."""
    parser = argparse.ArgumentParser(description="Write docs/networks.md.")
    parser.add_argument("--check", action="store_true", help="write nothing; fail where the file is out of date")
    options = parser.parse_args(arguments)
    text = page()
    if not options.check:
        try:
            PAGE.parent.mkdir(exist_ok=True)
            atomic_write(PAGE, text)
        except (NasError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    elif not PAGE.is_file() or PAGE.read_text(encoding="utf-8") != text:
        print("docs/networks.md is out of date: run `python scripts/network_table.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
