"""Microcontrollers as data: one TOML file each, read strictly.

Every table with numbers carries a ``source``, and a ``kind`` where its numbers are not plain facts. Adding a
microcontroller is adding a file to the folder ``targets``.
"""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from functools import cache, cached_property
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict, ValidationError, model_validator

from estimators.frontend import FRONT_END_TERMS, FrontEndTerm
from estimators.kernels import KERNELS, TERMS_OF, Kernel, Term, all_sources
from estimators.kinds import EXACT, check_kind
from search_spaces.errors import NasError
from search_spaces.space import did_you_mean

FOLDER: Final = Path(__file__).parent / "targets"

Text = Annotated[str, Field(min_length=1)]
Bytes = Annotated[int, Field(ge=0)]
Coefficient = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Table(BaseModel):
    """A table of the file: unknown keys and values of another type are refused, nothing can be changed later."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class _Sourced(_Table):
    """A table whose numbers come from ``source``; ``kind`` says how far they can be trusted."""

    source: Text
    kind: Annotated[str, AfterValidator(check_kind)] = EXACT


class Core(_Sourced):
    """The processor core and the instruction set features that kernels may use."""

    name: Text
    isa: Annotated[tuple[str, ...], Strict(False)]


class Clock(_Sourced):
    """The core's clock while inferring, in Hz."""

    hz: Annotated[int, Field(gt=0)]


class Reserved(_Sourced):
    """Bytes of a region that the system keeps for itself."""

    what: Text
    bytes: Bytes


class Region(_Sourced):
    """A memory region. ``flash`` holds code and constants, ``sram`` static data and stack, ``heap`` neither."""

    name: Text
    role: Literal["flash", "sram", "heap"]
    address: Bytes
    bytes: Annotated[int, Field(gt=0)]
    reserved: Annotated[tuple[Reserved, ...], Strict(False)] = ()

    @property
    def end(self) -> int:
        """First address behind the region."""
        return self.address + self.bytes

    @property
    def usable_bytes(self) -> int:
        """What the system leaves."""
        return self.bytes - sum(item.bytes for item in self.reserved)

    @model_validator(mode="after")
    def _holds_what_is_reserved(self) -> Self:
        if self.usable_bytes < 0:
            raise ValueError(
                f"region {self.name!r} has {self.bytes} bytes; {self.bytes - self.usable_bytes} are reserved"
            )
        return self


class WaitStates(_Sourced):
    """Flash wait states by clock: rows of (greatest clock in Hz, wait states), slowest first.

    No cycles are added for them: caches in front of the flash are taken to hide them, and ``kind`` says how far the
    seconds of an inference may be off for that.
    """

    table: Annotated[tuple[Annotated[tuple[int, int], Strict(False)], ...], Strict(False)]


class Stack(_Sourced):
    """Bytes of stack below the caller of ``model_invoke`` while each kernel runs."""

    kernels: dict[Kernel, Bytes]


class StaticData(_Sourced):
    """Bytes of static variables besides the arena."""

    bytes: Bytes


class Cycles(_Sourced):
    """Cycles of one call of each kernel: coefficients of a linear model, by term."""

    kernels: dict[Kernel, dict[Term, Coefficient]]

    @model_validator(mode="after")
    def _terms_are_counted(self) -> Self:
        for kernel, prices in self.kernels.items():
            for term in prices:
                if term not in TERMS_OF[kernel]:
                    raise ValueError(f"{kernel} counts no {term}; it counts {', '.join(TERMS_OF[kernel])}")
        return self


class Code(_Sourced):
    """Bytes of code in flash: ``base`` once, each C file of a used kernel once, and model.c's share for each call."""

    base: Bytes
    files: dict[str, Bytes]
    calls: dict[Kernel, Bytes]


class FrontEndCosts(_Sourced):
    """An audio front end: bytes of stack and code, and cycles by the terms of ``estimators.frontend``."""

    stack: Bytes
    code: Bytes
    cycles: dict[FrontEndTerm, Coefficient]

    @model_validator(mode="after")
    def _every_term_has_a_price(self) -> Self:
        missing = [term for term in FRONT_END_TERMS if term not in self.cycles]
        if missing:
            raise ValueError(f"cycles lacks term {missing[0]!r}; it needs {', '.join(FRONT_END_TERMS)}")
        return self


class Power(_Sourced):
    """Power while inferring in watts, in one way of supplying the chip."""

    mode: Text
    watts: Positive


class Target(_Table):
    """A microcontroller. The first row of ``power`` is the default; bytes, Hz and watts throughout."""

    name: Text
    title: Text
    core: Core
    clock: Clock
    memory: Annotated[tuple[Region, ...], Strict(False)]
    wait_states: WaitStates | None = None
    stack: Stack
    data: StaticData
    cycles: Cycles
    code: Code
    frontend: FrontEndCosts
    power: Annotated[tuple[Power, ...], Strict(False), Field(min_length=1)]

    def __hash__(self) -> int:
        # The tables of coefficients cannot be hashed; targets of one name differ only while a file is being edited.
        return hash(self.name)

    @cached_property
    def clock_hz(self) -> int:
        """The core's clock while inferring."""
        return self.clock.hz

    @property
    def dsp(self) -> bool:
        """Whether the core has the Cortex-M's DSP extension, which decides over some kernels' files and tables."""
        return "dsp" in self.core.isa

    @cached_property
    def usable_sram_bytes(self) -> int:
        """Bytes for static data and stack after what the system reserves."""
        return sum(region.usable_bytes for region in self.memory if region.role == "sram")

    @cached_property
    def usable_flash_bytes(self) -> int:
        """Bytes for code and constants after what the system reserves."""
        return sum(region.usable_bytes for region in self.memory if region.role == "flash")

    def region(self, name: str) -> Region:
        """The memory region called ``name``; NasError where there is none."""
        for region in self.memory:
            if region.name == name:
                return region
        names = [region.name for region in self.memory]
        raise NasError(f"target {self.name!r} has no memory region {name!r}{did_you_mean(name, names)}")

    @model_validator(mode="after")
    def _regions_lie_apart(self) -> Self:
        regions = sorted(self.memory, key=lambda region: region.address)
        for low, high in pairwise(regions):
            if low.end > high.address:
                raise ValueError(
                    f"memory regions {low.name!r} and {high.name!r} overlap: "
                    f"{low.name} ends at {low.end:#010x}, {high.name} starts at {high.address:#010x}"
                )
        roles = {region.role for region in regions}
        if not {"flash", "sram"} <= roles:
            raise ValueError("memory needs a region of role 'flash' and one of role 'sram'")
        return self

    @model_validator(mode="after")
    def _every_kernel_has_numbers(self) -> Self:
        tables: dict[str, Collection[Kernel]] = {
            "stack.kernels": self.stack.kernels,
            "cycles.kernels": self.cycles.kernels,
            "code.calls": self.code.calls,
        }
        for table, rows in tables.items():
            missing = [kernel for kernel in KERNELS if kernel not in rows]
            if missing:
                raise ValueError(f"{table} lacks kernel {missing[0]!r}; it needs {', '.join(KERNELS)}")
        files = set(all_sources(self.dsp))
        if set(self.code.files) != files:
            odd = min(set(self.code.files) ^ files)
            raise ValueError(f"code.files must name exactly the kernels' files; {odd!r} is missing or too much")
        return self


def target_names() -> list[str]:
    """Names of all microcontrollers with a file, sorted."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


@cache
def load_target(name: str) -> Target:
    """The microcontroller called ``name``; NasError where there is none or where its file is not right."""
    if name not in target_names():
        raise NasError(f"target {name!r} is unknown{did_you_mean(name, target_names())}")
    return read_target(FOLDER / f"{name}.toml")


def read_target(path: Path) -> Target:
    """The microcontroller described by a TOML file.

    Raises NasError, one sentence that names the file and the key, when the file cannot be read, is no TOML, has an
    unknown key, lacks a key or a source, or describes regions that overlap.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NasError(f"target file {path} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise NasError(f"target file {path} is no TOML: {error}") from error
    try:
        target = Target.model_validate(data)
    except ValidationError as error:
        raise NasError(f"target file {path}: {_first_problem(error)}") from error
    if target.name != path.stem:
        raise NasError(f"target file {path}: name is {target.name!r}; the file's name says {path.stem!r}")
    return target


def _first_problem(error: ValidationError) -> str:
    """One clause for the first of pydantic's complaints: the key, and what is wrong with it."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"] if part != "[key]")
    if problem["type"] == "missing":
        return f"key {key} is missing"
    if problem["type"] == "extra_forbidden":
        return f"key {key} is unknown"
    message: str = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"key {key}: {message}" if key else message
    return f"key {key} is {_shown(problem['input'])}: {message[0].lower()}{message[1:]}"


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:37]}..."
