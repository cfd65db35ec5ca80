"""Arguments and options that several commands share, so that they are called and explained alike."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Network = Annotated[
    str,
    typer.Argument(
        metavar="NETWORK", help="A published name (see `nas networks`), a graph .json, a model .int8, or RUN:NUMBER."
    ),
]
Model = Annotated[
    str, typer.Argument(metavar="MODEL", help="A model .int8, or RUN[:NUMBER|:best], by validation accuracy.")
]
TargetName = Annotated[str, typer.Option("--target", "-t", help="Microcontroller, see `nas targets`.")]
FitRam = Annotated[
    bool, typer.Option("--fit-ram", help="Compute parts of the network row by row where that takes less memory.")
]
BudgetText = Annotated[
    str | None,
    typer.Option("--budget", "-b", help="Upper bounds, as sram_bytes=64KiB,flash_bytes=200kB,macs=1M,seconds=10ms."),
]
DataRoot = Annotated[
    Path | None, typer.Option("--data-root", help="Folder of the data sets, else NAS_DATA, else .data.")
]
