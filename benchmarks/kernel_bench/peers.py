"""Peers' recorded counts and our goals, as ``kernel_peers.toml`` has them."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from search_spaces import NasError

PEERS: Final = Path(__file__).resolve().parent.parent / "kernel_peers.toml"


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Peer(_Table):
    """A library and what its kernels execute on a target: instructions of one inference by case, or per MAC."""

    name: str = Field(min_length=1)
    target: str
    source: str = Field(min_length=1)
    instructions: dict[str, PositiveInt] = {}
    per_mac: dict[str, PositiveFloat] = {}

    def count(self, case: str, macs: int) -> int:
        """Instructions of one inference of ``case``, which has so many MACs. Raises KeyError for an unknown case."""
        return self.instructions[case] if case in self.instructions else round(self.per_mac[case] * macs)


class Goal(_Table):
    """What our kernels are to reach on a target, in executed instructions per ``unit``, and the most bytes allowed."""

    target: str
    case: str
    unit: Literal["inference", "MAC", "element"]
    reach: PositiveFloat | PositiveInt
    aim: PositiveFloat | PositiveInt
    activation_bytes: PositiveInt | None = None
    code_bytes: PositiveInt | None = None


class Record(_Table):
    """The whole file."""

    peer: list[Peer] = []
    goal: list[Goal] = []

    def counts(self, target: str, case: str, macs: int) -> list[tuple[str, int]]:
        """Every peer with a count of ``case`` on ``target``, and the count, in the file's order."""
        peers = [row for row in self.peer if row.target == target and case in {*row.instructions, *row.per_mac}]
        return [(peer.name, peer.count(case, macs)) for peer in peers]

    def goal_of(self, target: str, case: str) -> Goal | None:
        """The goal of ``case`` on ``target``, None where there is none."""
        return next((row for row in self.goal if (row.target, row.case) == (target, case)), None)


def load_record(cases: Iterable[str], path: Path = PEERS) -> Record:
    """Reads the file; every case it names has to be among ``cases``.

    Raises NasError for a file that cannot be read, a field that is unknown or of another type, or an unknown case.
    """
    try:
        record = Record.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise NasError(f"{path.name} cannot be read: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise NasError(f"{path.name}: {place}: {first['msg']}") from error
    named = [name for row in record.peer for name in (*row.instructions, *row.per_mac)]
    named += [row.case for row in record.goal]
    unknown = sorted({*named} - {*cases})
    if unknown:
        raise NasError(f"{path.name} names the case {unknown[0]!r}, which is not measured")
    return record
