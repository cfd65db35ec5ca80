"""Read a linked firmware image: what is loaded where, where the symbols are, and what its parts cost in bytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any

from search_spaces.errors import NasError

_REQUIRED = (".vectors", ".model_text", ".model_bss", ".stack", ".text", ".bss")
_HELP = "link it with the board project's linker script"
_MACHINES = ("EM_ARM", "EM_XTENSA")


@dataclass(frozen=True, slots=True)
class Symbol:
    """A named object or function; `size` is 0 when the image does not tell."""

    address: int
    size: int


@dataclass(frozen=True, slots=True)
class FirmwareSizes:
    """Bytes of every part of an image, read from the sections that the linker script collects them in.

    ``model_*`` are the model's objects (model.c and kernels); ``helpers`` the routines that compilers call by
    themselves (memcpy, 64-bit division), which are linked only when the model needs them; ``test_vectors`` the
    vectors' inputs and expected outputs; ``runtime_*`` vector table, start-up code and harness.
    """

    model_text: int
    model_rodata: int
    model_data: int
    model_bss: int
    arena: int
    helpers: int
    test_vectors: int
    runtime_text: int
    runtime_rodata: int
    runtime_data: int
    runtime_bss: int
    stack_reserved: int
    flash_image: int

    @property
    def flash_bytes(self) -> int:
        """Flash of the model: code, constants, initial values of its variables, helpers."""
        return self.model_text + self.model_rodata + self.model_data + self.helpers

    @property
    def data_bytes(self) -> int:
        """Static RAM of the model besides the arena."""
        return self.model_data + self.model_bss - self.arena

    def to_dict(self) -> dict[str, int]:
        return {item.name: getattr(self, item.name) for item in fields(self)} | {
            "flash_bytes": self.flash_bytes,
            "data_bytes": self.data_bytes,
        }


@dataclass(frozen=True)
class FirmwareImage:
    """A linked image: `segments` are (load address, bytes); `functions` and `objects` are keyed by name.

    A name that several files use for a static function (or object) is kept once per address, as ``name``, ``name@2``...
    """

    path: Path
    segments: tuple[tuple[int, bytes], ...]
    functions: Mapping[str, Symbol]
    objects: Mapping[str, Symbol]
    labels: Mapping[str, int]
    sizes: FirmwareSizes

    def function(self, name: str) -> Symbol:
        """Raises NasError when the image has no such function."""
        return self._find(self.functions, "function", name)

    def object(self, name: str) -> Symbol:
        """Raises NasError when the image has no such object."""
        return self._find(self.objects, "object", name)

    def label(self, name: str) -> int:
        """Address of a symbol that the linker script defines. Raises NasError when there is none."""
        if name not in self.labels:
            raise NasError(f"{self.path} defines no symbol {name!r}: {_HELP}")
        return self.labels[name]

    def read(self, address: int, size: int) -> bytes:
        """Bytes as they lie in flash. Raises NasError for a range that is not loaded."""
        for start, data in self.segments:
            if start <= address and address + size <= start + len(data):
                return data[address - start : address - start + size]
        raise NasError(f"{self.path} holds nothing at {address:#010x} to {address + size:#010x}")

    def function_at(self, address: int) -> str:
        """Name of the function that `address` lies in, "?" where there is none."""
        starts, names = self._function_index
        index = bisect_right(starts, address) - 1
        if index < 0 or address >= starts[index] + max(self.functions[names[index]].size, 1):
            return "?"
        return names[index]

    @cached_property
    def _function_index(self) -> tuple[list[int], list[str]]:
        # Aliases share an address: the alphabetically first name stands for all of them.
        by_address: dict[int, str] = {}
        for name in sorted(self.functions):
            by_address.setdefault(self.functions[name].address, name)
        starts = sorted(by_address)
        return starts, [by_address[start] for start in starts]

    def _find(self, table: Mapping[str, Symbol], kind: str, name: str) -> Symbol:
        if name not in table:
            raise NasError(f"{self.path} has no {kind} {name!r}: {_HELP}")
        return table[name]


def load_image(path: Path) -> FirmwareImage:
    """Read a linked ELF for an Arm or Xtensa core.

    Raises:
        NasError: the file cannot be read, is no such image, or lacks the sections that are measured.
    """
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        with path.open("rb") as stream:
            elf = ELFFile(stream)
            if elf["e_machine"] not in _MACHINES or elf["e_type"] != "ET_EXEC":
                raise NasError(f"{path} is no linked program for an Arm or Xtensa core")
            segments = tuple(
                (int(segment["p_paddr"]), bytes(segment.data()))
                for segment in elf.iter_segments("PT_LOAD")
                if segment["p_filesz"]
            )
            symbols = _symbols(elf)
            sections = {section.name: int(section["sh_size"]) for section in elf.iter_sections()}
    except OSError as error:
        raise NasError(f"firmware image {path} cannot be read: {error.strerror or error}") from error
    except ELFError as error:
        raise NasError(f"{path} is no ELF file: {error}") from error
    functions, objects, labels = symbols
    sizes = _sizes(path, sections, objects, sum(len(data) for _, data in segments))
    return FirmwareImage(path, segments, functions, objects, labels, sizes)


def _symbols(elf: Any) -> tuple[dict[str, Symbol], dict[str, Symbol], dict[str, int]]:
    functions: dict[str, Symbol] = {}
    objects: dict[str, Symbol] = {}
    labels: dict[str, int] = {}
    # Bit 0 of an Arm function's address says "Thumb code" and is no part of the address.
    code = ~1 if elf["e_machine"] == "EM_ARM" else ~0
    table = elf.get_section_by_name(".symtab")
    for symbol in table.iter_symbols() if table is not None else ():
        if symbol["st_shndx"] == "SHN_UNDEF" or not symbol.name:
            continue
        kind, value, size = symbol["st_info"]["type"], int(symbol["st_value"]), int(symbol["st_size"])
        if kind == "STT_FUNC":
            _add(functions, symbol.name, Symbol(value & code, size))
        elif kind == "STT_OBJECT":
            _add(objects, symbol.name, Symbol(value, size))
        elif kind == "STT_NOTYPE" and not symbol.name.startswith("$"):
            labels[symbol.name] = value
    return functions, objects, labels


def _add(table: dict[str, Symbol], name: str, symbol: Symbol) -> None:
    unique, count = name, 1
    while unique in table and table[unique].address != symbol.address:
        count += 1
        unique = f"{name}@{count}"
    table[unique] = symbol


def _sizes(path: Path, sections: Mapping[str, int], objects: Mapping[str, Symbol], flash_image: int) -> FirmwareSizes:
    missing = [name for name in _REQUIRED if name not in sections]
    if missing:
        raise NasError(f"{path} has no section {missing[0]!r}: {_HELP}")

    def size(name: str) -> int:
        return sections.get(name, 0)

    return FirmwareSizes(
        model_text=size(".model_text"),
        model_rodata=size(".model_rodata"),
        model_data=size(".model_data"),
        model_bss=size(".model_bss"),
        arena=objects["arena"].size if "arena" in objects else 0,
        helpers=size(".helpers"),
        test_vectors=size(".test_vectors"),
        runtime_text=size(".vectors") + size(".reset") + size(".text"),
        runtime_rodata=size(".rodata"),
        runtime_data=size(".data"),
        runtime_bss=size(".bss"),
        stack_reserved=size(".stack"),
        flash_image=flash_image,
    )
