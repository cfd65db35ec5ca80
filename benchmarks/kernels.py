"""Counts the instructions of our kernels beside recorded counts of other libraries, bytes checked in the same run.

Single layers and whole networks, with random weights and quantisation ranges read off their own tensors, built by each
compiler and run on the targets' emulators. Prints a table for each target and compiler and writes
``benchmarks/results/kernels.json``.

    python benchmarks/kernels.py                                        all, and the file
    python benchmarks/kernels.py --only depthwise --compiler gcc        some, no file unless --out names one
    python benchmarks/kernels.py --profile mlperf-kws-dscnn             instructions by function
    python benchmarks/kernels.py --qemu                                 every count and byte checked on QEMU's board too
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from firmware.files import atomic_write
from firmware.toolchain import Compiler
from kernel_bench.cases import CASES, Case, find_cases
from kernel_bench.measure import measure
from kernel_bench.peers import Record, load_record
from kernel_bench.platforms import PLATFORMS, Platform, usable
from kernel_bench.report import Results, json_rows, profile_table, sources, table
from nas.cli.output import rendered
from search_spaces import NasError

OUT: Final = Path(__file__).resolve().parent / "results" / "kernels.json"


def run(cases: Sequence[Case], platform: Platform, compiler: Compiler, qemu: bool) -> Results:
    """Measures every case, saying on standard error where it is: the larger networks take seconds."""
    rows, failures = [], []
    for case in cases:
        print(f"{platform.title}: {case.name}", file=sys.stderr)
        try:
            rows.append(measure(case, platform, compiler, qemu and platform.second))
        except NasError as error:
            failures.append(f"{case.name} on {platform.title}: {error}")
    return Results(platform, compiler.version, rows, failures)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", default=[], metavar="NAME", help="cases whose name contains NAME")
    parser.add_argument("--target", choices=sorted({row.target for row in PLATFORMS}))
    parser.add_argument("--compiler", choices=sorted({row.compiler for row in PLATFORMS}))
    parser.add_argument("--profile", metavar="NAME", help="instructions by function of such cases")
    parser.add_argument("--qemu", action="store_true", help="compare bytes and counts with QEMU's board as well")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"default, where nothing is left out: {OUT.name}")
    options = parser.parse_args(arguments)
    try:
        cases = find_cases([options.profile] if options.profile else options.only)
    except KeyError as unknown:
        parser.error(f"no case has {unknown} in its name; there are: {'; '.join(case.name for case in CASES)}")
    whole = not (options.only or options.target or options.compiler or options.profile)
    wanted = [
        row for row in PLATFORMS if options.target in (None, row.target) and options.compiler in (None, row.compiler)
    ]
    try:
        record = load_record([case.name for case in CASES])
        failures = _run_all(cases, wanted, record, options, OUT if whole and options.out is None else options.out)
    except NasError as error:
        failures = [str(error)]
    if failures:
        sys.exit("\n".join(f"error: {failure}" for failure in failures))


def _run_all(
    cases: Sequence[Case], wanted: Sequence[Platform], record: Record, options: argparse.Namespace, out: Path | None
) -> list[str]:
    """Prints everything; writes ``out`` where nothing has failed. Returns the failures."""
    platforms, left_out = usable(wanted)
    for line in left_out:
        print(line)
    results = []
    for platform, compiler in platforms:
        result = run(cases, platform, compiler, options.qemu)
        results.append(result)
        tables = [profile_table(platform, row) for row in result.rows] if options.profile else [table(result, record)]
        for grid in tables:
            print("\n".join(["", *rendered(grid)]), flush=True)
    if not options.profile:
        for target in dict.fromkeys(platform.target for platform, _ in platforms):
            print("\n".join(["", f"Peers' counts on {target}:", *sources(record, target)]))
    failures = [failure for result in results for failure in result.failures]
    if out is not None and not failures:
        out.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(out, json.dumps(json_rows(results, record), indent=2) + "\n")
        print(f"\n{out.name}: {sum(len(result.rows) for result in results)} measurements")
    return failures


if __name__ == "__main__":
    main()
